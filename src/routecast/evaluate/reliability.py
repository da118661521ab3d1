"""The reliability curve: what was forecast beside what happened, bin by bin."""

from dataclasses import dataclass

import numpy as np

from routecast.evaluate.discrimination import (
    N_CALIBRATION_BINS,
    calibration_bins,
    check_probabilities,
)
from routecast.types import FloatArray, IntArray

_Z_95 = 1.959963984540054


@dataclass(frozen=True, kw_only=True, eq=False)
class ReliabilityCurve:
    """Bins of about equally many prompts by rising win probability; empty ones are left out.

    Attributes:
        mean_probability: Mean win probability of each bin, shape (n_bins,).
        win_share: Mean label there, a tie counting half, same shape.
        low: Lower end of the 95% interval of the share of wins, same shape.
        high: Upper end.
        n_prompts: Prompts in the bin, same shape.
    """

    mean_probability: FloatArray
    win_share: FloatArray
    low: FloatArray
    high: FloatArray
    n_prompts: IntArray


def reliability_curve(
    win_probabilities: FloatArray, labels: FloatArray, *, n_bins: int = N_CALIBRATION_BINS
) -> ReliabilityCurve:
    """Compare win probabilities with wins in the bins of `expected_calibration_error`.

    The mean of ``|mean_probability - win_share|``, weighted by ``n_prompts``, is that error.

    Args:
        win_probabilities: P(strong wins), ties half, per prompt, shape (n_prompts,), in [0, 1].
        labels: Win labels, same shape, in [0, 1].
        n_bins: Number of bins; fewer where equal probabilities fill several.

    Raises:
        ValueError: If shapes differ, a value is outside [0, 1], or ``n_bins`` is below 1.
    """
    check_probabilities(win_probabilities, labels)
    bins = calibration_bins(win_probabilities, n_bins=n_bins)
    n_prompts = np.bincount(bins, minlength=n_bins)
    filled = n_prompts > 0
    n_filled = n_prompts[filled]
    forecast = np.bincount(bins, weights=win_probabilities, minlength=n_bins)[filled] / n_filled
    won = np.bincount(bins, weights=labels, minlength=n_bins)[filled] / n_filled
    low, high = wilson_interval(won, n_filled)
    return ReliabilityCurve(
        mean_probability=forecast,
        win_share=won,
        low=low,
        high=high,
        n_prompts=n_filled.astype(np.int64),
    )


def wilson_interval(shares: FloatArray, n_draws: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return Wilson's 95% score interval of a share, elementwise.

    Ties, counted as half a success, vary less than successes and failures do: the interval is
    then too wide rather than too narrow. It takes prompts as independent, groups or not.

    Args:
        shares: Of successes, in [0, 1], shape (n,).
        n_draws: Draws behind each, at least 1, same shape.

    Returns:
        Lower and upper ends, inside [0, 1].

    References:
        Wilson (1927), "Probable inference, the law of succession, and statistical inference".
    """
    z_squared = _Z_95**2
    middle = shares + z_squared / (2 * n_draws)
    spread = _Z_95 * np.sqrt(shares * (1 - shares) / n_draws + z_squared / (4 * n_draws**2))
    scale = 1 + z_squared / n_draws
    low, high = (middle - spread) / scale, (middle + spread) / scale
    return np.maximum(low, 0.0), np.minimum(high, 1.0)
