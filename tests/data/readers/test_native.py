"""Our own files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from routecast.data.comparisons import Comparisons
from routecast.data.outcomes import Outcomes
from routecast.data.readers.native import (
    native_kind,
    read_comparisons,
    read_native,
    read_outcomes,
)
from routecast.data.reading import Dropped
from routecast.errors import DataError

GOOD = {"prompt": "one", "model_a": "x", "model_b": "y", "outcome": 1, "note": "n"}


def saved(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "t.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_columns_tell_comparisons_from_outcomes_and_prompts() -> None:
    assert native_kind(("prompt", "model_a", "model_b", "outcome", "quality|x")) == "comparisons"
    assert native_kind(("prompt", "quality|x")) == "outcomes"
    assert native_kind(("messages",)) == "prompts"
    assert native_kind(("text",)) is None


def test_both_contracts_are_read_with_their_other_columns(tmp_path: Path) -> None:
    read = read_native(saved(tmp_path, GOOD, GOOD | {"outcome": 0.5})).table
    assert isinstance(read, Comparisons)
    assert read.table["note"].to_list() == ["n", "n"]
    assert read.outcome.tolist() == [1.0, 0.5]
    graded = read_native(saved(tmp_path, {"prompt": "p", "quality|x": 7}), quality_range=(1, 10))
    assert isinstance(graded.table, Outcomes)
    assert graded.table.quality("x").tolist() == [7.0]


def test_answers_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    path = saved(tmp_path, {"prompt": "p", "quality|x": 1, "answer|x": "yes"})
    assert "answer|x" not in read_outcomes(path).table.table.columns
    assert read_outcomes(path, answers=True).table.table["answer|x"].to_list() == ["yes"]
    assert "answer|x" in read_native(path).table.table.columns


def test_another_file_is_refused_with_what_the_contracts_need(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has the columns \['prompt'\]; comparisons have"):
        read_native(saved(tmp_path, {"prompt": "p"}))


def test_comparisons_where_outcomes_are_wanted_are_refused_with_where_to_give_them(
    tmp_path: Path,
) -> None:
    with pytest.raises(DataError, match=r"holds comparisons without .*takes it as --comp"):
        read_outcomes(saved(tmp_path, GOOD))


def test_a_published_layout_is_sent_to_import(tmp_path: Path) -> None:
    path = saved(tmp_path, {"prompt": "p", "correct|m": 1})
    with pytest.raises(DataError, match=r"is in format 'matrix'; .*data import t\.jsonl --output"):
        read_outcomes(path)
    with pytest.raises(DataError, match="outcomes have 'quality"):
        read_comparisons(saved(tmp_path, {"prompt": "p", "quality|m": 1}))


def test_grades_beside_verdicts_are_read_as_outcomes_too(tmp_path: Path) -> None:
    path = saved(tmp_path, GOOD | {"quality|x": 0.9, "quality|y": 0.1})
    assert read_outcomes(path).table.models == ("x", "y")
    assert isinstance(read_native(path).table, Comparisons)


@pytest.mark.parametrize(
    ("bad", "message", "reason"),
    [
        (
            {"outcome": 1.5},
            "'outcome': 1.5; accepted is a number from 0",
            "outcome is out of range",
        ),
        ({"outcome": "won"}, "'outcome': .*won", "outcome is not a number"),
        ({"outcome": None}, "'outcome': None", "no outcome"),
        ({"prompt": 5}, "'prompt': 5; accepted is text", "prompt is not text"),
        ({"prompt": ["{x}"]}, r"'prompt': \['{x}'\]; accepted is text", "prompt is not text"),
        ({"model_a": None}, "'model_a': None", "no model_a"),
        ({"model_a": " "}, "'model_a': ' '; accepted is a model's name", "no model_a"),
        ({"weight": 0}, "'weight': 0.* a finite number above 0", "weight is out of range"),
    ],
)
def test_a_bad_row_is_named_by_line_or_skipped_and_counted(
    tmp_path: Path, bad: dict[str, Any], message: str, reason: str
) -> None:
    weighted = {"weight": 1.0} if "weight" in bad else {}
    path = saved(tmp_path, GOOD | weighted, GOOD | bad, GOOD | {"model_b": "z"} | weighted)
    with pytest.raises(DataError, match=f"t.jsonl, line 2, column {message}"):
        read_comparisons(path)
    result = read_comparisons(path, skip_bad=True)
    assert result.dropped == (Dropped(reason=f"bad row: {reason}", n_rows=1),)
    assert result.table.table["prompt"].to_list() == ["one", "one"]
    assert result.table.table["model_b"].to_list() == ["y", "z"]


def test_a_model_against_itself_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path, GOOD, GOOD | {"model_b": "x"})
    with pytest.raises(DataError, match="line 2: 'x' against itself; accepted are two different"):
        read_comparisons(path)


def test_blank_prompts_are_left_out_and_counted(tmp_path: Path) -> None:
    result = read_comparisons(saved(tmp_path, GOOD, GOOD | {"prompt": " \n"}))
    assert result.dropped == (Dropped(reason="blank prompt", n_rows=1),)


def test_a_bad_number_in_csv_is_named_and_not_its_whole_column(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("prompt,quality|x\none,0.5\ntwo,\nthree,good\n")
    with pytest.raises(DataError, match=r"line 4, column 'quality\|x': 'good'"):
        read_outcomes(tmp_path / "t.csv")
    qualities = read_outcomes(tmp_path / "t.csv", skip_bad=True).table.quality("x")
    np.testing.assert_array_equal(qualities, [0.5, np.nan])


def test_nothing_left_is_an_error_with_the_reasons(tmp_path: Path) -> None:
    path = saved(tmp_path, GOOD | {"prompt": ""}, GOOD | {"outcome": 2})
    with pytest.raises(DataError, match=r"no row that can be used, of 2; .*blank prompt: 1.*bad"):
        read_comparisons(path, skip_bad=True)


def test_comparisons_without_prompts_are_read_for_ratings(tmp_path: Path) -> None:
    row = {name: value for name, value in GOOD.items() if name != "prompt"}
    assert not read_comparisons(saved(tmp_path, row)).table.has_prompts


def test_categories_are_texts(tmp_path: Path) -> None:
    table = pl.DataFrame([GOOD]).with_columns(pl.col("model_a").cast(pl.Categorical))
    table.write_parquet(tmp_path / "t.parquet")
    assert read_comparisons(tmp_path / "t.parquet").table.models == ("x", "y")
