import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from routecast.artifacts import load_router
from routecast.cli.main import app
from routecast.errors import ConfigError, DataError, RoutecastError
from routecast.evaluate.benchmarks import load_benchmark

ROWS = [
    {"prompt": "What is 2 + 2?", "id": 7, "tags": ["a", None]},
    {"messages": [{"role": "user", "content": "Prove it."}], "id": 8},
    {"prompt": "lone \ud800 surrogate"},
]


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def score(*arguments: str | Path) -> tuple[str, str]:
    """Run the command; return stdout and stderr, or raise what it raises."""
    run = CliRunner().invoke(app, ["score", *map(str, arguments)], catch_exceptions=False)
    return run.stdout, run.stderr


def test_every_row_is_kept_and_scored(prompts: Path, tmp_path: Path) -> None:
    output = tmp_path / "scores.jsonl"
    score("--input", prompts, "--output", output)
    scored = [json.loads(line) for line in output.read_text().splitlines()]
    texts = ["What is 2 + 2?", "Prove it.", "lone \ud800 surrogate"]
    expected = load_router().router.win_probabilities(texts)
    assert [row.pop("win_probability") for row in scored] == pytest.approx(expected.tolist())
    assert scored == ROWS


def test_the_summary_is_one_json_document(prompts: Path, tmp_path: Path) -> None:
    output = tmp_path / "scores.csv"
    prompts.write_text(prompts.read_text().splitlines()[0] + '\n{"prompt": ""}\n')
    printed, _ = score("--input", prompts, "--output", output, "--skip-bad", "--json")
    document = json.loads(printed)
    assert document["n_rows"] == 1
    assert document["dropped"] == {"prompt blank": 1}
    assert output.read_text().startswith("prompt,id,tags,win_probability\n")


def test_prompts_read_in_part_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    path.write_text(json.dumps({"prompt": "word " * 5_000}) + '\n{"prompt": "short"}\n')
    printed, _ = score("--input", path, "--output", tmp_path / "o.jsonl", "--json")
    assert json.loads(printed)["n_cut"] == 1
    _, said = score("--input", path, "--output", tmp_path / "o.jsonl")
    assert "1 prompt too long to be read whole" in said


@pytest.mark.parametrize(
    ("rows", "options", "error", "message"),
    [
        ('{"prompt": "ok"}\n{"prompt":\n', [], DataError, "prompts.jsonl, line 2"),
        ('{"prompt": ["no", "text"]}\n', [], DataError, "line 1, column 'prompt'"),
        ('{"other": 1}\n', [], DataError, "line 1, column 'prompt': missing"),
        ('{"prompt": "ok"}\n', ["--router", "lenght"], ConfigError, "unknown router 'lenght'"),
    ],
)
def test_refusals_name_the_place_and_leave_nothing_behind(
    tmp_path: Path, rows: str, options: list[str], error: type[RoutecastError], message: str
) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text(rows)
    with pytest.raises(error, match=message):
        score("--input", path, "--output", tmp_path / "scores.jsonl", *options)
    assert [entry.name for entry in tmp_path.iterdir()] == ["prompts.jsonl"]


def test_stdin_to_stdout_streams_rows() -> None:
    run = subprocess.run(
        [sys.executable, "-c", "from routecast.cli.main import main; main()",
         "score", "--input", "-", "--output", "-"],
        input=b'{"prompt": "one"}\n\n{"prompt": "two"}\n',
        capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    assert [json.loads(line)["prompt"] for line in run.stdout.splitlines()] == ["one", "two"]


def test_the_mmlu_prompts_are_scored_whole(shared_data: Path, tmp_path: Path) -> None:
    questions = load_benchmark("mmlu", shared_data / "benchmarks" / "routellm").outcomes.prompts
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": question}) + "\n" for question in questions))
    printed, _ = score("--input", path, "--output", tmp_path / "scores.jsonl", "--json")
    assert json.loads(printed)["n_rows"] == len(questions) == 14_037


@pytest.mark.parametrize("text", ["", "\n", '{"prompt": ""}'])
def test_a_file_without_a_row_to_score_is_refused_and_nothing_is_written(
    tmp_path: Path, text: str
) -> None:
    path, output = tmp_path / "empty.jsonl", tmp_path / "scores.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match="holds no rows to score; give at least one prompt"):
        score("--input", path, "--output", output, "--skip-bad")
    assert not output.exists()
