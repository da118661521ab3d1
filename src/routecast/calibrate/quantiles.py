"""The 1,001 quantiles that an artifact keeps of its calibration sample."""

import numpy as np

from routecast.artifacts import N_QUANTILES
from routecast.types import FloatArray


def win_probability_quantiles(
    win_probabilities: FloatArray, *, weights: FloatArray | None = None
) -> FloatArray:
    """Return the quantiles at 0, 0.001, ..., 1 of a weighted sample.

    Linear between the middles of the sample's steps; with equal weights this is Hazen's
    definition (``numpy.quantile(..., method="hazen")``).

    Args:
        win_probabilities: Calibrated, shape (n_prompts,), in [0, 1]; NaN is left out.
        weights: Weight per prompt, same shape, positive; all 1 when None.

    Returns:
        Shape (1001,), non-decreasing, from the sample's least to its greatest value.

    Raises:
        ValueError: If no win probability is a number.
    """
    known = ~np.isnan(win_probabilities)
    if not known.any():
        raise ValueError("a sample without win probabilities has no quantiles; give one or more")
    values = win_probabilities[known]
    weights = np.ones_like(values) if weights is None else weights[known]
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(weights[order])
    levels = (cumulative - weights[order] / 2.0) / cumulative[-1]
    return np.interp(np.linspace(0.0, 1.0, N_QUANTILES), levels, values[order])
