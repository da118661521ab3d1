"""What is to be judged."""

import json
from pathlib import Path
from typing import Any

import pytest

from routecast.errors import DataError
from routecast.label.items import Item, read_items

MODELS = ("strong", "weak")


def read(tmp_path: Path, *rows: dict[str, Any], reference_column: str | None = None) -> list[Item]:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_items(path, models=MODELS, reference_column=reference_column)


def test_a_prompt_is_one_message_of_the_user(tmp_path: Path) -> None:
    (item,) = read(tmp_path, {"prompt": "Hi", "group": "g", "answer|other": "kept"})
    assert item.prompt == item.request == "Hi"
    assert item.messages == ({"role": "user", "content": "Hi"},)
    assert item.answers == {}
    assert item.kept == {"group": "g", "answer|other": "kept"}


def test_answers_are_taken_where_they_are_and_missing_where_null(tmp_path: Path) -> None:
    one, two = read(
        tmp_path,
        {"prompt": "1", "answer|strong": "s", "answer|weak": None},
        {"prompt": "2", "answer|weak": "w"},
    )
    assert one.answers == {"strong": "s"}
    assert two.answers == {"weak": "w"}
    assert one.kept == {"answer|weak": None}


def test_a_conversation_is_judged_as_a_whole_and_routed_by_its_last_turn(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "And"}, {"type": "text", "text": "3 + 3?"}]
    messages = [
        {"role": "user", "content": "2 + 2?"},
        {"role": "assistant", "content": "4"},
        {"role": "user", "content": parts},
    ]
    (item,) = read(tmp_path, {"messages": messages})
    assert item.prompt == "And\n3 + 3?"
    assert item.messages[-1] == {"role": "user", "content": "And\n3 + 3?"}
    assert item.request == "[user]\n2 + 2?\n\n[assistant]\n4\n\n[user]\nAnd\n3 + 3?"


def test_references_may_be_missing_in_some_rows_but_not_in_all(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"prompt": "1", "gold": "one"},
        {"prompt": "2", "gold": None},
        {"prompt": "3"},
    ]
    items = read(tmp_path, *rows, reference_column="gold")
    assert [item.reference for item in items] == ["one", None, None]
    with pytest.raises(DataError, match=r"no row of prompts\.jsonl .* 'golden'"):
        read(tmp_path, *rows, reference_column="golden")


def test_csv_and_parquet_say_the_same_as_jsonl(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    rows = [
        {"prompt": 'a, "b"\nc', "answer|strong": "s", "answer|weak": None},
        {"prompt": "日本", "answer|strong": None, "answer|weak": "w"},
    ]
    expected = read(tmp_path, *rows)
    table = polars.DataFrame(rows)
    table.write_csv(tmp_path / "p.csv")
    table.write_parquet(tmp_path / "p.parquet")
    for name in ("p.csv", "p.parquet"):
        assert read_items(tmp_path / name, models=MODELS) == expected


def test_lone_surrogates_are_replaced(tmp_path: Path) -> None:
    (item,) = read(tmp_path, {"prompt": "a\ud800b", "answer|weak": "\udfff"})
    assert item.prompt == "a\ufffdb"
    assert item.answers == {"weak": "\ufffd"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": " \n"}, r"line 2, column 'prompt': ' .n'; accepted is text"),
        ({"prompt": 7}, r"line 2, column 'prompt': 7"),
        ({"question": "x"}, r"line 2, column 'prompt': missing"),
        ({"messages": []}, r"line 2, column 'messages': missing"),
        (
            {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]},
            r"a message of role 'assistant'; accepted is the role 'user' for the last",
        ),
        ({"messages": [{"content": "x"}, {"role": "user", "content": "y"}]}, r"of role None"),
        ({"messages": ["x"]}, r"accepted is a list of messages"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url"}]},
                    {"role": "user", "content": "What is this?"},
                ]
            },
            r"a part that is no text",
        ),
        ({"prompt": "x", "answer|strong": ""}, r"column 'answer\|strong': an empty text"),
        ({"prompt": "x", "answer|strong": 4}, r"column 'answer\|strong': 4"),
    ],
)
def test_a_bad_row_is_named_by_line_and_column(
    tmp_path: Path, row: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, {"prompt": "fine"}, row)


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no rows"):
        read(tmp_path)


def test_a_bad_line_of_csv_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("prompt,group\nx\n")
    with pytest.raises(DataError, match="line 2: 1 fields for 2 columns"):
        read_items(path, models=MODELS)
