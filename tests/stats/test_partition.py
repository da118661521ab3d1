from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routecast.stats.partition import partition_values
from routecast.types import FloatArray, IntArray

SHORT_LISTS = st.lists(
    st.one_of(st.integers(-20, 20).map(float), st.floats(-1e6, 1e6)), min_size=1, max_size=9
)


def cost_of(values: FloatArray, labels: IntArray) -> float:
    """Sum of squared deviations from the group means, in two passes."""
    groups = [values[labels == label] for label in np.unique(labels)]
    return float(sum(((group - group.mean()) ** 2).sum() for group in groups))


def least_cost(values: FloatArray, n_groups: int) -> float:
    """Try every way to cut the sorted values."""
    ranked = np.sort(values)
    return min(
        sum(float(((part - part.mean()) ** 2).sum()) for part in np.split(ranked, cuts))
        for cuts in combinations(range(1, len(ranked)), n_groups - 1)
    )


def test_values_worked_by_hand() -> None:
    # {1, 2}, {9}: (0.5^2 + 0.5^2) + 0 = 0.5, against {1}, {2, 9}: 0 + 2 * 3.5^2 = 24.5.
    values = np.array([9.0, 1.0, 2.0])
    labels = partition_values(values, 2)
    assert labels.tolist() == [1, 0, 0]
    assert cost_of(values, labels) == 0.5


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([-1, 2, -1, 2, 4, 5, 6, -1, 2, -1], [0, 1, 0, 1, 2, 2, 2, 0, 1, 0]),
        ([3, 3, 3, 3, 1, 1, 1, 2, 2, 2], [2, 2, 2, 2, 0, 0, 0, 1, 1, 1]),
        ([-0.9, 1, 1.1, 1.9, 2, 2.1], [0, 1, 1, 2, 2, 2]),
    ],
)
def test_examples_published_with_ckmeans(values: list[float], expected: list[int]) -> None:
    # Wang and Song (2011), R package Ckmeans.1d.dp, three clusters each.
    assert partition_values(np.array(values, dtype=float), 3).tolist() == expected


@settings(deadline=None)  # other work may share the machine
@given(SHORT_LISTS, st.data())
def test_cost_equals_exhaustive_search(values: list[float], data: st.DataObject) -> None:
    vector = np.array(values)
    n_groups = data.draw(st.integers(1, len(np.unique(vector))))
    labels = partition_values(vector, n_groups)
    tolerance = 1e-12 * np.ptp(vector) ** 2
    assert cost_of(vector, labels) == pytest.approx(
        least_cost(vector, n_groups), rel=1e-9, abs=tolerance
    )


@settings(deadline=None)  # other work may share the machine
@given(SHORT_LISTS, st.data())
def test_groups_are_intervals_and_none_is_empty(values: list[float], data: st.DataObject) -> None:
    vector = np.array(values)
    n_groups = data.draw(st.integers(1, len(np.unique(vector))))
    labels = partition_values(vector, n_groups)
    in_order = labels[np.argsort(vector)]
    assert np.all(np.diff(in_order) >= 0)
    assert set(in_order) == set(range(n_groups))
    for value in np.unique(vector):
        assert len(set(labels[vector == value])) == 1


@settings(deadline=None)  # other work may share the machine
@given(SHORT_LISTS, st.randoms(use_true_random=False), st.data())
def test_order_of_the_values_does_not_matter(
    values: list[float], random: object, data: st.DataObject
) -> None:
    vector = np.array(values)
    n_groups = data.draw(st.integers(1, len(np.unique(vector))))
    order = np.random.default_rng(random.getrandbits(32)).permutation(len(vector))  # type: ignore[attr-defined]
    assert (
        partition_values(vector[order], n_groups).tolist()
        == partition_values(vector, n_groups)[order].tolist()
    )


def test_a_large_offset_costs_no_digits() -> None:
    values = np.array([0.0, 1.0, 2.0, 10.0, 11.0, 30.0, 31.0, 32.0])
    assert partition_values(values + 1e9, 3).tolist() == [0, 0, 0, 1, 1, 2, 2, 2]


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_numbers_whose_squares_leave_the_range_of_floats_are_grouped(scale: float) -> None:
    values = scale * np.array([1.0, 2.0, 9.0, 10.0])
    assert partition_values(values, 2).tolist() == [0, 0, 1, 1]


def test_as_many_groups_as_values_puts_each_alone() -> None:
    values = np.random.default_rng(0).normal(size=50)
    assert partition_values(values, 50).tolist() == np.argsort(np.argsort(values)).tolist()


@pytest.mark.parametrize(
    ("values", "n_groups", "message"),
    [
        ([1.0, 1.0], 2, "n_groups 2 must be"),
        ([1.0], 0, "n_groups 0 must be"),
        ([], 1, "n_groups 1 must be"),
        ([1.0, np.nan], 1, "finite"),
    ],
)
def test_unusable_values_are_refused(values: list[float], n_groups: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        partition_values(np.array(values), n_groups)
