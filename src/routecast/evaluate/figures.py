"""All figures of a study: each metric with its interval, bands, differences, what N can tell."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from routecast.evaluate.baselines import RANDOM, baseline_figures
from routecast.evaluate.discrimination import win_labels
from routecast.evaluate.exact import exact_figures
from routecast.evaluate.fixed import FixedBlock
from routecast.evaluate.intervals import (
    N_RESAMPLES,
    MetricSamples,
    bootstrap_metrics,
    figure_of,
    figure_of_difference,
)
from routecast.evaluate.metrics import RANDOM_APGR
from routecast.evaluate.names import APGR
from routecast.evaluate.pair import PairArrays
from routecast.evaluate.power import study_warnings
from routecast.evaluate.reliability import ReliabilityCurve, reliability_curve
from routecast.evaluate.study import CurveBand, Difference, Figure
from routecast.evaluate.sweep import SHARES, resample_totals
from routecast.stats.bootstrap import two_sided_p_value
from routecast.stats.holm import holm_adjusted
from routecast.types import FloatArray, IntArray


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
            ``log_loss``, ``brier``, ``ece``. Intervals are percentiles of the resamples, but for
            the calibration error: binning noise makes it too large on few prompts, and larger
            still on resamples, so that its interval is turned round its value (2 x value minus
            the percentiles, from 0 up) and may lie below it.
        bands: Intervals along the curve, at 101 shares, by router.
        reliability: Forecasts beside wins, by router; probabilities only.
        baselines: Of ``random``, ``always-strong`` and ``always-weak``: see `baseline_figures`.
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
    fixed: Mapping[str, FixedBlock] | None = None,
    compare: Collection[tuple[str, str]] = (),
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> StudyFigures:
    """Compute every figure of several routers on one set of outcomes, with 95% intervals.

    Args:
        scores: Win probability, or any score that rises with it, per prompt, shape
            (n_prompts,), by router; none NaN: `routed_scores` puts prompts without a score in
            their place.
        weak_quality: Quality of the weak model's answers, same shape.
        strong_quality: Quality of the strong model's answers, same shape.
        weak_cost_usd: US dollars of the weak model's answers, same shape, or None if unknown.
        strong_cost_usd: Likewise; both or neither.
        group_codes: Resample these groups of prompts, not prompts: one integer each, same shape.
        probabilities: Those names in ``scores`` whose scores are win probabilities.
        fixed: The prompts without a score, by router that has such: shares of calls are those that
            a threshold can give, and probabilities are judged on the other prompts.
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
    fixed = fixed or {}
    _check_names(scores, probabilities, compare)
    samples = bootstrap_metrics(
        scores,
        weak_quality=weak_quality,
        strong_quality=strong_quality,
        weak_cost_usd=weak_cost_usd,
        strong_cost_usd=strong_cost_usd,
        group_codes=group_codes,
        probabilities=probabilities,
        fixed=fixed,
        n_resamples=n_resamples,
        seed=seed,
    )
    exact = {
        name: exact_figures(
            values, pair, is_probability=name in probabilities, fixed=fixed.get(name)
        )
        for name, values in scores.items()
    }
    metrics = {name: _with_intervals(name, exact[name], samples) for name in scores}
    labels = win_labels(weak_quality=weak_quality, strong_quality=strong_quality)
    differences = _differences(compare, exact, samples)
    return StudyFigures(
        n_prompts=len(weak_quality),
        n_resamples=n_resamples,
        metrics=metrics,
        bands={name: _band(name, samples) for name in scores},
        reliability={
            name: reliability_curve(*_judged(values, labels, fixed.get(name)))
            for name, values in scores.items()
            if name in probabilities
        },
        baselines=baseline_figures(
            resample_totals(np.ones((len(weak_quality), 1)), pair), samples.totals
        ),
        differences=differences,
        warnings=study_warnings(pair, metrics, differences, group_codes=group_codes),
    )


def _judged(
    scores: FloatArray, labels: FloatArray, fixed: FixedBlock | None
) -> tuple[FloatArray, FloatArray]:
    """Leave out the prompts without a score."""
    return (scores, labels) if fixed is None else (scores[~fixed.rows], labels[~fixed.rows])


def _check_names(
    scores: Mapping[str, FloatArray],
    probabilities: Collection[str],
    compare: Collection[tuple[str, str]],
) -> None:
    asked = {*probabilities, *(name for pair in compare for name in pair if name != RANDOM)}
    for name in sorted(asked - set(scores)):
        raise ValueError(f"there are no scores of {name!r}; choose from {list(scores)!r}")


def _with_intervals(
    router: str, exact: Mapping[str, float], samples: MetricSamples
) -> dict[str, Figure]:
    """Put the interval of its resamples around each figure of one router."""
    return {
        metric: figure_of(metric, value, samples.samples(router, metric))
        for metric, value in exact.items()
    }


def _band(router: str, samples: MetricSamples) -> CurveBand:
    quality = samples.quality[:, samples.routers.index(router)]  # (n_resamples, 101)
    weak, strong = quality[:, :1], quality[:, -1:]
    gain = quality - (weak + SHARES * (strong - weak))  # over a random choice
    low, high = np.quantile(quality, [0.025, 0.975], axis=0)
    gain_low, gain_high = np.quantile(gain, [0.025, 0.975], axis=0)
    return CurveBand(
        strong_share=SHARES.copy(), low=low, high=high, gain_low=gain_low, gain_high=gain_high
    )


def _differences(
    compare: Collection[tuple[str, str]],
    exact: Mapping[str, Mapping[str, float]],
    samples: MetricSamples,
) -> tuple[Difference, ...]:
    """Compare APGR on the same resamples, and correct for how often that was done."""
    drawn, values = [], []
    for router, other in compare:
        (here, value), (there, other_value) = (
            (samples.samples(name), exact[name][APGR])
            if name in exact
            else (np.full(len(samples.values), RANDOM_APGR), RANDOM_APGR)
            for name in (router, other)
        )
        drawn.append(here - there)
        values.append(value - other_value)
    p_values = np.array([two_sided_p_value(gaps) for gaps in drawn], dtype=np.float64)
    differences = []
    for (router, other), gaps, value, p_value, adjusted in zip(
        compare, drawn, values, p_values, holm_adjusted(p_values), strict=True
    ):
        differences.append(
            Difference(
                router=router,
                other=other,
                metric=APGR,
                figure=figure_of_difference(value, gaps),
                p_value=float(p_value),
                holm_p_value=float(adjusted),
            )
        )
    return tuple(differences)
