"""Formats by ending, and files that appear whole or not at all."""

import errno
from pathlib import Path

import polars as pl
import pytest

from routecast.data.files import file_format, require_file, whole_file
from routecast.data.sources import read_table
from routecast.errors import DataError


@pytest.mark.parametrize(
    ("name", "format_"),
    [("a.jsonl", "jsonl"), ("a.NDJSON", "jsonl"), ("a.b.csv", "csv"), ("a.Parquet", "parquet")],
)
def test_the_ending_tells_the_format(name: str, format_: str) -> None:
    assert file_format(name) == format_


@pytest.mark.parametrize("name", ["a.json", "a.txt", "a", "jsonl"])
def test_an_unknown_ending_is_refused_with_those_accepted(name: str) -> None:
    with pytest.raises(DataError, match=r"accepted are \['.jsonl'"):
        file_format(name)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file"):
        require_file(tmp_path / "none.csv")
    with pytest.raises(DataError, match="is a folder"):
        require_file(tmp_path)


def test_tables_are_read_alike_in_all_three_formats(tmp_path: Path) -> None:
    table = pl.DataFrame({"prompt": ["one", 'tw,"o'], "quality|a": [0.5, None]})
    table.write_parquet(tmp_path / "t.parquet")
    table.write_ndjson(tmp_path / "t.jsonl")
    table.write_csv(tmp_path / "t.csv")
    for name in ("t.parquet", "t.jsonl", "t.csv"):
        assert read_table(tmp_path / name).equals(table)


def test_a_damaged_table_is_a_data_error(tmp_path: Path) -> None:
    damaged = tmp_path / "t.parquet"
    damaged.write_bytes(b"PAR1 this is not Parquet")
    with pytest.raises(DataError, match=r"cannot read .*t\.parquet"):
        read_table(damaged)


def test_a_whole_file_replaces_the_old_one_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("old")
    path.chmod(0o600)
    with whole_file(path) as file:
        file.write(b"new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def write_and_fail(path: Path, failure: type[BaseException] | BaseException) -> None:
    with whole_file(path) as file:
        file.write(b"half")
        raise failure


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ValueError, OSError(errno.EACCES, "no")])
def test_nothing_is_left_behind_when_writing_fails(
    tmp_path: Path, failure: type[BaseException] | BaseException
) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("old")
    kind = failure if isinstance(failure, type) else type(failure)
    with pytest.raises(kind):
        write_and_fail(path, failure)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_a_data_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No space left"):
        write_and_fail(tmp_path / "out.jsonl", OSError(errno.ENOSPC, "No space left on device"))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_a_folder_and_a_device_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none" / "out.csv", tmp_path, Path("/dev/null")):
        with pytest.raises(DataError), whole_file(path):
            pass
    assert Path("/dev/null").is_char_device()


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    with whole_file(tmp_path / "link.csv") as file:
        file.write(b"new")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text() == "new"


@pytest.mark.parametrize(
    ("name", "command"), [("rows.jsonl.gz", "gunzip -k"), ("rows.csv.ZST", "zstd -d")]
)
def test_a_compressed_file_is_refused_with_the_command_that_unpacks_it(
    name: str, command: str
) -> None:
    with pytest.raises(DataError, match=f"is compressed; .* unpack it first with {command} {name}"):
        file_format(name)
