"""The shared fine-tuning, on a random encoder of 20,000 weights."""

import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routecast.errors import ConfigError, MissingExtraError
from routecast.routers.bert import load_classifier
from routecast.routers.token_windows import open_token_windows
from routecast.train import pair_trainer
from routecast.train.bert_tuning import row_losses
from routecast.train.hugging_face import FineTuned, fine_tune, seeded
from routecast.train.training_rows import FineTuning, RowLosses, TrainingRows

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow

QUICK = FineTuning(
    n_steps=12, batch=8, learning_rate=5e-3, eval_steps=4, patience=0, weight_decay=0.0
)
TOPICS = ("rice", "music", "planets", "rivers", "gardens", "trains", "poems", "maps")


def rows_of(tiny_encoder: Path, n_rows: int, *, seed: int) -> TrainingRows:
    """Prompts with "prove" are won by the strong model, others by the weak one."""
    generator = np.random.default_rng(seed)
    is_hard = generator.random(n_rows) < 0.5
    prompts = [
        f"{'prove' if hard else 'name'} number of {generator.choice(TOPICS)}" for hard in is_hard
    ]
    windows = open_token_windows(tiny_encoder, max_tokens=16)
    return TrainingRows(
        ids=windows.windows(prompts),
        targets=np.where(is_hard, 0.9, 0.2),
        weights=generator.choice([0.5, 1.0, 2.0], n_rows),
    )


@pytest.fixture
def fit(tiny_encoder: Path, tmp_path: Path) -> Callable[..., tuple[FineTuned, Any]]:
    """Fit a fresh model; return how it went, and the model."""

    def run(settings: FineTuning = QUICK, **options: Any) -> tuple[FineTuned, Any]:  # noqa: ANN401
        with seeded(0):
            model = load_classifier(tiny_encoder)
        fitted = fine_tune(
            model,
            **{
                "training": rows_of(tiny_encoder, 50, seed=1),
                "validation": rows_of(tiny_encoder, 20, seed=2),
                "row_losses": row_losses,
                "pad_id": 0,
                "settings": settings,
                "device": torch.device("cpu"),
                "fit": {"base": "tiny"},
                **options,
            },
        )
        return fitted, model

    return run


def weights_of(model: Any) -> dict[str, Any]:  # noqa: ANN401
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def same(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def test_a_planted_word_is_learned_down_to_the_entropy_of_the_labels(fit: Any) -> None:  # noqa: ANN401
    settings = replace(QUICK, n_steps=60, eval_steps=20, learning_rate=3e-3)
    fitted, _ = fit(settings)
    # Nobody can be better than the labels' own entropy: about half each of H(.9) = .325 and
    # H(.2) = .500 nats, .41; knowing nothing costs H(.55) = .688.
    assert 0.3 < fitted.validation_loss < 0.47


def test_the_validation_loss_is_the_weighted_mean_of_the_logistic_losses(
    fit: Any,  # noqa: ANN401
    tiny_encoder: Path,
) -> None:
    fitted, model = fit()
    rows = rows_of(tiny_encoder, 20, seed=2)
    losses = []
    for ids, target in zip(rows.ids, rows.targets, strict=True):
        with torch.no_grad():
            logit = float(model(input_ids=torch.tensor([ids])).logits[0, 0])
        p = 1 / (1 + np.exp(-logit))
        losses.append(-(target * np.log(p) + (1 - target) * np.log(1 - p)))
    expected = np.average(losses, weights=rows.weights)
    assert fitted.validation_loss == pytest.approx(expected, abs=1e-5)
    assert fitted.validation_loss == min(fitted.validation_losses.values())


def test_a_stopped_fit_goes_on_to_the_same_weights(fit: Any, tmp_path: Path) -> None:  # noqa: ANN401
    whole, expected = fit(checkpoint=tmp_path / "whole")

    def stop(step: int, training_loss: float, validation_loss: float | None) -> None:
        if step == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(checkpoint=tmp_path / "stopped", on_step=stop)
    steps: list[int] = []
    resumed, model = fit(
        checkpoint=tmp_path / "stopped", on_step=lambda step, *_: steps.append(step)
    )
    assert steps == [8, 9, 10, 11]  # the last checkpoint was made after 8 steps
    assert resumed == whole
    assert same(weights_of(expected), weights_of(model))


def test_a_finished_fit_is_not_done_again(fit: Any, tmp_path: Path) -> None:  # noqa: ANN401
    first, expected = fit(checkpoint=tmp_path / "kept")
    steps: list[int] = []
    again, model = fit(checkpoint=tmp_path / "kept", on_step=lambda step, *_: steps.append(step))
    assert steps == []
    assert again == first
    assert same(weights_of(expected), weights_of(model))


def test_a_fit_that_lost_patience_stays_stopped(fit: Any, tmp_path: Path) -> None:  # noqa: ANN401
    settings = replace(QUICK, n_steps=40, eval_steps=2, patience=2, learning_rate=0.3)
    first, expected = fit(settings, checkpoint=tmp_path / "kept")
    assert first.n_steps < 40
    assert first.n_steps == first.best_step + 2 * 2  # two looks, two steps apart
    again, model = fit(settings, checkpoint=tmp_path / "kept")
    assert again == first
    assert same(weights_of(expected), weights_of(model))


def test_a_half_written_checkpoint_is_passed_over(fit: Any, tmp_path: Path) -> None:  # noqa: ANN401
    whole, expected = fit(checkpoint=tmp_path / "kept")
    last = tmp_path / "kept" / "checkpoint-12"
    (last / "trainer_state.json").unlink()
    again, model = fit(checkpoint=tmp_path / "kept")
    assert again == whole
    assert same(weights_of(expected), weights_of(model))


@pytest.mark.parametrize("change", [{"n_steps": 13}, {"learning_rate": 1e-3}, {"seed": 1}])
def test_a_checkpoint_of_other_settings_is_refused(
    fit: Any,  # noqa: ANN401
    tmp_path: Path,
    change: dict[str, Any],
) -> None:
    (name,) = change
    short = replace(QUICK, n_steps=4)
    fit(short, checkpoint=tmp_path / "kept")
    with pytest.raises(ConfigError, match=f"belongs to another fit: .*{name} was"):
        fit(replace(short, **change), checkpoint=tmp_path / "kept")


def test_a_checkpoint_of_other_prompts_is_refused(
    fit: Any,  # noqa: ANN401
    tiny_encoder: Path,
    tmp_path: Path,
) -> None:
    fit(replace(QUICK, n_steps=4), checkpoint=tmp_path / "kept")
    with pytest.raises(ConfigError, match="training was '"):
        fit(
            replace(QUICK, n_steps=4),
            checkpoint=tmp_path / "kept",
            training=rows_of(tiny_encoder, 50, seed=7),
        )


def without_dropout(tiny_encoder: Path) -> Any:  # noqa: ANN401
    model = load_classifier(tiny_encoder)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


def fit_without_dropout(
    tiny_encoder: Path, settings: FineTuning, losses: RowLosses = row_losses
) -> tuple[FineTuned, dict[str, Any]]:
    with seeded(0):
        model = without_dropout(tiny_encoder)
    fitted = fine_tune(
        model,
        training=rows_of(tiny_encoder, 50, seed=1),
        validation=rows_of(tiny_encoder, 0, seed=2),
        row_losses=losses,
        pad_id=0,
        settings=settings,
        device=torch.device("cpu"),
        fit={},
    )
    return fitted, weights_of(model)


@pytest.fixture(params=[3, 2])
def micro_batch(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def test_gradients_added_up_over_parts_are_those_of_the_whole_batch(
    tiny_encoder: Path, micro_batch: int
) -> None:
    settings = replace(QUICK, n_steps=5, learning_rate=1e-3)
    _, whole = fit_without_dropout(tiny_encoder, settings)
    _, parts = fit_without_dropout(tiny_encoder, replace(settings, micro_batch=micro_batch))
    for name, weights in whole.items():
        torch.testing.assert_close(parts[name], weights, atol=2e-4, rtol=0)


def test_a_batch_that_does_not_fit_is_halved_and_the_step_stays_the_same(
    tiny_encoder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = replace(QUICK, n_steps=5, learning_rate=1e-3)
    _, whole = fit_without_dropout(tiny_encoder, settings)

    def narrow(model: Any, batch: Mapping[str, Any]) -> Any:  # noqa: ANN401
        losses: Any = row_losses(model, batch)
        if len(batch["input_ids"]) > 2:
            losses.sum().backward()  # gradients of the attempt that failed must not stay
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return losses

    with caplog.at_level(logging.WARNING):
        fitted, halved = fit_without_dropout(tiny_encoder, settings, narrow)
    assert fitted.micro_batch == 2
    assert [record.getMessage() for record in caplog.records if "memory" in record.message] == [
        "out of memory training on 8 rows at once; going on with 4",
        "out of memory training on 4 rows at once; going on with 2",
    ]
    for name, weights in whole.items():
        torch.testing.assert_close(halved[name], weights, atol=2e-4, rtol=0)


def test_one_row_that_does_not_fit_is_an_error(fit: Any) -> None:  # noqa: ANN401
    def never(model: object, batch: object) -> object:
        raise RuntimeError("out of memory")

    with pytest.raises(ConfigError, match="training on one prompt alone does not fit"):
        fit(row_losses=never)


def test_a_loss_that_is_not_finite_says_what_to_change(fit: Any) -> None:  # noqa: ANN401
    def broken(model: Any, batch: Mapping[str, Any]) -> Any:  # noqa: ANN401
        return row_losses(model, batch) * float("inf")

    with pytest.raises(ConfigError, match="the loss is inf at step 1; set a smaller learning_rate"):
        fit(row_losses=broken)


def test_without_validation_the_last_weights_are_kept(
    fit: Any,  # noqa: ANN401
    tiny_encoder: Path,
) -> None:
    fitted, _ = fit(validation=rows_of(tiny_encoder, 0, seed=2))
    assert fitted.best_step == fitted.n_steps == 12
    assert np.isnan(fitted.validation_loss)


def test_nothing_is_printed_and_the_callers_random_state_stays(
    fit: Any,  # noqa: ANN401
    capfd: pytest.CaptureFixture[str],
) -> None:
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002 (what the Trainer seeds)
    expected = torch.rand(1), np.random.default_rng(0).random(), np.random.random()  # noqa: NPY002
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    fit(replace(QUICK, n_steps=4))
    assert torch.equal(torch.rand(1), expected[0])
    assert np.random.random() == expected[2]  # noqa: NPY002
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_steps": 0}, "n_steps 0 must be 1 or more"),
        ({"batch": 0}, "batch 0 must be"),
        ({"eval_steps": 0}, "eval_steps 0 must be"),
        ({"micro_batch": -1}, "micro_batch -1 must be 0 or more"),
        ({"patience": -1}, "patience -1 must be"),
        ({"weight_decay": float("nan")}, "weight_decay nan must be"),
        ({"learning_rate": 0.0}, r"learning_rate 0\.0 must be above 0"),
        ({"warmup": 1.0}, r"warmup 1\.0 must be"),
    ],
)
def test_settings_that_make_no_fit_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FineTuning(**change)


def test_the_defaults_are_the_papers() -> None:
    # Ong et al. (2024), section 4.2: about 2,000 steps, batch 16, 1e-5, weight decay .01.
    settings = FineTuning()
    assert (settings.n_steps, settings.batch) == (2000, 16)
    assert (settings.learning_rate, settings.weight_decay) == (1e-5, 0.01)


def test_a_missing_extra_names_the_pip_command(
    fit: Any,  # noqa: ANN401
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, pair_trainer.__name__)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'routecast\[torch\]'"):
        fit()


def test_a_stopped_fit_may_go_on_in_smaller_parts(fit: Any, tmp_path: Path) -> None:  # noqa: ANN401
    def stop(step: int, *_: object) -> None:
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(checkpoint=tmp_path / "kept", on_step=stop)
    fitted, _ = fit(replace(QUICK, micro_batch=2), checkpoint=tmp_path / "kept")
    assert (fitted.n_steps, fitted.micro_batch) == (12, 2)
