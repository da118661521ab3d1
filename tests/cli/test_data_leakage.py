import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from routecast.cli.main import app
from routecast.errors import ArtifactError, DataError

QUESTION = "Which of these planets of the solar system has the largest number of known moons today?"


def write_lines(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def training(tmp_path: Path) -> Path:
    return write_lines(
        tmp_path / "train.jsonl",
        {"prompt": "Please answer: " + QUESTION, "kept": 1},
        {"prompt": "Something else about cooking rice", "kept": 2},
        {"prompt": QUESTION.upper(), "kept": 3},
    )


@pytest.fixture
def evaluation(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "eval.jsonl", {"prompt": QUESTION}, {"prompt": "Unrelated words"})


def test_the_other_rows_are_written_with_all_their_columns(
    training: Path, evaluation: Path, tmp_path: Path
) -> None:
    output = tmp_path / "clean.jsonl"
    run = CliRunner().invoke(
        app,
        ["data", "check-leakage", "--training", str(training), "--evaluation", str(evaluation),
         "--output", str(output), "--json"],
    )  # fmt: skip
    document = json.loads(run.stdout)
    assert (document["n_leaked"], document["n_training"], document["n_evaluation_hit"]) == (2, 3, 1)
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert rows == [{"prompt": "Something else about cooking rice", "kept": 2}]


def test_people_get_two_sentences(training: Path, evaluation: Path) -> None:
    run = CliRunner().invoke(
        app, ["data", "check-leakage", "--training", str(training), "--evaluation", str(evaluation)]
    )
    assert "2 of 3 training rows are also in the evaluation data" in run.stdout
    assert "1 of 2 evaluation rows are hit" in run.stdout


def test_the_embedder_is_the_users_choice(training: Path, evaluation: Path, tmp_path: Path) -> None:
    command = ["data", "check-leakage", "--training", str(training), "--evaluation",
               str(evaluation), "--json", "--embedder"]  # fmt: skip
    assert json.loads(CliRunner().invoke(app, [*command, "static"]).stdout)["embedder"] == "static"
    run = CliRunner().invoke(app, [*command, f"sentence:{tmp_path}"])
    assert isinstance(run.exception, ArtifactError)
    assert "no sentence-transformers model" in str(run.exception)


def test_a_bad_row_stops_it_and_nothing_is_written(training: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"prompt": 5}\n')
    output = tmp_path / "clean.jsonl"
    run = CliRunner().invoke(
        app,
        ["data", "check-leakage", "--training", str(training), "--evaluation", str(broken),
         "--output", str(output)],
    )  # fmt: skip
    assert isinstance(run.exception, DataError)
    assert "broken.jsonl, line 1, column 'prompt': 5" in str(run.exception)
    assert not output.exists()
