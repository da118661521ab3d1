from dataclasses import replace

import choix
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from routecast.data.preferences import PreferenceArrays
from routecast.errors import ConfigError, DataError
from routecast.routers.sw import SwSettings
from routecast.train.sw import fit_sw, rated_tiers
from routecast.types import EmbeddingArray, FloatArray

TIERS = {"a": 0, "b": 1, "c": 1, "d": 2}


def unit_rows(generator: np.random.Generator, n_rows: int, dimension: int = 6) -> EmbeddingArray:
    rows = generator.normal(size=(n_rows, dimension))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def battles(
    seed: int, n_comparisons: int, *, n_prompts: int = 30, outcomes: tuple[float, ...] = (0, 1)
) -> PreferenceArrays:
    generator = np.random.default_rng(seed)
    first = generator.integers(0, 4, n_comparisons)
    return PreferenceArrays(
        prompts=tuple(f"prompt {number}" for number in range(n_prompts)),
        models=tuple(TIERS),
        prompt_index=generator.integers(0, n_prompts, n_comparisons).astype(np.int32),
        model_a_index=first.astype(np.int32),
        model_b_index=((first + generator.integers(1, 4, n_comparisons)) % 4).astype(np.int32),
        outcome=generator.choice(outcomes, n_comparisons).astype(np.float32),
        weight=generator.uniform(0.5, 2.0, n_comparisons).astype(np.float32),
    )


def slow_coefficients(
    training: PreferenceArrays,
    embeddings: EmbeddingArray,
    query: EmbeddingArray,
    *,
    normalise: str,
    gamma: float = 10.0,
) -> FloatArray:
    """Weighted logistic regression over battles, one row each, by a general optimiser."""
    tier = np.array([TIERS[model] for model in training.models])
    cosines = (embeddings.astype(np.float64) @ query.astype(np.float64))[training.prompt_index]
    used = np.unique(
        training.prompt_index[tier[training.model_a_index] != tier[training.model_b_index]]
    )
    if normalise == "query":
        cosines = cosines / (embeddings[used].astype(np.float64) @ query).max()
    weights = gamma ** (1 + cosines) * training.weight
    design = np.zeros((len(training), 3))
    for row, (a, b) in enumerate(
        zip(tier[training.model_a_index], tier[training.model_b_index], strict=True)
    ):
        design[row, a] += 1
        design[row, b] -= 1  # a battle inside a tier is a row of zeros

    def loss(xi: FloatArray) -> float:
        margins = design @ xi
        each = np.logaddexp(0, margins) - training.outcome * margins
        return float(weights @ each / weights.sum())

    def gradient(xi: FloatArray) -> FloatArray:
        wins = 1 / (1 + np.exp(-design @ xi))
        return np.asarray(design.T @ (weights * (wins - training.outcome)) / weights.sum())

    xi = minimize(loss, np.zeros(3), jac=gradient, method="BFGS", options={"gtol": 1e-9}).x
    return np.asarray(xi - xi.mean())


@pytest.mark.parametrize("normalise", ["train", "query"])
def test_coefficients_agree_with_logistic_regression_over_battles(normalise: str) -> None:
    training = battles(1, 400, outcomes=(0.0, 0.3, 0.5, 1.0))
    generator = np.random.default_rng(2)
    embeddings, queries = unit_rows(generator, 30), unit_rows(generator, 5)
    options = SwSettings(normalise=normalise)  # type: ignore[arg-type]
    ranking = fit_sw(embeddings, training, tiers=TIERS, settings=options)
    slow = [slow_coefficients(training, embeddings, q, normalise=normalise) for q in queries]
    assert ranking.coefficients(queries) == pytest.approx(np.array(slow), abs=2e-5)


def test_even_weights_are_plain_bradley_terry_as_choix_fits_it() -> None:
    training = battles(3, 300)
    training = replace(training, weight=np.ones(300, dtype=np.float32))
    embeddings = unit_rows(np.random.default_rng(4), 30)
    tier = np.array([TIERS[model] for model in training.models])
    pairs = [
        (int(tier[a]), int(tier[b])) if outcome == 1 else (int(tier[b]), int(tier[a]))
        for a, b, outcome in zip(
            training.model_a_index, training.model_b_index, training.outcome, strict=True
        )
        if tier[a] != tier[b]
    ]
    ranking = fit_sw(embeddings, training, tiers=TIERS, settings=SwSettings(gamma=1.0))
    theirs = choix.opt_pairwise(3, pairs, tol=1e-10)
    assert ranking.coefficients(embeddings[:1])[0] == pytest.approx(theirs, abs=1e-5)


def test_battles_inside_a_tier_change_nothing() -> None:
    training = battles(5, 200)
    tier = np.array([TIERS[model] for model in training.models])
    across = tier[training.model_a_index] != tier[training.model_b_index]
    generator = np.random.default_rng(6)
    embeddings, queries = unit_rows(generator, 30), unit_rows(generator, 4)
    whole = fit_sw(embeddings, training, tiers=TIERS)
    without = fit_sw(embeddings, training.take(across), tiers=TIERS)
    assert across.sum() < 200
    assert whole.coefficients(queries).tolist() == without.coefficients(queries).tolist()


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), scale=st.sampled_from([0.01, 3.0, 1000.0]))
def test_neither_the_unit_of_weight_nor_the_order_of_battles_matters(
    seed: int, scale: float
) -> None:
    training = battles(seed, 150, outcomes=(0.0, 0.5, 1.0))
    generator = np.random.default_rng(seed)
    embeddings, queries = unit_rows(generator, 30), unit_rows(generator, 3)
    shuffled = training.take(generator.permutation(150))
    shuffled = replace(shuffled, weight=(shuffled.weight * np.float32(scale)))
    plain, scaled = (fit_sw(embeddings, one, tiers=TIERS) for one in (training, shuffled))
    assert scaled.coefficients(queries) == pytest.approx(plain.coefficients(queries), abs=1e-4)


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_turning_every_battle_around_changes_nothing(seed: int) -> None:
    training = battles(seed, 150, outcomes=(0.0, 0.5, 1.0))
    turned = replace(
        training,
        model_a_index=training.model_b_index,
        model_b_index=training.model_a_index,
        outcome=1 - training.outcome,
    )
    generator = np.random.default_rng(seed)
    embeddings, queries = unit_rows(generator, 30), unit_rows(generator, 3)
    plain, other = (fit_sw(embeddings, one, tiers=TIERS) for one in (training, turned))
    assert other.coefficients(queries) == pytest.approx(plain.coefficients(queries), abs=1e-5)


def test_a_tie_is_half_a_win_for_each() -> None:
    # One battle won and one tied between tiers 0 and 1: 1.5 wins to .5, odds of 3 to 1. Tier 2 ties
    # with tier 1, so it is as strong: log 3 apart from tier 0.
    training = PreferenceArrays(
        prompts=("one", "two", "three"),
        models=("a", "b", "d"),
        prompt_index=np.array([0, 1, 2], dtype=np.int32),
        model_a_index=np.array([0, 0, 1], dtype=np.int32),
        model_b_index=np.array([1, 1, 2], dtype=np.int32),
        outcome=np.array([1.0, 0.5, 0.5], dtype=np.float32),
        weight=np.ones(3, dtype=np.float32),
    )
    tiers = {"a": 0, "b": 1, "d": 2}
    vectors = np.eye(3, dtype=np.float32)
    ranking = fit_sw(vectors, training, tiers=tiers, settings=SwSettings(gamma=1.0))
    xi = ranking.coefficients(vectors[:1])[0]
    assert xi[0] - xi[1] == pytest.approx(np.log(3), abs=1e-4)
    assert xi[1] - xi[2] == pytest.approx(0, abs=1e-4)


def test_tiers_come_from_the_ratings_of_the_comparisons() -> None:
    training = battles(7, 400)
    # a beats everybody and d nobody; b and c are even.
    strength = np.array([2.0, 0.0, 0.0, -2.0])
    margin = strength[training.model_a_index] - strength[training.model_b_index]
    training = replace(training, outcome=((1 + np.sign(margin)) / 2).astype(np.float32))
    assert rated_tiers(training, n_tiers=3) == TIERS
    ranking = fit_sw(unit_rows(np.random.default_rng(8), 30), training, n_tiers=3)
    assert dict(zip(ranking.model_names, ranking.model_tiers.tolist(), strict=True)) == TIERS


def test_a_model_known_by_its_tier_alone_can_be_bound() -> None:
    training = battles(9, 200)
    embeddings = unit_rows(np.random.default_rng(8), 30)
    ranking = fit_sw(embeddings, training, tiers=TIERS | {"new": 2})
    row = ranking.model_names.index("new")
    assert (int(ranking.model_tiers[row]), float(ranking.n_comparisons[row])) == (2, 0.0)


def test_each_model_s_comparisons_are_counted() -> None:
    training = battles(9, 50)
    ranking = fit_sw(unit_rows(np.random.default_rng(8), 30), training, tiers=TIERS)
    seen = [*training.model_a_index.tolist(), *training.model_b_index.tolist()]
    counts = dict(zip(ranking.model_names, ranking.n_comparisons.tolist(), strict=True))
    assert counts == {model: seen.count(row) for row, model in enumerate(TIERS)}


def test_prompts_without_comparisons_of_two_tiers_are_not_kept() -> None:
    training = battles(10, 60, n_prompts=30)
    training = training.take(training.prompt_index < 10)
    ranking = fit_sw(unit_rows(np.random.default_rng(8), 30), training, tiers=TIERS)
    assert len(ranking.prompts) <= 10


@pytest.mark.parametrize(
    ("tiers", "message"),
    [
        ({"a": 0, "b": 1, "c": 1}, r"1 models have no tier: \['d'\]"),
        (dict.fromkeys(TIERS, 0), "are inside one tier"),
        ({"a": 0, "b": 1, "c": 1, "d": 3}, "tier 2 has no comparisons with other tiers"),
        (TIERS | {"new": 3}, r"tier 3 has no comparisons .* \['new'\]"),
    ],
)
def test_tiers_that_cannot_be_ranked_are_refused(tiers: dict[str, int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        fit_sw(unit_rows(np.random.default_rng(1), 30), battles(1, 100), tiers=tiers)


def test_a_tier_below_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match="model 'a' has the tier -1"):
        fit_sw(unit_rows(np.random.default_rng(1), 30), battles(1, 100), tiers=TIERS | {"a": -1})


def test_more_tiers_than_models_are_refused() -> None:
    with pytest.raises(DataError, match="cannot fill 10 tiers"):
        fit_sw(unit_rows(np.random.default_rng(1), 30), battles(1, 100))


def test_fewer_battles_than_tiers_are_refused() -> None:
    with pytest.raises(DataError, match="cannot fill 10 tiers"):
        fit_sw(unit_rows(np.random.default_rng(1), 30), battles(1, 3))


def test_one_tier_is_refused() -> None:
    with pytest.raises(ConfigError, match="n_tiers 1 is too few"):
        fit_sw(unit_rows(np.random.default_rng(1), 30), battles(1, 100), n_tiers=1)


def test_a_single_model_ranks_nothing() -> None:
    training = replace(battles(1, 10), models=("a",))
    with pytest.raises(DataError, match="at least two models"):
        fit_sw(unit_rows(np.random.default_rng(1), 30), training)


def test_no_comparison_ranks_nothing() -> None:
    training = battles(1, 10).take(np.zeros(10, dtype=np.bool_))
    with pytest.raises(DataError, match="0 comparisons of 4 models rank nothing"):
        fit_sw(unit_rows(np.random.default_rng(1), 30), training, tiers=TIERS)


def test_missing_embeddings_are_counted() -> None:
    with pytest.raises(DataError, match="29 embeddings given for 30 prompts"):
        fit_sw(unit_rows(np.random.default_rng(1), 29), battles(1, 100), tiers=TIERS)


@pytest.mark.parametrize(("value", "message"), [(np.nan, "not finite"), (0.0, "zero")])
def test_embeddings_without_direction_are_named(value: float, message: str) -> None:
    embeddings = unit_rows(np.random.default_rng(1), 30)
    embeddings[3] = value
    with pytest.raises(DataError, match=f"embedding of prompt 3 is {message}"):
        fit_sw(embeddings, battles(1, 100), tiers=TIERS)


@pytest.mark.parametrize(
    ("column", "value"),
    [("outcome", np.nan), ("outcome", 1.5), ("weight", 0.0), ("weight", np.inf)],
)
def test_outcomes_and_weights_out_of_range_are_named(column: str, value: float) -> None:
    training = battles(1, 100)
    changed = getattr(training, column).copy()
    changed[7] = value
    with pytest.raises(DataError, match="comparison 7 has the outcome"):
        fit_sw(
            unit_rows(np.random.default_rng(1), 30),
            replace(training, **{column: changed}),
            tiers=TIERS,
        )


def test_an_index_out_of_range_is_refused() -> None:
    training = battles(1, 100)
    with pytest.raises(DataError, match="model_a_index must be from 0 to 3, and reaches 4"):
        fit_sw(
            unit_rows(np.random.default_rng(1), 30),
            replace(training, model_a_index=training.model_a_index + 1),
            tiers=TIERS,
        )
