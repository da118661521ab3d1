"""The baselines that need no scores: a random order, always the strong model, always the weak."""

import numpy as np

from routecast.evaluate.dollars import costs_more
from routecast.evaluate.metrics import RANDOM_APGR, strong_quality_target
from routecast.evaluate.names import (
    APGR,
    APGR_ELEVEN_QUANTILES,
    APGR_NORMALISED,
    APGR_TEN_THRESHOLDS,
    APGR_USD,
    AUROC,
    CALLS,
    CPTS,
    SAVED_SHARE,
    SAVED_USD_PER_1K,
)
from routecast.evaluate.study import Figure
from routecast.evaluate.sweep import ResampleTotals
from routecast.stats.bootstrap import percentile_interval
from routecast.types import FloatArray

RANDOM = "random"
ALWAYS_STRONG = "always-strong"
ALWAYS_WEAK = "always-weak"

COST_USD_PER_1K = "cost_usd_per_1k"
"""Mean cost of 1,000 prompts in US dollars."""

Baselines = dict[str, dict[str, Figure]]
"""Figures by baseline, then by metric."""


def baseline_figures(exact: ResampleTotals, resampled: ResampleTotals) -> Baselines:
    """Return what is known of the baselines without routing anything.

    The expected curve of a random order is the straight line from weak to strong, whatever the
    prompts: its APGR and CPT are numbers without an interval. How many calls reach a fraction of
    the strong model's quality, and what they save, depends on the two means, and is resampled.

    Args:
        exact: What the prompts themselves sum to, each of shape (1,).
        resampled: What their resamples sum to.

    Returns:
        For ``random`` the metrics of `exact_figures` but those of probabilities; for
        ``always-strong`` and ``always-weak``: ``quality``, ``strong_share``, ``gap_recovered``,
        and ``cost_usd_per_1k`` where costs are known. NaN where the models tie.
    """
    figures: Baselines = {RANDOM: {}, ALWAYS_STRONG: {}, ALWAYS_WEAK: {}}
    samples = _of_each(resampled)
    for (name, metric), value in _of_each(exact).items():
        ends = percentile_interval(samples[name, metric])
        figures[name][metric] = Figure(value=float(value[0]), low=ends.low, high=ends.high)
    return figures


def _of_each(totals: ResampleTotals) -> dict[tuple[str, str], FloatArray]:
    """Every figure of every baseline on each resample, shape (n_block,)."""
    found = {(RANDOM, name): values for name, values in _of_chance(totals).items()}
    for name, quality, cost, share in (
        (ALWAYS_STRONG, totals.strong, totals.strong_cost, 1.0),
        (ALWAYS_WEAK, totals.weak, totals.weak_cost, 0.0),
    ):
        found[name, "quality"] = quality / totals.n_rows
        found[name, "strong_share"] = np.full(len(quality), share)
        found[name, "gap_recovered"] = np.where(np.isnan(totals.gap), np.nan, share)
        if cost is not None:
            found[name, COST_USD_PER_1K] = 1000.0 * cost / totals.n_rows
    return found


def _of_chance(totals: ResampleTotals) -> dict[str, FloatArray]:
    """The straight line from weak to strong."""

    def where_apart(value: float) -> FloatArray:
        return np.where(np.isnan(totals.gap), np.nan, value)

    figures = {APGR: where_apart(RANDOM_APGR), APGR_NORMALISED: where_apart(0.0)}
    figures |= {name: where_apart(share) for name, share in CPTS.items()}
    for name, fraction in CALLS.items():
        figures[name] = strong_quality_target(fraction, weak=totals.weak, strong=totals.strong)
    figures |= {name: where_apart(0.5) for name in (APGR_TEN_THRESHOLDS, APGR_ELEVEN_QUANTILES)}
    figures[AUROC] = np.full(len(totals.n_rows), 0.5)
    if totals.weak_cost is None or totals.strong_cost is None:
        return figures
    dearer = costs_more(weak=totals.weak_cost, strong=totals.strong_cost)
    for name, value in {APGR_USD: RANDOM_APGR, **{f"{n}_usd": s for n, s in CPTS.items()}}.items():
        figures[name] = np.where(dearer, where_apart(value), np.nan)
    saved = (1.0 - figures["calls_95"]) * (totals.strong_cost - totals.weak_cost)
    bill = np.where(totals.strong_cost > 0, totals.strong_cost, np.nan)
    return figures | {SAVED_USD_PER_1K: 1000.0 * saved / totals.n_rows, SAVED_SHARE: saved / bill}
