from pathlib import Path
from typing import Any

import polars as pl
import pytest

from routecast.data.rating_files import read_ratings, write_tiers
from routecast.data.tiers import assign_tiers
from routecast.errors import DataError

VOTES = {
    "model_a": ["x", "y", "x", "x"],
    "model_b": ["y", "x", "y", "y"],
    "winner": ["model_a", "model_b", "tie", "both_bad"],
    "comment": ["ü", "", "a,b", '"'],
}
BOARD = {
    "category": ["full", "full", "math", "math"],
    "model": ["x", "y", "x", "y"],
    "rating": [1200.0, 1100.0, 900.0, 1000.0],
    "q025": [1190.0, None, 890.0, 990.0],
    "q975": [1210.0, 1120.0, 910.0, 1010.0],
}
ENDINGS = [".parquet", ".jsonl", ".csv"]


def save(columns: dict[str, Any], path: Path) -> Path:
    table = pl.DataFrame(columns, strict=False)
    if path.suffix == ".parquet":
        table.write_parquet(path)
    elif path.suffix == ".jsonl":
        table.write_ndjson(path)
    else:
        table.write_csv(path)
    return path


@pytest.mark.parametrize("ending", ENDINGS)
def test_votes_are_rated_with_both_bad_as_a_tie(tmp_path: Path, ending: str) -> None:
    ratings = read_ratings(save(VOTES, tmp_path / f"votes{ending}"))
    # x won twice and tied twice: 3 wins against 1.
    assert (ratings.source, ratings.category) == ("comparisons", None)
    x, y = ratings.models
    assert (x.model, y.model) == ("x", "y")
    assert x.rating - y.rating == pytest.approx(190.85 - 1.27, abs=0.05)


@pytest.mark.parametrize("ending", ENDINGS)
def test_outcomes_and_weights_are_read_as_numbers(tmp_path: Path, ending: str) -> None:
    columns = {"model_a": ["x", "y"], "model_b": ["y", "x"], "outcome": [1, 1], "weight": [3, 1.0]}
    x, y = read_ratings(save(columns, tmp_path / f"votes{ending}")).models
    assert x.rating - y.rating == pytest.approx(190.85 - 1.27, abs=0.05)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_leaderboard_keeps_its_ratings_and_intervals(tmp_path: Path, ending: str) -> None:
    ratings = read_ratings(save(BOARD, tmp_path / f"board{ending}"))
    assert (ratings.source, ratings.category) == ("leaderboard", "full")
    x, y = ratings.models
    assert (x.model, x.rating, x.rating_low, x.rating_high) == ("x", 1200, 1190, 1210)
    assert (y.rating_low, y.rating_high) == (None, 1120)
    assert x.n_comparisons is None


def test_a_category_is_chosen_by_name(tmp_path: Path) -> None:
    ratings = read_ratings(save(BOARD, tmp_path / "board.csv"), category="math")
    assert {model.model: model.rating for model in ratings.models} == {"x": 900, "y": 1000}


def test_the_only_category_needs_no_name(tmp_path: Path) -> None:
    path = save({"model": ["x"], "rating": [1], "category": ["math"]}, tmp_path / "board.csv")
    assert read_ratings(path).category == "math"


def test_rows_that_compare_a_model_with_itself_are_counted(tmp_path: Path) -> None:
    columns = {"model_a": ["x", "x"], "model_b": ["y", "x"], "outcome": [0.5, 1.0]}
    assert read_ratings(save(columns, tmp_path / "votes.csv")).n_self_comparisons == 1


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_written_reads_as_a_leaderboard(tmp_path: Path, ending: str) -> None:
    ratings = read_ratings(save(VOTES, tmp_path / "votes.csv"))
    written = tmp_path / f"tiers{ending}"
    write_tiers(assign_tiers(ratings.models, n_tiers=2), written)
    again = read_ratings(written)
    assert [m.model for m in again.models] == ["x", "y"]
    for one, other in zip(again.models, ratings.models, strict=True):
        assert (one.rating, one.rating_low) == pytest.approx((other.rating, other.rating_low))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([written.name, "votes.csv"])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {**VOTES, "winner": ["model_a", "b", "tie", "tie"]},
            "row 2, column 'winner': 'b'; accepted is one of",
        ),
        (
            {**VOTES, "winner": ["model_a", None, "tie", "tie"]},
            "row 2, column 'winner': None; accepted is one",
        ),
        (
            {**VOTES, "model_a": ["x", "y", None, "x"]},
            "row 3, column 'model_a': None; accepted is text",
        ),
        (
            {**VOTES, "outcome": ["1", "0", "x", "0"]},
            "row 3, column 'outcome': 'x'; accepted is a num",
        ),
        ({**VOTES, "outcome": ["1", "0", "0", "2"]}, "row 4, column 'outcome': 2; accepted"),
        ({**VOTES, "weight": ["1", "-1", "1", "1"]}, "row 2, column 'weight': -1; accepted"),
        ({**BOARD, "rating": ["1", "?", "1", "1"]}, "row 2, column 'rating': '\\?'; accepted is a"),
        ({**BOARD, "rating": ["1", "nan", "1", "1"]}, "row 2, column 'rating': 'nan'; accepted is"),
        ({**BOARD, "category": ["a", "a", "b", "b"]}, "no category was named.*\\['a', 'b'\\]"),
        (
            {"model": ["x"], "score": [1]},
            "has the columns \\['model', 'score'\\]; comparisons have",
        ),
        ({"model_a": ["x"], "model_b": ["y"]}, "has the columns .*'outcome' or 'winner'"),
    ],
)
def test_bad_rows_and_columns_are_named(
    tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    path = save(columns, tmp_path / "table.csv")
    with pytest.raises(DataError, match=message) as caught:
        read_ratings(path)
    assert path.name in str(caught.value)


def test_rows_are_counted_in_the_file_and_not_in_the_category(tmp_path: Path) -> None:
    path = save({**BOARD, "rating": ["1", "1", "1", "?"]}, tmp_path / "board.csv")
    with pytest.raises(DataError, match="row 4, column 'rating': '\\?'"):
        read_ratings(path, category="math")


def test_an_unknown_category_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no category 'maths'.*one of \['full', 'math'\]"):
        read_ratings(save(BOARD, tmp_path / "board.csv"), category="maths")


def test_a_category_is_refused_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds comparisons, which have none"):
        read_ratings(save(VOTES, tmp_path / "votes.csv"), category="math")
    board = save({"model": ["x"], "rating": [1]}, tmp_path / "board.csv")
    with pytest.raises(DataError, match="has no column 'category'"):
        read_ratings(board, category="math")


def test_files_that_are_missing_or_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no file .*nothing\.csv"):
        read_ratings(tmp_path / "nothing.csv")
    (tmp_path / "table.xlsx").write_bytes(b"")
    with pytest.raises(DataError, match=r"by its ending '\.xlsx'; accepted are"):
        read_ratings(tmp_path / "table.xlsx")


def test_a_line_that_is_not_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    path.write_text('{"model_a": "x", "model_b": "y", "outcome": 1}\n\n{"model_a": oops}\n')
    with pytest.raises(
        DataError, match=r"votes\.jsonl, line 3: .*accepted is one JSON object per line"
    ):
        read_ratings(path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_files_that_cannot_be_read_are_named(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"broken{ending}"
    path.write_bytes(b"PAR1\xff\xfe\x00\n\x80")
    with pytest.raises(DataError, match=f"broken{ending}"):
        read_ratings(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match=f"broken{ending}"):
        read_ratings(path)


def test_tiers_that_cannot_be_written_leave_nothing_behind(tmp_path: Path) -> None:
    table = assign_tiers(read_ratings(save(VOTES, tmp_path / "votes.csv")).models, n_tiers=2)
    with pytest.raises(DataError, match=r"by its ending '\.txt'; accepted are"):
        write_tiers(table, tmp_path / "tiers.txt")
    with pytest.raises(DataError, match=r"there is no folder .*nowhere"):
        write_tiers(table, tmp_path / "nowhere" / "tiers.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["votes.csv"]
