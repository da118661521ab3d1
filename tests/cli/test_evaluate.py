import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from routecast.cli.main import app
from routecast.errors import ConfigError, DataError

FILES = {"report.html", "curve.png", "curve.svg", "metrics.json", "scores.parquet"}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache folder, empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "cache"


@pytest.fixture
def quick_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the drawing, which takes a second each time."""
    monkeypatch.setattr("routecast.evaluate.output.write_curve_pictures", lambda *_: None)


@pytest.fixture
def outcomes(tmp_path: Path) -> Path:
    rows = [
        {
            "prompt": f"what is {row} plus {row}" + " and so on" * (row % 7),
            "group": "even" if row % 2 == 0 else "odd",
            "quality|large": 1,
            "quality|small": int(row % 3 == 0),
            "input_tokens|large": 100,
            "output_tokens|large": 100,
            "input_tokens|small": 100,
            "output_tokens|small": 100,
        }
        for row in range(40)
    ]
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def evaluate(*arguments: str | Path, expect: int = 0) -> tuple[str, str]:
    """Run the command quickly; return stdout and stderr, or raise what it raises."""
    quick = ["evaluate", "--resamples", "100", *map(str, arguments)]
    run = CliRunner().invoke(app, quick, catch_exceptions=False)
    assert run.exit_code == expect, run.stderr
    return run.stdout, run.stderr


def test_the_table_fits_and_the_folder_is_complete(outcomes: Path, tmp_path: Path) -> None:
    printed, said = evaluate("--benchmark", outcomes, "--output", tmp_path / "out", "--by", "group")
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    assert max(map(len, printed.splitlines())) <= 112
    for expected in ("mine: 40 prompts", "strong large", "default", "length*", "APGR by group"):
        assert expected in printed
    assert said == f"wrote {tmp_path / 'out'}\n"
    page = (tmp_path / "out" / "report.html").read_text()
    assert "what is 1 plus 1" in page


@pytest.mark.usefixtures("quick_pictures")
def test_json_is_one_document_alone(outcomes: Path, tmp_path: Path) -> None:
    printed, said = evaluate("--benchmark", outcomes, "--output", tmp_path / "out", "--json")
    document = json.loads(printed)
    assert said == ""
    assert document["output"] == str(tmp_path / "out")
    [study] = document["studies"]
    assert study == json.loads((tmp_path / "out" / "metrics.json").read_text())


@pytest.mark.usefixtures("quick_pictures")
def test_robustness_is_measured_where_it_is_asked(outcomes: Path, tmp_path: Path) -> None:
    printed, _ = evaluate("--benchmark", outcomes, "--output", tmp_path / "out", "--robustness")
    assert max(map(len, printed.splitlines())) <= 112
    [line] = [one for one in printed.splitlines() if "lifted: 1000 characters" in one]
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    found = {one["router"]: one for one in metrics["robustness"]}
    assert list(found) == ["default", "length", "random"]
    assert found["length"]["lifted"]["1000_characters"]["value"] == 1.0
    assert line.count("[") == 3
    assert len(found["default"]["prefix"].split()) == 10
    page = (tmp_path / "out" / "report.html").read_text()
    assert "lifted: climbed prefix" in page


@pytest.mark.usefixtures("quick_pictures")
def test_several_benchmarks_get_a_folder_each(outcomes: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text(outcomes.read_text())
    evaluate("--benchmark", outcomes, "--benchmark", other, "--output", tmp_path / "out")
    drawn = {"curve.png", "curve.svg"}
    assert {path.name for path in (tmp_path / "out" / "other").iterdir()} == FILES - drawn
    assert (tmp_path / "out" / "mine" / "report.html").exists()


def test_no_prompt_is_written_where_none_is_wanted(outcomes: Path, tmp_path: Path) -> None:
    evaluate("--benchmark", outcomes, "--output", tmp_path / "out", "--no-prompts")
    for path in (tmp_path / "out").iterdir():
        assert b"plus" not in path.read_bytes()


@pytest.mark.usefixtures("quick_pictures")
def test_scores_are_kept_unless_not_wanted(outcomes: Path, tmp_path: Path, cache: Path) -> None:
    evaluate("--benchmark", outcomes, "--output", tmp_path / "out", "--no-cache")
    assert not list(cache.rglob("*.scores"))
    evaluate("--benchmark", outcomes, "--output", tmp_path / "out")
    assert len(list(cache.rglob("*.scores"))) == 1


@pytest.mark.usefixtures("quick_pictures")
def test_prices_reach_the_document(outcomes: Path, tmp_path: Path) -> None:
    prices = ["--strong-price", "10,30", "--weak-price", "1,1"]
    printed, _ = evaluate("--benchmark", outcomes, "--output", tmp_path / "o", "--json", *prices)
    [study] = json.loads(printed)["studies"]
    # 100 x $10 and 100 x $30 a million: $0.004 a prompt, $4 a thousand.
    assert study["strong_cost_usd_per_1k"] == pytest.approx(4.0)
    assert study["weak_cost_usd_per_1k"] == pytest.approx(0.2)
    printed, _ = evaluate("--benchmark", outcomes, "--output", tmp_path / "o", *prices)
    savings = printed[
        printed.index("saved against the strong model alone, at 95% of its quality") :
    ]
    for router in study["routers"]:
        if "saved_95_share" in router["metrics"]:
            share = router["metrics"]["saved_95_share"]["value"]
            row = rf"{router['name']}\*? +│ .*│ +{100 * share:.1f}% \["
            assert re.search(row, savings), router["name"]
    assert {"default", "length", "random", "oracle"} <= set(re.findall(r"│ (\w+)", savings))


@pytest.mark.parametrize(
    "wrong",
    [
        ["--strong-price", "1"],
        ["--strong-price", "1,-2"],
        ["--weak-price", "a,b"],
        ["--weak-price", "1,nan"],
        ["--by", "colour"],
        ["--resamples", "10"],
    ],
)
def test_wrong_usage_exits_with_2(outcomes: Path, tmp_path: Path, wrong: list[str]) -> None:
    evaluate("--benchmark", outcomes, "--output", tmp_path / "out", *wrong, expect=2)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_refused_before_any_work(
    outcomes: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"holds 'mine\.jsonl'"):
        evaluate("--benchmark", tmp_path / "missing.csv", "--output", tmp_path)


def test_published_benchmarks_need_their_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--download"):
        evaluate("--benchmark", "mmlu", "--output", tmp_path / "out")


@pytest.mark.usefixtures("quick_pictures")
def test_a_published_benchmark_is_evaluated_by_its_name(shared_data: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    printed, _ = evaluate("--benchmark", "mt-bench", "--data", shared_data, "--output", output)
    assert "mt-bench: 72 prompts" in printed
    assert "72 prompts cannot tell close routers apart" in printed.replace("\n", " ")


@pytest.mark.usefixtures("quick_pictures")
def test_a_swapped_pair_is_said(outcomes: Path, tmp_path: Path) -> None:
    pair = ["--strong", "small", "--weak", "large"]
    printed, _ = evaluate("--benchmark", outcomes, "--output", tmp_path / "out", *pair)
    words = " ".join(printed.split())
    assert "'small' is worse here (mean quality 0.350) than the weak one 'large'" in words
    assert words.count("swapped?") == 1


def test_an_interrupted_evaluation_says_what_is_left(
    outcomes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("routecast.evaluate.run._figures", interrupt)
    run = CliRunner().invoke(
        app, ["evaluate", "--benchmark", str(outcomes), "--output", str(tmp_path / "out")]
    )
    assert run.exit_code != 0
    assert "stopped; nothing was written to " in run.stderr
    assert "starts over, with the scores of the routers that were done" in run.stderr
    assert not (tmp_path / "out").exists()
