"""What so many prompts can tell: how far chance alone moves APGR."""

import math

import numpy as np

from routecast.evaluate.curve import models_tie
from routecast.evaluate.metrics import RANDOM_APGR
from routecast.evaluate.study import Figure
from routecast.types import FloatArray

_Z_95 = 1.959963984540054


def random_order_apgr(*, weak_quality: FloatArray, strong_quality: FloatArray) -> Figure:
    """Return where the APGR of a random order lands on these prompts, 95% of the time.

    APGR is a sum of gaps, each weighted by its place: the k-th of n in the order weighs
    (n - k + 1/2) / n. Over all orders the variance of such a sum is known exactly; the interval
    takes the sum as normal, which it nears as n grows.

    Args:
        weak_quality: Quality of the weak model's answers, shape (n_prompts,).
        strong_quality: Quality of the strong model's answers, same shape.

    Returns:
        0.5 and the interval around it, without end where the gap is small beside its spread;
        NaN when the models tie; no width with a single prompt.

    References:
        Hájek (1961), "Some extensions of the Wald-Wolfowitz-Noether theorem".
    """
    gaps = strong_quality - weak_quality
    n_prompts = len(gaps)
    if models_tie(weak=float(weak_quality.mean()), strong=float(strong_quality.mean())):
        return Figure(value=math.nan, low=math.nan, high=math.nan)
    if n_prompts == 1:
        return Figure(value=RANDOM_APGR, low=RANDOM_APGR, high=RANDOM_APGR)
    of_places = (n_prompts**2 - 1) / (12 * n_prompts)  # sum of squared deviations of the weights
    of_gaps = float(np.sum((gaps - gaps.mean()) ** 2))
    deviation = math.sqrt(of_places * of_gaps / (n_prompts - 1)) / abs(float(gaps.sum()))
    half = _Z_95 * deviation
    return Figure(value=RANDOM_APGR, low=RANDOM_APGR - half, high=RANDOM_APGR + half)
