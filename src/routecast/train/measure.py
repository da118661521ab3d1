"""Figures of a trained router on held-out labels, with intervals, beside its baselines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from routecast.evaluate.exact import exact_figures
from routecast.evaluate.fixed import FixedBlock
from routecast.evaluate.intervals import bootstrap_metrics
from routecast.evaluate.pair import PairArrays
from routecast.evaluate.study import Figure
from routecast.stats.bootstrap import percentile_interval, pivotal_interval
from routecast.train.resampled import (
    AUROC,
    BRIER,
    ECE,
    EXACT,
    LOG_LOSS,
    count_blocks,
    resampled,
)
from routecast.types import FloatArray, IntArray

N_RESAMPLES = 2000
_MAX_CELLS = 2 * 10**7  # resamples times labels: with more labels, fewer resamples will do
_MIN_RESAMPLES = 200
APGR, CPT_50, CPT_80 = "apgr", "cpt_50", "cpt_80"


@dataclass(frozen=True, kw_only=True, eq=False)
class Contender:
    """Scores of a router or of a baseline on the same labels.

    Attributes:
        name: As reports print it.
        scores: One per label, shape (n_labels,).
        is_probability: Whether they are win probabilities, and not only an order.
        is_constant: Whether they are one number: then only figures of probabilities mean anything.
        ranks: What orders the prompts, same shape, where the scores are of several fits and so
            compare prompts of one fit only; None where the scores themselves do.
    """

    name: str
    scores: FloatArray
    is_probability: bool = False
    is_constant: bool = False
    ranks: FloatArray | None = None

    def take(self, rows: IntArray) -> "Contender":
        """Return the scores of some labels, by position."""
        ranks = None if self.ranks is None else self.ranks[rows]
        return replace(self, scores=self.scores[rows], ranks=ranks)

    @property
    def order(self) -> FloatArray:
        """Scores that order the prompts, shape (n_labels,)."""
        return self.scores if self.ranks is None else self.ranks


@dataclass(frozen=True, kw_only=True, eq=False)
class Measurement:
    """Figures of several contenders on the same labels.

    Attributes:
        n_labels: Labels behind them.
        n_clusters: Prompts or groups that the intervals resample.
        figures: By contender, then by metric.
        differences: The first contender's metric minus another's, by (metric, other).
    """

    n_labels: int
    n_clusters: int
    figures: Mapping[str, Mapping[str, Figure]]
    differences: Mapping[tuple[str, str], Figure] = field(default_factory=dict)


def measure_wins(
    contenders: Sequence[Contender], wins: FloatArray, *, clusters: IntArray, seed: int
) -> Measurement:
    """Say how well scores tell wins from losses, and whether probabilities are probabilities.

    Args:
        contenders: The router first, then what it is compared with.
        wins: 1, 0, 0.5 for a tie, or between; shape (n_labels,).
        clusters: Labels that are resampled together: one integer each, same shape.
        seed: Of the resamples.

    Returns:
        AUROC of every order; log loss, Brier score and calibration error of every probability.
    """
    samples: dict[tuple[str, str], FloatArray] = {}
    figures: dict[str, dict[str, Figure]] = {}
    n_resamples = max(_MIN_RESAMPLES, min(N_RESAMPLES, _MAX_CELLS // len(wins)))
    for one in contenders:
        metrics = [] if one.is_constant else [AUROC]
        metrics += [LOG_LOSS, BRIER, ECE] if one.is_probability else []
        given = {metric: one.order if metric == AUROC else one.scores for metric in metrics}
        statistics = {metric: resampled(metric, given[metric], wins) for metric in metrics}
        values: dict[str, list[FloatArray]] = {metric: [] for metric in metrics}
        for counts in count_blocks(clusters, n_resamples=n_resamples, seed=seed):
            for metric, statistic in statistics.items():
                values[metric].append(statistic(counts))
        figures[one.name] = {}
        for metric in metrics:
            samples[one.name, metric] = np.concatenate(values[metric])
            exact = EXACT[metric](given[metric], wins)
            figures[one.name][metric] = _figure(exact, samples[one.name, metric], metric)
    return Measurement(
        n_labels=len(wins),
        n_clusters=len(np.unique(clusters)),
        figures=figures,
        differences=_differences(contenders, figures, samples),
    )


def measure_routing(
    contenders: Sequence[Contender],
    *,
    weak_quality: FloatArray,
    strong_quality: FloatArray,
    clusters: IntArray,
    fixed: FixedBlock | None = None,
    seed: int,
) -> Measurement:
    """Return APGR, CPT(50%) and CPT(80%) on outcomes.

    Args:
        contenders: The router first, then what it is compared with.
        weak_quality: Per prompt, shape (n_prompts,).
        strong_quality: Same shape.
        clusters: Prompts that are resampled together: one integer each, same shape.
        fixed: The prompts that the first contender gives no score; None where there are none.
        seed: Of the resamples.

    Returns:
        The figures; NaN when the two sides tie.
    """
    scores = {one.name: one.order for one in contenders if not one.is_constant}
    blocks = {} if fixed is None else {contenders[0].name: fixed}
    bootstrap = bootstrap_metrics(
        scores,
        weak_quality=weak_quality,
        strong_quality=strong_quality,
        group_codes=clusters,
        fixed=blocks,
        n_resamples=N_RESAMPLES,
        seed=seed,
    )
    samples = {
        (name, metric): bootstrap.samples(name, metric)
        for name in scores
        for metric in bootstrap.metrics
    }
    figures: dict[str, dict[str, Figure]] = {}
    pair = PairArrays(weak_quality=weak_quality, strong_quality=strong_quality)
    for name, values in scores.items():
        exact = exact_figures(values, pair, fixed=blocks.get(name))
        figures[name] = {
            metric: _figure(exact[metric], samples[name, metric])
            for metric in (APGR, CPT_50, CPT_80)
        }
    return Measurement(
        n_labels=len(weak_quality),
        n_clusters=len(np.unique(clusters)),
        figures=figures,
        differences=_differences(
            [one for one in contenders if not one.is_constant], figures, samples
        ),
    )


def _differences(
    contenders: Sequence[Contender],
    figures: Mapping[str, Mapping[str, Figure]],
    samples: Mapping[tuple[str, str], FloatArray],
) -> dict[tuple[str, str], Figure]:
    """Compare the first contender with each other one, on the same resamples."""
    first = contenders[0].name
    return {
        (metric, other.name): _figure(
            figure.value - figures[other.name][metric].value,
            samples[first, metric] - samples[other.name, metric],
        )
        for other in contenders[1:]
        for metric, figure in figures[first].items()
        if metric in figures[other.name]
    }


def _figure(value: float, samples: FloatArray, metric: str = "") -> Figure:
    """Return a figure with the interval that suits it: calibration error is larger on resamples."""
    find = partial(pivotal_interval, value) if metric == ECE else percentile_interval
    interval = find(samples)
    return Figure(value=value, low=interval.low, high=interval.high)
