"""Votes inside sessions, on rows in the published schema."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from routecast.data.readers.arena_140k import read_arena_140k
from routecast.data.reading import Dropped
from routecast.errors import DataError

FIRST, SECOND = "Explain how a lock works.", "Now write it as a poem, please."


def parts(*texts: str | None) -> list[dict[str, Any]]:
    return [
        {"type": "text", "text": text, "image": None, "mimeType": None}
        if text is not None
        else {"type": "image", "text": None, "image": "a.png", "mimeType": "image/png"}
        for text in texts
    ]


def message(role: str, *texts: str | None) -> dict[str, Any]:
    return {"role": role, "content": parts(*texts)}


def turn(asked: str, side_a: str, side_b: str) -> dict[str, Any]:
    return {
        "user": message("user", asked),
        "model_side_a": message("assistant", side_a),
        "model_side_b": message("assistant", side_b),
    }


def vote(order: int, asked: str, winner: str, **changed: object) -> dict[str, Any]:
    sides = (f"a{order}", f"b{order}")
    earlier = [turn(FIRST, "a1", "b1")] if order > 1 else []
    return {
        "id": f"c4b9710c-{order}",
        "model_a": f"m{order}",
        "model_b": f"n{order}",
        "winner": winner,
        "evaluation_session_id": "a333a685-37f9",
        "evaluation_order": order,
        "conversation_a": [message("user", asked), message("assistant", sides[0])],
        "conversation_b": [message("user", asked), message("assistant", sides[1])],
        "full_conversation": [*earlier, turn(asked, *sides)],
        "conv_metadata": {"turns": 1, "header_count_a": {"h1": 0}},
        "category_tag": {"math_v0.1": {"math": False}},
        "language": "en",
        "is_code": False,
        "timestamp": "2025-05-29T14:48:41.602925",
        **changed,
    }


SESSION = [vote(1, FIRST, "model_b"), vote(2, SECOND, "both_bad")]


def saved(folder: Path, rows: list[dict[str, Any]], ending: str = ".jsonl") -> Path:
    path = folder / f"votes{ending}"
    if ending == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pl.DataFrame(rows, infer_schema_length=None).write_parquet(path)
    return path


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_each_vote_of_a_session_has_its_own_prompt_and_the_session_as_group(
    tmp_path: Path, ending: str
) -> None:
    comparisons = read_arena_140k(saved(tmp_path, SESSION, ending)).table
    table = comparisons.table
    assert table["prompt"].to_list() == [FIRST, SECOND]
    assert table["group"].to_list() == ["a333a685-37f9"] * 2
    np.testing.assert_array_equal(comparisons.outcome, [0.0, 0.5])
    assert table["answer|m2"].to_list() == [None, "a2"]
    assert table["answer|n1"].to_list() == ["b1", None]
    assert table["language"].to_list() == ["en", "en"]
    assert table["is_code"].to_list() == [False, False]
    assert json.loads(table["category_tag"][0]) == {"math_v0.1": {"math": False}}
    assert "full_conversation" not in table.columns


def test_a_later_vote_whose_conversation_has_the_context_too_takes_its_last_turn(
    tmp_path: Path,
) -> None:
    whole = [
        *(message("user", FIRST), message("assistant", "a1")),
        *(message("user", SECOND), message("assistant", "a2")),
    ]
    rows = [vote(2, SECOND, "tie", conversation_a=whole, conversation_b=whole)]
    table = read_arena_140k(saved(tmp_path, rows)).table.table
    assert table["prompt"].to_list() == [SECOND]
    assert table["answer|m2"].to_list() == ["a2"]


def test_a_first_vote_after_two_turns_takes_the_first(tmp_path: Path) -> None:
    whole = [message("user", FIRST), message("assistant", "a1"), message("user", SECOND)]
    session = [turn(FIRST, "a1", "b1"), turn(SECOND, "a2", "b2")]
    rows = [
        vote(1, FIRST, "tie", conversation_a=whole, conversation_b=whole, full_conversation=session)
    ]
    assert read_arena_140k(saved(tmp_path, rows)).table.table["prompt"].to_list() == [FIRST]


def test_the_session_alone_is_enough(tmp_path: Path) -> None:
    rows = [{k: v for k, v in row.items() if not k.startswith("conversation_")} for row in SESSION]
    table = read_arena_140k(saved(tmp_path, rows)).table.table
    assert table["prompt"].to_list() == [FIRST, SECOND]
    assert table["answer|n2"].to_list() == [None, "b2"]


def test_the_100k_set_has_plain_texts_and_the_older_label(tmp_path: Path) -> None:
    talk = [{"role": "user", "content": FIRST}, {"role": "assistant", "content": "yes"}]
    row = {
        "question_id": "q",
        "model_a": "m",
        "model_b": "n",
        "winner": "tie (bothbad)",
        "conversation_a": talk,
        "conversation_b": talk,
        "turn": 1,
        "anony": True,
        "language": "Russian",
        "tstamp": 1.7e9,
        "conv_metadata": {"turns": 1},
        "is_code": False,
        "is_refusal": False,
        "dedup_tag": {"high_freq": False, "sampled": True},
        "category_tag": {},
        "judge_hash": "h",
    }
    comparisons = read_arena_140k(saved(tmp_path, [row])).table
    assert comparisons.table["prompt"].to_list() == [FIRST]
    assert comparisons.table["language"].to_list() == ["Russian"]
    assert comparisons.outcome.tolist() == [0.5]
    assert "group" not in comparisons.table.columns


def test_text_beside_an_image_is_the_prompt_and_an_image_alone_is_none(tmp_path: Path) -> None:
    talk = [message("user", None, "What is in", "this picture?"), message("assistant", "A cat.")]
    alone = [message("user", None), message("assistant", "A dog.")]
    rows = [
        vote(1, FIRST, "tie", conversation_a=talk, conversation_b=talk),
        vote(1, FIRST, "tie", conversation_a=alone, conversation_b=alone),
    ]
    result = read_arena_140k(saved(tmp_path, rows))
    assert result.table.table["prompt"].to_list() == ["What is in\nthis picture?"]
    assert result.dropped == (Dropped(reason="no prompt", n_rows=1),)


@pytest.mark.parametrize(
    ("changed", "column"),
    [
        ({"winner": "bothbad"}, "winner"),
        ({"evaluation_order": "x"}, "evaluation_order"),
        ({"conversation_b": [1]}, "conversation_b"),
        ({"conversation_a": None, "full_conversation": []}, "full_conversation"),
        ({"conversation_a": None, "full_conversation": [1]}, "full_conversation"),
    ],
)
def test_a_bad_row_is_named_or_skipped_and_counted(
    tmp_path: Path, changed: dict[str, Any], column: str
) -> None:
    path = saved(tmp_path, [SESSION[0], {**vote(1, FIRST, "tie"), **changed}])
    with pytest.raises(DataError, match=f"line 2, column '{column}'"):
        read_arena_140k(path)
    result = read_arena_140k(path, skip_bad=True)
    assert result.dropped == (Dropped(reason=f"bad row: unknown {column}", n_rows=1),)
