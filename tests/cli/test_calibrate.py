"""`routecast calibrate`, as a process."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest


def routecast(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", "from routecast.cli.main import main; main()"]
    return subprocess.run(
        [*program, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prompts, and outcomes with costs, of 240 made-up prompts."""
    home = tmp_path_factory.mktemp("traffic")
    rng = np.random.default_rng(0)
    rows = [
        {
            "prompt": f"{'solve this ' * int(rng.integers(1, 9))}{number}",
            "quality|big": int(rng.uniform() < 0.9),
            "quality|small": int(rng.uniform() < 0.6),
            "cost_usd|big": 0.01,
            "cost_usd|small": 0.001,
            "input_tokens|big": 100,
            "output_tokens|big": 10,
        }
        for number in range(240)
    ]
    (home / "outcomes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (home / "prompts.jsonl").write_text(
        "".join(json.dumps({"prompt": row["prompt"]}) + "\n" for row in rows)
    )
    (home / "bad.jsonl").write_text('{"prompt": "fine"}\n{"prompt": 7}\n')
    return home


def test_a_share_becomes_a_threshold_with_its_interval_in_words(folder: Path) -> None:
    run = routecast(
        "calibrate", "--router", "length", "--prompts", str(folder / "prompts.jsonl"),
        "--strong-share", "0.25",
    )  # fmt: skip
    assert run.returncode == 0
    assert "length on 240 prompts of prompts.jsonl\n" in run.stdout
    assert "strong     25.0% (" in run.stdout
    assert "a sample of 960 would halve them" in run.stdout
    assert 'In routecast.toml: router = "length", threshold = ' in run.stdout


def test_json_is_one_document_and_the_written_router_meets_the_goal(
    folder: Path, tmp_path: Path
) -> None:
    sample = ["--outcomes", str(folder / "outcomes.jsonl"), "--strong", "big", "--weak", "small"]
    output = ["--output", str(tmp_path / "mine"), "--json"]
    run = routecast("calibrate", *sample, "--budget-usd-per-1k", "5.5", *output)
    document = json.loads(run.stdout)
    assert document["goal"] == {"budget_usd_per_1k": 5.5}
    # 1 + 9 s = 5.5 at s = 1/2.
    assert document["strong_share"]["value"] == pytest.approx(0.5)
    assert document["cost_usd_per_1k"]["value"] == pytest.approx(5.5)
    assert document["calibration"]["kind"] in {"platt", "isotonic"}
    (tmp_path / "routecast.toml").write_text(
        '[models.big]\nmodel = "b"\nbase_url = "http://127.0.0.1:1/v1"\n'
        '[models.small]\nmodel = "s"\nbase_url = "http://127.0.0.1:1/v1"\n'
        '[routes.auto]\nstrong = "big"\nweak = "small"\nrouter = "mine"\nbudget_usd_per_1k = 5.5\n'
    )
    checked = routecast("config", "check", "--config", str(tmp_path / "routecast.toml"), "--json")
    (route,) = json.loads(checked.stdout)["routes"]
    assert route["threshold"] == pytest.approx(document["threshold"], abs=1e-3)
    assert route["calibration_sample"] == "240 prompts of outcomes.jsonl (big against small)"


def test_the_weak_model_that_is_enough_is_named_so(folder: Path) -> None:
    run = routecast(
        "calibrate", "--outcomes", str(folder / "outcomes.jsonl"), "--strong", "big",
        "--weak", "small", "--min-quality", "0.5",
    )  # fmt: skip
    assert run.returncode == 0
    assert "the weak model alone meets this goal" in run.stdout


def test_warnings_go_to_stderr_and_into_json(folder: Path) -> None:
    arguments = ["calibrate", "--prompts", str(folder / "prompts.jsonl"), "--threshold", "0.5"]
    spoken = routecast(*arguments)
    assert "warning: the sample is unlike" in spoken.stderr
    document = json.loads(routecast(*arguments, "--json").stdout)
    assert document["likeness"]["verdict"] == "unlike"
    assert len(document["warnings"]) == 1


PROMPTS = ["--prompts", "prompts.jsonl"]
OUTCOMES = ["--outcomes", "outcomes.jsonl", "--strong", "big", "--weak", "small"]
SHARE = ["--strong-share", "0.5"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([*PROMPTS], 2, "give exactly one goal"),
        ([*PROMPTS, *SHARE, "--threshold", "0.5"], 2, "give exactly one goal"),
        ([*PROMPTS, "--strong-share", "30"], 2, "did you mean 0.3?"),
        ([*PROMPTS, "--threshold", "-1"], 2, "accepted is a share from 0 to 1"),
        ([*SHARE], 2, "give the sample as --prompts FILE or as --outcomes"),
        ([*PROMPTS, *OUTCOMES, *SHARE], 2, "give the sample as --prompts FILE or as"),
        ([*PROMPTS, "--strong", "big", *SHARE], 2, "belong to --outcomes"),
        (["--outcomes", "outcomes.jsonl", *SHARE], 2, "--strong NAME --weak NAME"),
        ([*OUTCOMES, *SHARE, "--strong-price", "2"], 2, "accepted are US dollars per million"),
        ([*OUTCOMES, *SHARE, "--strong-price", "2,nan"], 2, "accepted are US dollars per"),
        ([*PROMPTS, "--min-quality", "0.9"], 1, "min_quality needs outcomes"),
        ([*PROMPTS, "--budget-usd-per-1k", "3"], 1, "needs outcomes; give --outcomes"),
        ([*OUTCOMES, "--min-quality", "0"], 1, "min_quality 0.0 is refused"),
        ([*OUTCOMES, "--min-quality", "9"], 1, "cannot be met"),
        ([*OUTCOMES, "--budget-usd-per-1k", "0.2"], 1, "as few strong calls as can be 1"),
        ([*OUTCOMES, *SHARE, "--weak-price", "1,2"], 1, "no columns 'input_tokens|small'"),
        ([*OUTCOMES[:4], "--weak", "smal", *SHARE], 1, "has no model 'smal'"),
        ([*OUTCOMES[:4], "--weak", "big", *SHARE], 1, "strong and weak are both 'big'"),
        ([*OUTCOMES, *SHARE, "--quality-range", "0", "0.5"], 1, "a number from 0 to 0.5"),
        (["--prompts", "bad.jsonl", *SHARE], 1, "bad.jsonl, line 2, column 'prompt'"),
        (["--prompts", "missing.jsonl", *SHARE], 1, "missing.jsonl"),
        ([*PROMPTS, *SHARE, "--router", "defualt"], 1, "unknown router 'defualt'"),
        ([*PROMPTS, *SHARE, "--router", "length", "--output", "x"], 1, "baseline without a folder"),
        ([*PROMPTS, *SHARE, "--output", "."], 1, "exists and is no trained router"),
    ],
)
def test_refusals_have_one_message_an_exit_code_and_no_output(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    run = routecast("calibrate", *arguments)
    assert run.returncode == code
    assert message in " ".join(run.stderr.replace("│", " ").split())
    assert "Traceback" not in run.stderr
    assert run.stdout == ""
    assert sorted(folder.iterdir()) == before


def test_equal_texts_that_no_hash_can_split_are_warned_about(tmp_path: Path) -> None:
    path = tmp_path / "same.jsonl"
    path.write_text('{"prompt": "The very same text, again and again."}\n' * 300)
    run = routecast(
        "calibrate", "--router", "length", "--prompts", str(path), "--strong-share", "0.3"
    )
    assert run.returncode == 0
    assert "300 prompts at the threshold are 1 different text" in run.stderr
    assert "0.0% of this sample goes" in run.stderr or "100.0% of this sample goes" in run.stderr


def test_a_share_of_nothing_has_no_sign_and_swapped_names_are_asked_about(
    folder: Path, tmp_path: Path
) -> None:
    sample = ["--outcomes", str(folder / "outcomes.jsonl"), "--strong", "small", "--weak", "big"]
    run = routecast("calibrate", "--router", "length", *sample, "--min-quality", "0.5")
    assert "strong     0.0% (0.0% to " in run.stdout
    assert "-0.0%" not in run.stdout
    assert "are the names swapped?" in run.stdout


def test_a_few_labels_fit_no_probabilities_anew(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "few.jsonl"
    path.write_text("".join((folder / "outcomes.jsonl").read_text().splitlines(True)[:5]))
    sample = ["--outcomes", str(path), "--strong", "big", "--weak", "small"]
    run = routecast("calibrate", *sample, "--strong-share", "0.5", "--output", str(tmp_path / "o"))
    assert run.returncode == 1
    assert "5 labelled prompts, too few to fit win probabilities anew" in run.stderr
    assert not (tmp_path / "o").exists()


def test_the_line_for_the_settings_is_valid_toml(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / 'a "quoted" name'
    sample = ["--outcomes", str(folder / "outcomes.jsonl"), "--strong", "big", "--weak", "small"]
    run = routecast("calibrate", *sample, "--strong-share", "0.5", "--output", str(output))
    line = run.stdout.partition("In routecast.toml: ")[2].partition(",")[0]
    assert tomllib.loads(line) == {"router": str(output)}


def test_a_swapped_pair_is_warned_of(folder: Path) -> None:
    run = routecast(
        "calibrate", "--outcomes", str(folder / "outcomes.jsonl"), "--strong", "small",
        "--weak", "big", *SHARE,
    )  # fmt: skip
    assert "warning: the strong model 'small' is worse here" in run.stderr
