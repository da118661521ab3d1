"""Metrics of routing. Quality may be on any scale; cost is the share of strong calls.

References:
    Ong et al. (2024), arXiv:2406.18665, section 2.
"""

import math
from dataclasses import dataclass

import numpy as np

from routecast.evaluate.curve import (
    CostQualityCurve,
    check_scored,
    cost_quality_curve,
    equal_but_for_rounding,
    models_tie,
)
from routecast.types import FloatArray

RANDOM_APGR = 0.5
"""APGR of a random order, in expectation and whatever the qualities: its curve is straight."""

REACHED = 1e-9
"""How far below a share of the gap counts as reaching it: rounding, no more."""


def performance_gap_recovered(routed: float, *, weak: float, strong: float) -> float:
    """Return the share of the weak-to-strong quality gap that routing recovers.

    Args:
        routed: Mean quality of the routed answers, in the benchmark's own unit.
        weak: Mean quality when every prompt goes to the weak model, same unit.
        strong: Mean quality when every prompt goes to the strong model, same unit.

    Returns:
        A fraction, 0 at weak quality and 1 at strong. It may leave [0, 1].
        NaN when the two models tie.

    Raises:
        ValueError: If any quality is not finite.

    References:
        Ong et al. (2024), arXiv:2406.18665, section 2.
    """
    if not all(math.isfinite(quality) for quality in (routed, weak, strong)):
        raise ValueError(
            f"qualities {routed!r}, {weak!r}, {strong!r}; accepted are finite numbers only"
        )
    return math.nan if models_tie(weak=weak, strong=strong) else (routed - weak) / (strong - weak)


def average_gap_recovered(curve: CostQualityCurve) -> float:
    """Return APGR: the area under PGR over the share of strong calls, by exact trapezoid.

    Returns:
        0.5 for a random order, more for a good one. NaN when the two models tie.
    """
    return area(curve.gap_recovered, curve.strong_share)


def share_for_gap_recovered(curve: CostQualityCurve, gap_recovered: float) -> float:
    """Return CPT: the smallest share of strong calls that recovers a share of the gap.

    Where quality falls again as more calls go to the strong model, what was reached stays
    reached: the running maximum of PGR at the n + 1 cut points is what is inverted, with straight
    lines between cut points.

    Args:
        curve: Quality against the share of strong calls.
        gap_recovered: PGR to reach, as a fraction: 0.5 for CPT(50%).

    Returns:
        A fraction in [0, 1]. 0 when nothing needs recovering. NaN when the two models tie, and
        when the curve never gets there, which takes more than 1.
    """
    best = np.maximum.accumulate(curve.gap_recovered)  # (n_prompts + 1,)
    reached = np.flatnonzero(best >= gap_recovered - REACHED)
    if not len(reached):
        return math.nan
    after = int(reached[0])
    if after == 0:
        return 0.0
    rise = best[after] - best[after - 1]
    part = min((gap_recovered - best[after - 1]) / rise, 1.0)
    return float((after - 1 + part) / curve.n_prompts)


def calls_for_strong_quality(curve: CostQualityCurve, fraction: float) -> float:
    """Return the smallest share of strong calls that reaches a fraction of the strong's quality.

    Unlike CPT this asks for a share of the strong model's own score, not of the gap, so that the
    quality needs a zero that means something: accuracy has one.

    Args:
        curve: Quality against the share of strong calls.
        fraction: Of the strong model's mean quality, in [0, 1]: 0.95 for 95%.

    Returns:
        A share in [0, 1], on the running maximum as `share_for_gap_recovered`; 0 when the weak
        model alone is there. NaN when the strong model's mean quality is not above 0.

    Raises:
        ValueError: If ``fraction`` is outside [0, 1].
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction is {fraction!r}; accepted is 0 to 1, as 0.95 for 95%")
    weak, strong = np.float64(curve.weak_quality), np.float64(curve.strong_quality)
    target = float(strong_quality_target(fraction, weak=weak, strong=strong))
    return 0.0 if target <= REACHED else share_for_gap_recovered(curve, target)


def strong_quality_target(
    fraction: float, *, weak: FloatArray | np.float64, strong: FloatArray | np.float64
) -> FloatArray:
    """Return the PGR at which quality is a fraction of the strong model's, elementwise.

    Args:
        fraction: Of the strong model's quality, in [0, 1].
        weak: Mean or summed quality of the weak model, any shape.
        strong: The same of the strong model, same shape.

    Returns:
        At most 1; 0 where the weak model alone is there, as it is when it ties with the strong
        one or passes it. NaN where the strong model's quality is not above 0.
    """
    behind = (weak < strong) & ~equal_but_for_rounding(weak, strong)
    gap = np.where(behind, strong - weak, 1.0)
    target = np.where(behind, np.maximum((fraction * strong - weak) / gap, 0.0), 0.0)
    return np.where(strong > 1e-12 * np.abs(weak), target, np.nan)


def normalised_apgr(apgr: float, *, oracle: float) -> float:
    """Return where APGR lies between a random order, 0, and the oracle, 1.

    Args:
        apgr: Of the router.
        oracle: APGR of `oracle_scores` on the same prompts.

    Returns:
        At most 1; negative for a router worse than random. NaN when the oracle is no better than
        random, as where all prompts have one gap.
    """
    room = oracle - RANDOM_APGR
    return (apgr - RANDOM_APGR) / room if room > REACHED else math.nan


def apgr_ten_thresholds(curve: CostQualityCurve) -> float:
    """Return the paper's approximation of APGR: the mean PGR at ten shares of strong calls.

    The paper does not say which ten. Here they are the middles of ten equal parts, .05, .15 ...
    .95, the choice that gives a random order its .5.

    Returns:
        NaN when the two models tie.
    """
    shares = (np.arange(10) + 0.5) / 10
    return float(np.interp(shares, curve.strong_share, curve.gap_recovered).mean())


def apgr_eleven_quantiles(
    scores: FloatArray, *, weak_quality: FloatArray, strong_quality: FloatArray
) -> float:
    """Return APGR as the published code computes it, for comparing with its figures only.

    Thresholds are the 0, 10 ... 100% quantiles of the scores. A score at or above the threshold
    goes to the strong model, but only scores above the last. The trapezoid runs over the shares
    that result. Equal scores move together, so with many of them the points lie far apart; where
    two quantiles coincide the published code stops with an error, and this does not.

    Args:
        scores: Win probability per prompt, shape (n_prompts,).
        weak_quality: Quality of the weak model's answers, same shape.
        strong_quality: Quality of the strong model's answers, same shape.

    Returns:
        NaN when the two models tie.

    Raises:
        ValueError: As `cost_quality_curve` says.

    References:
        PyPI routellm 0.2.0, ``evals/benchmarks.py`` and ``evals/evaluate.py``.
    """
    check_scored(scores, weak_quality=weak_quality, strong_quality=strong_quality)
    thresholds = np.quantile(scores, np.linspace(0.0, 1.0, 11))
    strong = scores >= thresholds[:, None]  # (11, n_prompts)
    strong[-1] = scores > thresholds[-1]
    quality = np.where(strong, strong_quality, weak_quality).mean(axis=1)[::-1]
    weak, best = float(weak_quality.mean()), float(strong_quality.mean())
    if models_tie(weak=weak, strong=best):
        return math.nan
    share = strong.mean(axis=1)[::-1]
    return area((quality - weak) / (best - weak), share)


def oracle_scores(*, weak_quality: FloatArray, strong_quality: FloatArray) -> FloatArray:
    """Return the scores of a router that knows both answers: no router has a higher APGR.

    Returns:
        Strong minus weak quality per prompt, shape (n_prompts,).
    """
    return strong_quality - weak_quality


@dataclass(frozen=True, kw_only=True)
class RoutingMetrics:
    """One router's figures on one set of outcomes.

    Attributes:
        n_prompts: Number of prompts.
        weak_quality: Mean quality of the weak model alone, in the outcomes' unit.
        strong_quality: Mean quality of the strong model alone, same unit.
        apgr: Average performance gap recovered, exact.
        cpt_50: Share of strong calls that recovers half the gap.
        cpt_80: Share of strong calls that recovers four fifths of the gap.
        apgr_ten_thresholds: APGR as the paper approximates it.
        apgr_eleven_quantiles: APGR as the published code approximates it.
    """

    n_prompts: int
    weak_quality: float
    strong_quality: float
    apgr: float
    cpt_50: float
    cpt_80: float
    apgr_ten_thresholds: float
    apgr_eleven_quantiles: float


def routing_metrics(
    scores: FloatArray, *, weak_quality: FloatArray, strong_quality: FloatArray
) -> RoutingMetrics:
    """Compute all figures of one router.

    Args:
        scores: Win probability per prompt, shape (n_prompts,).
        weak_quality: Quality of the weak model's answers, same shape.
        strong_quality: Quality of the strong model's answers, same shape.

    Returns:
        The figures; all but the counts and the two qualities are NaN when the models tie.

    Raises:
        ValueError: As `cost_quality_curve` says.
    """
    curve = cost_quality_curve(scores, weak_quality=weak_quality, strong_quality=strong_quality)
    return RoutingMetrics(
        n_prompts=curve.n_prompts,
        weak_quality=curve.weak_quality,
        strong_quality=curve.strong_quality,
        apgr=average_gap_recovered(curve),
        cpt_50=share_for_gap_recovered(curve, 0.5),
        cpt_80=share_for_gap_recovered(curve, 0.8),
        apgr_ten_thresholds=apgr_ten_thresholds(curve),
        apgr_eleven_quantiles=apgr_eleven_quantiles(
            scores, weak_quality=weak_quality, strong_quality=strong_quality
        ),
    )


def area(heights: FloatArray, positions: FloatArray) -> float:
    """Integrate by the trapezoid rule, steps to the left with their sign.

    Args:
        heights: Shape (n_points,).
        positions: Where they stand, same shape, in the order of the path.
    """  # numpy 1 and 2 name theirs differently
    return float(np.sum(np.diff(positions) * (heights[1:] + heights[:-1]) / 2.0))
