"""Wide tables of outcomes."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from routecast.data.readers.matrix import read_matrix
from routecast.data.reading import Dropped
from routecast.errors import DataError


def written(folder: Path, **columns: object) -> Path:
    path = folder / "m.parquet"
    pl.DataFrame(columns, strict=False).write_parquet(path)
    return path


def test_the_conventions_columns_become_those_of_the_contract(tmp_path: Path) -> None:
    columns = {
        "query": ["one", "two"],
        "task": ["x", "y"],
        "correct|m|1": [1, 0],
        "score|n": [0.5, None],
        "p|o": [0.1, 0.9],
        "cost|n": [0.01, 0.02],
        "in_tok|n": [10, 20],
        "out_tok|n": [30, 40],
        "in_mt_bench": [False, True],
    }
    table = read_matrix(written(tmp_path, **columns)).table
    assert table.prompts == ["one", "two"]
    assert table.models == ("m|1", "n", "o")
    np.testing.assert_array_equal(table.quality("n"), [0.5, np.nan])
    np.testing.assert_array_equal(table.cost_usd("n"), [0.01, 0.02])
    np.testing.assert_array_equal(table.input_tokens("n"), [10, 20])
    np.testing.assert_array_equal(table.output_tokens("n"), [30, 40])
    assert table.table["in_mt_bench"].to_list() == [False, True]
    assert table.table["group"].to_list() == ["x", "y"]


def test_a_question_gets_its_options_lettered(tmp_path: Path) -> None:
    options = ['["red", "blue"]', '["only"]']
    path = written(tmp_path, question=["Which?", "And?"], options=options, **{"correct|m": [1, 0]})
    assert read_matrix(path).table.prompts == ["Which?\nA. red\nB. blue", "And?\nA. only"]
    named = read_matrix(path, prompt_column="question").table
    assert named.prompts == ["Which?", "And?"]


@pytest.mark.parametrize("options", ["no list", '{"A": "red"}', "[1, 2]", "null"])
def test_options_that_are_no_list_of_texts_are_refused(tmp_path: Path, options: str) -> None:
    path = written(tmp_path, question=["Which?"], options=[options], **{"correct|m": [1]})
    with pytest.raises(DataError, match="row 1, column 'options'"):
        read_matrix(path)


def test_rows_left_out_are_counted_by_reason(tmp_path: Path) -> None:
    columns = {
        "prompt": ["one", None, "three", None, "five"],
        "score|a": [0.5, 0.5, None, None, None],
        "score|b": [0.5, 0.5, None, None, 1.0],
    }
    result = read_matrix(written(tmp_path, **columns))
    assert result.table.prompts == ["one", "five"]
    assert result.dropped == (
        Dropped(reason="no prompt", n_rows=2),
        Dropped(reason="no model's quality is known", n_rows=1),
    )


def test_another_scale_must_be_given(tmp_path: Path) -> None:
    path = written(tmp_path, prompt=["one"], **{"score|a": [5]})
    with pytest.raises(DataError, match="quality range"):
        read_matrix(path)
    assert read_matrix(path, quality_range=(1, 5)).table.quality("a")[0] == 5.0


def test_a_group_column_can_be_named(tmp_path: Path) -> None:
    path = written(tmp_path, prompt=["one"], task=["x"], file=["y"], **{"score|a": [1]})
    assert read_matrix(path, group_column="file").table.table["group"].to_list() == ["y"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"prompt": ["one"], "accuracy": [1]}, "no column of qualities"),
        ({"text": ["one"], "score|a": [1]}, "none of the columns"),
        ({"prompt": ["one"], "score|a": [1], "correct|a": [1]}, "two columns for 'quality"),
    ],
)
def test_tables_that_cannot_be_read_say_why(
    tmp_path: Path, columns: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_matrix(written(tmp_path, **columns))


def test_a_named_column_that_is_missing_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, prompt=["one"], **{"score|a": [1]})
    with pytest.raises(DataError, match="no column 'question'"):
        read_matrix(path, prompt_column="question")
    with pytest.raises(DataError, match="no column 'file'"):
        read_matrix(path, group_column="file")


@pytest.mark.parametrize(
    ("name", "n_rows", "n_models", "n_groups"),
    [
        ("mmlu_pro_34models", 12_032, 34, 14),
        ("zeroeval_matrix", 2_840, 60, 3),
        ("llmrouter_uiuc_train", 5_514, 9, 14),
    ],
)
def test_the_shared_matrices_are_read_whole(
    shared_data: Path, name: str, n_rows: int, n_models: int, n_groups: int
) -> None:
    result = read_matrix(shared_data / "train" / f"{name}.parquet")
    codes = result.table.group_codes
    assert codes is not None
    assert (len(result.table), len(result.table.models)) == (n_rows, n_models)
    assert len(np.unique(codes)) == n_groups
    assert result.dropped == ()
    assert "in_routellm_mmlu_eval" in result.table.table.columns
