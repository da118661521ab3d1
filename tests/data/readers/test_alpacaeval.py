"""AlpacaEval's annotations as published, and the table of many of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from routecast.data.readers.alpacaeval import read_alpacaeval
from routecast.data.reading import Dropped
from routecast.errors import DataError

ASKED = "How did US states get their names?"


def annotation(preference: object, **changed: object) -> dict[str, Any]:
    return {
        "instruction": ASKED,
        "output_1": "From rivers.",
        "generator_1": "gpt4_1106_preview",
        "dataset": "helpful_base",
        "output_2": "From kings.",
        "generator_2": "Mixtral-8x7B-Instruct-v0.1",
        "datasplit": "eval",
        "annotator": "weighted_alpaca_eval_gpt4_turbo",
        "preference": preference,
        "price_per_example": 0.01,
        "time_per_example": 0.18,
        "raw_completion": {"logprobs": {"content": [{"token": "m"}]}, "text": "m"},
        **changed,
    }


def saved(folder: Path, *annotations: dict[str, Any]) -> Path:
    path = folder / "annotations.json"
    path.write_text(json.dumps(annotations))  # NaN as Python writes it
    return path


def test_preference_is_one_plus_the_probability_that_the_second_wins(tmp_path: Path) -> None:
    rows = [annotation(p) for p in (1.9900139974, 1, 2.0, 1.5, 0, None, float("nan"))]
    result = read_alpacaeval(saved(tmp_path, *rows))
    # 1.99 - 1 = .99 for the second, who is model a; 0 is a draw in the oldest files
    np.testing.assert_allclose(result.table.outcome, [0.9900139974, 0.0, 1.0, 0.5, 0.5])
    row = result.table.table.to_dicts()[0]
    assert (row["model_a"], row["model_b"]) == ("Mixtral-8x7B-Instruct-v0.1", "gpt4_1106_preview")
    assert row["answer|Mixtral-8x7B-Instruct-v0.1"] == "From kings."
    assert row["answer|gpt4_1106_preview"] == "From rivers."
    assert row["source"] == "alpacaeval:weighted_alpaca_eval_gpt4_turbo"
    assert (row["prompt"], row["dataset"]) == (ASKED, "helpful_base")
    assert json.loads(row["raw_completion"])["text"] == "m"
    assert result.dropped == (Dropped(reason="no preference", n_rows=2),)


def test_the_reference_against_itself_is_left_out(tmp_path: Path) -> None:
    rows = [annotation(1.5), annotation(1.5, generator_2="gpt4_1106_preview")]
    result = read_alpacaeval(saved(tmp_path, *rows))
    assert result.dropped == (Dropped(reason="a model against itself", n_rows=1),)


@pytest.mark.parametrize("preference", [2.1, 0.5, -1, "m", [1]])
def test_a_preference_that_cannot_be_is_named_or_skipped(
    tmp_path: Path, preference: object
) -> None:
    path = saved(tmp_path, annotation(1.5), annotation(preference))
    with pytest.raises(DataError, match=r"annotations.json, row 2, column 'preference'"):
        read_alpacaeval(path)
    result = read_alpacaeval(path, skip_bad=True)
    assert result.dropped == (Dropped(reason="bad row: unknown preference", n_rows=1),)


def test_a_prompt_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, annotation(1.5), annotation(1.5, instruction=7))
    with pytest.raises(DataError, match="row 2, column 'prompt': 7; accepted is text"):
        read_alpacaeval(path)


def test_the_table_of_many_has_the_probability_itself(tmp_path: Path) -> None:
    columns = {
        "prompt": [ASKED] * 3,
        "model": ["m"] * 3,
        "reference": ["r"] * 3,
        "judge": ["j"] * 3,
        "p_model_wins": [0.25, None, 1.0],
        "in_mt_bench": [True, False, True],
    }
    pl.DataFrame(columns).write_parquet(tmp_path / "t.parquet")
    result = read_alpacaeval(tmp_path / "t.parquet")
    assert result.table.outcome.tolist() == [0.25, 1.0]
    assert result.table.table["in_mt_bench"].to_list() == [True, True]
    assert set(result.table.table["source"]) == {"alpacaeval:j"}
    assert result.dropped == (Dropped(reason="no preference", n_rows=1),)


@pytest.mark.parametrize(
    ("name", "n_rows", "n_models"),
    [("alpacaeval1_vs_davinci003", 46_956, 60), ("alpacaeval2_vs_gpt4turbo", 63_762, 72)],
)
def test_the_shared_tables_are_read_whole(
    shared_data: Path, name: str, n_rows: int, n_models: int
) -> None:
    path = shared_data / "train" / f"{name}.parquet"
    comparisons = read_alpacaeval(path, min_prompt_chars=1).table
    assert (len(comparisons), len(comparisons.models)) == (n_rows, n_models)
    given = pl.read_parquet(path)["p_model_wins"].to_numpy()
    np.testing.assert_array_equal(comparisons.outcome, given)
    assert comparisons.table["prompt"].n_unique() == 805
