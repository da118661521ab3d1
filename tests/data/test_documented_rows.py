"""The rows that docs/data.md shows are read as it says."""

import json
import re
from pathlib import Path

import pytest

from routecast.data.importing import import_table
from routecast.data.prompts import iter_prompts
from routecast.data.rating_files import read_ratings
from routecast.data.readers.registry import reader_names

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
ROWS = {
    name.strip(" `"): row.replace("\\|", "|")
    for name, row in re.findall(r"^\| ([^|]+) \| `(\{.*\})` \|$", PAGE, re.MULTILINE)
}
KINDS = {
    "comparisons": "comparisons",
    "comparisons, of votes": "comparisons",
    "outcomes": "outcomes",
    "prompts": "prompts",
    "prompts, of conversations": "prompts",
    "scores, which `score` writes": "prompts",
}


def written(folder: Path, row: str) -> Path:
    path = folder / "rows.jsonl"
    path.write_text(row + "\n")
    return path


def test_every_format_has_a_row() -> None:
    shown = set(
        re.findall(r"^\| `([a-z0-9-]+)` \| ", PAGE.partition("what is not needed")[2], re.MULTILINE)
    )
    assert set(reader_names()) <= shown


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_our_own_rows_are_what_they_are_called(tmp_path: Path, name: str, kind: str) -> None:
    path = written(tmp_path, ROWS[name])
    report = import_table(path, tmp_path / "imported.jsonl")
    assert (report.kind, report.n_written) == (kind, 1)
    assert [row.prompt for row in iter_prompts(tmp_path / "imported.jsonl")] == [
        "What is 7 times 8?"
    ]


def test_a_row_of_ratings_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, ROWS["ratings, for `data tiers"])
    assert [model.rating for model in read_ratings(path).models] == [1250]


@pytest.mark.parametrize("name", sorted(set(reader_names()) & set(ROWS)))
def test_published_rows_are_in_the_format_that_they_stand_for(tmp_path: Path, name: str) -> None:
    assert json.loads(ROWS[name])
    report = import_table(written(tmp_path, ROWS[name]), tmp_path / "imported.jsonl")
    assert (report.format, report.n_written) == (name, 1)
    [row] = iter_prompts(tmp_path / "imported.jsonl")
    assert row.prompt == "Name three kinds of trees."
