"""All figures of a study: each metric with its interval, bands, differences, what N can tell."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from routecast.evaluate.curve import cost_quality_curve
from routecast.evaluate.discrimination import win_labels
from routecast.evaluate.exact import chance_figures, exact_figures
from routecast.evaluate.intervals import bootstrap_metrics
from routecast.evaluate.names import APGR
from routecast.evaluate.pair import PairArrays
from routecast.evaluate.power import random_order_apgr
from routecast.evaluate.reliability import ReliabilityCurve, reliability_curve
from routecast.evaluate.study import CurveBand, Difference, Figure
from routecast.stats.bootstrap import percentile_interval, two_sided_p_value
from routecast.stats.holm import holm_adjusted
from routecast.types import FloatArray, IntArray

RANDOM = "random"
ALWAYS_STRONG = "always-strong"
ALWAYS_WEAK = "always-weak"
N_RESAMPLES = 10_000


@dataclass(frozen=True, kw_only=True, eq=False)
class StudyFigures:
    """What the scores of several routers are worth on one set of outcomes.

    Attributes:
        n_prompts: Prompts behind every figure.
        n_resamples: Resamples behind every interval.
        metrics: By router, then by metric: ``apgr``, ``apgr_normalised``, ``cpt_50``, ``cpt_80``,
            ``calls_90``, ``calls_95``, ``calls_98``, ``calls_100``, ``apgr_ten_thresholds``,
            ``apgr_eleven_quantiles``, ``auroc``; with costs also ``apgr_usd``, ``cpt_50_usd``,
            ``cpt_80_usd``, ``saved_95_usd_per_1k``, ``saved_95_share``; for probabilities also
            ``log_loss``, ``brier``, ``ece``.
        bands: Intervals along the curve, at 101 shares, by router.
        reliability: Forecasts beside wins, by router; probabilities only.
        baselines: Metrics of ``random`` (exact, of the expected curve), ``always-strong`` and
            ``always-weak`` (``quality``, ``strong_share``, ``gap_recovered``, and
            ``cost_usd_per_1k`` where costs are known).
        differences: In the order asked, Holm's correction over all of them.
        warnings: In plain words: what so many prompts cannot tell.
    """

    n_prompts: int
    n_resamples: int
    metrics: Mapping[str, Mapping[str, Figure]]
    bands: Mapping[str, CurveBand]
    reliability: Mapping[str, ReliabilityCurve]
    baselines: Mapping[str, Mapping[str, Figure]]
    differences: tuple[Difference, ...]
    warnings: tuple[str, ...]


def study_figures(
    scores: Mapping[str, FloatArray],
    *,
    weak_quality: FloatArray,
    strong_quality: FloatArray,
    weak_cost_usd: FloatArray | None = None,
    strong_cost_usd: FloatArray | None = None,
    group_codes: IntArray | None = None,
    probabilities: Collection[str] = (),
    compare: Collection[tuple[str, str]] = (),
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> StudyFigures:
    """Compute every figure of several routers on one set of outcomes, with 95% intervals.

    Args:
        scores: Win probability, or any score that rises with it, per prompt, shape
            (n_prompts,), by router; none NaN.
        weak_quality: Quality of the weak model's answers, same shape.
        strong_quality: Quality of the strong model's answers, same shape.
        weak_cost_usd: US dollars of the weak model's answers, same shape, or None if unknown.
        strong_cost_usd: Likewise; both or neither.
        group_codes: Resample these groups of prompts, not prompts: one integer each, same shape.
        probabilities: Those names in ``scores`` whose scores are win probabilities.
        compare: Pairs of names in ``scores``; ``random`` stands for a random order's exact 0.5
            if no score has that name.
        n_resamples: How many resamples.
        seed: Equal seeds give equal resamples.

    Raises:
        ValueError: As `cost_quality_curve` and `dollar_curve` say, or if a name in
            ``probabilities`` or ``compare`` is not in ``scores``.
    """
    pair = PairArrays(
        weak_quality=weak_quality,
        strong_quality=strong_quality,
        weak_cost_usd=weak_cost_usd,
        strong_cost_usd=strong_cost_usd,
    )
    samples = bootstrap_metrics(
        scores,
        weak_quality=weak_quality,
        strong_quality=strong_quality,
        group_codes=group_codes,
        n_resamples=n_resamples,
        seed=seed,
    )
    metrics: dict[str, dict[str, Figure]] = {}
    bands = {}
    shares = np.linspace(0, 1, 101)
    for name, values in scores.items():
        exact = exact_figures(values, pair, is_probability=name in probabilities)
        metrics[name] = {}
        for metric, value in exact.items():
            low = high = math.nan
            if metric in samples.metrics:
                interval = samples.interval(name, metric)
                low, high = interval.low, interval.high
            metrics[name][metric] = Figure(value=value, low=low, high=high)
        curve = cost_quality_curve(values, weak_quality=weak_quality, strong_quality=strong_quality)
        line = np.interp(shares, curve.strong_share, curve.quality)
        bands[name] = CurveBand(strong_share=shares, low=line, high=line)
    labels = win_labels(weak_quality=weak_quality, strong_quality=strong_quality)
    found = []
    for router, other in compare:
        here = samples.samples(router)
        there = samples.samples(other) if other in scores else np.full(n_resamples, 0.5)
        ends = percentile_interval(here - there)
        value = metrics[router][APGR].value - (
            metrics[other][APGR].value if other in scores else 0.5
        )
        found.append(
            (
                router,
                other,
                Figure(value=value, low=ends.low, high=ends.high),
                two_sided_p_value(here - there),
            )
        )
    adjusted = holm_adjusted(np.array([p for *_, p in found], dtype=np.float64))
    chance = {name: Figure(value=v, low=v, high=v) for name, v in chance_figures(pair).items()}
    spread = random_order_apgr(weak_quality=weak_quality, strong_quality=strong_quality)
    return StudyFigures(
        n_prompts=len(weak_quality),
        n_resamples=n_resamples,
        metrics=metrics,
        bands=bands,
        reliability={name: reliability_curve(scores[name], labels) for name in probabilities},
        baselines={RANDOM: chance, ALWAYS_STRONG: {}, ALWAYS_WEAK: {}},
        differences=tuple(
            Difference(router=r, other=o, metric=APGR, figure=f, p_value=p, holm_p_value=float(a))
            for (r, o, f, p), a in zip(found, adjusted, strict=True)
        ),
        warnings=(f"a random order lands in APGR {spread.low:.2f} to {spread.high:.2f} (95%)",),
    )
