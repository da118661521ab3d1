"""Votes whose winner is told by three columns, on rows in the published schema."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from routecast.data.readers.arena_55k import read_arena_55k
from routecast.data.reading import Dropped
from routecast.errors import DataError

COLUMNS = [
    *("id", "model_a", "model_b", "prompt", "response_a", "response_b"),
    *("winner_model_a", "winner_model_b", "winner_tie"),
]
LONG = "How do trains stay on their rails?"


def vote(number: int, turns: str, winner: str, **changed: object) -> dict[str, Any]:
    return {
        "id": number,
        "model_a": "gpt-4-1106-preview",
        "model_b": "koala-13b",
        "prompt": turns,
        "response_a": '["By flanges.", null]',
        "response_b": '[null, "later"]',
        **{f"winner_{name}": int(winner == name) for name in ("model_a", "model_b", "tie")},
        **changed,
    }


ROWS = [
    vote(30192, json.dumps([LONG, "And in curves?"]), "model_a"),
    vote(53567, json.dumps([LONG, None]), "model_b", model_a="vicuna-7b"),
    vote(65089, f'["{LONG} \\ud83d!"]', "tie"),  # half an emoji, as the set has
    vote(96401, '[null, "second"]', "tie"),
    vote(198779, '["Hi there, you!"]', "tie"),
    vote(292873, '["   Hi there, you!   "]', "tie"),
    vote(313413, json.dumps([LONG]), "tie", model_b="gpt-4-1106-preview"),
]


def saved(folder: Path, rows: list[dict[str, Any]], ending: str) -> Path:
    path = folder / f"train{ending}"
    if ending == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
    elif ending == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pl.DataFrame(rows).write_parquet(path)
    return path


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_the_first_turn_is_the_prompt_and_the_flags_are_the_outcome(
    tmp_path: Path, ending: str
) -> None:
    result = read_arena_55k(saved(tmp_path, ROWS, ending))
    comparisons = result.table
    table = comparisons.table
    assert table["prompt"].to_list() == [LONG, LONG, f"{LONG} \ufffd!"]
    np.testing.assert_array_equal(comparisons.outcome, [1.0, 0.0, 0.5])
    assert table["model_a"].to_list()[1] == "vicuna-7b"
    assert table["answer|gpt-4-1106-preview"].to_list() == ["By flanges.", None, "By flanges."]
    assert "answer|koala-13b" not in table.columns
    assert table["id"].to_list() == [30192, 53567, 65089]
    assert set(table["source"]) == {"arena-55k"}
    assert result.dropped == (
        Dropped(reason="no prompt", n_rows=1),
        Dropped(reason="a model against itself", n_rows=1),
        Dropped(reason="prompt under 16 characters", n_rows=2),
    )


def test_short_prompts_and_no_answers_are_an_option(tmp_path: Path) -> None:
    path = saved(tmp_path, ROWS, ".csv")
    result = read_arena_55k(path, min_prompt_chars=14, answers=False)
    assert len(result.table) == 5
    assert not [name for name in result.table.table.columns if name.startswith("answer|")]


def test_turns_may_be_a_list_already(tmp_path: Path) -> None:
    rows = [{**vote(1, "", "tie"), "prompt": [LONG, None], "response_a": ["a"], "response_b": None}]
    pl.DataFrame(rows).write_parquet(tmp_path / "judged.parquet")
    assert read_arena_55k(tmp_path / "judged.parquet").table.table["prompt"].to_list() == [LONG]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"prompt": "no list"}, r"train.csv, line 3, column 'prompt': 'no list'; accepted is a JS"),
        ({"prompt": "[1]"}, "line 3, column 'prompt'"),
        ({"response_b": "["}, "line 3, column 'response_b'"),
        ({"winner_tie": 1}, "line 3, column 'winner_tie': .*'winner_model_a': '1'.*1 in one of"),
        ({"winner_model_a": 0}, "line 3, column 'winner_tie'"),
        ({"winner_model_a": "yes"}, "line 3, column 'winner_tie'"),
        ({"model_a": ""}, "line 3, column 'model_a': None; accepted is text"),
    ],
)
def test_a_bad_row_is_named_or_skipped_and_counted(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    bad = vote(2, json.dumps([LONG]), "model_a", **changed)
    path = saved(tmp_path, [ROWS[0], bad, ROWS[1]], ".csv")
    with pytest.raises(DataError, match=message):
        read_arena_55k(path)
    result = read_arena_55k(path, skip_bad=True)
    assert len(result.table) == 2
    assert [entry.n_rows for entry in result.dropped] == [1]
    assert result.dropped[0].reason.startswith("bad row: ")


def test_flags_may_be_truth_values(tmp_path: Path) -> None:
    flags = {"winner_model_a": False, "winner_model_b": True, "winner_tie": False}
    path = saved(tmp_path, [vote(1, json.dumps([LONG]), "tie", **flags)], ".csv")
    np.testing.assert_array_equal(read_arena_55k(path).table.outcome, [0.0])
