import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from routecast.cli.data import app
from routecast.errors import DataError

VOTES = (
    "model_a,model_b,winner\n"
    "x,y,model_a\nx,y,model_a\ny,x,model_a\n[red]z,x,model_b\n[red]z,y,model_b\nx,x,tie\n"
)


@pytest.fixture
def votes(tmp_path: Path) -> Path:
    path = tmp_path / "votes.csv"
    path.write_text(VOTES)
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["tiers", *map(str, arguments)])


def test_table_shows_tier_model_rating_interval_and_comparisons(votes: Path) -> None:
    result = run(votes, "--n-tiers", "2")
    assert result.exit_code == 0
    assert "3 models in 2 tiers (from comparisons)" in result.stdout
    for header in ("tier", "model", "rating", "95% interval", "comparisons"):
        assert header in result.stdout
    rows = [line.split("│")[1:-1] for line in result.stdout.splitlines() if line.startswith("│")]
    cells = [[cell.strip() for cell in row] for row in rows]
    assert [row[:2] for row in cells] == [["0", "x"], ["0", "y"], ["1", "[red]z"]]
    assert [row[4] for row in cells] == ["4", "4", "2"]
    assert cells[2][2].endswith("*")
    assert "* Won or lost everything" in result.stdout
    assert "rows left out, a model against itself: 1" in result.stderr


def test_json_is_one_document_and_nothing_else(votes: Path) -> None:
    result = run(votes, "--n-tiers", "2", "--json")
    document = json.loads(result.stdout)
    assert document["source"] == "comparisons"
    assert [tier["n_models"] for tier in document["tiers"]] == [2, 1]
    assert [row["model"] for row in document["models"]] == ["x", "y", "[red]z"]
    assert [row["rests_on_prior"] for row in document["models"]] == [False, False, True]
    assert document["tiers"][1]["highest_rating"] == document["models"][2]["rating"]


def test_output_is_written_beside_what_is_printed(votes: Path, tmp_path: Path) -> None:
    written = tmp_path / "tiers.jsonl"
    result = run(votes, "--n-tiers", "2", "--json", "--output", written)
    rows = [json.loads(line) for line in written.read_text().splitlines()]
    assert rows == json.loads(result.stdout)["models"]
    assert "wrote 3 models" in result.stderr


def test_a_leaderboard_shows_its_category_and_no_comparisons(tmp_path: Path) -> None:
    path = tmp_path / "board.csv"
    path.write_text("category,model,rating\nfull,x,1200\nfull,y,1100\nmath,x,1\n")
    result = run(path, "--n-tiers", "2")
    assert "2 models in 2 tiers (from leaderboard, category 'full')" in result.stdout
    assert "comparisons" not in result.stdout
    assert run(path, "--n-tiers", "1", "--category", "math", "--json").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.csv"], "there is no file 'nothing.csv'"),
        (["votes.csv"], "cannot fill 10 tiers; ask for at most 3"),
        (["votes.csv", "--category", "math"], "leave --category out"),
    ],
)
def test_bad_input_is_one_error_and_prints_nothing(
    votes: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(votes.parent)
    result = run(*arguments)
    assert isinstance(result.exception, DataError)
    assert message in str(result.exception)
    assert result.stdout == ""


def test_no_tiers_is_wrong_usage(votes: Path) -> None:
    assert run(votes, "--n-tiers", "0").exit_code == 2


@pytest.mark.parametrize(
    ("name", "n_models"),
    [("arena_votes_10k_noprompt", 55), ("arena_leaderboard_2025-12", 282)],
)
def test_the_shared_arena_files_fall_into_ten_tiers(
    shared_data: Path, name: str, n_models: int
) -> None:
    result = run(shared_data / "train" / f"{name}.parquet", "--json")
    document = json.loads(result.stdout)
    assert document["n_models"] == n_models
    assert len(document["tiers"]) == 10
