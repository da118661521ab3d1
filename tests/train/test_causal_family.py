"""The causal LM router from outcomes to a saved artifact, by pipeline and command line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from routecast.artifacts import load_artifact, load_router, save_artifact
from routecast.cli.main import app
from routecast.data.comparisons import Comparisons
from routecast.data.outcomes import Outcomes
from routecast.embed.protocol import Embedder
from routecast.errors import ConfigError
from routecast.train.pipeline import TrainedRouter, TrainSettings, train_router
from routecast.train.sources import set_of_comparisons, set_of_outcomes

pytestmark = pytest.mark.slow

MakeCausalLM = Callable[..., Path]
MakeOutcomes = Callable[..., Outcomes]
QUICK = {"length": 64, "n_steps": 100, "batch": 16, "learning_rate": 5e-3, "eval_steps": 50}


@pytest.fixture
def template(tmp_path: Path) -> str:
    path = tmp_path / "template.txt"
    path.write_text("Q: {query}\nA:")
    return str(path)


def trained_on(
    sets: list[Any], embedder: Embedder, base: Path, template: str, **options: object
) -> TrainedRouter:
    settings = TrainSettings(
        router="causal",
        strong=("big",),
        weak=("small",),
        options={"base": str(base), "template": template, **QUICK, **options},
    )
    return train_router(sets, settings, embedder=embedder, device="cpu")


def test_a_router_is_trained_saved_loaded_and_copied_by_calibration(
    planted_outcomes: MakeOutcomes, word_embedder: Embedder, make_causal_lm: MakeCausalLM,
    template: str, tmp_path: Path,
) -> None:  # fmt: skip
    outcomes = planted_outcomes(300)
    trained = trained_on([set_of_outcomes(outcomes)], word_embedder, make_causal_lm(), template)
    folder = tmp_path / "router"
    manifest = save_artifact(trained.artifact, folder)
    assert manifest.settings["instruction"] == ["Q: ", "\nA:"]
    assert set(manifest.settings["label_balance"]) == {"strong", "tie", "weak"}
    assert "model/model.safetensors" in manifest.files
    loaded = load_router(str(folder), embedder=word_embedder, device="cpu")
    prompts = [f"{verb} number {n} of maps" for n in range(8) for verb in ("prove", "name")]
    scores = loaded.router.win_probabilities(prompts)
    in_memory = trained.artifact.router(word_embedder, device="cpu").win_probabilities(prompts)
    np.testing.assert_allclose(scores, in_memory, atol=1e-5)
    assert scores[::2].mean() > scores[1::2].mean() + 0.05
    assert loaded.count_cut([*prompts, "maps " * 100]) == 1
    save_artifact(load_artifact(folder), tmp_path / "copy")
    copied = load_router(str(tmp_path / "copy"), embedder=word_embedder, device="cpu")
    np.testing.assert_array_equal(copied.router.win_probabilities(prompts), scores)


def test_grades_learn_the_weak_models_quality(
    planted_outcomes: MakeOutcomes, word_embedder: Embedder, make_causal_lm: MakeCausalLM,
    template: str,
) -> None:  # fmt: skip
    sets = [set_of_outcomes(planted_outcomes(300))]
    trained = trained_on(sets, word_embedder, make_causal_lm(), template, labels="grade")
    prompts = [f"{verb} number {n} of maps" for n in range(8) for verb in ("prove", "name")]
    scores = trained.artifact.router(word_embedder, device="cpu").win_probabilities(prompts)
    assert scores[::2].mean() > scores[1::2].mean() + 0.05


def test_grades_cannot_be_learned_from_battles(
    planted_comparisons: Callable[..., Comparisons], word_embedder: Embedder,
    make_causal_lm: MakeCausalLM, template: str,
) -> None:  # fmt: skip
    sets = [set_of_comparisons(planted_comparisons(150))]
    with pytest.raises(ConfigError, match="give --outcomes, or take --set labels=win"):
        trained_on(sets, word_embedder, make_causal_lm(), template, labels="grade")


def test_an_interrupted_command_leaves_a_checkpoint_and_no_router_and_goes_on(
    outcomes_file: Path, make_causal_lm: MakeCausalLM, template: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    output = tmp_path / "router"
    options = {**QUICK, "base": make_causal_lm(), "template": template, "n_steps": 6}
    options["eval_steps"] = 2
    sets = [part for name, value in options.items() for part in ("--set", f"{name}={value}")]
    command = [
        "train", "causal", "--outcomes", outcomes_file, "--strong", "big", "--weak", "small",
        "--output", output, "--device", "cpu", *sets,
    ]  # fmt: skip

    def run(*more: str) -> Any:  # noqa: ANN401
        return CliRunner().invoke(app, [*map(str, command), *more])

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("routecast.train.causal.merge_adapters", stop)
    stopped = run()
    assert stopped.exit_code != 0
    assert "the same command with --resume goes on where it was" in stopped.stderr
    assert not output.exists()
    monkeypatch.undo()
    finished = run("--resume", "--json")
    assert finished.exit_code == 0, finished.output
    document = json.loads(finished.stdout)
    assert document["settings"]["n_steps_taken"] == 6
    assert load_router(str(output), device="cpu").manifest is not None
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
