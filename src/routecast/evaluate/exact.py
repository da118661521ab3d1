"""Every figure of one router, exactly, by the name that tables and reports use."""

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
from routecast.evaluate.fixed import FixedBlock
from routecast.evaluate.metrics import (
    apgr_eleven_quantiles,
    apgr_ten_thresholds,
    average_gap_recovered,
    calls_for_strong_quality,
    normalised_apgr,
    oracle_scores,
    share_for_gap_recovered,
)
from routecast.evaluate.names import (
    APGR,
    APGR_ELEVEN_QUANTILES,
    APGR_NORMALISED,
    APGR_TEN_THRESHOLDS,
    APGR_USD,
    AUROC,
    BRIER,
    CALLS,
    CPTS,
    ECE,
    LOG_LOSS,
    SAVED_SHARE,
    SAVED_USD_PER_1K,
)
from routecast.evaluate.pair import PairArrays
from routecast.types import FloatArray


def exact_figures(
    scores: FloatArray,
    pair: PairArrays,
    *,
    is_probability: bool = False,
    fixed: FixedBlock | None = None,
) -> dict[str, float]:
    """Compute each figure of a router that means something on these outcomes.

    Args:
        scores: Win probability, or any score that rises with it, per prompt, shape (n_prompts,).
        pair: What the two models did.
        is_probability: Whether the scores are win probabilities: only those have a log loss, a
            Brier score and a calibration error.
        fixed: The prompts without a score: shares of calls are those that a threshold can give,
            and probabilities are judged on the other prompts. None where every prompt has one.

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
    if fixed is not None:
        figures |= {name: fixed.reachable_share(figures[name]) for name in (*CPTS, *CALLS)}
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
        figures |= {f"{name}_usd": dollars.extra_cost_at(figures[name]) for name in CPTS}
        figures[SAVED_USD_PER_1K] = 1000 * saving_usd(dollars, at_95)
        figures[SAVED_SHARE] = saving_fraction(dollars, at_95)
    labels = win_labels(**quality)
    figures[AUROC] = auroc(scores, labels)
    if fixed is not None:
        scores, labels = scores[~fixed.rows], labels[~fixed.rows]
    if is_probability and len(scores):
        figures[LOG_LOSS] = log_loss(scores, labels)
        figures[BRIER] = brier_score(scores, labels)
        figures[ECE] = expected_calibration_error(scores, labels)
    return figures
