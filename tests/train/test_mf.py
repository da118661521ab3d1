import dataclasses
from typing import Any

import numpy as np
import pytest

from routecast.data.preferences import PreferenceArrays
from routecast.errors import ConfigError, DataError
from routecast.stats.platt import sigmoid
from routecast.train.mf import MfSettings, fit_mf
from routecast.train.mf_loss import lay_out, loss_and_gradient, mean_loss
from routecast.types import EmbeddingArray, FloatArray

NAMES = ("a", "b", "c", "d", "e")
SHAPES = {
    "projection": (6, 4),
    "projection_bias": (4,),
    "output": (4,),
    "model_vectors": (5, 4),
}


def random_weights(generator: np.random.Generator) -> dict[str, FloatArray]:
    return {name: generator.normal(size=shape) for name, shape in SHAPES.items()}


def random_comparisons(
    generator: np.random.Generator, n_comparisons: int, prompts: range, *, n_prompts: int
) -> PreferenceArrays:
    first = generator.integers(0, 5, n_comparisons)
    return PreferenceArrays(
        prompts=tuple(str(number) for number in range(n_prompts)),
        models=NAMES,
        prompt_index=generator.choice(np.array(prompts), n_comparisons).astype(np.int32),
        model_a_index=first.astype(np.int32),
        model_b_index=((first + generator.integers(1, 5, n_comparisons)) % 5).astype(np.int32),
        outcome=generator.choice([0.0, 0.25, 0.5, 1.0], n_comparisons).astype(np.float32),
        weight=generator.uniform(0.5, 2.0, n_comparisons).astype(np.float32),
    )


def unit_rows(generator: np.random.Generator, n_prompts: int, dimension: int) -> EmbeddingArray:
    rows = generator.normal(size=(n_prompts, dimension))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


@pytest.fixture
def planted() -> tuple[EmbeddingArray, PreferenceArrays, PreferenceArrays]:
    """Comparisons drawn from a known model: prompts 0 to 299 train, 300 to 399 validate."""
    generator = np.random.default_rng(11)
    embeddings = unit_rows(generator, 400, 6)
    truth = {name: 2 * values for name, values in random_weights(generator).items()}
    truth["projection_bias"] *= 0.1
    parts = []
    for prompts in (range(300), range(300, 400)):
        part = random_comparisons(generator, 40 * len(prompts), prompts, n_prompts=400)
        hidden = embeddings @ truth["projection"] + truth["projection_bias"]
        scores = hidden @ (truth["model_vectors"] * truth["output"]).T
        margins = (
            scores[part.prompt_index, part.model_a_index]
            - scores[part.prompt_index, part.model_b_index]
        )
        wins = (generator.uniform(size=len(margins)) < sigmoid(margins)).astype(np.float32)
        parts.append(dataclasses.replace(part, outcome=wins))
    return embeddings, parts[0], parts[1]


def test_a_planted_model_is_found_again(
    planted: tuple[EmbeddingArray, PreferenceArrays, PreferenceArrays],
) -> None:
    embeddings, training, validation = planted
    fit = fit_mf(
        embeddings,
        training,
        validation=validation,
        settings=MfSettings(n_factors=8, weight_decay=1e-4),
    )
    scores = fit.model.scores(embeddings)
    ahead = (
        scores[validation.prompt_index, validation.model_a_index]
        > scores[validation.prompt_index, validation.model_b_index]
    )
    assert fit.validation_losses[fit.best_step] < 0.6 * np.log(2)
    assert np.mean(ahead == (validation.outcome == 1)) > 0.8


def test_the_step_with_the_lowest_validation_loss_is_kept(
    planted: tuple[EmbeddingArray, PreferenceArrays, PreferenceArrays],
) -> None:
    embeddings, training, validation = planted
    fit = fit_mf(
        embeddings,
        training,
        validation=validation,
        settings=MfSettings(n_factors=8, weight_decay=0.0, patience=5),
    )
    weights = {name: getattr(fit.model, name) for name in SHAPES}
    assert fit.best_step == int(np.argmin(fit.validation_losses))
    assert mean_loss(weights, lay_out(embeddings, validation)) == pytest.approx(
        min(fit.validation_losses)
    )


def test_the_same_seed_gives_the_same_weights(
    planted: tuple[EmbeddingArray, PreferenceArrays, PreferenceArrays],
) -> None:
    embeddings, training, _ = planted
    settings = MfSettings(n_factors=4, max_steps=10, seed=7)
    first = fit_mf(embeddings, training, settings=settings)
    again = fit_mf(embeddings, training, settings=settings)
    assert first.model.projection.tolist() == again.model.projection.tolist()


@pytest.mark.parametrize("seed", range(3))
def test_noise_lowers_the_validation_loss_where_prompts_are_few(seed: int) -> None:
    # 60 prompts in 30 dimensions, of which two matter.
    generator = np.random.default_rng(seed)
    embeddings = unit_rows(generator, 120, 30)
    scores = embeddings[:, :2] @ generator.normal(size=(2, 5)) * 6
    drawn = random_comparisons(generator, 1200, range(120), n_prompts=120)
    margins = (
        scores[drawn.prompt_index, drawn.model_a_index]
        - scores[drawn.prompt_index, drawn.model_b_index]
    )
    wins = (generator.uniform(size=1200) < sigmoid(margins)).astype(np.float32)
    drawn = dataclasses.replace(drawn, outcome=wins)
    fits = [
        fit_mf(
            embeddings,
            drawn.take(drawn.prompt_index < 60),
            validation=drawn.take(drawn.prompt_index >= 60),
            settings=MfSettings(n_factors=8, noise=noise, max_steps=60, patience=60),
        )
        for noise in (0.0, 0.1)
    ]
    assert min(fits[1].validation_losses) < min(fits[0].validation_losses) - 0.005
    assert fits[1].validation_losses[-1] < fits[0].validation_losses[-1] - 0.1


def test_losses_are_reported_step_by_step_and_validation_is_without_noise(
    planted: tuple[EmbeddingArray, PreferenceArrays, PreferenceArrays],
) -> None:
    embeddings, training, validation = planted
    seen: list[tuple[int, float, float | None]] = []
    fit = fit_mf(
        embeddings,
        training,
        validation=validation,
        settings=MfSettings(n_factors=4, noise=0.3, max_steps=5),
        on_step=lambda *step: seen.append(step),
    )
    assert seen == list(zip(range(5), fit.training_losses, fit.validation_losses, strict=True))
    weights = {name: getattr(fit.model, name) for name in SHAPES}
    assert fit.validation_losses[4] == pytest.approx(
        mean_loss(weights, lay_out(embeddings, validation))
    )
    noisy, _ = loss_and_gradient(weights, lay_out(embeddings, training), noise=0.3)
    assert fit.training_losses[4] == pytest.approx(noisy)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_factors": 10**9}, "n_factors 1000000000 must be from 1 to 100000"),
        ({"noise": 1e300}, "noise 1e\\+300 must be a number from 0"),
        ({"n_factors": 0}, "n_factors 0 must be from 1 to 100000"),
        ({"steps_per_round": 0}, "steps_per_round 0 must be from 1 to 100000"),
        ({"weight_decay": -1e-5}, "weight_decay -1e-05 must be a number from 0 to 1e\\+06"),
        ({"noise": float("nan")}, "noise nan must be a number from 0"),
        ({"seed": -1}, "seed -1 must be 0 or more"),
    ],
)
def test_settings_that_no_fit_can_use_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MfSettings(**settings)


def test_tiers_are_kept_and_checked_before_the_first_step(
    planted: tuple[EmbeddingArray, PreferenceArrays, PreferenceArrays],
) -> None:
    embeddings, training, _ = planted
    settings = MfSettings(n_factors=2, max_steps=2)
    fit = fit_mf(embeddings, training, settings=settings, tiers={"a": 0, "e": 2})
    assert fit.model.model_tiers is not None
    assert fit.model.model_tiers.tolist() == [0, -1, -1, -1, 2]

    def refuse(*_: object) -> None:
        raise AssertionError("a step was taken")

    with pytest.raises(ConfigError, match="none of the tiers' models"):
        fit_mf(embeddings, training, settings=settings, tiers={"z": 0}, on_step=refuse)


def test_what_training_saves_scores_the_same_when_loaded(
    planted: tuple[EmbeddingArray, PreferenceArrays, PreferenceArrays],
) -> None:
    embeddings, training, _ = planted
    model = fit_mf(embeddings, training, settings=MfSettings(n_factors=4, max_steps=20)).model
    loaded = type(model).from_tensors(model.tensors())
    assert loaded.scores(embeddings) == pytest.approx(model.scores(embeddings), abs=1e-4)


def test_each_model_s_comparisons_are_counted() -> None:
    generator = np.random.default_rng(4)
    comparisons = random_comparisons(generator, 50, range(10), n_prompts=10)
    fit = fit_mf(
        unit_rows(generator, 10, 6),
        comparisons,
        settings=MfSettings(n_factors=2, max_steps=3),
    )
    seen = [*comparisons.model_a_index.tolist(), *comparisons.model_b_index.tolist()]
    assert fit.model.n_comparisons.tolist() == [seen.count(row) for row in range(5)]


def test_a_shared_prompt_between_training_and_validation_is_refused() -> None:
    generator = np.random.default_rng(5)
    comparisons = random_comparisons(generator, 20, range(5), n_prompts=5)
    with pytest.raises(DataError, match="split by prompt"):
        fit_mf(unit_rows(generator, 5, 6), comparisons, validation=comparisons)


def test_an_embedding_that_is_not_finite_is_named() -> None:
    generator = np.random.default_rng(6)
    embeddings = unit_rows(generator, 5, 6)
    embeddings[3, 2] = np.nan
    with pytest.raises(DataError, match="embedding of prompt 3"):
        fit_mf(embeddings, random_comparisons(generator, 20, range(5), n_prompts=5))


def test_missing_embeddings_are_counted() -> None:
    generator = np.random.default_rng(7)
    with pytest.raises(DataError, match="4 embeddings given for 5 prompts"):
        fit_mf(
            unit_rows(generator, 4, 6),
            random_comparisons(generator, 200, range(5), n_prompts=5),
        )


def test_a_single_model_teaches_nothing() -> None:
    generator = np.random.default_rng(8)
    comparisons = random_comparisons(generator, 20, range(5), n_prompts=5)
    with pytest.raises(DataError, match="at least two models"):
        fit_mf(unit_rows(generator, 5, 6), dataclasses.replace(comparisons, models=("a",)))
