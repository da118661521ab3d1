import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from routecast.artifacts import load_artifact
from routecast.errors import ConfigError
from routecast.train.pipeline import TrainSettings
from routecast.train.progress import Progress
from routecast.train.run import TrainRequest, checkpoint_folder, run_training


@pytest.fixture
def request_(outcomes_file: Path, tmp_path: Path) -> TrainRequest:
    return TrainRequest(
        settings=TrainSettings(
            router="mf",
            strong=("big",),
            weak=("small",),
            options={"n_factors": 8, "weight_decay": 1e-5, "patience": 60, "steps_per_round": 5},
        ),
        output=tmp_path / "router",
        outcomes=(str(outcomes_file),),
    )


def stop_after(n_steps: int) -> object:
    def watch(progress: Progress) -> None:
        if progress.stage == "fitting" and progress.n_done == n_steps:
            raise KeyboardInterrupt

    return watch


def test_an_interrupted_run_leaves_no_router_and_goes_on_where_it_was(
    request_: TrainRequest, tmp_path: Path
) -> None:
    whole = run_training(replace(request_, output=tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        run_training(request_, watch=stop_after(12))  # type: ignore[arg-type]
    assert not request_.output.exists()
    assert any(checkpoint_folder(request_.output).iterdir())
    steps: list[int] = []

    def watch(progress: Progress) -> None:
        if progress.stage == "fitting":
            steps.append(progress.n_done)

    resumed = run_training(replace(request_, resume=True), watch=watch)
    assert steps[0] > 1  # the first rounds were not done again
    assert not checkpoint_folder(request_.output).exists()
    files = [run.manifest.files["weights.safetensors"].sha256 for run in (whole, resumed)]
    assert files[0] == files[1]


def test_without_resume_a_run_starts_anew(request_: TrainRequest) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_training(request_, watch=stop_after(12))  # type: ignore[arg-type]
    steps: list[int] = []

    def watch(progress: Progress) -> None:
        if progress.stage == "fitting":
            steps.append(progress.n_done)

    run_training(request_, watch=watch)
    assert steps[0] == 1


def test_all_pairs_learn_from_models_that_are_on_neither_side(request_: TrainRequest) -> None:
    pair = run_training(request_).trained.artifact.manifest.training
    every = run_training(replace(request_, all_pairs=True)).trained.artifact.manifest.training
    assert every.n_comparisons == 3 * pair.n_comparisons  # big, middle and small: three pairs
    assert every.n_prompts == pair.n_prompts


def test_several_files_are_learned_from_together(
    request_: TrainRequest, outcomes_file: Path, tmp_path: Path
) -> None:
    other = tmp_path / "more.jsonl"
    other.write_text(outcomes_file.read_text().replace("number", "item"))
    run = run_training(replace(request_, outcomes=(str(outcomes_file), str(other))))
    sources = load_artifact(run.request.output).manifest.training.sources
    assert [source.name for source in sources] == ["outcomes.jsonl", "more.jsonl"]
    assert [source.n_prompts for source in sources] == [400, 400]


def test_a_refused_resumption_loses_no_checkpoint(request_: TrainRequest) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_training(request_, watch=stop_after(12))  # type: ignore[arg-type]
    options = {**request_.settings.options, "n_factors": 9}
    other = replace(request_, settings=replace(request_.settings, options=options), resume=True)
    with pytest.raises(ConfigError, match="belongs to another fit"):
        run_training(other)
    assert any(checkpoint_folder(request_.output).iterdir())
    run_training(replace(request_, resume=True))
    assert not checkpoint_folder(request_.output).exists()


def test_a_second_run_into_the_same_folder_is_refused_and_harms_nothing(
    request_: TrainRequest,
) -> None:
    errors: list[BaseException] = []

    def train_too() -> None:
        try:
            run_training(request_)
        except ConfigError as error:
            errors.append(error)

    def watch(progress: Progress) -> None:
        if progress.stage == "fitting" and progress.n_done == 12:
            other = threading.Thread(target=train_too)
            other.start()
            other.join()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_training(request_, watch=watch)
    assert f"is being written by another run (process {os.getpid()} on" in str(errors[0])
    assert any(checkpoint_folder(request_.output).iterdir())
    run_training(replace(request_, resume=True))


def test_of_processes_that_train_together_the_first_holds_the_folder(
    request_: TrainRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(_: Path) -> None:
        raise AssertionError

    monkeypatch.setattr("routecast.train.run.held_workspace", never)
    run_training(replace(request_, environ={"RANK": "1"}))
    with pytest.raises(AssertionError):
        run_training(replace(request_, environ={"RANK": "0"}))
