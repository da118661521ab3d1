"""Rows in batches."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from routecast.data.batches import Batch, as_json, batch_of_rows, in_batches

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
ROWS = st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), VALUES), min_size=1)


def batch(*rows: Mapping[str, Any]) -> Batch:
    return batch_of_rows(list(enumerate(rows, start=1)))


def same(one: object, other: object) -> bool:
    """Equal, numbers by their value, and True only to True."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@given(ROWS)
@settings(max_examples=60, deadline=None)
def test_rows_come_back_as_they_were_whatever_types_a_column_mixes(
    rows: list[dict[str, Any]],
) -> None:
    names = {name for row in rows for name in row}
    returned = list(batch(*rows).rows())
    assert [number for number, _ in returned] == list(range(1, len(rows) + 1))
    for row, (_, again) in zip(rows, returned, strict=True):
        for name in names:
            value = row.get(name)
            is_float = any(type(other.get(name)) is float for other in rows)
            expected = float(value) if type(value) is int and is_float else value
            assert same(again[name], value) or same(again[name], expected)


def test_a_column_of_one_type_keeps_it() -> None:
    table = batch({"a": "x", "b": 1, "c": 0.5, "d": True}, {"a": None, "b": 2}).table
    assert table.schema == {"a": pl.String, "b": pl.Int64, "c": pl.Float64, "d": pl.Boolean}


def test_whole_numbers_among_fractions_are_numbers() -> None:
    made = batch({"outcome": 1}, {"outcome": 0.5}, {"outcome": None})
    assert made.table["outcome"].to_list() == [1.0, 0.5, None]
    assert made.json_columns == frozenset()


def test_lone_surrogates_are_replaced_and_pairs_are_joined() -> None:
    made = batch({"a": "x\ud800y", "b": ["\ud83d\ude00", "\udc00"]}, {"a": None, "b": None})
    assert made.table["a"].to_list() == ["x\ufffdy", None]
    assert made.table["b"].to_list() == ['["\U0001f600", "\ufffd"]', None]


def test_values_that_json_has_no_word_for_become_their_text() -> None:
    assert as_json({"day": np.datetime64("2024-01-02")}) == '{"day": "2024-01-02"}'


def test_rows_are_kept_by_a_mask_and_nothing_is_copied_when_all_are() -> None:
    made = batch({"a": 1}, {"a": 2}, {"a": 3})
    kept = made.keep(np.array([True, False, True]))
    assert kept.table["a"].to_list() == [1, 3]
    assert kept.lines.tolist() == [1, 3]
    assert made.keep(np.ones(3, dtype=np.bool_)) is made


def test_items_are_cut_into_lists_with_a_shorter_one_at_the_end() -> None:
    assert list(in_batches(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(in_batches([], 2)) == []


def test_a_list_of_heavy_items_ends_early() -> None:
    weights = [2**27, 1, 2**26, 2**26, 1]
    lists = list(in_batches(weights, 3, weigh=lambda weight: weight))
    assert lists == [[2**27], [1, 2**26, 2**26], [1]]
