"""Plain tables of votes: prompt, model_a, model_b and winner."""

from pathlib import Path

import polars as pl
import pytest

from routecast.data.importing import import_table
from routecast.data.readers.native import read_comparisons, read_native
from routecast.data.readers.registry import guess_format
from routecast.errors import DataError

VOTES = {
    "prompt": ["one", "two", "three", "four", "five"],
    "model_a": ["x", "x", "y", "x", "y"],
    "model_b": ["y", "z", "z", "z", "x"],
    "winner": ["model_a", "model_b", "tie", "z", "y"],
}
OUTCOMES = [1.0, 0.0, 0.5, 0.0, 1.0]  # z is model b of the fourth, y model a of the fifth


def saved(folder: Path, **columns: list[str | None]) -> Path:
    path = folder / "votes.csv"
    pl.DataFrame(VOTES | columns).write_csv(path)
    return path


@pytest.mark.parametrize("read", [read_native, read_comparisons])
def test_labels_and_names_are_winners(tmp_path: Path, read: type) -> None:
    comparisons = read(saved(tmp_path)).table
    assert comparisons.outcome.tolist() == OUTCOMES
    assert "source" not in comparisons.table.columns
    assert comparisons.table["winner"].to_list() == VOTES["winner"]


def test_a_plain_table_is_guessed_as_native_and_keeps_its_source(tmp_path: Path) -> None:
    path = saved(tmp_path, source=["us"] * 5)
    report = import_table(path, tmp_path / "out.jsonl")
    assert (report.format, report.guessed, report.kind) == ("native", True, "comparisons")
    assert report.n_written == 5  # short prompts are the user's own business
    table = read_comparisons(tmp_path / "out.jsonl").table
    assert table.outcome.tolist() == OUTCOMES
    assert table.table["source"].to_list() == ["us"] * 5


def test_pandalm_is_told_by_its_annotators_until_it_is_imported() -> None:
    plain = {"prompt", "model_a", "model_b", "winner"}
    guessed = [
        guess_format(plain | more)
        for more in (set(), {"annotators"}, {"annotators", "outcome"}, {"conversation_a"})
    ]
    assert [known and known.name for known in guessed] == ["native", "pandalm", "native", None]


def test_a_label_goes_before_a_name_and_an_outcome_before_a_winner(tmp_path: Path) -> None:
    path = saved(tmp_path, model_b=["model_a", *VOTES["model_b"][1:]])
    assert read_comparisons(path).table.outcome.tolist() == OUTCOMES
    path = saved(tmp_path, outcome=["0.25"] * 5)
    assert read_comparisons(path).table.outcome.tolist() == [0.25] * 5


@pytest.mark.parametrize("winner", ["X", "somebody", "", None])
def test_an_unknown_winner_is_refused_with_what_is_accepted(
    tmp_path: Path, winner: str | None
) -> None:
    path = saved(tmp_path, winner=["tie", winner, "tie", "tie", "tie"])
    with pytest.raises(DataError, match=r"line 3, column 'winner'.*or the name of the row's"):
        read_comparisons(path)
    assert len(read_comparisons(path, skip_bad=True).table) == 4


def test_a_pandalm_file_is_still_sent_to_import(tmp_path: Path) -> None:
    path = saved(tmp_path, annotators=["[1]"] * 5)
    with pytest.raises(DataError, match="is in format 'pandalm'; convert it first"):
        read_comparisons(path)
