"""What so many prompts can tell: how far chance alone moves APGR."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from routecast.evaluate.curve import models_tie
from routecast.evaluate.dollars import costs_more
from routecast.evaluate.metrics import RANDOM_APGR
from routecast.evaluate.names import APGR
from routecast.evaluate.pair import PairArrays
from routecast.evaluate.study import Difference, Figure
from routecast.types import FloatArray, IntArray

_Z_95 = 1.959963984540054
_WIDE = 0.05  # half of what the best published router on MMLU is ahead of a random order
_FEW_GROUPS = 30


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


def study_warnings(
    pair: PairArrays,
    metrics: Mapping[str, Mapping[str, Figure]],
    differences: Sequence[Difference],
    *,
    group_codes: IntArray | None = None,
) -> tuple[str, ...]:
    """Say in plain words what the figures of a study cannot tell.

    Args:
        pair: What the two models did.
        metrics: By router, then by metric.
        differences: Between routers, of APGR.
        group_codes: The group of each prompt if groups were resampled, shape (n_prompts,).

    Returns:
        Sentences without a full stop; none when there is nothing to warn about.
    """
    weak, strong = float(pair.weak_quality.mean()), float(pair.strong_quality.mean())
    if models_tie(weak=weak, strong=strong):
        return ("the two models are equally good on average: no gap, so that nothing is recovered",)
    warnings = [*_of_few_prompts(pair, differences)]
    unsure = [
        name
        for name, figures in metrics.items()
        if figures[APGR].low <= RANDOM_APGR <= figures[APGR].high
    ]
    if unsure:
        warnings.append(f"not told from a random order at 95%: {', '.join(unsure)}")
    n_groups = None if group_codes is None else len(np.unique(group_codes))
    if n_groups is not None and n_groups < _FEW_GROUPS:
        warnings.append(f"intervals rest on {n_groups} groups only, and are likely too narrow")
    if pair.weak_cost_usd is not None and pair.strong_cost_usd is not None:
        costs = np.sum(pair.weak_cost_usd), np.sum(pair.strong_cost_usd)
        if not costs_more(weak=costs[0], strong=costs[1]):
            warnings.append("the strong model costs no more than the weak one: nothing to save")
    return tuple(warnings)


def _of_few_prompts(pair: PairArrays, differences: Sequence[Difference]) -> list[str]:
    chance = random_order_apgr(weak_quality=pair.weak_quality, strong_quality=pair.strong_quality)
    if chance.high - RANDOM_APGR <= _WIDE:
        return []
    words = (
        f"{len(pair.gap):,} prompts cannot tell close routers apart: a random order lands "
        f"anywhere in APGR {chance.low:.2f} to {chance.high:.2f} (95%)"
    )
    halves = [(found.figure.high - found.figure.low) / 2.0 for found in differences]
    known = [half for half in halves if math.isfinite(half)]
    if known:
        words += f", and a difference is known to within {np.median(known):.2f} only"
    return [words]
