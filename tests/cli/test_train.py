import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from routecast.artifacts import load_artifact, load_router
from routecast.cli.main import app
from routecast.data.leakage import prompt_hashes64
from routecast.errors import ArtifactError, ConfigError, DataError

QUICK = ("--set", "weight_decay=0.001", "--set", "n_factors=8")


@pytest.fixture
def outcomes(tmp_path: Path) -> Path:
    """Outcomes of two models; the strong one is needed where something is to be proved."""
    generator = np.random.default_rng(5)
    path = tmp_path / "outcomes.jsonl"
    with path.open("w") as file:
        for number in range(300):
            is_hard = bool(generator.random() < 0.5)
            verb = "Prove the theorem" if is_hard else "Name the colour"
            row = {
                "prompt": f"{verb} with the number {number}",
                "quality|big": float(generator.random() < 0.9),
                "quality|small": float(generator.random() < (0.2 if is_hard else 0.9)),
            }
            file.write(json.dumps(row) + "\n")
    return path


def train(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["train", *map(str, arguments)])


def test_a_router_is_trained_saved_and_judged(outcomes: Path, tmp_path: Path) -> None:
    output = tmp_path / "router"
    run = train(
        "mf", "--outcomes", outcomes, "--strong", "big", "--weak", "small", "--output", output,
        *QUICK,
    )  # fmt: skip
    assert run.exit_code == 0, run.output
    for words in ("240 prompts", "APGR", "ridge", "length", "random", "N = 30"):
        assert words in run.stdout
    assert "30 labelled prompts to report on tell little" in run.stdout
    scores = load_router(str(output)).router.win_probabilities(
        ["Prove the theorem with the number 7", "Name the colour with the number 7"]
    )
    assert scores[0] > scores[1]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_every_label_is_learned_from_where_each_is_predicted_from_the_others(
    outcomes: Path, tmp_path: Path
) -> None:
    pair = ("--strong", "big", "--weak", "small")
    run = train("blend", "--outcomes", outcomes, *pair, "--output", tmp_path / "router")
    assert run.exit_code == 0, run.output
    for words in (
        "learned from 300 comparisons over 300 prompts; calibrated and reported on the same",
        "routing, each label predicted from others: N = 300",
        "oracle",
    ):
        assert words in run.stdout


def test_a_set_of_one_s_own_is_reported_on_and_never_learned_from(
    outcomes: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own.jsonl"
    rows = [json.loads(line) for line in outcomes.read_text().splitlines()[:40]]
    texts = [f"Describe river {number} of the country in a poem" for number in range(40)]
    own.write_text(
        "\n".join(
            json.dumps({**row, "prompt": text}) for row, text in zip(rows, texts, strict=True)
        )
    )
    pair, output = ("--strong", "big", "--weak", "small"), tmp_path / "router"
    for router, n_train in (("blend", 300), ("sw", 270)):
        run = train(
            router, "--outcomes", outcomes, *pair, "--test", own, "--output", output, "--json"
        )
        assert run.exit_code == 0, run.exception
        document = json.loads(run.stdout)
        assert document["n_prompts"]["train"] == n_train
        assert document["held_out"]["routing"]["n"] == document["n_prompts"]["test"] == 40
        assert document["held_out"]["cross_fitted"] is False
        if router == "blend":  # which knows nothing like these: all are strong calls
            assert document["held_out"]["n_abstained"] == 40
            assert document["held_out"]["wins"] is None
            assert document["held_out"]["routing"]["figures"]["router"]["apgr"]["value"] == 0.5
            assert "no score to the prompts of 40 of 40" in document["warnings"][0]
        hashes = load_artifact(output).training_prompt_hashes
        assert not np.isin(prompt_hashes64(texts), hashes).any()
    refused = train("blend", "--outcomes", outcomes, *pair, "--test", outcomes, "--output", output)
    assert isinstance(refused.exception, DataError)
    assert "training prompts are also evaluation prompts" in str(refused.exception)


def test_json_holds_the_same_and_nothing_else_is_on_stdout(outcomes: Path, tmp_path: Path) -> None:
    run = train(
        "sw", "--outcomes", outcomes, "--strong", "big", "--weak", "small", "--json",
        "--output", tmp_path / "router",
    )  # fmt: skip
    document: dict[str, Any] = json.loads(run.stdout)
    assert document["n_prompts"] == {"train": 240, "validation": 30, "test": 30}
    figures = document["held_out"]["routing"]["figures"]
    assert figures["router"]["apgr"]["low"] <= figures["router"]["apgr"]["value"]
    assert document["held_out"]["routing"]["n"] == 30
    assert document["settings"] == {
        "gamma": 10.0, "normalise": "train", "n_neighbours": 0, "background": 0.0,
        "n_components": 0, "n_tiers": 2,
    }  # fmt: skip
    manifest = load_artifact(tmp_path / "router").manifest
    stored = {record.metric: record.value for record in manifest.metrics}
    assert stored["router apgr"] == figures["router"]["apgr"]["value"]


def test_stand_ins_are_said_and_kept(outcomes: Path, tmp_path: Path) -> None:
    run = train(
        "sw", "--outcomes", outcomes, "--strong", "my-model", "--strong-as", "big",
        "--weak", "small", "--output", tmp_path / "router",
    )  # fmt: skip
    assert "strong: big, standing for my-model" in run.stdout
    manifest = load_artifact(tmp_path / "router").manifest
    assert manifest.strong == ("big",)
    assert manifest.settings["stands_for"] == {"strong": "my-model"}


def test_evaluation_prompts_are_refused_dropped_or_allowed(outcomes: Path, tmp_path: Path) -> None:
    excluded = tmp_path / "evaluation.jsonl"
    rows = outcomes.read_text().splitlines()[:7]
    excluded.write_text(
        "\n".join(json.dumps({"prompt": json.loads(row)["prompt"]}) for row in rows)
    )
    output = tmp_path / "router"
    command = (
        "sw", "--outcomes", outcomes, "--strong", "big", "--weak", "small", "--output", output,
        "--exclude", excluded,
    )  # fmt: skip
    refused = train(*command)
    assert isinstance(refused.exception, DataError)
    assert "of 300 training prompts" in str(refused.exception)
    assert not output.exists()
    dropped = train(*command, "--drop-overlap", "--json")
    found = json.loads(dropped.stdout)
    assert found["overlap"]["n_overlapping"] >= 7
    assert sum(found["n_prompts"].values()) == 300 - found["overlap"]["n_overlapping"]
    allowed = train(*command, "--allow-overlap")
    assert "evaluation prompts were learned from, as allowed" in allowed.stdout
    assert train(*command, "--allow-overlap", "--drop-overlap").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("mff", "--outcomes", "FILE"), ConfigError, r"unknown router 'mff'; did you mean 'mf'"),
        (("mf",), ConfigError, "give --comparisons FILE or --outcomes FILE"),
        (("mf", "--outcomes", "FILE"), ConfigError, "--strong NAME --weak NAME"),
        (
            ("mf", "--outcomes", "FILE", "--strong", "bigger", "--weak", "small"),
            (ConfigError, DataError),
            "'bigger'.*'big'",
        ),
        (
            ("mf", "--outcomes", "FILE", "--strong", "big", "--weak", "big"),
            (ConfigError, DataError),
            "big",
        ),
        (("mf", "--comparisons", "FILE"), DataError, "give it with --outcomes"),
        (
            ("mf", "--comparisons", "FILE", "--all-pairs"),
            ConfigError,
            "--all-pairs is for --outcomes",
        ),
        (
            ("mf", "--comparisons", "FILE", "--drop-overlap"),
            ConfigError,
            "--drop-overlap says nothing without --exclude",
        ),
        (("mf", "--outcomes", "FILE", "--set", "speed=1"), ConfigError, "no setting 'speed'"),
        (
            ("sw", "--outcomes", "NONE", "--strong", "a", "--weak", "b", "--set", "gamma=-1"),
            ConfigError,
            "gamma -1.0 is out of range",
        ),
        (
            ("sw", "--outcomes", "NONE", "--strong", "a", "--weak", "b", "--set", "n_tiers=1"),
            ConfigError,
            "n_tiers 1 is too few",
        ),
        (
            ("mf", "--outcomes", "FILE", "--strong", "big", "--weak", "small", "--set", "noise=-1"),
            ConfigError,
            "noise -1.0 must be",
        ),
        (
            ("sw", "--outcomes", "FILE", "--strong", "big", "--weak", "small", "--embedder", "x"),
            ConfigError,
            "unknown embedder 'x'",
        ),
    ],
)
def test_bad_input_is_refused_and_nothing_is_written(
    arguments: tuple[str, ...],
    error: type[Exception] | tuple[type[Exception], ...],
    message: str,
    outcomes: Path,
    tmp_path: Path,
) -> None:
    named = [str(outcomes) if argument == "FILE" else argument for argument in arguments]
    run = train(*named, "--output", tmp_path / "router")
    with pytest.raises(error, match=message):
        raise run.exception or AssertionError(run.output)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outcomes.jsonl"]


def test_too_few_prompts_say_how_many_are_needed(outcomes: Path, tmp_path: Path) -> None:
    few = tmp_path / "few.jsonl"
    few.write_text("\n".join(outcomes.read_text().splitlines()[:40]))
    run = train(
        "mf", "--outcomes", few, "--strong", "big", "--weak", "small",
        "--output", tmp_path / "router",
    )  # fmt: skip
    assert isinstance(run.exception, DataError)
    assert "40 different prompts have labels" in str(run.exception)
    assert "100 are needed" in str(run.exception)
    assert not (tmp_path / "router").exists()


def test_a_new_model_is_added_from_the_command_line(outcomes: Path, tmp_path: Path) -> None:
    router, battles = tmp_path / "router", tmp_path / "battles.jsonl"
    train(
        "mf", "--outcomes", outcomes, "--strong", "big", "--weak", "small", "--output", router,
        *QUICK,
    )  # fmt: skip
    rows = [
        {"prompt": f"Name {n}", "model_a": "new", "model_b": "big", "outcome": 0.0}
        for n in range(20)
    ]
    battles.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ("mf", "--new-model", "new", "--comparisons", battles, "--router", router)
    run = train(*command, "--output", tmp_path / "more")
    assert run.exit_code == 0, run.output
    assert "new placed by 20 comparisons" in run.stdout
    assert "strong: big, as before" in run.stdout
    document = json.loads(train(*command, "--output", tmp_path / "more", "--json").stdout)
    assert (document["n_comparisons"], document["recalibrated"]) == (20, False)
    assert document["held_out"]["n"] == 20
    assert train("mf", "--router", router, "--output", tmp_path / "x").exit_code == 2
    assert train("sw", *command[1:], "--output", tmp_path / "x").exit_code == 2


def test_progress_with_losses_is_shown_on_a_terminal(outcomes: Path, tmp_path: Path) -> None:
    import os
    import pty
    import subprocess
    import sys

    leader, follower = pty.openpty()
    command = [
        sys.executable, "-c", "from routecast.cli.main import main; main()", "train", "mf",
        "--outcomes", outcomes, "--strong", "big", "--weak", "small",
        "--output", tmp_path / "router", *QUICK,
    ]  # fmt: skip
    environ = os.environ | {"COLUMNS": "160", "TERM": "xterm"}
    with subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=follower, env=environ
    ) as process:
        os.close(follower)
        shown = b""
        while chunk := _read(leader):
            shown += chunk
        assert process.wait(timeout=60) == 0
    os.close(leader)
    assert b"fitting" in shown
    assert b"validation 0." in shown


def _read(leader: int) -> bytes:
    """Read from a terminal; its end is an error on Linux."""
    import os

    try:
        return os.read(leader, 4096)
    except OSError:
        return b""


def test_a_folder_that_is_no_router_is_left_alone(outcomes: Path, tmp_path: Path) -> None:
    output = tmp_path / "mine"
    output.mkdir()
    (output / "letter.txt").write_text("dear")
    run = train(
        "mf", "--outcomes", outcomes, "--strong", "big", "--weak", "small", "--output", output
    )
    assert isinstance(run.exception, ArtifactError)
    assert "exists and is no trained router" in str(run.exception)
    assert [path.name for path in output.iterdir()] == ["letter.txt"]


def test_a_bad_row_is_named_and_may_be_skipped(outcomes: Path, tmp_path: Path) -> None:
    lines = outcomes.read_text().splitlines()
    lines[6] = json.dumps({"prompt": "Name it", "quality|big": 7, "quality|small": 0})
    broken = tmp_path / "broken.jsonl"
    broken.write_text("\n".join(lines))
    command = (
        "sw", "--outcomes", broken, "--strong", "big", "--weak", "small",
        "--output", tmp_path / "router",
    )  # fmt: skip
    refused = train(*command)
    assert isinstance(refused.exception, DataError)
    assert "broken.jsonl, line 7, column 'quality|big'" in str(refused.exception)
    skipped = train(*command, "--skip-bad")
    assert skipped.exit_code == 0
    assert "left out of broken.jsonl" in skipped.stderr


BERT = (
    "--set", "length=24", "--set", "n_steps=6", "--set", "eval_steps=3", "--set", "batch=8",
)  # fmt: skip


def test_an_encoder_is_trained_and_used_on_a_named_device(
    outcomes: Path, tmp_path: Path, tiny_encoder: Path
) -> None:
    router = tmp_path / "router"
    run = train(
        "bert", "--outcomes", outcomes, "--strong", "big", "--weak", "small", "--output", router,
        "--set", f"base={tiny_encoder}", *BERT, "--device", "cpu",
    )  # fmt: skip
    assert run.exit_code == 0, run.output
    assert "training labels: strong wins" in run.stdout
    assert "trained on cpu: 6 steps, kept the weights after step" in run.stdout
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text(json.dumps({"prompt": "prove " * 100}) + "\n")
    scored = CliRunner().invoke(
        app,
        ["score", "--router", str(router), "--input", str(prompts), "--device", "cpu",
         "--output", str(tmp_path / "scores.jsonl"), "--json"],
    )  # fmt: skip
    assert scored.exit_code == 0, scored.output
    assert json.loads(scored.stdout)["n_cut"] == 1


@pytest.mark.parametrize("command", ["route", "score", "calibrate", "evaluate", "train"])
def test_every_command_that_runs_a_network_takes_a_device_and_refuses_unknown_ones(
    command: str, outcomes: Path, tmp_path: Path
) -> None:
    rest = {
        "route": ["hello"],
        "score": ["--input", str(outcomes), "--output", str(tmp_path / "x.jsonl")],
        "calibrate": ["--prompts", str(outcomes), "--strong-share", "0.5"],
        "evaluate": [
            "--benchmark", str(outcomes), "--strong", "big", "--weak", "small", "--no-cache",
            "--output", str(tmp_path / "report"),
        ],
        "train": [
            "mf", "--outcomes", str(outcomes), "--strong", "big", "--weak", "small",
            "--output", str(tmp_path / "router"),
        ],
    }[command]  # fmt: skip
    with pytest.raises(ConfigError, match=r"unknown device 'gpu'; choose one of \['cpu', 'cuda'"):
        CliRunner().invoke(app, [command, *rest, "--device", "gpu"], catch_exceptions=False)


def test_a_stopped_run_says_what_is_left_and_a_resumed_one_that_it_goes_on(
    outcomes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = ("--strong", "big", "--weak", "small")

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for router, left in (("sw", "starts over"), ("mf", "with --resume goes on where it was")):
        command = (router, "--outcomes", outcomes, *pair, "--output", tmp_path / router)
        with monkeypatch.context() as patch:
            patch.setattr("routecast.train.pipeline.calibrate_scores", stop)
            stopped = train(*command)
        assert "stopped; no router was written to " in stopped.stderr
        assert left in stopped.stderr
        resumed = train(*command, "--resume")
        assert resumed.exit_code == 0
        said = "starting anew" if router == "sw" else "going on where the run was stopped"
        assert said in resumed.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_swapped_pair_is_warned_of(outcomes: Path, tmp_path: Path) -> None:
    pair = ("--strong", "small", "--weak", "big")
    run = train("ridge", "--outcomes", outcomes, *pair, "--output", tmp_path / "router")
    assert "warning: the strong model 'small' is worse here (mean quality " in run.stdout


def test_a_run_that_is_stopped_in_its_report_says_that_the_router_is_there(
    outcomes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("routecast.cli.train_report.print_run", stop)
    pair = ("--strong", "big", "--weak", "small")
    stopped = train("sw", "--outcomes", outcomes, *pair, "--output", tmp_path / "router")
    assert "stopped; the router is written to " in stopped.stderr
    assert (tmp_path / "router" / "manifest.json").is_file()
