"""From an expected gap, strong minus weak, to a win probability before calibration."""

from typing import Final

import numpy as np

from routecast.types import FloatArray

EDGE: Final = 1e-3
"""A win probability is never closer to 0 or 1 before calibration."""


def win_probabilities_of_gaps(gaps: FloatArray) -> FloatArray:
    """Return (1 + gap) / 2, kept inside (0, 1); NaN stays NaN."""
    return np.clip((1.0 + gaps) / 2.0, EDGE, 1.0 - EDGE)
