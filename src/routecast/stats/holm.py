"""Holm's correction: p-values that stay honest when several hypotheses are tested together.

References:
    Holm (1979), "A simple sequentially rejective multiple test procedure".
"""

import numpy as np

from routecast.types import FloatArray


def holm_adjusted(p_values: FloatArray) -> FloatArray:
    """Return adjusted p-values: rejecting those at or below a level keeps the family's error there.

    The i-th smallest of m is multiplied by m - i + 1; none is below a smaller one's, none above 1.

    Args:
        p_values: One per hypothesis, shape (n_hypotheses,), in [0, 1]; NaN where a test could
            not be made.

    Returns:
        Same shape and order; NaN stays NaN and does not count as a hypothesis.

    Raises:
        ValueError: If a value is outside [0, 1].
    """
    tested = np.flatnonzero(~np.isnan(p_values))
    known = p_values[tested]
    if not ((known >= 0) & (known <= 1)).all():
        raise ValueError("some p-values are outside [0, 1]; accepted are probabilities, or NaN")
    order = np.argsort(known, kind="stable")
    factors = len(known) - np.arange(len(known))
    adjusted = np.full(len(p_values), np.nan)
    adjusted[tested[order]] = np.minimum(np.maximum.accumulate(factors * known[order]), 1.0)
    return adjusted
