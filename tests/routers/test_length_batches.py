import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.routers.length_batches import length_batches, score_by_length
from routecast.types import FloatArray, IntArray


def test_batches_hold_like_lengths_within_the_budget() -> None:
    # Longest first: 9 alone (2 x 9 = 18 > 16), then 5 5 5 (3 x 5 = 15), then 2 1.
    batches = length_batches([5, 2, 9, 5, 1, 5], max_tokens=16, max_rows=8)
    assert [batch.tolist() for batch in batches] == [[2], [0, 3, 5], [1, 4]]


def test_a_row_above_the_budget_has_a_batch_of_its_own() -> None:
    assert [b.tolist() for b in length_batches([50, 1], max_tokens=10)] == [[0], [1]]


def test_no_rows_make_no_batches_and_no_values() -> None:
    assert length_batches([]) == []
    assert score_by_length([], lambda rows: rows.astype(np.float64)).shape == (0,)


@given(st.lists(st.integers(0, 40), max_size=60), st.integers(1, 100), st.integers(1, 9))
def test_every_row_is_in_one_batch_and_none_is_too_large(
    lengths: list[int], max_tokens: int, max_rows: int
) -> None:
    batches = length_batches(lengths, max_tokens=max_tokens, max_rows=max_rows)
    rows = [row for batch in batches for row in batch.tolist()]
    assert sorted(rows) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) <= max_rows
        padded = len(batch) * max(lengths[row] for row in batch.tolist())
        assert len(batch) == 1 or padded <= max_tokens


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60))
def test_values_come_back_in_the_callers_order(lengths: list[int]) -> None:
    def score(rows: IntArray) -> FloatArray:
        return np.array([[row, lengths[row]] for row in rows.tolist()], dtype=np.float64)

    values = score_by_length(lengths, score, max_tokens=64)
    assert values.tolist() == [[row, length] for row, length in enumerate(lengths)]


def test_a_batch_that_does_not_fit_changes_no_value() -> None:
    def score(rows: IntArray) -> FloatArray:
        if len(rows) > 3:
            raise MemoryError
        return rows.astype(np.float64)

    assert score_by_length([4] * 20, score).tolist() == pytest.approx(list(range(20)))
