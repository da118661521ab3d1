"""The bootstrap: how much a statistic would move on another sample of the same size.

References:
    Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapters 6, 8 and 13.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from routecast.types import FloatArray, IntArray

CountArray = npt.NDArray[np.int32]
_BLOCK_BYTES = 96 * 2**20  # of counts at a time


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A percentile interval.

    Attributes:
        low: Lower end.
        high: Upper end.
        level: Share of the resamples between the ends, 0.95 for 95%.
        n_undefined: Resamples on which the statistic was undefined; they are left out.
    """

    low: float
    high: float
    level: float
    n_undefined: int


def resample_counts(
    n_rows: int,
    *,
    n_resamples: int,
    seed: int,
    group_codes: IntArray | None = None,
) -> Iterator[CountArray]:
    """Yield how often each row occurs in each resample, in blocks of bounded memory.

    Rows are drawn with replacement, as many as there are; with groups, whole groups are, as many
    as there are, so that the number of rows varies. A statistic computed from the same counts for
    two methods is paired.

    Args:
        n_rows: Number of rows, at least 1.
        n_resamples: How many resamples in all.
        seed: Equal seeds give equal counts.
        group_codes: One integer per row, equal within a group, shape (n_rows,).

    Yields:
        Arrays of shape (n_block, n_rows); their lengths add up to ``n_resamples``.

    Raises:
        ValueError: If there is nothing to resample, or the codes have another shape.
    """
    if n_rows < 1 or n_resamples < 1:
        raise ValueError(f"{n_resamples!r} resamples of {n_rows!r} rows; accepted is 1 or more")
    if group_codes is not None and group_codes.shape != (n_rows,):
        raise ValueError(f"group codes have shape {group_codes.shape!r}; accepted is ({n_rows},)")
    n_units, unit = n_rows, None
    if group_codes is not None:
        distinct, unit = np.unique(group_codes, return_inverse=True)
        n_units = len(distinct)
    rng = np.random.default_rng(seed)
    n_block = max(1, _BLOCK_BYTES // (4 * n_rows))
    for start in range(0, n_resamples, n_block):
        counts = np.empty((min(n_block, n_resamples - start), n_units), dtype=np.int32)
        for resample in counts:
            resample[:] = np.bincount(rng.integers(n_units, size=n_units), minlength=n_units)
        yield counts if unit is None else counts[:, unit]


def pivotal_interval(value: float, samples: FloatArray, *, level: float = 0.95) -> Interval:
    """Return the percentile interval turned round the value, and stretched to hold it.

    For statistics that noise can only raise, such as calibration error: they are larger again on
    resamples, which the turn takes back.

    Args:
        value: The statistic on the sample itself, 0 or more.
        samples: On each resample, shape (n_resamples,); NaN where undefined.
        level: See `percentile_interval`.

    Returns:
        The interval, its ends 0 or more; NaN where the statistic is undefined.

    References:
        Davison and Hinkley (1997), Bootstrap Methods and their Application, section 5.2.
    """
    turned = percentile_interval(samples, level=level)
    return Interval(
        low=float(np.minimum(np.maximum(2.0 * value - turned.high, 0.0), value)),
        high=float(np.maximum(2.0 * value - turned.low, value)),
        level=level,
        n_undefined=turned.n_undefined,
    )


def percentile_interval(samples: FloatArray, *, level: float = 0.95) -> Interval:
    """Return the interval that holds the middle of the resampled statistics.

    Args:
        samples: The statistic on each resample, shape (n_resamples,); NaN where undefined.
        level: Share of the resamples inside, in (0, 1).

    Returns:
        The interval; its ends are NaN when the statistic was undefined everywhere.

    Raises:
        ValueError: If ``level`` is outside (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level!r}; accepted is a fraction between 0 and 1")
    defined = samples[~np.isnan(samples)]
    low, high = np.nan, np.nan
    if len(defined):
        ends = [(1 - level) / 2, (1 + level) / 2]
        if np.isfinite(defined).all():
            low, high = np.quantile(defined, ends)
        else:  # between a number and infinity there is nothing to interpolate
            low, high = np.quantile(defined, ends, method="inverted_cdf")
    return Interval(
        low=float(low), high=float(high), level=level, n_undefined=len(samples) - len(defined)
    )


def two_sided_p_value(samples: FloatArray) -> float:
    """Return how well a resampled difference agrees with 0: twice its smaller tail beyond 0.

    This inverts the percentile interval: below 0.05 just when the 95% interval leaves 0 out, but
    for the 1 that is added to the counts so that no p-value is 0.

    Args:
        samples: The difference on each resample, shape (n_resamples,); NaN where undefined.

    Returns:
        A probability, at least 2 / (n_defined + 1); 1 when the difference is always 0. NaN when
        it was undefined everywhere.

    References:
        Davison and Hinkley (1997), Bootstrap Methods and their Application, section 4.2.
    """
    defined = samples[~np.isnan(samples)]
    if not len(defined):
        return float("nan")
    tail = min(int((defined <= 0).sum()), int((defined >= 0).sum()))
    return min(1.0, 2.0 * (tail + 1) / (len(defined) + 1))
