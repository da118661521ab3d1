"""PandaLM's battles."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from routecast.data.readers.pandalm import read_pandalm
from routecast.errors import DataError

BATTLES = {
    "prompt": ["one", "two", "three"],
    "model_a": ["x", "x", "y"],
    "model_b": ["y", "z", "z"],
    "winner": ["model_a", "model_b", "tie"],
    "app": ["p", "q", "r"],
}


def test_winners_become_outcomes(tmp_path: Path) -> None:
    pl.DataFrame(BATTLES).write_parquet(tmp_path / "b.parquet")
    comparisons = read_pandalm(tmp_path / "b.parquet").table
    np.testing.assert_array_equal(comparisons.outcome, [1.0, 0.0, 0.5])
    assert comparisons.table["source"].to_list() == ["pandalm"] * 3
    assert comparisons.table["app"].to_list() == ["p", "q", "r"]


@pytest.mark.parametrize("winner", ["x", None])
def test_a_winner_that_is_none_of_the_three_is_refused(tmp_path: Path, winner: str | None) -> None:
    columns = BATTLES | {"winner": ["tie", winner, "tie"]}
    pl.DataFrame(columns).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match="row 2, column 'winner'"):
        read_pandalm(tmp_path / "b.parquet")


def test_a_table_without_winners_is_refused(tmp_path: Path) -> None:
    pl.DataFrame(BATTLES).drop("winner").write_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match="no column 'winner'"):
        read_pandalm(tmp_path / "b.parquet")


def test_the_shared_battles_are_read_whole(shared_data: Path) -> None:
    comparisons = read_pandalm(shared_data / "train" / "pandalm_human_999.parquet").table
    # Winners in the file: 422 model_a, 472 model_b, 105 ties.
    values, counts = np.unique(comparisons.outcome, return_counts=True)
    assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == {0: 472, 0.5: 105, 1: 422}
    assert len(comparisons.models) == 5
    assert comparisons.table["prompt"].n_unique() == 170
