"""Every figure of one router, exactly, by the name that tables and reports use."""

from dataclasses import dataclass

import numpy as np

from routecast.evaluate.curve import cost_quality_curve
from routecast.evaluate.discrimination import (
    auroc,
    brier_score,
    expected_calibration_error,
    log_loss,
    win_labels,
)
from routecast.evaluate.dollars import (
    average_gap_recovered_usd,
    dollar_curve,
    saving_fraction,
    saving_usd,
)
from routecast.evaluate.metrics import (
    apgr_eleven_quantiles,
    apgr_ten_thresholds,
    average_gap_recovered,
    calls_for_strong_quality,
    normalised_apgr,
    oracle_scores,
    share_for_gap_recovered,
)
from routecast.types import FloatArray

APGR = "apgr"
APGR_NORMALISED = "apgr_normalised"
APGR_TEN_THRESHOLDS = "apgr_ten_thresholds"
APGR_ELEVEN_QUANTILES = "apgr_eleven_quantiles"
CPTS = {"cpt_50": 0.5, "cpt_80": 0.8}
"""Shares of strong calls that recover these shares of the gap."""
CALLS = {"calls_90": 0.90, "calls_95": 0.95, "calls_98": 0.98, "calls_100": 1.0}
"""Shares of strong calls that reach these fractions of the strong model's own quality."""
AUROC = "auroc"
LOG_LOSS, BRIER, ECE = "log_loss", "brier", "ece"
APGR_USD = "apgr_usd"
CPTS_USD = {"cpt_50_usd": "cpt_50", "cpt_80_usd": "cpt_80"}
"""Shares of the extra cost, all strong against all weak, at the CPT of calls."""
SAVED_USD_PER_1K = "saved_95_usd_per_1k"
SAVED_SHARE = "saved_95_share"


@dataclass(frozen=True, kw_only=True, eq=False)
class PairArrays:
    """What both models of a pair did on each prompt.

    Attributes:
        weak_quality: Quality of the weak model's answers, shape (n_prompts,).
        strong_quality: Quality of the strong model's answers, same shape.
        weak_cost_usd: US dollars of the weak model's answers, same shape, or None if unknown.
        strong_cost_usd: Likewise; known together.
    """

    weak_quality: FloatArray
    strong_quality: FloatArray
    weak_cost_usd: FloatArray | None = None
    strong_cost_usd: FloatArray | None = None

    def __post_init__(self) -> None:
        """Refuse costs of one model only."""
        if (self.weak_cost_usd is None) != (self.strong_cost_usd is None):
            raise ValueError("the costs of one model only are known; give both or neither")

    @property
    def gap(self) -> FloatArray:
        """Strong minus weak quality per prompt, shape (n_prompts,)."""
        return self.strong_quality - self.weak_quality

    @property
    def extra_cost_usd(self) -> FloatArray | None:
        """Strong minus weak cost per prompt, shape (n_prompts,), or None."""
        if self.weak_cost_usd is None or self.strong_cost_usd is None:
            return None
        return self.strong_cost_usd - self.weak_cost_usd


def exact_figures(
    scores: FloatArray, pair: PairArrays, *, is_probability: bool = False
) -> dict[str, float]:
    """Compute each figure of a router that means something on these outcomes.

    Args:
        scores: Win probability, or any score that rises with it, per prompt, shape (n_prompts,).
        pair: What the two models did.
        is_probability: Whether the scores are win probabilities: only those have a log loss, a
            Brier score and a calibration error.

    Returns:
        ``apgr``, ``apgr_normalised``, ``cpt_50`` and the like by name. Those with dollars are
        absent where costs are unknown.

    Raises:
        ValueError: As the single metrics say.
    """
    quality = {"weak_quality": pair.weak_quality, "strong_quality": pair.strong_quality}
    curve = cost_quality_curve(scores, **quality)
    apgr = average_gap_recovered(curve)
    best = average_gap_recovered(cost_quality_curve(oracle_scores(**quality), **quality))
    figures = {APGR: apgr, APGR_NORMALISED: normalised_apgr(apgr, oracle=best)}
    figures |= {name: share_for_gap_recovered(curve, gap) for name, gap in CPTS.items()}
    figures |= {name: calls_for_strong_quality(curve, part) for name, part in CALLS.items()}
    figures[APGR_TEN_THRESHOLDS] = apgr_ten_thresholds(curve)
    figures[APGR_ELEVEN_QUANTILES] = apgr_eleven_quantiles(scores, **quality)
    if pair.weak_cost_usd is not None and pair.strong_cost_usd is not None:
        dollars = dollar_curve(
            curve,
            scores,
            weak_cost_usd=pair.weak_cost_usd,
            strong_cost_usd=pair.strong_cost_usd,
        )
        at_95 = figures["calls_95"]
        figures[APGR_USD] = average_gap_recovered_usd(dollars)
        figures |= {name: dollars.extra_cost_at(figures[cpt]) for name, cpt in CPTS_USD.items()}
        figures[SAVED_USD_PER_1K] = 1000 * saving_usd(dollars, at_95)
        figures[SAVED_SHARE] = saving_fraction(dollars, at_95)
    labels = win_labels(**quality)
    figures[AUROC] = auroc(scores, labels)
    if is_probability:
        figures[LOG_LOSS] = log_loss(scores, labels)
        figures[BRIER] = brier_score(scores, labels)
        figures[ECE] = expected_calibration_error(scores, labels)
    return figures


def chance_figures(pair: PairArrays) -> dict[str, float]:
    """Return the figures of a random order, in expectation: a straight line, without drawing one.

    Returns:
        As `exact_figures`, but for those of probabilities.
    """
    return exact_figures(np.zeros(len(pair.weak_quality)), pair)
