"""The comparisons contract."""

import numpy as np
import polars as pl
import pytest

from routecast.data.comparisons import Comparisons
from routecast.errors import DataError

GOOD = {
    "prompt": ["one", "two"],
    "model_a": ["x", "y"],
    "model_b": ["y", "z"],
    "outcome": [1, 0.5],
    "weight": [1.0, 2.0],
}


def test_good_comparisons_are_read_as_they_are() -> None:
    comparisons = Comparisons(table=pl.DataFrame(GOOD | {"judge": ["p", "q"]}, strict=False))
    assert comparisons.models == ("x", "y", "z")
    np.testing.assert_array_equal(comparisons.outcome, [1.0, 0.5])
    np.testing.assert_array_equal(comparisons.weight, [1.0, 2.0])
    assert comparisons.table["judge"].to_list() == ["p", "q"]


def test_prompts_may_be_absent_and_weights_are_then_one() -> None:
    columns = {name: GOOD[name] for name in ("model_a", "model_b", "outcome")}
    comparisons = Comparisons(table=pl.DataFrame(columns, strict=False))
    assert not comparisons.has_prompts
    np.testing.assert_array_equal(comparisons.weight, [1.0, 1.0])


@pytest.mark.parametrize(
    ("column", "values", "named"),
    [
        ("outcome", [0.0, 1.1], "row 2, column 'outcome': 1.1; accepted is a number from 0"),
        ("outcome", [None, 1.0], "row 1, column 'outcome': None"),
        ("outcome", ["a", "b"], "row 1, column 'outcome': 'a'"),
        ("weight", [1.0, 0.0], "row 2, column 'weight': 0.0; accepted is a finite number above 0"),
        ("weight", [float("inf"), 1.0], "row 1, column 'weight': inf"),
        ("model_b", ["y", "y"], "row 2: 'y' against itself"),
        ("model_a", ["x", None], "row 2, column 'model_a': None"),
        ("prompt", [None, "two"], "row 1, column 'prompt': None"),
    ],
)
def test_a_bad_value_is_refused_by_row_and_column(
    column: str, values: list[object], named: str
) -> None:
    with pytest.raises(DataError) as error:
        Comparisons(table=pl.DataFrame(GOOD | {column: values}, strict=False), source="f")
    assert f"f, {named}" in str(error.value)


@pytest.mark.parametrize("column", ["model_a", "model_b", "outcome"])
def test_a_missing_column_is_named(column: str) -> None:
    with pytest.raises(DataError, match=f"no column '{column}'"):
        Comparisons(table=pl.DataFrame(GOOD, strict=False).drop(column))
