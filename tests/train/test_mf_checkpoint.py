import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from routecast.data.preferences import PreferenceArrays
from routecast.errors import ArtifactError, ConfigError
from routecast.train.mf import MfFit, MfSettings, fit_mf
from routecast.train.mf_checkpoint import Checkpoint
from routecast.types import EmbeddingArray

SETTINGS = MfSettings(n_factors=4, max_steps=30, patience=30, steps_per_round=7)


class StopTheFitError(Exception):
    """Stands for whatever ends a process."""


def make_preferences() -> tuple[EmbeddingArray, PreferenceArrays, PreferenceArrays]:
    generator = np.random.default_rng(0)
    embeddings = generator.normal(size=(60, 5)).astype(np.float32)
    first = generator.integers(0, 4, 400)
    every = PreferenceArrays(
        prompts=tuple(str(number) for number in range(60)),
        models=("a", "b", "c", "d"),
        prompt_index=generator.integers(0, 60, 400).astype(np.int32),
        model_a_index=first.astype(np.int32),
        model_b_index=((first + generator.integers(1, 4, 400)) % 4).astype(np.int32),
        outcome=generator.choice([0.0, 0.5, 1.0], 400).astype(np.float32),
        weight=np.ones(400, dtype=np.float32),
    )
    return embeddings, every.take(every.prompt_index < 45), every.take(every.prompt_index >= 45)


def fit(path: Path | None, *, stop_at: int | None = None, resume: bool = False) -> MfFit:
    embeddings, training, validation = make_preferences()

    def stop(step: int, _: float, __: float | None) -> None:
        if step == stop_at:
            raise StopTheFitError

    return fit_mf(
        embeddings,
        training,
        validation=validation,
        settings=SETTINGS,
        on_step=stop,
        checkpoint=path,
        resume=resume,
    )


def outcome_of(fitted: MfFit) -> tuple[list[object], ...]:
    model = fitted.model
    weights = (model.projection, model.projection_bias, model.output, model.model_vectors)
    losses = list(fitted.training_losses), list(fitted.validation_losses), [fitted.best_step]
    return (*(weight.tolist() for weight in weights), *losses)


@pytest.mark.parametrize("stop_at", [0, 6, 7, 20, 28])
def test_a_resumed_fit_is_the_same_to_the_last_bit_as_one_never_stopped(
    tmp_path: Path, stop_at: int
) -> None:
    path = tmp_path / "fit.safetensors"
    with pytest.raises(StopTheFitError):
        fit(path, stop_at=stop_at)
    assert path.exists() == (stop_at >= 7)  # a round of seven steps was finished
    assert outcome_of(fit(path, resume=True)) == outcome_of(fit(None))


def test_a_fit_stopped_twice_is_the_same_too(tmp_path: Path) -> None:
    path = tmp_path / "fit.safetensors"
    for stop_at in (9, 16):
        with pytest.raises(StopTheFitError):
            fit(path, stop_at=stop_at, resume=True)
    assert outcome_of(fit(path, resume=True)) == outcome_of(fit(None))


def test_a_finished_fit_is_returned_without_a_step(tmp_path: Path) -> None:
    path = tmp_path / "fit.safetensors"
    first = fit(path)
    assert outcome_of(fit(path, stop_at=0, resume=True)) == outcome_of(first)


def test_the_loss_of_rounds_is_close_to_that_of_one_long_run() -> None:
    embeddings, training, _ = make_preferences()
    settings = replace(SETTINGS, max_steps=70, patience=70, weight_decay=1e-3)
    rounds = fit_mf(embeddings, training, settings=settings)
    at_once = fit_mf(embeddings, training, settings=replace(settings, steps_per_round=70))
    assert min(rounds.training_losses) == pytest.approx(min(at_once.training_losses), abs=2e-3)


def test_an_existing_checkpoint_is_neither_overwritten_nor_taken_up_unasked(
    tmp_path: Path,
) -> None:
    path = tmp_path / "fit.safetensors"
    fit(path)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="exists already; go on from it with resume"):
        fit(path)
    assert path.read_bytes() == before


def test_resume_without_a_checkpoint_is_refused() -> None:
    with pytest.raises(ConfigError, match="resume needs a checkpoint"):
        fit(None, resume=True)


def test_a_checkpoint_of_other_settings_names_what_changed(tmp_path: Path) -> None:
    path = tmp_path / "fit.safetensors"
    fit(path)
    embeddings, training, validation = make_preferences()
    with pytest.raises(ConfigError, match=r"seed was 0 and is 1; weight_decay was 1e-05 and is 0"):
        fit_mf(
            embeddings,
            training,
            validation=validation,
            settings=replace(SETTINGS, seed=1, weight_decay=0.0),
            checkpoint=path,
            resume=True,
        )


def test_a_checkpoint_of_other_inputs_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fit.safetensors"
    fit(path)
    embeddings, training, validation = make_preferences()
    others = (
        (embeddings + 1, training, validation),
        (embeddings, replace(training, outcome=1 - training.outcome), validation),
        (embeddings, training, validation.take(np.arange(len(validation) - 1))),
        (embeddings, training, None),
    )
    for vectors, part, held_out in others:
        with pytest.raises(ConfigError, match="the embeddings or the comparisons are others"):
            fit_mf(
                vectors,
                part,
                validation=held_out,
                settings=SETTINGS,
                checkpoint=path,
                resume=True,
            )


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fit.safetensors"
    fit(path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ArtifactError, match=r"is no checkpoint: .*; delete it to start anew"):
        fit(path, resume=True)


def test_a_kill_at_any_time_leaves_no_checkpoint_or_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "fit.safetensors"
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from routecast.train.mf_checkpoint import Checkpoint, FitState\n"
        "state = FitState(np.zeros(200_000), np.zeros(200_000))\n"
        "kept = Checkpoint(Path(sys.argv[1]), '{}', 'inputs')\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    state.parameters += 1; state.best_parameters += 1; state.best_step += 1\n"
        "    kept.save(state)\n"
    )
    for delay_s in (0.0, 0.02, 0.07):
        run = subprocess.Popen(
            [sys.executable, "-c", program, str(path)],
            stdout=subprocess.PIPE,
        )
        assert run.stdout is not None
        assert run.stdout.readline() == b"ready\n"
        while delay_s and not path.exists():
            time.sleep(0.01)
        time.sleep(delay_s)
        run.send_signal(signal.SIGKILL)
        run.wait(timeout=30)
        run.stdout.close()
        state = Checkpoint(path, json.dumps({}), "inputs").load()
        if state is not None:
            assert set(state.parameters.tolist()) == {state.best_step + 1.0}
            assert state.parameters.tolist() == state.best_parameters.tolist()
