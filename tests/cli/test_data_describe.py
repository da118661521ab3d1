import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from routecast.cli.data import app
from routecast.errors import DataError


@pytest.fixture
def battles(tmp_path: Path) -> Path:
    path = tmp_path / "battles.csv"
    path.write_text(
        "prompt,model_a,model_b,outcome,source,language,group\n"
        "one,x,[red]y,1,human,English,g\n"
        "one,[red]y,x,0.5,human,German,g\n"
        "three,x,z,0.75,judge,German,h\n"
    )
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["describe", *map(str, arguments)])


def test_an_engineer_sees_what_there_is(battles: Path) -> None:
    result = run(battles)
    assert result.exit_code == 0
    lines = {line[2:18].strip(): line[19:] for line in result.stdout.splitlines()}
    assert lines["rows"] == "3"
    assert lines["prompts"] == "2 different"
    assert lines["duplicates"] == "1 rows repeat a prompt with the same models"
    assert lines["prompt length"].startswith("mean 4, min 3, 5% 3, 25% 4, median 4,")
    assert (lines["models"], lines["ties"], lines["soft labels"]) == ("3", "33.3%", "33.3%")
    assert lines["sources"] == "human 2, judge 1"
    assert lines["languages"] == "German 2, English 1"
    assert lines["groups"] == "2, the largest of 2 rows"
    rows = [line.split("│")[1:-1] for line in result.stdout.splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["x", "3", "75.0%"],
        ["[red]y", "2", "25.0%"],
        ["z", "1", "25.0%"],
    ]


def test_json_is_one_document_and_nothing_else(battles: Path) -> None:
    document = json.loads(run(battles, "--json").stdout)
    assert (document["kind"], document["n_rows"], document["n_prompts"]) == ("comparisons", 3, 2)
    assert document["models"][0] == {
        "model": "x",
        "n_rows": 3,
        "win_rate": 0.75,
        "mean_quality": None,
        "mean_cost_usd": None,
    }
    assert document["prompt_chars"]["max"] == 5
    assert document["groups"] == {"n_groups": 2, "largest": 2}


def test_outcomes_show_qualities_and_costs(tmp_path: Path) -> None:
    path = tmp_path / "o.jsonl"
    path.write_text(
        '{"prompt": "p", "quality|m": 4, "quality|n": 3, "cost_usd|m": 0.001}\n'
        '{"prompt": "q", "quality|m": null, "quality|n": 2, "cost_usd|m": 0.003}\n'
    )
    result = run(path, "--quality-range", "1", "5")
    rows = [line.split("│")[1:-1] for line in result.stdout.splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["m", "1", "100.0%", "4.000", "$0.002000"],
        ["n", "2", "0.0%", "2.500", "-"],
    ]


def test_bad_rows_are_an_error_or_counted(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("prompt,quality|m\np,1\nq,7\n")
    result = run(path)
    assert isinstance(result.exception, DataError)
    assert "t.csv, line 3, column 'quality|m': '7'" in str(result.exception)
    assert (
        "left out         1: bad row: quality|m is out of range" in run(path, "--skip-bad").stdout
    )


def test_the_shared_tables_are_described(shared_data: Path) -> None:
    path = shared_data / "train" / "mmlu_pro_34models.parquet"
    document = json.loads(run(path, "--json").stdout)
    assert (document["n_rows"], len(document["models"])) == (12_032, 34)
    assert document["groups"]["n_groups"] == 14
