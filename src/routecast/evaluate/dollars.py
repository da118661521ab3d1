"""The cost-quality curve with dollars on the x-axis: what the calls cost, not how many there are.

The prompts are taken in the order of their scores, as on the curve of calls. Sending one more to
the strong model changes the bill by its own strong minus weak cost. That may be negative for a
single prompt, where the weak model rambled: the curve then steps back to the left, and areas
count that step with its sign.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from routecast.evaluate.curve import CostQualityCurve, descending_blocks, equal_but_for_rounding
from routecast.evaluate.metrics import area
from routecast.types import FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class DollarCurve:
    """Mean cost beside mean quality at each of the n + 1 cut points of n prompts.

    Attributes:
        calls: Quality against the share of strong calls.
        cost_usd: Mean US dollars per prompt at the same cut points, shape (n_prompts + 1,), from
            all weak to all strong; in expectation over the order of equal scores.
    """

    calls: CostQualityCurve
    cost_usd: FloatArray

    @property
    def extra_cost(self) -> FloatArray:
        """Cost above all weak, over that of all strong, shape (n_prompts + 1,): 0 to 1.

        All NaN when the strong model costs no more in total: there is nothing to save.
        """
        extra = self.cost_usd[-1] - self.cost_usd[0]
        if not costs_more(weak=self.cost_usd[0], strong=self.cost_usd[-1]):
            return np.full(len(self.cost_usd), np.nan)
        return np.asarray((self.cost_usd - self.cost_usd[0]) / extra)

    def cost_usd_at(self, strong_share: float) -> float:
        """Return the mean cost per prompt at a share of strong calls, NaN at NaN."""
        return float(np.interp(strong_share, self.calls.strong_share, self.cost_usd))

    def extra_cost_at(self, strong_share: float) -> float:
        """Return `extra_cost` at a share of strong calls, between cut points too."""
        return float(np.interp(strong_share, self.calls.strong_share, self.extra_cost))


def dollar_curve(
    calls: CostQualityCurve,
    scores: FloatArray,
    *,
    weak_cost_usd: FloatArray,
    strong_cost_usd: FloatArray,
) -> DollarCurve:
    """Put costs beside a curve of calls.

    Args:
        calls: What `cost_quality_curve` returned for the same scores.
        scores: Win probability per prompt, shape (n_prompts,).
        weak_cost_usd: US dollars of the weak model's answer per prompt, same shape.
        strong_cost_usd: US dollars of the strong model's answer per prompt, same shape.

    Raises:
        ValueError: If shapes differ, or a cost is negative or not finite.
    """
    check_costs(scores, weak_cost_usd=weak_cost_usd, strong_cost_usd=strong_cost_usd)
    n_prompts = len(scores)
    order, starts = descending_blocks(scores)
    sizes = np.diff(starts, append=n_prompts)
    extra = (strong_cost_usd - weak_cost_usd)[order]  # (n_prompts,)
    expected = np.repeat(np.add.reduceat(extra, starts) / sizes, sizes)
    grown = np.concatenate([[0.0], np.cumsum(expected)])  # (n_prompts + 1,)
    return DollarCurve(calls=calls, cost_usd=weak_cost_usd.mean() + grown / n_prompts)


def average_gap_recovered_usd(curve: DollarCurve) -> float:
    """Return APGR with dollars on the x-axis: the area under PGR over the extra cost.

    Returns:
        0.5 for a random order, more for a good one; below the APGR of calls when the prompts
        sent first are dear ones. NaN when the models tie or the strong one costs no more.
    """
    return area(curve.calls.gap_recovered, curve.extra_cost)


def saving_usd(curve: DollarCurve, strong_share: float) -> float:
    """Return the mean dollars per prompt saved against all strong; negative if routing is dearer.

    NaN when the share is NaN.
    """
    return float(curve.cost_usd[-1]) - curve.cost_usd_at(strong_share)


def saving_fraction(curve: DollarCurve, strong_share: float) -> float:
    """Return the saving as a fraction of the bill of all strong, at most 1; NaN if that is 0."""
    bill_usd = float(curve.cost_usd[-1])
    return saving_usd(curve, strong_share) / bill_usd if bill_usd > 0 else math.nan


def costs_more(
    *, weak: FloatArray | np.float64, strong: FloatArray | np.float64
) -> npt.NDArray[np.bool_] | np.bool_:
    """Tell elementwise whether the strong model costs more, rounding aside."""
    return (strong > weak) & ~equal_but_for_rounding(weak, strong)


def check_costs(
    scores: FloatArray, *, weak_cost_usd: FloatArray, strong_cost_usd: FloatArray
) -> None:
    """Refuse costs that no bill has.

    Raises:
        ValueError: As `dollar_curve` says.
    """
    if not (weak_cost_usd.shape == strong_cost_usd.shape == scores.shape):
        raise ValueError(
            f"weak and strong cost have shapes {weak_cost_usd.shape!r} and "
            f"{strong_cost_usd.shape!r}; accepted is the scores' shape, {scores.shape!r}"
        )
    for cost_usd in (weak_cost_usd, strong_cost_usd):
        if not (np.isfinite(cost_usd) & (cost_usd >= 0)).all():
            raise ValueError(
                "some costs are negative or not finite; keep the rows where both are known"
            )
