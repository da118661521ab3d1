from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from routecast.data.preferences import PreferenceArrays
from routecast.errors import ConfigError, DataError
from routecast.routers.mf import MatrixFactorization
from routecast.stats.platt import sigmoid
from routecast.train.mf_new_model import (
    VectorPrior,
    fit_new_model,
    place_by_rating,
    prior_of_models,
    prior_of_rating,
)
from routecast.types import EmbeddingArray, FloatArray

N_KNOWN = 12


def random_mf(seed: int, *, dimension: int = 10, n_factors: int = 6) -> MatrixFactorization:
    generator = np.random.default_rng(seed)
    return MatrixFactorization(
        model_names=tuple(f"known-{number}" for number in range(N_KNOWN)),
        projection=generator.normal(size=(dimension, n_factors)),
        projection_bias=generator.normal(size=n_factors),
        output=generator.uniform(0.5, 2.0, n_factors),
        model_vectors=generator.normal(size=(N_KNOWN, n_factors)),
        n_comparisons=np.full(N_KNOWN, 10.0),
    )


def prompts_of(n_prompts: int, *, seed: int, dimension: int = 10) -> EmbeddingArray:
    rows = np.random.default_rng(seed).normal(size=(n_prompts, dimension))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(unit, dtype=np.float32)


def battles(
    model: MatrixFactorization,
    vector: FloatArray,
    embeddings: EmbeddingArray,
    n_comparisons: int,
    *,
    seed: int,
) -> PreferenceArrays:
    """Let a new model of a planted vector meet known ones."""
    generator = np.random.default_rng(seed)
    scores = model.with_model("new", vector).scores(embeddings)
    prompt = generator.integers(0, len(embeddings), n_comparisons)
    opponent = generator.integers(0, N_KNOWN, n_comparisons)
    wins = generator.uniform(size=n_comparisons) < sigmoid(
        scores[prompt, -1] - scores[prompt, opponent]
    )
    return PreferenceArrays(
        prompts=tuple(str(number) for number in range(len(embeddings))),
        models=(*model.model_names, "new"),
        prompt_index=prompt.astype(np.int32),
        model_a_index=np.full(n_comparisons, N_KNOWN, dtype=np.int32),
        model_b_index=opponent.astype(np.int32),
        outcome=wins.astype(np.float32),
        weight=np.ones(n_comparisons, dtype=np.float32),
    )


def swapped(comparisons: PreferenceArrays) -> PreferenceArrays:
    return replace(
        comparisons,
        model_a_index=comparisons.model_b_index,
        model_b_index=comparisons.model_a_index,
        outcome=1 - comparisons.outcome,
    )


def test_one_win_by_hand() -> None:
    # One factor, prior N(0, 1), a prompt whose hidden value is 1. The opponent scores 0.5. The
    # loss of z is ln(1 + exp(-(z - 0.5))) + z^2 / 2, whose slope -(1 - sigmoid(z - 0.5)) + z is 0
    # at z = 0.5, where the sigmoid is 0.5.
    known = MatrixFactorization(
        model_names=("opponent",),
        projection=np.array([[1.0]]),
        projection_bias=np.array([0.0]),
        output=np.array([1.0]),
        model_vectors=np.array([[0.5]]),
        n_comparisons=np.array([1.0]),
    )
    one = np.array([0], dtype=np.int32)
    won = PreferenceArrays(
        prompts=("a prompt",),
        models=("new", "opponent"),
        prompt_index=one,
        model_a_index=one,
        model_b_index=one + 1,
        outcome=np.array([1.0], dtype=np.float32),
        weight=np.array([1.0], dtype=np.float32),
    )
    prior = VectorPrior(np.array([0.0]), np.array([[1.0]]))
    fitted = fit_new_model(known, "new", np.ones((1, 1), np.float32), won, prior=prior)
    assert fitted.model_vectors[1] == pytest.approx([0.5])
    assert fitted.model_names == ("opponent", "new")
    assert fitted.n_comparisons.tolist() == [1.0, 1.0]


def test_the_fit_is_the_minimum_that_scipy_finds() -> None:
    model, embeddings = random_mf(1), prompts_of(40, seed=1)
    comparisons = battles(model, model.model_vectors[2] * -1.0, embeddings, 60, seed=1)
    comparisons = replace(comparisons, weight=np.linspace(0.5, 2, 60, dtype=np.float32))
    prior = prior_of_models(model)
    precision = np.linalg.inv(prior.covariance)
    hidden = embeddings.astype(np.float64) @ model.projection + model.projection_bias

    def objective(vector: FloatArray) -> float:
        scores = hidden @ (np.vstack([model.model_vectors, vector]) * model.output).T
        margins = (
            scores[comparisons.prompt_index, -1]
            - scores[comparisons.prompt_index, comparisons.model_b_index]
        )
        losses = np.logaddexp(0, margins) - comparisons.outcome * margins
        away = vector - prior.mean
        return float(comparisons.weight @ losses + 0.5 * away @ precision @ away)

    slow = minimize(objective, prior.mean)
    found = fit_new_model(model, "new", embeddings, comparisons).model_vectors[-1]
    assert objective(found) <= slow.fun + 1e-6
    assert found == pytest.approx(slow.x, abs=1e-3)


def test_a_planted_model_is_recovered_as_comparisons_grow() -> None:
    model, embeddings = random_mf(2), prompts_of(400, seed=2)
    held_out = prompts_of(300, seed=3)
    truth = np.random.default_rng(4).normal(size=6)
    target = model.with_model("new", truth).scores(held_out)
    errors = []
    for n_comparisons in (20, 200, 5000):
        drawn = battles(model, truth, embeddings, n_comparisons, seed=5)
        scores = fit_new_model(model, "new", embeddings, drawn).scores(held_out)
        errors.append(float(np.sqrt(np.mean((scores[:, -1] - target[:, -1]) ** 2))))
    mean_model = model.with_model("new", model.model_vectors.mean(axis=0)).scores(held_out)
    at_first = float(np.sqrt(np.mean((mean_model[:, -1] - target[:, -1]) ** 2)))
    assert at_first > errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.15 * at_first


def test_known_models_are_left_as_they_are() -> None:
    model, embeddings = random_mf(3), prompts_of(30, seed=4)
    before = model.model_vectors.copy()
    comparisons = battles(model, np.zeros(6), embeddings, 30, seed=6)
    larger = fit_new_model(model, "new", embeddings, comparisons)
    assert model.model_names == larger.model_names[:-1]
    assert model.model_vectors.tolist() == before.tolist()
    assert larger.scores(embeddings)[:, :-1] == pytest.approx(model.scores(embeddings))


@settings(max_examples=20)
@given(seed=st.integers(0, 1000))
def test_sides_and_order_of_comparisons_do_not_matter(seed: int) -> None:
    model, embeddings = random_mf(4), prompts_of(30, seed=5)
    comparisons = battles(model, np.ones(6), embeddings, 40, seed=seed)
    order = np.random.default_rng(seed).permutation(40)
    first = fit_new_model(model, "new", embeddings, comparisons).model_vectors[-1]
    again = fit_new_model(model, "new", embeddings, swapped(comparisons).take(order))
    assert again.model_vectors[-1] == pytest.approx(first, abs=1e-5)


def test_comparisons_of_others_are_passed_over() -> None:
    model, embeddings = random_mf(5), prompts_of(30, seed=6)
    comparisons = battles(model, np.ones(6), embeddings, 40, seed=7)
    others = replace(
        comparisons,
        model_a_index=np.where(np.arange(40) < 20, 12, 0).astype(np.int32),
        model_b_index=np.where(comparisons.model_b_index == 0, 1, comparisons.model_b_index),
    )
    both = fit_new_model(model, "new", embeddings, others).model_vectors[-1]
    alone = fit_new_model(model, "new", embeddings, others.take(np.arange(20))).model_vectors[-1]
    assert both == pytest.approx(alone)


def test_a_model_that_always_wins_stays_finite() -> None:
    model, embeddings = random_mf(6), prompts_of(30, seed=7)
    comparisons = battles(model, np.zeros(6), embeddings, 500, seed=8)
    won = replace(comparisons, outcome=np.ones(500, dtype=np.float32))
    scores = fit_new_model(model, "new", embeddings, won).scores(embeddings)
    assert np.isfinite(scores).all()
    assert (scores[:, -1:] > scores[:, :-1]).mean() > 0.9


def test_a_rating_on_the_line_of_the_known_ones_is_placed_on_it() -> None:
    # v = (1, 2) + (rating - 1000) / 100 * (0.5, -1): at 1200, (1, 2) + 2 * (0.5, -1) = (2, 0).
    rated = {"a": 900.0, "b": 1000.0, "c": 1100.0}
    model = replace(
        random_mf(7, n_factors=2),
        model_names=("a", "b", "c"),
        model_vectors=np.array([[0.5, 3.0], [1.0, 2.0], [1.5, 1.0]]),
        n_comparisons=np.array([5.0, 5.0, 5.0]),
    )
    placed = place_by_rating(model, "new", 1200.0, rated | {"unheard-of": 5.0})
    assert placed.model_vectors[-1] == pytest.approx([2.0, 0.0])
    assert placed.n_comparisons[-1] == 0
    # Nothing is left unexplained, so nothing is left open.
    assert prior_of_rating(model, 1200.0, rated).covariance == pytest.approx(0, abs=1e-20)


def test_the_scale_of_ratings_does_not_matter() -> None:
    model = random_mf(8)
    ratings = {name: float(row) for row, name in enumerate(model.model_names)}
    stretched = {name: 1000 + 173.7 * value for name, value in ratings.items()}
    plain = prior_of_rating(model, 3.5, ratings)
    other = prior_of_rating(model, 1000 + 173.7 * 3.5, stretched)
    assert other.mean == pytest.approx(plain.mean)
    assert other.covariance == pytest.approx(plain.covariance)


def test_a_rating_leaves_less_open_than_no_rating() -> None:
    model = random_mf(9)
    strengths = model.model_vectors @ (model.output * model.projection_bias)
    ratings = dict(zip(model.model_names, strengths.tolist(), strict=True))
    rated = prior_of_rating(model, 0.0, ratings, isotropic_share=0.0)
    head = model.output * model.projection_bias
    # The rating is the mean score itself, so the regression fixes it: no variance is left.
    assert head @ rated.mean == pytest.approx(0.0)
    assert head @ rated.covariance @ head == pytest.approx(0.0, abs=1e-9)
    assert head @ prior_of_models(model).covariance @ head > 0.1


def test_unusable_ratings_are_refused() -> None:
    model = random_mf(10)
    with pytest.raises(DataError, match="2 of this router's models are rated"):
        prior_of_rating(model, 1.0, {"known-0": 1.0, "known-1": 2.0, "else": 3.0})
    with pytest.raises(DataError, match="with 1 different ratings"):
        prior_of_rating(model, 1.0, dict.fromkeys(model.model_names, 1.0))
    with pytest.raises(DataError, match="must be finite"):
        prior_of_rating(model, float("nan"), dict.fromkeys(model.model_names, 1.0))
    with pytest.raises(ConfigError, match="isotropic_share 2"):
        prior_of_models(model, isotropic_share=2)


def test_unusable_comparisons_of_a_new_model_are_refused() -> None:
    model, embeddings = random_mf(11), prompts_of(30, seed=9)
    comparisons = battles(model, np.zeros(6), embeddings, 30, seed=9)
    with pytest.raises(ConfigError, match="'known-3' is in this router already"):
        fit_new_model(model, "known-3", embeddings, comparisons)
    with pytest.raises(DataError, match="no comparison holds the new model 'newer'"):
        fit_new_model(model, "newer", embeddings, comparisons)
    renamed = replace(comparisons, models=("stranger", *comparisons.models[1:]))
    with pytest.raises(DataError, match=r"\['stranger'\], which this router does not know"):
        fit_new_model(model, "new", embeddings, renamed)
    with pytest.raises(DataError, match=r"9\); accepted is \(n_prompts, 10\)"):
        fit_new_model(model, "new", embeddings[:, :9], comparisons)
    spoilt = embeddings.copy()
    spoilt[4, 0] = np.inf
    with pytest.raises(DataError, match="embedding of prompt 4"):
        fit_new_model(model, "new", spoilt, comparisons)
