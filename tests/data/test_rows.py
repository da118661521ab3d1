"""Files that are not quite JSONL or CSV as we read them."""

import codecs
import csv
import subprocess
import sys
from pathlib import Path

import pytest

from routecast.data.prompts import iter_prompts
from routecast.data.sources import open_file
from routecast.errors import DataError

READERS = [lambda path: list(iter_prompts(path)), open_file]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("name", "text"), [("t.csv", "prompt,n\nhello,1\n"), ("t.jsonl", '{"prompt": "hello"}\n')]
)
@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (b"", "utf-16-le"),
        (b"", "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
    ],
)
def test_utf_16_is_refused_with_the_command_that_converts_it(
    tmp_path: Path, read: object, name: str, text: str, mark: bytes, encoding: str
) -> None:
    path = tmp_path / name
    path.write_bytes(mark + text.encode(encoding))
    assert callable(read)
    with pytest.raises(DataError, match=rf"is in UTF-16.*accepted is UTF-8: iconv .* {name} > t-"):
        read(path)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("magic", [b"\x1f\x8b\x08\x00", b"\x28\xb5\x2f\xfd"])
def test_a_compressed_file_is_told_how_to_unpack(
    tmp_path: Path, read: object, magic: bytes
) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(magic)
    assert callable(read)
    with pytest.raises(DataError, match=r"compressed.* -dc < t.jsonl > t-plain.jsonl"):
        read(path)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("separator", [";", "\t"])
def test_csv_with_other_separators_is_refused_with_the_command_that_converts_it(
    tmp_path: Path, read: object, separator: str
) -> None:
    path = tmp_path / "t.csv"
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=separator).writerows([["prompt", "n"], ["a, b; c", 1]])
    assert callable(read)
    with pytest.raises(DataError, match=r"line 1: header 'prompt.*accepted is CSV") as caught:
        read(path)
    command = str(caught.value).partition("','")[2].partition(": ")[2]
    subprocess.run(
        command.replace("python", sys.executable, 1), shell=True, cwd=tmp_path, check=True
    )
    assert [row.prompt for row in iter_prompts(tmp_path / "t-comma.csv")] == ["a, b; c"]


def test_one_column_whose_values_hold_semicolons_is_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("prompt\na; b\n")
    assert [row.prompt for row in iter_prompts(tmp_path / "t.csv")] == ["a; b"]


@pytest.mark.parametrize("name", ["notes.jsonl", "notes.csv"])
def test_latin_1_is_refused_with_the_command_that_converts_it(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    text = '{"prompt": "café"}' if name == "notes.jsonl" else "prompt\ncafé"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError) as caught:
        list(iter_prompts(path))
    stem, _, ending = name.partition(".")
    command = f"iconv -f LATIN1 -t UTF-8 {name} > {stem}-utf8.{ending}"
    assert f"if it is in Latin-1: {command}" in str(caught.value)
    subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True)
    assert [row.prompt for row in iter_prompts(tmp_path / f"{stem}-utf8.{ending}")] == ["café"]
