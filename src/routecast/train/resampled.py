"""Metrics of win labels on many resamples at once, from how often each label occurs in each."""

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from routecast.evaluate.discrimination import (
    N_CALIBRATION_BINS,
    auroc,
    brier_score,
    calibration_bins,
    expected_calibration_error,
    log_loss,
)
from routecast.stats.bootstrap import resample_counts
from routecast.types import FloatArray, IntArray

AUROC, LOG_LOSS, BRIER, ECE = "auroc", "log_loss", "brier", "ece"
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
    losses = (scores - wins) ** 2 if metric == BRIER else _log_losses(scores, wins)
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


def _log_losses(probabilities: FloatArray, wins: FloatArray) -> FloatArray:
    """Return the cross-entropy of each label, in nats."""
    with np.errstate(divide="ignore", invalid="ignore"):
        of_wins = np.where(wins > 0, wins * np.log(probabilities), 0.0)
        of_losses = np.where(wins < 1, (1.0 - wins) * np.log1p(-probabilities), 0.0)
    return -(of_wins + of_losses)


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
