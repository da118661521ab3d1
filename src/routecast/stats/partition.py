"""Optimal partition of numbers on a line: groups with the least squared deviation from their means.

Fisher (1958), "On grouping for maximum homogeneity"; Wang and Song (2011), "Ckmeans.1d.dp".
"""

import numpy as np

from routecast.types import FloatArray, IntArray


def partition_values(values: FloatArray, n_groups: int) -> IntArray:
    """Group values so that the sum of squared deviations from the group means is least.

    Groups are intervals, none is empty, and equal values share one. Of two partitions of equal
    cost, the one whose upper groups are larger is taken. For n distinct values in k groups, it
    takes O(k n^2) time and O(n^2) memory.

    Args:
        values: Finite numbers in any order, shape (n_values,).
        n_groups: Number of groups, from 1 to the number of distinct values.

    Returns:
        Group per value, shape (n_values,), from 0 for the lowest values to n_groups - 1.

    Raises:
        ValueError: If a value is not finite or there are fewer distinct values than groups.
    """
    if values.ndim != 1 or not np.all(np.isfinite(values)):
        raise ValueError("values must be a vector of finite numbers")
    distinct, positions, counts = np.unique(values, return_inverse=True, return_counts=True)
    if not 1 <= n_groups <= len(distinct):
        raise ValueError(
            f"n_groups {n_groups!r} must be at least 1, and at most the number of distinct values, "
            f"{len(distinct)}"
        )
    starts = _best_starts(_interval_costs(distinct, counts), n_groups)
    labels = np.searchsorted(starts, np.arange(len(distinct)), side="right") - 1
    return np.asarray(labels[positions], dtype=np.int64)


def _interval_costs(distinct: FloatArray, counts: IntArray) -> FloatArray:
    """Return the squared deviation within values i to j, shape (n, n); infinite where j < i."""
    # Centred and scaled first, or the difference of the two large sums below loses its digits.
    spread = float(np.ptp(distinct)) or 1.0
    centred = (distinct - np.average(distinct, weights=counts)) / spread
    n_before, sums, squares = (
        np.concatenate([[0.0], np.cumsum(counts * power)])  # (n + 1,), prefix sums
        for power in (1.0, centred, centred**2)
    )
    n_within = n_before[None, 1:] - n_before[:-1, None]  # (n, n): row is the start, column the end
    sum_within = sums[None, 1:] - sums[:-1, None]
    squares_within = squares[None, 1:] - squares[:-1, None]
    forward = n_within > 0
    costs = squares_within - sum_within**2 / np.where(forward, n_within, 1.0)
    return np.where(forward, np.maximum(costs, 0.0), np.inf)


def _best_starts(costs: FloatArray, n_groups: int) -> IntArray:
    """Return the index where each group of the cheapest partition starts, shape (n_groups,)."""
    best = costs[0]  # (n,): least cost of values 0 to j in the groups so far
    last_starts = []
    for _ in range(n_groups - 1):
        candidates = best[:-1, None] + costs[1:]  # row i: the last group starts at i + 1
        choice = candidates.argmin(axis=0)
        last_starts.append(choice + 1)
        best = candidates[choice, np.arange(len(choice))]
    starts = np.zeros(n_groups, dtype=np.int64)
    end = len(costs) - 1
    for group in range(n_groups - 1, 0, -1):
        starts[group] = last_starts[group - 1][end]
        end = starts[group] - 1
    return starts
