import dataclasses

import numpy as np
import pytest
from scipy.optimize import check_grad

from routecast.data.preferences import PreferenceArrays
from routecast.errors import DataError
from routecast.stats.platt import sigmoid
from routecast.train.mf import MfSettings, fit_mf, loss_and_gradient, mean_loss
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


def test_loss_of_one_comparison_by_hand() -> None:
    # One dimension, one factor: a scores 1 * 2 * (1 * 1 + 0) = 2, b scores 1 * 1 * 1 = 1.
    # The margin is 1 and a wins: -ln sigmoid(1) = ln(1 + e^-1) = 0.31326.
    weights = {
        "projection": np.array([[1.0]]),
        "projection_bias": np.array([0.0]),
        "output": np.array([1.0]),
        "model_vectors": np.array([[2.0], [1.0]]),
    }
    one = np.array([0], dtype=np.int32)
    won = PreferenceArrays(
        prompts=("a prompt",),
        models=("a", "b"),
        prompt_index=one,
        model_a_index=one,
        model_b_index=one + 1,
        outcome=np.array([1.0], dtype=np.float32),
        weight=np.array([3.0], dtype=np.float32),
    )
    embeddings = np.array([[1.0]], dtype=np.float32)
    loss, gradient = loss_and_gradient(weights, embeddings, won)
    assert loss == pytest.approx(0.3132617)
    assert mean_loss(weights, embeddings, won) == pytest.approx(0.3132617)
    # d loss / d margin = sigmoid(1) - 1 = -0.26894; the margin grows by v_a - v_b = 1 with w2.
    assert gradient["output"] == pytest.approx([-0.2689414])


def test_loss_agrees_with_a_plain_loop() -> None:
    generator = np.random.default_rng(1)
    weights = random_weights(generator)
    embeddings = unit_rows(generator, 30, 6)
    comparisons = random_comparisons(generator, 100, range(30), n_prompts=30)
    total = 0.0
    for p, a, b, y, w in zip(
        comparisons.prompt_index,
        comparisons.model_a_index,
        comparisons.model_b_index,
        comparisons.outcome,
        comparisons.weight,
        strict=True,
    ):
        hidden = weights["projection"].T @ embeddings[p] + weights["projection_bias"]
        score_a = weights["output"] @ (weights["model_vectors"][a] * hidden)
        score_b = weights["output"] @ (weights["model_vectors"][b] * hidden)
        win = 1 / (1 + np.exp(score_b - score_a))
        total -= w * (y * np.log(win) + (1 - y) * np.log(1 - win))
    loss, _ = loss_and_gradient(weights, embeddings, comparisons)
    assert loss == pytest.approx(total / comparisons.weight.sum(), rel=1e-6)


@pytest.mark.parametrize("name", SHAPES)
def test_gradient_agrees_with_finite_differences(name: str) -> None:
    generator = np.random.default_rng(2)
    weights = random_weights(generator)
    embeddings = unit_rows(generator, 20, 6)
    comparisons = random_comparisons(generator, 60, range(20), n_prompts=20)

    def with_values(values: FloatArray) -> dict[str, FloatArray]:
        return weights | {name: values.reshape(SHAPES[name])}

    def loss(values: FloatArray) -> float:
        return loss_and_gradient(with_values(values), embeddings, comparisons)[0]

    def gradient(values: FloatArray) -> FloatArray:
        return loss_and_gradient(with_values(values), embeddings, comparisons)[1][name].ravel()

    error = check_grad(loss, gradient, weights[name].ravel())
    assert error < 1e-6


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
    assert mean_loss(weights, embeddings, validation) == pytest.approx(min(fit.validation_losses))


def test_the_same_seed_gives_the_same_weights(
    planted: tuple[EmbeddingArray, PreferenceArrays, PreferenceArrays],
) -> None:
    embeddings, training, _ = planted
    settings = MfSettings(n_factors=4, max_steps=10, seed=7)
    first = fit_mf(embeddings, training, settings=settings)
    again = fit_mf(embeddings, training, settings=settings)
    assert first.model.projection.tolist() == again.model.projection.tolist()


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
