"""Figures of a router beside its baselines, with intervals: on labels of wins, or on outcomes.

Labels of wins may be soft, and may come without qualities (battles), which a study's figures need.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from routecast.evaluate.discrimination import (
    N_CALIBRATION_BINS,
    auroc,
    brier_score,
    calibration_bins,
    expected_calibration_error,
    log_loss,
    log_losses,
)
from routecast.evaluate.exact import exact_figures
from routecast.evaluate.fixed import FixedBlock
from routecast.evaluate.intervals import bootstrap_metrics, figure_of, figure_of_difference
from routecast.evaluate.names import APGR, AUROC, BRIER, CPTS, ECE, LOG_LOSS
from routecast.evaluate.pair import PairArrays
from routecast.evaluate.study import Figure
from routecast.stats.bootstrap import resample_counts
from routecast.types import FloatArray, IntArray

N_RESAMPLES = 2000
_MAX_CELLS = 2 * 10**7  # resamples times labels: with more labels, fewer resamples will do
_MIN_RESAMPLES = 200
_BLOCK_CELLS = 2**21

EXACT: Mapping[str, Callable[[FloatArray, FloatArray], float]] = {
    AUROC: auroc,
    LOG_LOSS: log_loss,
    BRIER: brier_score,
    ECE: expected_calibration_error,
}
"""Each metric of scores and labels on the sample itself."""

Statistic = Callable[[FloatArray], FloatArray]
"""Maps counts, shape (n_block, n_labels), to a metric per resample, shape (n_block,)."""


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
            figures[one.name][metric] = figure_of(metric, exact, samples[one.name, metric])
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
            metric: figure_of(metric, exact[metric], samples[name, metric])
            for metric in (APGR, *CPTS)
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
        (metric, other.name): figure_of_difference(
            figure.value - figures[other.name][metric].value,
            samples[first, metric] - samples[other.name, metric],
        )
        for other in contenders[1:]
        for metric, figure in figures[first].items()
        if metric in figures[other.name]
    }


def resampled(metric: str, scores: FloatArray, wins: FloatArray) -> Statistic:
    """Return a metric as a function of how often each label occurs.

    Args:
        metric: One of the names in `EXACT`.
        scores: One per label, shape (n_labels,).
        wins: The labels, same shape, in [0, 1].

    Returns:
        Equal to the metric of the sample in which each label is repeated by its count; but the
        bins of the calibration error are those of the whole sample. NaN where AUROC is undefined.
    """
    if metric == AUROC:
        return _auroc(scores, wins)
    if metric == ECE:
        return _calibration_error(scores, wins)
    losses = (scores - wins) ** 2 if metric == BRIER else log_losses(scores, wins)
    return _weighted_mean(losses)


def count_blocks(clusters: IntArray, *, n_resamples: int, seed: int) -> Iterator[FloatArray]:
    """Yield how often each label occurs, shape (n_block, n_labels), a few resamples at a time."""
    step = max(1, _BLOCK_CELLS // len(clusters))
    for counts in resample_counts(
        len(clusters), n_resamples=n_resamples, seed=seed, group_codes=clusters
    ):
        for start in range(0, len(counts), step):
            yield counts[start : start + step].astype(np.float64)


def _weighted_mean(losses: FloatArray) -> Statistic:
    return lambda counts: np.asarray(counts @ losses / counts.sum(axis=1), dtype=np.float64)


def _auroc(scores: FloatArray, wins: FloatArray) -> Statistic:
    order = np.argsort(scores, kind="stable")
    rising = scores[order]
    starts = np.flatnonzero(np.concatenate([[True], rising[1:] != rising[:-1]]))
    won = wins[order]

    def statistic(counts: FloatArray) -> FloatArray:
        sorted_counts = counts[:, order]
        n_wins = np.add.reduceat(sorted_counts * won, starts, axis=1)
        n_losses = np.add.reduceat(sorted_counts * (1.0 - won), starts, axis=1)
        below = np.cumsum(n_losses, axis=1) - n_losses / 2.0
        n_pairs = n_wins.sum(axis=1) * n_losses.sum(axis=1)
        unknown = np.full(len(counts), math.nan)
        above = np.einsum("ij,ij->i", n_wins, below)
        return np.asarray(np.divide(above, n_pairs, out=unknown, where=n_pairs > 0))

    return statistic


def _calibration_error(probabilities: FloatArray, wins: FloatArray) -> Statistic:
    in_bin = np.eye(N_CALIBRATION_BINS)[calibration_bins(probabilities)]  # (n_labels, n_bins)

    def statistic(counts: FloatArray) -> FloatArray:
        excess = (counts * (probabilities - wins)) @ in_bin  # (n_block, n_bins)
        return np.asarray(np.abs(excess).sum(axis=1) / counts.sum(axis=1), dtype=np.float64)

    return statistic
