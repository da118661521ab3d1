"""The beta distribution: where a share may lie, given a sample of finite size."""

import math
from functools import lru_cache

_TINY = 1e-300
_PRECISION = 1e-15
_MAX_TERMS = 100_000


def beta_cdf(x: float, a: float, b: float) -> float:
    """Return P(X <= x) of a beta-distributed X: the regularised incomplete beta function.

    Args:
        x: In [0, 1].
        a: Above 0.
        b: Above 0.

    Raises:
        ValueError: If an argument is out of range, or the continued fraction does not converge.

    References:
        NIST Digital Library of Mathematical Functions, 8.17.22 (the continued fraction) and
        8.17.4 (the symmetry); evaluated by Lentz's method.
    """
    if not (0 <= x <= 1 and 0 < a < math.inf and 0 < b < math.inf):
        raise ValueError(f"x {x!r}, a {a!r}, b {b!r}; accepted are x in [0, 1], a and b above 0")
    if x in {0, 1}:
        return float(x)
    if x > (a + 1) / (a + b + 2):
        return 1.0 - beta_cdf(1.0 - x, b, a)
    log_scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    log_scale += a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_scale) * _continued_fraction(x, a, b) / a


def _continued_fraction(x: float, a: float, b: float) -> float:
    """Evaluate 1 / (1 + d_1 / (1 + d_2 / ...)) by Lentz's method."""
    c, d = 1.0, 1.0 / _away_from_zero(1.0 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _MAX_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1.0 / _away_from_zero(1.0 + term * d)
            c = _away_from_zero(1.0 + term / c)
            value *= c * d
        if abs(c * d - 1.0) < _PRECISION:
            return value
    raise ValueError(f"the beta distribution at {x!r}, {a!r}, {b!r} did not converge")


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


@lru_cache(maxsize=4096)
def beta_quantile(probability: float, a: float, b: float) -> float:
    """Return the x at which `beta_cdf` reaches a probability, to the last digits, by bisection.

    Args:
        probability: In [0, 1].
        a: Above 0.
        b: Above 0.

    Raises:
        ValueError: If an argument is out of range.
    """
    if not 0 <= probability <= 1:
        raise ValueError(f"probability {probability!r}; accepted is a fraction from 0 to 1")
    if probability in {0, 1}:
        return float(probability)
    low, high = 0.0, 1.0
    while (middle := (low + high) / 2) not in {low, high}:
        if beta_cdf(middle, a, b) < probability:
            low = middle
        else:
            high = middle
        if high - low <= 1e-15:
            break
    return high
