"""The cost-quality curve: mean quality against the share of prompts sent to the strong model."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from routecast.types import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True, eq=False)
class CostQualityCurve:
    """Mean quality at each of the n + 1 cut points of n prompts.

    Attributes:
        strong_share: k / n for k = 0 ... n, shape (n_prompts + 1,).
        quality: Mean quality when the k highest scores go to the strong model and the rest to
            the weak one, same shape, in the qualities' own unit. Equal scores are taken in
            random order, and this is the expectation: a straight line across them.
    """

    strong_share: FloatArray
    quality: FloatArray

    @property
    def n_prompts(self) -> int:
        """Number of prompts behind the curve."""
        return len(self.strong_share) - 1

    @property
    def weak_quality(self) -> float:
        """Mean quality when every prompt goes to the weak model."""
        return float(self.quality[0])

    @property
    def strong_quality(self) -> float:
        """Mean quality when every prompt goes to the strong model."""
        return float(self.quality[-1])

    @property
    def gap_recovered(self) -> FloatArray:
        """PGR at each cut point, shape (n_prompts + 1,): from 0 to 1, all NaN when models tie."""
        gap = self.strong_quality - self.weak_quality
        if models_tie(weak=self.weak_quality, strong=self.strong_quality):
            return np.full(len(self.quality), np.nan)
        return (self.quality - self.weak_quality) / gap

    def quality_at(self, strong_share: float) -> float:
        """Return the mean quality at a share of strong calls in [0, 1], between cut points too."""
        return float(np.interp(strong_share, self.strong_share, self.quality))


def cost_quality_curve(
    scores: FloatArray, *, weak_quality: FloatArray, strong_quality: FloatArray
) -> CostQualityCurve:
    """Route the highest scores to the strong model, one more at each cut point.

    Args:
        scores: Win probability, or any score that rises with it, per prompt, shape
            (n_prompts,). Only the order counts.
        weak_quality: Quality of the weak model's answers, same shape.
        strong_quality: Quality of the strong model's answers, same shape.

    Returns:
        The curve. It does not depend on the order of the rows.

    Raises:
        ValueError: If shapes differ, there is no prompt, a quality is not finite, or a score is
            NaN: the router abstained, and the caller decides what such prompts count as.
    """
    check_scored(scores, weak_quality=weak_quality, strong_quality=strong_quality)
    n_prompts = len(scores)
    order, starts = descending_blocks(scores)
    sizes = np.diff(starts, append=n_prompts)
    gap = (strong_quality - weak_quality)[order]  # (n_prompts,)
    expected_gap = np.repeat(np.add.reduceat(gap, starts) / sizes, sizes)
    gain = np.concatenate([[0.0], np.cumsum(expected_gap)])  # (n_prompts + 1,)
    return CostQualityCurve(
        strong_share=np.arange(n_prompts + 1) / n_prompts,
        quality=weak_quality.mean() + gain / n_prompts,
    )


def models_tie(*, weak: float, strong: float) -> bool:
    """Tell whether two mean qualities are equal but for rounding: the gap is then no unit."""
    return bool(equal_but_for_rounding(np.float64(weak), np.float64(strong)))


def equal_but_for_rounding(
    one: FloatArray | np.float64, other: FloatArray | np.float64
) -> npt.NDArray[np.bool_] | np.bool_:
    """Tell elementwise whether two sums of the same sign of terms differ by rounding only."""
    return np.abs(other - one) <= 1e-12 * np.maximum(np.abs(other), np.abs(one))


def descending_blocks(scores: FloatArray) -> tuple[IntArray, IntArray]:
    """Return the order of falling scores, and where each block of equal scores starts in it."""
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    starts = np.flatnonzero(np.concatenate([[True], falling[1:] != falling[:-1]]))
    return order, starts


def check_scored(
    scores: FloatArray, *, weak_quality: FloatArray, strong_quality: FloatArray
) -> None:
    """Refuse arrays that no metric of routing is defined on.

    Raises:
        ValueError: As `cost_quality_curve` says.
    """
    shapes = {scores.shape, weak_quality.shape, strong_quality.shape}
    if len(shapes) != 1 or scores.ndim != 1 or not len(scores):
        raise ValueError(
            f"scores, weak and strong quality have shapes {scores.shape!r}, "
            f"{weak_quality.shape!r}, {strong_quality.shape!r}; accepted is one shape (n_prompts,) "
            "with at least one prompt"
        )
    n_abstained = int(np.isnan(scores).sum())
    if n_abstained:
        raise ValueError(
            f"{n_abstained} of {len(scores)} scores are NaN: the router abstained; leave those "
            "prompts out or give them the score of the fallback"
        )
    if not (np.isfinite(weak_quality).all() and np.isfinite(strong_quality).all()):
        raise ValueError("some qualities are not finite; keep the rows where both are known")
