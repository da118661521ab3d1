"""Votes on conversations, on rows in the published schema."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from routecast.data.readers.arena_conversations import read_arena_conversations
from routecast.data.reading import Dropped
from routecast.errors import DataError

ASKED = "What is the difference between OpenCL and CUDA?"


def said(*texts: str | None) -> list[dict[str, str | None]]:
    roles = ["user", "assistant"] * len(texts)
    return [{"content": text, "role": role} for text, role in zip(texts, roles, strict=False)]


def vote(winner: str | None, asked: str | None = ASKED, **changed: object) -> dict[str, Any]:
    return {
        "question_id": "58210e39b3fd4441a2bd4a518bb44c2d",
        "model_a": "chatglm-6b",
        "model_b": "koala-13b",
        "winner": winner,
        "judge": "arena_user_973",
        "conversation_a": said(asked, "One is open.", "And then?", "No."),
        "conversation_b": said(asked, "Two names."),
        "turn": 1,
        "anony": True,
        "language": "English",
        "tstamp": 1682351591.1322,
        "openai_moderation": {"flagged": False, "categories": {"hate": False}},
        **changed,
    }


ROWS = [
    vote("model_a"),
    vote("model_b", language="German"),
    vote("tie"),
    vote("tie (bothbad)"),
    vote("model_a", asked="short"),
    vote("model_a", asked=None),
]


def saved(folder: Path, rows: list[dict[str, Any]], ending: str) -> Path:
    path = folder / f"votes{ending}"
    if ending == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pl.DataFrame(rows, infer_schema_length=None).write_parquet(path)
    return path


@pytest.mark.parametrize("ending", [".parquet", ".jsonl"])
def test_the_first_user_message_is_the_prompt_and_two_bad_answers_tie(
    tmp_path: Path, ending: str
) -> None:
    result = read_arena_conversations(saved(tmp_path, ROWS, ending))
    table = result.table.table
    assert table["prompt"].to_list() == [ASKED] * 4
    np.testing.assert_array_equal(result.table.outcome, [1.0, 0.0, 0.5, 0.5])
    assert table["language"].to_list() == ["English", "German", "English", "English"]
    assert table["answer|chatglm-6b"].to_list() == ["One is open."] * 4
    assert table["answer|koala-13b"].to_list() == ["Two names."] * 4
    assert table["winner"].to_list()[3] == "tie (bothbad)"
    assert json.loads(table["openai_moderation"][0])["categories"] == {"hate": False}
    assert result.dropped == (
        Dropped(reason="no prompt", n_rows=1),
        Dropped(reason="prompt under 16 characters", n_rows=1),
    )


def test_a_conversation_without_a_user_is_left_out(tmp_path: Path) -> None:
    row = vote("tie", conversation_a=[{"role": "system", "content": "x"}])
    path = saved(tmp_path, [row, vote("tie")], ".jsonl")
    result = read_arena_conversations(path)
    assert result.dropped == (Dropped(reason="no prompt", n_rows=1),)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"winner": "a"}, "line 2, column 'winner': 'a'; accepted is one of .*'tie .bothbad.'"),
        ({"winner": None}, "line 2, column 'winner': None"),
        ({"winner": ["tie"]}, "line 2, column 'winner'"),
        ({"conversation_b": None}, "line 2, column 'conversation_b': None; accepted is a list of"),
        ({"conversation_a": "x"}, "line 2, column 'conversation_a': 'x'"),
        ({"conversation_a": [{"content": "x"}]}, "line 2, column 'conversation_a'"),
        ({"model_a": 5}, "line 2, column 'model_a': 5; accepted is text"),
    ],
)
def test_a_bad_row_is_named_or_skipped_and_counted(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    path = saved(tmp_path, [vote("tie"), {**vote("model_a"), **changed}], ".jsonl")
    with pytest.raises(DataError, match=message):
        read_arena_conversations(path)
    result = read_arena_conversations(path, skip_bad=True)
    assert len(result.table) == 1
    assert [entry.n_rows for entry in result.dropped] == [1]
