"""Where rows come from."""

import json
import pickle
from pathlib import Path

import polars as pl
import pytest

from routecast.data import sources
from routecast.data.batches import ROWS_PER_BATCH
from routecast.data.rows import BadRowError
from routecast.data.sources import open_file
from routecast.data.tally import Tally
from routecast.errors import DataError

ROWS = [{"prompt": f"p{i}", "n": i} for i in range(ROWS_PER_BATCH + 3)]


def saved(folder: Path, ending: str) -> Path:
    path = folder / f"t{ending}"
    table = pl.DataFrame(ROWS)
    match ending:
        case ".json":
            path.write_text(json.dumps(ROWS))
        case ".parquet":
            table.write_parquet(path)
        case ".jsonl":
            table.write_ndjson(path)
        case ".csv":
            table.write_csv(path)
    return path


@pytest.mark.parametrize(
    ("ending", "unit", "first"),
    [(".parquet", "row", 1), (".jsonl", "line", 1), (".csv", "line", 2), (".json", "row", 1)],
)
def test_every_format_is_read_in_batches_with_the_number_of_each_row(
    tmp_path: Path, ending: str, unit: str, first: int
) -> None:
    source, tally = open_file(saved(tmp_path, ending)), Tally()
    batches = list(source.batches(tally))
    if ending != ".parquet":  # whose rows are small here, so that many are read at once
        assert [len(batch) for batch in batches] == [ROWS_PER_BATCH, 3]
    assert (source.columns, source.unit) == (("prompt", "n"), unit)
    lines = [line for batch in batches for line in batch.lines.tolist()]
    assert lines == list(range(first, first + len(ROWS)))
    assert [str(n) for batch in batches for n in batch.table["n"]] == [str(r["n"]) for r in ROWS]
    assert tally.n_rows == len(ROWS)
    assert source.n_numbers is None or source.n_numbers >= lines[-1]


@pytest.mark.parametrize("ending", [".parquet", ".jsonl", ".csv"])
def test_only_the_columns_that_are_asked_for_are_read(tmp_path: Path, ending: str) -> None:
    source = open_file(saved(tmp_path, ending))
    batches = list(source.batches(Tally(), keep=lambda name: name != "prompt"))
    assert {tuple(batch.table.columns) for batch in batches} == {("n",)}
    assert sum(len(batch) for batch in batches) == len(ROWS)


def test_a_large_parquet_file_is_read_in_slices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_ROWS_PER_SLICE", (1000, 1000))
    batches = list(open_file(saved(tmp_path, ".parquet")).batches(Tally()))
    assert [len(batch) for batch in batches] == [1000] * 4 + [len(ROWS) - 4000]
    assert batches[-1].lines.tolist() == list(range(4001, len(ROWS) + 1))
    assert batches[-1].table["prompt"].to_list() == [row["prompt"] for row in ROWS[4000:]]


@pytest.mark.parametrize(
    ("name", "content", "message", "reason"),
    [
        ("t.jsonl", '{"a": 1}\noops\n{"a": 2}\n', "t.jsonl, line 2: 'oops'", "unreadable JSON"),
        ("t.jsonl", '{"a": 1}\n[2]\n{"a": 2}\n', r"line 2: \[2\]", "not a JSON object"),
        ("t.csv", "a,b\n1,2\n3\n4,5\n", "t.csv, line 3: 1 fields for 2", "unreadable CSV"),
        ("t.json", '[{"a": 1}, 2, {"a": 2}]', "t.json, row 2: 2; accepted is an object", "not a J"),
    ],
)
def test_a_bad_row_is_named_or_skipped_and_counted(
    tmp_path: Path, name: str, content: str, message: str, reason: str
) -> None:
    (tmp_path / name).write_text(content)
    source = open_file(tmp_path / name)
    with pytest.raises(BadRowError, match=message):
        list(source.batches(Tally()))
    tally = Tally(skip_bad=True)
    assert sum(len(batch) for batch in source.batches(tally)) == 2
    assert tally.n_rows == 3
    assert [(each.startswith(reason), n) for each, n in tally.bad.items()] == [(True, 1)]
    assert tally.dropped()[0].reason.startswith(f"bad row: {reason}")


def test_a_pickle_is_refused_with_the_conversion_and_never_loaded(tmp_path: Path) -> None:
    path = tmp_path / "routerbench_0shot.pkl"
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(DataError, match=r"is a pickle.*read_pickle.*to_json.*lines=True"):
        open_file(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.json", b'{"a": 1}', "accepted is one list of objects"),
        ("t.json", b"[1", "cannot read 't.json'"),
        ("t.json", b"\xff\xfe", "cannot read 't.json'"),
        ("t.jsonl", b"\n\n", "holds no rows"),
        ("t.csv", b"a,b\n", "holds no rows"),
        ("t.csv", b"a,a\n1,2\n", "accepted is one name per column"),
        ("t.parquet", b"PAR1PAR1", "cannot read"),
        ("t.xlsx", b"", "by its ending '.xlsx'"),
    ],
)
def test_files_that_cannot_be_read_say_why(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_file(tmp_path / name)


def test_columns_that_come_late_are_there_too(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"a": 1}\n' * 200 + '{"late": 1}\n')
    source = open_file(path)
    assert source.columns == ("a",)
    assert next(iter(source.batches(Tally()))).table.columns == ["a", "late"]
