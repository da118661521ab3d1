"""The 1,001 quantiles that an artifact keeps of its calibration sample."""

import numpy as np

from routecast.artifacts import N_QUANTILES
from routecast.types import FloatArray


def win_probability_quantiles(win_probabilities: FloatArray) -> FloatArray:
    """Return the quantiles at 0, 0.001, ..., 1 of a sample, by Hazen's definition.

    Args:
        win_probabilities: Calibrated, shape (n_prompts,), in [0, 1]; NaN is left out.

    Returns:
        Shape (1001,), non-decreasing, from the sample's least to its greatest value.

    Raises:
        ValueError: If no win probability is a number.
    """
    known = win_probabilities[~np.isnan(win_probabilities)]
    if not len(known):
        raise ValueError("a sample without win probabilities has no quantiles; give one or more")
    return np.quantile(known, np.linspace(0.0, 1.0, N_QUANTILES), method="hazen")
