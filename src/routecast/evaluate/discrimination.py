"""How well win probabilities tell wins from losses, and whether they are probabilities.

What counts as a win, everywhere here: the strong model's answer has the higher quality. A loss is
the lower. Equal quality is a tie, and a tie is half a win and half a loss: label 0.5.
"""

import math

import numpy as np

from routecast.types import FloatArray, IntArray

N_CALIBRATION_BINS = 15


def win_labels(*, weak_quality: FloatArray, strong_quality: FloatArray) -> FloatArray:
    """Return 1 where the strong model wins, 0 where it loses, 0.5 at a tie; shape (n_prompts,)."""
    return (1.0 + np.sign(strong_quality - weak_quality)) / 2.0


def auroc(scores: FloatArray, labels: FloatArray) -> float:
    """Return the probability that a win scores above a loss, equal scores counting half.

    A label between 0 and 1 counts as that much of a win and the rest of a loss, at the same
    score: with ties among the labels, even the best order stays below 1.

    Args:
        scores: Win probability, or any score that rises with it, per prompt, shape (n_prompts,).
        labels: Win labels, same shape, in [0, 1].

    Returns:
        A fraction, 0.5 for a random order. NaN when there is no win, or no loss.

    Raises:
        ValueError: If shapes differ, a score is NaN, or a label is outside [0, 1].
    """
    _check(scores, labels)
    values, position = np.unique(scores, return_inverse=True)
    wins = np.bincount(position, weights=labels, minlength=len(values))
    losses = np.bincount(position, weights=1.0 - labels, minlength=len(values))
    n_pairs = wins.sum() * losses.sum()
    if n_pairs == 0:
        return math.nan
    losses_below = np.cumsum(losses) - losses
    return float(wins @ (losses_below + losses / 2.0) / n_pairs)


def log_loss(win_probabilities: FloatArray, labels: FloatArray) -> float:
    """Return the mean cross-entropy in nats; ties make its best value positive.

    Args:
        win_probabilities: P(strong wins), ties half, per prompt, shape (n_prompts,), in [0, 1].
        labels: Win labels, same shape, in [0, 1].

    Returns:
        From 0 up; infinite when a probability of 0 or 1 is contradicted, never clipped.

    Raises:
        ValueError: If shapes differ or a value is outside [0, 1].
    """
    return float(log_losses(win_probabilities, labels).mean())


def log_losses(win_probabilities: FloatArray, labels: FloatArray) -> FloatArray:
    """Return the cross-entropy of each prompt in nats, shape (n_prompts,); `log_loss` is its mean.

    Raises:
        ValueError: If shapes differ or a value is outside [0, 1].
    """
    check_probabilities(win_probabilities, labels)
    with np.errstate(divide="ignore"):
        log_win, log_loss_ = np.log(win_probabilities), np.log1p(-win_probabilities)
    of_wins = np.multiply(labels, log_win, where=labels > 0, out=np.zeros_like(labels))
    of_losses = np.multiply(1 - labels, log_loss_, where=labels < 1, out=np.zeros_like(labels))
    return np.asarray(-(of_wins + of_losses))


def brier_score(win_probabilities: FloatArray, labels: FloatArray) -> float:
    """Return the mean squared difference of win probability and label, in [0, 1].

    Args:
        win_probabilities: P(strong wins), ties half, per prompt, shape (n_prompts,), in [0, 1].
        labels: Win labels, same shape, in [0, 1].

    Raises:
        ValueError: If shapes differ or a value is outside [0, 1].
    """
    check_probabilities(win_probabilities, labels)
    return float(np.mean((win_probabilities - labels) ** 2))


def expected_calibration_error(
    win_probabilities: FloatArray, labels: FloatArray, *, n_bins: int = N_CALIBRATION_BINS
) -> float:
    """Return the mean absolute difference of mean probability and mean label over bins.

    Bins hold equal numbers of prompts as nearly as equal probabilities allow: those stay in one
    bin, the one in which the middle of their ranks lies. Bins weigh by their number of prompts.

    Args:
        win_probabilities: P(strong wins), ties half, per prompt, shape (n_prompts,), in [0, 1].
        labels: Win labels, same shape, in [0, 1].
        n_bins: Number of bins; with fewer prompts, each is its own.

    Returns:
        A fraction in [0, 1]. It does not depend on the order of the rows.

    Raises:
        ValueError: If shapes differ, a value is outside [0, 1], or ``n_bins`` is below 1.
    """
    check_probabilities(win_probabilities, labels)
    bins = calibration_bins(win_probabilities, n_bins=n_bins)
    excess = np.bincount(bins, weights=win_probabilities - labels, minlength=n_bins)
    return float(np.abs(excess).sum() / len(labels))


def calibration_bins(
    win_probabilities: FloatArray, *, n_bins: int = N_CALIBRATION_BINS
) -> IntArray:
    """Return the bin of each prompt, 0 the lowest, as `expected_calibration_error` defines them.

    Args:
        win_probabilities: Per prompt, shape (n_prompts,).
        n_bins: Number of bins.

    Returns:
        From 0 to ``n_bins`` - 1, shape (n_prompts,); a bin may stay empty.

    Raises:
        ValueError: If ``n_bins`` is below 1.
    """
    if n_bins < 1:
        raise ValueError(f"n_bins is {n_bins!r}; accepted is 1 or more")
    _, position, counts = np.unique(win_probabilities, return_inverse=True, return_counts=True)
    middle_rank = np.cumsum(counts) - counts / 2.0  # of each distinct value, in (0, n_prompts)
    bins = middle_rank * n_bins // len(win_probabilities)
    return np.asarray(bins.astype(np.int64)[position])


def _check(scores: FloatArray, labels: FloatArray) -> None:
    if scores.shape != labels.shape or scores.ndim != 1 or not len(scores):
        raise ValueError(
            f"scores and labels have shapes {scores.shape!r} and {labels.shape!r}; accepted is "
            "one shape (n_prompts,) with at least one prompt"
        )
    if np.isnan(scores).any():
        raise ValueError("some scores are NaN: the router abstained; leave those prompts out")
    if not ((labels >= 0) & (labels <= 1)).all():
        raise ValueError("some labels are outside [0, 1]; accepted are 0, 1, and 0.5 for a tie")


def check_probabilities(win_probabilities: FloatArray, labels: FloatArray) -> None:
    """Refuse what is no pair of win probabilities and labels.

    Raises:
        ValueError: If shapes differ or a value is outside [0, 1].
    """
    _check(win_probabilities, labels)
    if not ((win_probabilities >= 0) & (win_probabilities <= 1)).all():
        raise ValueError(
            "some win probabilities are outside [0, 1]; calibrate the scores before asking"
        )
