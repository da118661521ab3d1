"""Groups of prompts."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from routecast.stats.groups import groups_of_many


def test_rows_that_are_alone_are_left_out() -> None:
    found = groups_of_many(np.array([7, 3, 7, 5, 3, 3]))
    assert [rows.tolist() for rows in found] == [[1, 4, 5], [0, 2]]


def test_no_rows_are_no_groups() -> None:
    assert groups_of_many(np.array([], dtype=np.int64)) == []


@given(labels=st.lists(st.integers(-3, 3), max_size=30))
def test_a_group_has_every_row_of_its_label(labels: list[int]) -> None:
    found = [rows.tolist() for rows in groups_of_many(np.array(labels, dtype=np.int64))]
    expected = [
        [row for row, label in enumerate(labels) if label == one]
        for one in sorted(set(labels))
        if labels.count(one) > 1
    ]
    assert found == expected
