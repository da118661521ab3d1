"""What a report draws of one router: its cut points, its reliability, its win probabilities."""

from dataclasses import dataclass

import numpy as np

from routecast.evaluate.curve import CostQualityCurve, cost_quality_curve
from routecast.evaluate.discrimination import win_labels
from routecast.evaluate.dollars import dollar_curve
from routecast.evaluate.fixed import FixedBlock
from routecast.evaluate.report_format import dollar_digits
from routecast.evaluate.study import RouterStudy, Study
from routecast.types import FloatArray, IntArray

MAX_CUTS = 1001
N_HISTOGRAM_BINS = 20


@dataclass(frozen=True, kw_only=True, eq=False)
class Cuts:
    """What a threshold can bring about: all of it up to 1,000 prompts, 1,001 points beyond.

    Prompts with equal scores are never parted, so each point is one that a gateway with this
    threshold would reach on these prompts.

    Attributes:
        n_strong: Prompts that go to the strong model, ascending from 0 to all, shape (n_cuts,).
        threshold: The smallest score among them, same shape; NaN where no score is needed: for no
            prompt at all, and for those on which the router abstained.
        quality: Mean quality, in the outcomes' unit, same shape.
        cost_usd: Mean US dollars per prompt, same shape; None where costs are unknown.
        reachable: Position of the first and of the last point that a threshold reaches: not all
            weak where prompts without a score go to the strong model, and the other way round.
    """

    n_strong: IntArray
    threshold: FloatArray
    quality: FloatArray
    cost_usd: FloatArray | None
    reachable: tuple[int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class Histogram:
    """Prompts by win probability, in equal steps, each array of shape (n_bins,).

    Attributes:
        low: Where the first step begins: a twentieth at or below the lowest probability.
        high: Where the last one ends, likewise above.
        wins: Prompts on which the strong model's answer is better.
        ties: Prompts on which both are equally good.
        losses: Prompts on which the weak model's answer is better.
    """

    low: float
    high: float
    wins: IntArray
    ties: IntArray
    losses: IntArray


def has_costs(study: Study) -> bool:
    """Tell whether dollars can be shown: both models' costs are known for every prompt."""
    weak, strong = study.weak_cost_usd, study.strong_cost_usd
    if weak is None or strong is None:
        return False
    return bool(np.isfinite(weak).all() and np.isfinite(strong).all())


def usd_digits(study: Study) -> int:
    """Return the decimals of dollars per 1,000 prompts, one choice for the whole report."""
    if study.weak_cost_usd is None or study.strong_cost_usd is None:
        return 2
    dearer = max(float(study.weak_cost_usd.mean()), float(study.strong_cost_usd.mean()))
    return dollar_digits(1000 * dearer)


def cuts_of(router: RouterStudy, study: Study) -> Cuts:
    """Return the cut points between different scores, evenly thinned to at most `MAX_CUTS`.

    Args:
        router: One with scores.
        study: The outcomes that the scores belong to.

    Raises:
        ValueError: If the router has no scores.
    """
    scores, fixed = router.scores, router.fixed
    if scores is None:
        raise ValueError(f"router {router.name!r} has no scores; only scored ones are drawn")
    curve = cost_quality_curve(
        scores, weak_quality=study.weak_quality, strong_quality=study.strong_quality
    )
    falling = np.sort(scores)[::-1]
    ends = np.flatnonzero(np.append(falling[1:] != falling[:-1], True)) + 1
    cuts = np.concatenate([[0], ends])
    if len(cuts) > MAX_CUTS:
        wanted = np.linspace(0, len(scores), MAX_CUTS)
        after = np.minimum(np.searchsorted(cuts, wanted), len(cuts) - 1)
        cuts = np.unique(cuts[after])
    threshold = np.where(cuts > 0, falling[cuts - 1], np.nan)
    if fixed is not None:
        threshold[fixed.rows[np.argsort(-scores, kind="stable")][cuts - 1] & (cuts > 0)] = np.nan
    return Cuts(
        n_strong=cuts.astype(np.int64),
        threshold=threshold,
        quality=curve.quality[cuts],
        cost_usd=_costs_along(scores, study, curve, cuts),
        reachable=_reachable(cuts, fixed),
    )


def _reachable(cuts: IntArray, fixed: FixedBlock | None) -> tuple[int, int]:
    first, last = 0, len(cuts) - 1
    if fixed is not None:
        n_fixed = int(fixed.rows.sum())
        if fixed.answered_by == "strong":
            first = int(np.searchsorted(cuts, n_fixed))
        else:
            last = int(np.searchsorted(cuts, len(fixed.rows) - n_fixed, side="right")) - 1
    return first, last


def _costs_along(
    scores: FloatArray, study: Study, calls: CostQualityCurve, cuts: IntArray
) -> FloatArray | None:
    weak, strong = study.weak_cost_usd, study.strong_cost_usd
    if weak is None or strong is None or not has_costs(study):
        return None
    curve = dollar_curve(calls, scores, weak_cost_usd=weak, strong_cost_usd=strong)
    return curve.cost_usd[cuts]


def probabilities_of(router: RouterStudy, study: Study) -> tuple[FloatArray, FloatArray] | None:
    """Return win probabilities and win labels of the prompts that the router scored.

    Returns:
        Two arrays of shape (n_scored,), or None where scores are only an order, or there is none.
    """
    if router.scores is None or not router.is_probability:
        return None
    labels = win_labels(weak_quality=study.weak_quality, strong_quality=study.strong_quality)
    if router.fixed is None:
        return router.scores, labels
    scored = ~router.fixed.rows
    if not scored.any():
        return None
    return router.scores[scored], labels[scored]


def win_histogram(win_probabilities: FloatArray, labels: FloatArray) -> Histogram:
    """Count prompts by win probability and by who won.

    Args:
        win_probabilities: Per prompt, shape (n_prompts,), in [0, 1].
        labels: Win labels, same shape: 0, 0.5 or 1.
    """
    low = float(np.floor(win_probabilities.min() * 20)) / 20
    high = max(float(np.ceil(win_probabilities.max() * 20)) / 20, low + 0.05)
    wins, ties, losses = (
        np.histogram(win_probabilities[labels == label], bins=N_HISTOGRAM_BINS, range=(low, high))[
            0
        ]
        for label in (1.0, 0.5, 0.0)
    )
    return Histogram(low=low, high=high, wins=wins, ties=ties, losses=losses)
