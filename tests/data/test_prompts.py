"""Reading files of prompts."""

import io
import json
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from routecast.data.prompts import PromptRow, iter_prompts
from routecast.errors import DataError


def jsonl(folder: Path, *lines: object) -> Path:
    path = folder / "prompts.jsonl"
    texts = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"\n".join(texts) + b"\n")
    return path


def prompts(path: Path) -> list[str]:
    return [row.prompt for row in iter_prompts(path)]


def test_jsonl_rows_keep_their_columns_and_lines(tmp_path: Path) -> None:
    path = jsonl(tmp_path, {"prompt": "one", "id": 7}, b"", {"prompt": "two", "tags": ["x"]})
    assert list(iter_prompts(path)) == [
        PromptRow(prompt="one", columns={"prompt": "one", "id": 7}, line=1),
        PromptRow(prompt="two", columns={"prompt": "two", "tags": ["x"]}, line=3),
    ]


def test_the_users_last_message_is_the_prompt(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path,
        {
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": "first"},
                {"role": "assistant", "content": "answer"},
                {"role": "user", "content": "second"},
                {"role": "assistant", "content": "begun"},
            ]
        },
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "see"},
                        {"type": "image_url", "image_url": {"url": "data:"}},
                        {"type": "text", "text": "this"},
                    ],
                }
            ]
        },
        {"prompt": None, "messages": [{"role": "user", "content": "third"}]},
        {"prompt": "wins", "messages": [{"role": "user", "content": "loses"}]},
    )
    assert prompts(path) == ["second", "see\nthis", "third", "wins"]


BAD_LINES = [
    (b'{"prompt": "x"', 'prompts.jsonl, line 2: \'{"prompt": "x"\'', "unreadable JSON"),
    (b'{"prompt": "\xff"}', "prompts.jsonl, line 2: ", "unreadable JSON"),
    (b'{"prompt": "x", "score": NaN}', "NaN is no JSON number", "unreadable JSON"),
    (b'{"prompt": "x", "score": 1e999}', "1e999 is too large", "unreadable JSON"),
    (b"[" * 100_000, "nested too deep", "unreadable JSON"),
    (b'["x"]', "['x']; accepted is one JSON object per line", "not a JSON object"),
    (b'{"text": "x"}', "line 2, column 'prompt': missing", "prompt missing"),
    (b'{"prompt": null}', "line 2, column 'prompt': missing", "prompt missing"),
    (b'{"prompt": ""}', "line 2, column 'prompt': ''; accepted is text", "prompt blank"),
    (b'{"prompt": " \\n\\t"}', "column 'prompt': ' \\n\\t'", "prompt blank"),
    (b'{"prompt": 17}', "column 'prompt': 17; accepted is text", "prompt not text"),
    (b'{"prompt": ["x"]}', "column 'prompt': ['x']", "prompt not text"),
    (b'{"messages": "x"}', "column 'messages': 'x'; accepted is a list", "messages not readable"),
    (b'{"messages": [1]}', "column 'messages': [1]", "messages not readable"),
    (b'{"messages": []}', "column 'messages': missing", "messages missing"),
    (b'{"messages": [{"role": "user", "content": " "}]}', "'messages': ' '", "messages blank"),
]


@pytest.mark.parametrize(("line", "named", "reason"), BAD_LINES)
def test_a_bad_line_stops_the_reading_or_is_counted_by_reason(
    tmp_path: Path, line: bytes, named: str, reason: str
) -> None:
    path = jsonl(tmp_path, {"prompt": "first"}, line, {"prompt": "last"})
    with pytest.raises(DataError) as error:
        list(iter_prompts(path))
    assert named in str(error.value)
    assert "line 2" in str(error.value)
    assert len(str(error.value)) < 300
    dropped: Counter[str] = Counter()
    rows = list(iter_prompts(path, skip_bad=True, dropped=dropped))
    assert [(row.prompt, row.line) for row in rows] == [("first", 1), ("last", 3)]
    assert dropped == {reason: 1}


def test_rows_before_a_bad_one_are_read_first(tmp_path: Path) -> None:
    reading = iter_prompts(jsonl(tmp_path, {"prompt": "good"}, b"bad"))
    assert next(reading).prompt == "good"
    with pytest.raises(DataError):
        next(reading)


def test_odd_but_readable_text_is_kept(tmp_path: Path) -> None:
    texts = ["a\ud800b", "\x00", "\u2028 line", "שלום", "🙂" * 3, "x" * 1_000_000]
    assert prompts(jsonl(tmp_path, *({"prompt": text} for text in texts))) == texts


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"prompt": "one"}\r\n{"prompt": "two"}')
    assert prompts(path) == ["one", "two"]
    (tmp_path / "p.csv").write_bytes(b"\xef\xbb\xbfprompt\none\n")
    assert prompts(tmp_path / "p.csv") == ["one"]


def test_csv_rows_keep_their_columns_and_first_lines(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text('id,prompt\n1,"two\nlines"\n2,"quoted ""word"""\n', newline="")
    rows = list(iter_prompts(path))
    assert [row.prompt for row in rows] == ["two\nlines", 'quoted "word"']
    assert [row.line for row in rows] == [2, 4]
    assert rows[0].columns == {"id": "1", "prompt": "two\nlines"}


def test_csv_holds_messages_as_json(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text('messages\n"[{""role"": ""user"", ""content"": ""hello""}]"\n')
    assert prompts(path) == ["hello"]


def test_a_csv_field_may_be_a_megabyte_long(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("prompt\n" + "x" * 1_000_000 + "\n")
    assert prompts(path) == ["x" * 1_000_000]


@pytest.mark.parametrize(
    ("row", "named", "reason"),
    [
        (b"only", "line 3: 1 fields for 2 columns", "unreadable CSV"),
        (b"a,b,c", "line 3: 3 fields for 2 columns", "unreadable CSV"),
        (b"\xff,2", "line 3: not UTF-8", "unreadable CSV"),
        (b'"a"b,2', "line 3: ", "unreadable CSV"),
        (b" ,2", "line 3, column 'prompt': ' '", "prompt blank"),
    ],
)
def test_a_bad_csv_row_stops_the_reading_or_is_counted_by_reason(
    tmp_path: Path, row: bytes, named: str, reason: str
) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(b"prompt,id\nfirst,1\n" + row + b"\nlast,3\n")
    with pytest.raises(DataError) as error:
        list(iter_prompts(path))
    assert named in str(error.value)
    dropped: Counter[str] = Counter()
    rows = list(iter_prompts(path, skip_bad=True, dropped=dropped))
    assert [(good.prompt, good.line) for good in rows] == [("first", 2), ("last", 4)]
    assert dropped == {reason: 1}


@pytest.mark.parametrize("text", ["", "a,a\n1,2\n"])
def test_a_csv_header_that_is_empty_or_names_a_column_twice_is_refused(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "p.csv"
    path.write_text(text)
    with pytest.raises(DataError, match="header"):
        list(iter_prompts(path))


def test_parquet_rows_are_numbered_from_one(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    pl.DataFrame({"prompt": ["one", None], "id": [1, 2]}).write_parquet(path)
    reading = iter_prompts(path)
    assert next(reading) == PromptRow(prompt="one", columns={"prompt": "one", "id": 1}, line=1)
    with pytest.raises(DataError, match=r"p\.parquet, line 2, column 'prompt'"):
        next(reading)


def test_a_dash_is_jsonl_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(b'{"prompt": "one"}\nbad\n'))
    monkeypatch.setattr("sys.stdin", stdin)
    reading = iter_prompts("-")
    assert next(reading).prompt == "one"
    with pytest.raises(DataError, match="standard input, line 2"):
        next(reading)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file"):
        list(iter_prompts(tmp_path / "none.jsonl"))


def test_messages_in_the_prompt_s_place_are_refused_with_where_they_go(tmp_path: Path) -> None:
    path = jsonl(tmp_path, {"prompt": [{"role": "user", "content": "Hi"}]})
    with pytest.raises(DataError, match="a list of messages goes in the column 'messages'"):
        prompts(path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"conversation_a": [], "winner": "tie", "model_a": "a", "model_b": "b",
          "conversation_b": []}, "this is the format 'arena-conversations'; convert"),
        ({"question": "Why?"}, "of the columns .*'question'.*, rename"),
    ],
)  # fmt: skip
def test_a_file_of_another_layout_is_sent_to_data_import(
    tmp_path: Path, row: dict[str, object], message: str
) -> None:
    with pytest.raises(
        DataError, match=rf"line 1, column 'prompt': missing; {message}.*routecast data import FILE"
    ):
        prompts(jsonl(tmp_path, row))
