import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from routecast.cli.label_gold import gold
from routecast.data.readers.native import read_comparisons
from routecast.errors import ConfigError, DataError

app = typer.Typer()
app.command()(gold)


@pytest.fixture
def outcomes(tmp_path: Path) -> Path:
    path = tmp_path / "outcomes.csv"
    path.write_text("prompt,quality|s,quality|w,quality|o\np,5,1,2\nq,3,3,\nr,,4,\n")
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["--quality-range", "1", "5", *map(str, arguments)])


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_a_pair_is_labelled_and_counted(outcomes: Path, tmp_path: Path, ending: str) -> None:
    output = tmp_path / f"gold.{ending}"
    result = run("--outcomes", outcomes, "--output", output, "--strong", "s", "--weak", "w")
    assert f"wrote 2 comparisons of s against w to {output}" in result.stdout
    assert "model a won 50.0%, tied 50.0%, lost 0.0%" in result.stdout
    assert "fewer than two known qualities: 1" in result.stderr
    assert read_comparisons(output).table.outcome.tolist() == [1.0, 0.5]


def test_all_pairs_with_margins_as_one_document(outcomes: Path, tmp_path: Path) -> None:
    output = tmp_path / "gold.jsonl"
    result = run("--outcomes", outcomes, "--output", output, "--soft", "--json")
    document = json.loads(result.stdout)
    assert (document["n_comparisons"], document["n_rows"], document["n_unlabelled"]) == (4, 3, 1)
    assert document["models"] == ["o", "s", "w"]
    # s - w on p: (5 - 1) / 4 = 1; on q 0; s - o on p: 3/4; w - o on p: -1/4; then (1 + gap) / 2
    labels = [json.loads(line)["outcome"] for line in output.read_text().splitlines()]
    assert labels == [1.0, 0.5, 0.875, 0.375]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["--strong", "s"], ConfigError, "name both --strong and --weak"),
        (["--strong", "s", "--weak", "W"], DataError, "no model 'W'"),
        (["--output", "gold.txt"], DataError, "by its ending '.txt'"),
    ],
)
def test_bad_input_is_one_error_and_writes_nothing(
    outcomes: Path, tmp_path: Path, arguments: list[str], error: type[Exception], message: str
) -> None:
    result = run("--outcomes", outcomes, "--output", tmp_path / "gold.csv", *arguments)
    assert isinstance(result.exception, error)
    assert message in str(result.exception)
    assert list(tmp_path.iterdir()) == [outcomes]


def test_the_shared_benchmark_gives_its_known_shares(shared_data: Path, tmp_path: Path) -> None:
    from routecast.data.importing import import_table

    folder = shared_data / "benchmarks" / "routellm" / "mt_bench"
    import_table(folder, tmp_path / "mt.parquet")
    result = run(
        *("--outcomes", tmp_path / "mt.parquet", "--output", tmp_path / "gold.parquet"),
        *("--strong", "gpt-4-1106-preview", "--weak", "mistralai/Mixtral-8x7B-Instruct-v0.1"),
        *("--quality-range", "1", "10", "--json"),
    )
    document = json.loads(result.stdout)
    assert document["n_comparisons"] == 72
    shares = [document[name] for name in ("win_share", "tie_share", "loss_share")]
    assert sum(shares) == pytest.approx(1)
    assert shares[0] > shares[2]
