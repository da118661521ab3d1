"""Tables written batch by batch."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routecast.data.batches import batch_of_rows
from routecast.data.sources import open_file, read_table
from routecast.data.tally import Tally
from routecast.data.writing import table_writer, write_table
from routecast.errors import DataError

ENDINGS = [".parquet", ".jsonl", ".csv"]
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1)
TABLES = st.lists(
    st.fixed_dictionaries(
        {"prompt": TEXT, "outcome": st.sampled_from([0.0, 0.25, 0.5, 1.0])},
        optional={"note": TEXT, "n": st.integers(-(2**40), 2**40), "flag": st.booleans()},
    ),
    min_size=1,
    max_size=12,
)


def rows_of(path: Path) -> list[dict[str, Any]]:
    return read_table(path).to_dicts()


def without_nulls(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}


@pytest.mark.parametrize("ending", ENDINGS)
@given(rows=TABLES, n_first=st.integers(0, 12))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_is_written_in_parts_is_read_whole(
    tmp_path: Path, ending: str, rows: list[dict[str, Any]], n_first: int
) -> None:
    path = tmp_path / f"t{ending}"
    with table_writer(path) as writer:
        for part in (rows[:n_first], rows[n_first:]):
            if part:
                writer.add(batch_of_rows(list(enumerate(part, start=1))))
    again = [without_nulls(row) for row in rows_of(path)]
    texts = {"note"} if ending == ".csv" else set()  # a text that is a number reads as one
    assert len(again) == len(rows)
    for row, read in zip(rows, again, strict=True):
        assert row.keys() == read.keys()
        for name, value in row.items():
            assert read[name] == value or (name in texts and str(read[name]) == str(value))


def test_lists_and_objects_survive_in_jsonl_and_are_json_elsewhere(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"tags": ["a", {"b": 1}], "mixed": 1},
        {"tags": None, "mixed": "x"},
    ]
    batch = batch_of_rows(list(enumerate(rows, start=1)))
    for ending in ENDINGS:
        with table_writer(tmp_path / f"t{ending}") as writer:
            writer.add(batch)
    lines = (tmp_path / "t.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == rows
    for ending in (".parquet", ".csv"):
        assert rows_of(tmp_path / f"t{ending}") == [
            {"tags": '["a", {"b": 1}]', "mixed": "1"},
            {"tags": None, "mixed": '"x"'},
        ]


def test_answers_that_a_row_does_not_have_take_no_room_in_jsonl(tmp_path: Path) -> None:
    write_table(
        pl.DataFrame({"a": [None, 1], "answer|x": ["yes", None], "answer|y": [None, "no"]}),
        tmp_path / "t.jsonl",
    )
    assert [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()] == [
        {"a": None, "answer|x": "yes"},
        {"a": 1, "answer|y": "no"},
    ]


def test_typed_columns_of_parquet_are_written_everywhere(tmp_path: Path) -> None:
    table = pl.DataFrame(
        {
            "when": [dt.datetime(2024, 1, 2, 3, 4, 5)],  # noqa: DTZ001 (as files hold it)
            "day": [dt.date(2024, 1, 2)],
            "share": [float("nan")],
            "votes": [[1, 2]],
            "meta": [{"k": 1}],
        }
    )
    for ending in ENDINGS:
        write_table(table, tmp_path / f"t{ending}")
    assert pl.read_parquet(tmp_path / "t.parquet").equals(table)
    (row,) = (json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines())
    assert row == {
        "when": "2024-01-02T03:04:05.000000",
        "day": "2024-01-02",
        "share": None,
        "votes": [1, 2],
        "meta": {"k": 1},
    }
    (row,) = rows_of(tmp_path / "t.csv")
    assert (row["votes"], row["meta"], row["share"]) == ("[1, 2]", '{"k": 1}', None)


def test_numbers_of_csv_become_numbers_again_where_all_batches_agree(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("n,code,flag\n1,007,True\n2.5,1,False\n")
    source = open_file(tmp_path / "in.csv")
    with table_writer(tmp_path / "out.parquet") as writer:
        for batch in source.batches(Tally()):
            writer.add(batch, is_typed=source.is_typed)
    assert pl.read_parquet(tmp_path / "out.parquet").to_dict(as_series=False) == {
        "n": [1.0, 2.5],
        "code": ["007", "1"],
        "flag": [True, False],
    }


def fail_in_the_middle(path: Path) -> None:
    with table_writer(path) as writer:
        writer.add(batch_of_rows([(1, {"a": 1})]))
        raise KeyboardInterrupt


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_interrupted_table_leaves_what_was_there_and_no_parts(
    tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"t{ending}"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        fail_in_the_middle(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_ending_or_a_folder_that_is_none_is_refused_first(tmp_path: Path) -> None:
    for name in ("t.txt", "none/t.csv"):
        with pytest.raises(DataError):
            write_table(pl.DataFrame({"a": [1]}), tmp_path / name)
