"""Isotonic regression, and a strictly increasing map made from it.

The plain fit is a staircase: prompts on one step become ties, and ties cost routing quality. Here
the steps keep a small slope, so that the order of prompts, and with it every routing metric, is
what it was before.
"""

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from routecast.stats.platt import check_sample
from routecast.types import FloatArray

SLOPE = 2.0**-10
"""The least slope of a strict map: it moves no probability by more than this."""

_GRID = 2.0**-40  # knots no closer than this: the least slope between them is 8 steps of a float


@dataclass(frozen=True, eq=False)
class IsotonicScaling:
    """A strictly increasing map of [0, 1] into itself: straight lines between knots.

    As a formula the order of any two probabilities is kept. In double precision they stay apart
    when their difference is 1e-12 or more (2^-40 times the least slope is 8 steps of a float near
    1), and are never turned round; a step of a single-precision float is 30,000 times that.

    Attributes:
        scores: Where the lines meet, strictly increasing from 0 to 1, shape (n_knots,).
        probabilities: The map's values there, in [0, 1], rising by at least ``SLOPE`` (less
            rounding) per unit of score, same shape.
    """

    scores: FloatArray
    probabilities: FloatArray

    def __post_init__(self) -> None:
        """Refuse a map that leaves [0, 1], has gaps, or would turn or tie the order of prompts."""
        if self.scores.ndim != 1 or self.scores.shape != self.probabilities.shape:
            raise ValueError(
                f"scores {self.scores.shape} and probabilities {self.probabilities.shape} must be "
                "vectors of one length"
            )
        runs = np.diff(self.scores)
        if not (len(runs) and np.all(runs > 0) and self.scores[0] == 0 and self.scores[-1] == 1):
            raise ValueError("knots must rise strictly from a score of 0 to a score of 1")
        if not np.all(np.diff(self.probabilities) >= 0.5 * SLOPE * runs):
            raise ValueError("the probabilities of the knots must rise strictly")
        if not (self.probabilities[0] >= 0 and self.probabilities[-1] <= 1):
            raise ValueError("the probabilities of the knots must lie in [0, 1]")

    @cached_property
    def _slopes(self) -> FloatArray:
        return np.diff(self.probabilities) / np.diff(self.scores)

    def apply(self, probabilities: FloatArray) -> FloatArray:
        """Return calibrated probabilities, same shape; NaN stays NaN.

        Values outside [0, 1] count as 0 and 1.
        """
        if probabilities.shape == (1,):
            return np.array([self.apply_one(probabilities.item())])
        inside = np.minimum(np.maximum(probabilities, 0.0), 1.0)
        line = np.searchsorted(self.scores[1:-1], inside, side="right")  # (n,), NaN: the last
        risen = self.probabilities[line] + self._slopes[line] * (inside - self.scores[line])
        return np.minimum(risen, self.probabilities[line + 1])  # rounding must not pass the knot

    def apply_one(self, probability: float) -> float:
        """Do the same for one, by the same steps, so to the last bit, in a fraction of the time."""
        scores, probabilities, slopes = self._lists
        inside = min(max(probability, 0.0), 1.0)
        line = bisect_right(scores, inside, 1, len(scores) - 1) - 1
        risen = probabilities[line] + slopes[line] * (inside - scores[line])
        return min(risen, probabilities[line + 1])

    @cached_property
    def _lists(self) -> tuple[list[float], list[float], list[float]]:
        return self.scores.tolist(), self.probabilities.tolist(), self._slopes.tolist()


def isotonic_regression(values: FloatArray, *, weights: FloatArray | None = None) -> FloatArray:
    """Return the non-decreasing sequence nearest to the values, in weighted least squares.

    Pool adjacent violators: neighbours in the wrong order become their weighted mean. On targets
    in [0, 1] the result also has the lowest log loss of all non-decreasing sequences.

    Args:
        values: In the order in which the result must not fall, shape (n,).
        weights: Positive, same shape; all 1 when None.

    Returns:
        The fitted values, same shape, between the least and the greatest of ``values``.

    Raises:
        ValueError: If shapes differ, a value is not finite, or a weight is not positive.

    References:
        Ayer et al. (1955), "An empirical distribution function for sampling with incomplete
        information"; Robertson, Wright and Dykstra (1988), Order Restricted Statistical Inference,
        sections 1.2 (the algorithm) and 1.5 (log loss).
    """
    weights = np.ones_like(values) if weights is None else weights
    if values.ndim != 1 or values.shape != weights.shape:
        raise ValueError(f"values {values.shape} and weights {weights.shape} must be vectors alike")
    if not np.all(np.isfinite(values)):
        raise ValueError("values must be finite")
    if not (np.all(weights > 0) and np.all(np.isfinite(weights))):
        raise ValueError("weights must be finite and positive")
    means: list[float] = []
    masses: list[float] = []
    lengths: list[int] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        mean, mass, length = value, weight, 1
        while means and means[-1] >= mean:
            previous = masses.pop()
            mean = (means.pop() * previous + mean * mass) / (previous + mass)
            mass, length = mass + previous, length + lengths.pop()
        means.append(mean)
        masses.append(mass)
        lengths.append(length)
    return np.repeat(np.array(means, dtype=np.float64), lengths)


def fit_isotonic(
    probabilities: FloatArray, targets: FloatArray, *, weights: FloatArray | None = None
) -> IsotonicScaling:
    """Fit the isotonic regression of the targets on the probabilities, and make it strict.

    Probabilities that are equal to within 2^-40 are pooled first. Two made-up observations of
    weight 1, one at the lowest and one at the highest probability, both at the base rate, keep the
    ends away from 0 and 1 (a rule of succession: without them, one lucky prompt at the end claims
    certainty). The steps are joined by straight lines and tilted: the map is (1 - 2^-10) times the
    joined steps plus 2^-10 times the probability itself.

    Args:
        probabilities: Uncalibrated win probabilities, shape (n_prompts,), in [0, 1].
        targets: What happened, shape (n_prompts,), in [0, 1]; a tie is 0.5.
        weights: Weight per prompt, shape (n_prompts,), positive; only their ratios count. All 1
            when None.

    Returns:
        The fitted map, at most two knots per step of the staircase and two at the ends.

    Raises:
        ValueError: If the sample is empty, or shapes differ, or a value is out of range.
    """
    weights = np.ones_like(probabilities) if weights is None else weights
    check_sample(probabilities, targets, weights)
    weights = weights / weights.mean()
    base_rate = (weights @ targets + 0.5) / (weights.sum() + 1.0)
    ends = [probabilities.min(), probabilities.max()]
    on_grid = np.round(np.append(probabilities, ends) / _GRID) * _GRID
    scores, position = np.unique(on_grid, return_inverse=True)
    weights = np.append(weights, [1.0, 1.0])
    masses = np.bincount(position, weights=weights).astype(np.float64)
    sums = np.bincount(position, weights=weights * np.append(targets, [base_rate, base_rate]))
    steps = isotonic_regression(sums / masses, weights=masses)
    return _strict(scores, np.clip(steps, 0.0, 1.0))


def _strict(scores: FloatArray, steps: FloatArray) -> IsotonicScaling:
    """Join the steps at distinct scores by lines from 0 to 1, tilted by ``SLOPE``."""
    rises = np.diff(steps) > 0
    starts = np.append(True, rises)
    ends = np.append(rises, True)
    knots, values = scores[starts | ends], steps[starts | ends]
    inner = (knots > 0) & (knots < 1)
    knots = np.concatenate([[0.0], knots[inner], [1.0]])
    values = np.concatenate([steps[:1], values[inner], steps[-1:]])
    return IsotonicScaling(knots, (1.0 - SLOPE) * values + SLOPE * knots)
