import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from routecast.cli.main import app


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "votes.jsonl"
    # 200 rows of 100 prompts, and one bad row.
    rows = [{"prompt": f"A question about thing number {row % 100}"} for row in range(200)]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"prompt": ""}]))
    return path


def test_sizes_are_printed_and_files_written(file: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke(
        app, ["data", "split", str(file), "--output", str(tmp_path / "out"), "--skip-bad"]
    )
    assert run.exit_code == 0
    assert "train: 160 rows (80.0%), 80 prompts in " in run.stdout
    assert "validation: 20 rows (10.0%), 10 prompts in " in run.stdout
    assert "near-duplicates kept together: 0 prompts in 0 groups\n" in run.stdout
    assert "bad rows skipped, prompt blank: 1" in run.stderr
    assert len((tmp_path / "out" / "test.jsonl").read_text().splitlines()) == 20


def test_json_is_one_document(file: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke(
        app,
        ["data", "split", str(file), "--output", str(tmp_path / "out"), "--skip-bad", "--json",
         "--fractions", "0.5", "0.5", "0"],
    )  # fmt: skip
    document = json.loads(run.stdout)
    assert [side["n_rows"] for side in document["sides"]] == [100, 100, 0]
    assert document["sides"][2]["file"] is None
    assert (document["n_rows"], document["n_prompts"]) == (200, 100)
    assert document["bad"] == [{"reason": "prompt blank", "n_rows": 1}]
