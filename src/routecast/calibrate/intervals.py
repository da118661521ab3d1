"""95% intervals for what a threshold will do on traffic like the sample."""

import math

import numpy as np

from routecast.evaluate.study import Figure
from routecast.stats.beta import beta_quantile
from routecast.types import FloatArray, IntArray

TAIL = 0.025
_Z = 1.959963984540054  # the normal distribution's quantile at 1 - TAIL


def chosen_share_figure(
    strong_weights: FloatArray, strong_share: float, *, groups: IntArray | None = None
) -> Figure:
    """Return the share of future traffic that a threshold *chosen on the sample* lets through.

    The share of all traffic at or above the k-th highest of n scores is beta distributed with
    parameters k and n + 1 - k, whatever the scores' distribution. A tie that is split by a hash
    wavers less, and prompts in groups waver more: n is replaced by the number of single, untied
    prompts whose share would waver as much.

    Args:
        strong_weights: What the cut gives each prompt of the sample: 0, 1, or the share of a
            split tie, shape (n_prompts,).
        strong_share: The share that the cut was chosen for.
        groups: One integer per prompt, equal within a group, same shape; each prompt is its own
            when None.

    Returns:
        The share asked for, with the interval that the share of future traffic falls in for 95 of
        100 samples. No width where the share is sure: all, none, or one tie.

    References:
        Wilks (1941), "Determination of sample sizes for setting tolerance limits"; David and
        Nagaraja (2003), Order Statistics, section 7.2.
    """
    if strong_share in {0, 1}:
        return Figure(value=strong_share, low=strong_share, high=strong_share)
    n_effective = _effective_n(strong_weights, groups)
    if math.isinf(n_effective):
        return Figure(value=strong_share, low=strong_share, high=strong_share)
    n_above = strong_share * (n_effective + 1)
    low, high = _beta_interval(n_above, n_effective + 1 - n_above)
    return Figure(value=strong_share, low=low, high=high)


def given_share_figure(strong_weights: FloatArray, *, groups: IntArray | None = None) -> Figure:
    """Return the share of future traffic that a threshold given in advance lets through.

    Args:
        strong_weights: 0 or 1 per prompt of the sample, shape (n_prompts,).
        groups: As in `chosen_share_figure`.

    Returns:
        The sample's share with Jeffreys' interval, with the effective n for groups.

    References:
        Brown, Cai and DasGupta (2001), "Interval estimation for a binomial proportion", section 3:
        Jeffreys' interval, with its ends at 0 and 1 where no, or every, prompt is strong.
    """
    share = float(strong_weights.mean())
    n_effective = _effective_n(strong_weights, groups)
    if math.isinf(n_effective):
        n_effective = len(strong_weights) if groups is None else len(np.unique(groups))
    n_above = share * n_effective
    low, high = _beta_interval(n_above + 0.5, n_effective - n_above + 0.5)
    return Figure(value=share, low=low if share > 0 else 0.0, high=high if share < 1 else 1.0)


def mean_figure(values: FloatArray, *, groups: IntArray | None = None, scale: float = 1) -> Figure:
    """Return a mean with its normal interval, robust to groups.

    Args:
        values: Shape (n_prompts,), finite.
        groups: As in `chosen_share_figure`.
        scale: The mean and its interval are multiplied by this.

    Returns:
        The mean; its interval is infinitely wide when there is only one group.
    """
    mean = float(values.mean())
    half = _Z * _standard_error(values - mean, groups)
    return Figure(value=scale * mean, low=scale * (mean - half), high=scale * (mean + half))


def ratio_figure(
    numerators: FloatArray, denominators: FloatArray, *, groups: IntArray | None = None
) -> Figure:
    """Return the ratio of two means on the same prompts, with its interval by the delta method.

    Args:
        numerators: Shape (n_prompts,), finite.
        denominators: Same shape; their mean is not 0.
        groups: As in `chosen_share_figure`.
    """
    ratio = float(numerators.mean() / denominators.mean())
    deviations = (numerators - ratio * denominators) / float(denominators.mean())
    half = _Z * _standard_error(deviations, groups)
    return Figure(value=ratio, low=ratio - half, high=ratio + half)


def _beta_interval(a: float, b: float) -> tuple[float, float]:
    return beta_quantile(TAIL, a, b), beta_quantile(1 - TAIL, a, b)


def _standard_error(deviations: FloatArray, groups: IntArray | None) -> float:
    """Return the standard error of a mean from deviations that sum to 0, summed by group."""
    if groups is not None:
        _, codes = np.unique(groups, return_inverse=True)
        sums = np.bincount(codes, weights=deviations).astype(np.float64)
    else:
        sums = deviations
    n_groups = len(sums)
    if n_groups < 2:
        return math.inf
    squares = float(sums @ sums) * n_groups / (n_groups - 1)
    return math.sqrt(squares) / len(deviations)


def _effective_n(weights: FloatArray, groups: IntArray | None) -> float:
    """Return how many single, untied prompts would give a share of equal precision.

    Infinite when nothing wavers.
    """
    share = float(weights.mean())
    error = _standard_error(weights - share, groups)
    if math.isinf(error):
        return 1.0
    return share * (1 - share) / error**2 + 1 if error > 1e-12 else math.inf
