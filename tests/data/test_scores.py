"""Writing files of scores."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from routecast.data.prompts import PromptRow, iter_prompts
from routecast.data.scores import write_scores
from routecast.errors import DataError
from routecast.types import FloatArray


def row(**columns: object) -> PromptRow:
    return PromptRow(prompt=str(columns["prompt"]), columns=columns, line=1)


def batch(*rows: PromptRow, first: float = 0.25) -> tuple[Sequence[PromptRow], FloatArray]:
    return rows, first + np.arange(len(rows)) / 8


def test_jsonl_rows_come_back_with_their_win_probability(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    rows = [row(prompt="one", tags=[1, {"x": None}]), row(prompt="zwei ü 中"), row(prompt="three")]
    assert write_scores(path, [batch(*rows[:2]), batch(rows[2], first=1.0)]) == 3
    text = path.read_text(encoding="utf-8")
    assert "zwei ü 中" in text
    assert [json.loads(line) for line in text.splitlines()] == [
        {"prompt": "one", "tags": [1, {"x": None}], "win_probability": 0.25},
        {"prompt": "zwei ü 中", "win_probability": 0.375},
        {"prompt": "three", "win_probability": 1.0},
    ]


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_what_is_read_and_written_survives_the_round_trip(tmp_path: Path, ending: str) -> None:
    texts = [
        "a\ud800b",
        'quote " comma , ü',
        "two\nlines\r\nthree",
        "\x00 NUL",
        "\u2028 line",
        "🙂",
    ]
    source, target = tmp_path / f"p.{ending}", tmp_path / f"s.{ending}"
    write_scores(source, [batch(*(row(prompt=text, id=f"{text}!") for text in texts))])
    read = list(iter_prompts(source))
    write_scores(target, [(read, np.full(len(read), 0.5))])
    again = list(iter_prompts(target))
    assert [entry.prompt for entry in again] == texts
    assert [entry.columns["id"] for entry in again] == [f"{text}!" for text in texts]
    assert {float(entry.columns["win_probability"]) for entry in again} == {0.5}


def test_an_abstained_row_has_null_as_its_win_probability(tmp_path: Path) -> None:
    scored = [([row(prompt="one"), row(prompt="two")], np.array([np.nan, 0.5]))]
    for name in ("s.jsonl", "s.csv", "s.parquet"):
        write_scores(tmp_path / name, scored)
    assert json.loads((tmp_path / "s.jsonl").read_text().splitlines()[0]) == {
        "prompt": "one",
        "win_probability": None,
    }
    assert (tmp_path / "s.csv").read_text() == "prompt,win_probability\none,\ntwo,0.5\n"
    table = pl.read_parquet(tmp_path / "s.parquet")
    assert table["win_probability"].to_list() == [None, 0.5]


def test_csv_writes_values_that_are_no_text_as_json(tmp_path: Path) -> None:
    rows = [row(prompt="one", id=1, flag=True, tags=["x"]), row(prompt="two", id=None)]
    write_scores(tmp_path / "s.csv", [batch(*rows)])
    assert (tmp_path / "s.csv").read_text().splitlines() == [
        "prompt,id,flag,tags,win_probability",
        'one,1,true,"[""x""]",0.25',
        "two,,,,0.375",
    ]


def test_csv_refuses_a_column_that_the_first_row_has_not(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\['extra'\]; write JSONL"):
        write_scores(tmp_path / "s.csv", [batch(row(prompt="one"), row(prompt="two", extra=1))])
    assert list(tmp_path.iterdir()) == []


def test_parquet_refuses_lone_surrogates_and_says_what_holds_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="write JSONL"):
        write_scores(tmp_path / "s.parquet", [batch(row(prompt="a\ud800"))])
    assert list(tmp_path.iterdir()) == []


def test_dates_and_missing_numbers_of_parquet_can_be_written_as_jsonl(tmp_path: Path) -> None:
    odd = row(prompt="one", day=date(2024, 2, 29), ratio=float("nan"), parts=[float("inf"), 1.5])
    write_scores(tmp_path / "s.jsonl", [batch(odd)])
    assert json.loads((tmp_path / "s.jsonl").read_text()) == {
        "prompt": "one",
        "day": "2024-02-29",
        "ratio": None,
        "parts": [None, 1.5],
        "win_probability": 0.25,
    }


def test_a_value_that_json_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="of type bytes"):
        write_scores(tmp_path / "s.jsonl", [batch(row(prompt="one", blob=b"x"))])


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError, DataError])
def test_nothing_is_written_when_scoring_stops_half_way(
    tmp_path: Path, ending: str, failure: type[BaseException]
) -> None:
    path = tmp_path / f"s.{ending}"
    path.write_text("what stood there")

    def scored() -> Iterator[tuple[Sequence[PromptRow], FloatArray]]:
        yield batch(row(prompt="one"))
        raise failure

    with pytest.raises(failure):
        write_scores(path, scored())
    assert path.read_text() == "what stood there"
    assert list(tmp_path.iterdir()) == [path]


def test_a_win_probability_too_few_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shorter"):
        write_scores(tmp_path / "s.jsonl", [([row(prompt="one")], np.zeros(0))])


def test_an_unknown_ending_is_refused_before_anything_is_scored(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="ending"):
        write_scores(tmp_path / "s.txt", iter(()))


def test_a_file_can_be_scored_onto_itself(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"prompt": "one"}\n{"prompt": "two"}\n')
    write_scores(path, (([entry], np.array([0.5])) for entry in iter_prompts(path)))
    assert [entry.columns["win_probability"] for entry in iter_prompts(path)] == [0.5, 0.5]


def test_scoring_jsonl_loads_nothing_of_the_extras(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"prompt": "one"}\n')
    program = (
        "import sys, numpy as np\n"
        "from routecast.data.prompts import iter_prompts\n"
        "from routecast.data.scores import write_scores\n"
        "rows = list(iter_prompts('p.jsonl'))\n"
        "write_scores('s.csv', [(rows, np.array([0.5]))])\n"
        "print(sorted({'polars', 'scipy', 'pyarrow', 'pandas'} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert run.stdout == "[]\n"
    assert (tmp_path / "s.csv").read_text() == "prompt,win_probability\none,0.5\n"
