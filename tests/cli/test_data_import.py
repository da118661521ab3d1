import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from routecast.cli.data import app
from routecast.errors import ConfigError, DataError

VOTES = {"annotators": [0, 0, 1]}
ROWS = "".join(
    json.dumps({"prompt": prompt, "model_a": "x", "model_b": "y", "winner": winner, **VOTES}) + "\n"
    for prompt, winner in (
        ("a question that is long", "tie"),
        ("short", "model_a"),
        ("a question that is long", "z"),
    )
)


@pytest.fixture
def battles(tmp_path: Path) -> Path:
    path = tmp_path / "battles.jsonl"
    path.write_text(ROWS)
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["import", *map(str, arguments)])


def test_what_was_read_written_and_left_out_is_said(battles: Path, tmp_path: Path) -> None:
    result = run(battles, "--output", tmp_path / "out.csv", "--skip-bad")
    assert result.exit_code == 0
    assert "battles.jsonl: comparisons in format 'pandalm', told by the columns" in result.stdout
    assert "wrote 1 of 3 rows, 1 prompt, 2 models to" in result.stdout
    assert result.stderr.splitlines() == [
        "left out, prompt under 16 characters: 1",
        "bad rows skipped, unknown winner: 1",
    ]
    written = (tmp_path / "out.csv").read_text()
    assert written.splitlines()[0] == "prompt,model_a,model_b,outcome,source,winner,annotators"


def test_help_names_every_format() -> None:
    from routecast.data.readers.registry import reader_names

    # Lines may break after a hyphen, so compare without white space and the frame.
    shown = "".join(run("--help").stdout.replace("│", " ").split())
    *first, last = reader_names()
    assert f"Formats:{','.join(first)}and{last}." in shown


def test_json_is_one_document_and_nothing_else(battles: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    result = run(battles, "--output", output, "--skip-bad", "--min-prompt-chars", "1", "--json")
    document = json.loads(result.stdout)
    assert document["n_written"] == len(output.read_text().splitlines()) == 2
    assert document["bad"] == [{"reason": "unknown winner", "n_rows": 1}]
    assert document["models"] == ["x", "y"]


def test_options_reach_the_reader(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("text,kind,score|m\nhello,k,4\n")
    output = tmp_path / "out.jsonl"
    result = run(
        *(tmp_path / "m.csv", "--output", output, "--format", "matrix", "--prompt-column", "text"),
        *("--group-column", "kind", "--quality-range", "1", "5"),
    )
    assert json.loads(output.read_text()) == {
        "prompt": "hello",
        "group": "k",
        "text": "hello",
        "kind": "k",
        "quality|m": 4.0,
    }
    assert "qualities are from 1 to 5: give --quality-range 1 5" in result.stdout


def test_prompts_without_labels_are_said_to_be_that(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("prompt\nhello\n")
    result = run(tmp_path / "p.csv", "--output", tmp_path / "out.csv")
    assert "no column of labels was recognised: these are prompts only" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["battles.jsonl", "--output", "o.csv"], DataError, "line 3, column 'winner': 'z'"),
        (["battles.jsonl", "--output", "o.txt"], DataError, "by its ending '.txt'"),
        (["battles.jsonl", "--output", "o.csv", "--format", "arena"], DataError, "did you mean"),
        (["none.csv", "--output", "o.csv"], DataError, "there is no file 'none.csv'"),
        (["battles.jsonl", "--output", "o.csv", "--no-answers"], ConfigError, "--no-answers means"),
        (["hf:", "--output", "o.csv"], DataError, "accepted is hf:OWNER/NAME"),
    ],
)
def test_bad_input_is_one_error_prints_nothing_and_writes_nothing(
    battles: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    error: type[Exception],
    message: str,
) -> None:
    monkeypatch.chdir(battles.parent)
    result = run(*arguments)
    assert isinstance(result.exception, error)
    assert message in str(result.exception)
    assert result.stdout == ""
    assert [path.name for path in battles.parent.iterdir()] == [battles.name]


def test_no_characters_at_all_is_wrong_usage(battles: Path) -> None:
    assert run(battles, "--output", "o.csv", "--min-prompt-chars", "0").exit_code == 2
