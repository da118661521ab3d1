from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from routecast.data.preferences import PreferenceArrays
from routecast.errors import ConfigError
from routecast.routers.sw import SimilarityWeighted, SwSettings
from routecast.routers.sw_compressed import compress, mean_by_cell, principal_components
from routecast.routers.sw_prompts import best_of_groups
from routecast.train.sw import fit_sw
from routecast.types import EmbeddingArray, FloatArray

N_PROMPTS, DIMENSION = 3000, 96


def on_topics(generator: np.random.Generator, n_rows: int) -> EmbeddingArray:
    """Unit vectors around ten topics."""
    topics = np.random.default_rng(99).normal(size=(10, DIMENSION)) / DIMENSION**0.5
    noise = generator.normal(size=(n_rows, DIMENSION)) / DIMENSION**0.5
    rows = 0.6 * topics[generator.integers(0, 10, n_rows)] + 0.8 * noise
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def on_battles(normalise: str) -> SimilarityWeighted:
    """Battles of four tiers, one for each prompt, that depend on the prompt."""
    generator = np.random.default_rng(0)
    embeddings = on_topics(generator, N_PROMPTS)
    first = generator.integers(0, 4, N_PROMPTS)
    second = (first + generator.integers(1, 4, N_PROMPTS)) % 4
    strengths = 1.0 - 0.5 * np.arange(4) + 4 * embeddings[:, :4]
    rows = np.arange(N_PROMPTS)
    margins = strengths[rows, first] - strengths[rows, second]
    outcome = (generator.uniform(size=N_PROMPTS) < 1 / (1 + np.exp(-margins))).astype(np.float32)
    training = PreferenceArrays(
        prompts=tuple(map(str, range(N_PROMPTS))),
        models=("a", "b", "c", "d"),
        prompt_index=rows.astype(np.int32),
        model_a_index=first.astype(np.int32),
        model_b_index=second.astype(np.int32),
        outcome=outcome,
        weight=np.ones(N_PROMPTS, dtype=np.float32),
    )
    tiers = {"a": 0, "b": 1, "c": 2, "d": 3}
    options = SwSettings(normalise=normalise)  # type: ignore[arg-type]
    return fit_sw(embeddings, training, tiers=tiers, settings=options)


def wins_over_last(ranking: SimilarityWeighted, queries: EmbeddingArray) -> FloatArray:
    xi = ranking.coefficients(queries)
    return np.asarray(1 / (1 + np.exp(xi[:, 3] - xi[:, 0])))


@pytest.mark.parametrize(("normalise", "tolerance"), [("train", 0.0015), ("query", 0.004)])
def test_some_components_score_as_all_of_them_do(normalise: str, tolerance: float) -> None:
    # Twenty times fewer prompts than the budget's, so that less cancels out; by `query` all
    # differences are larger, as the largest cosine here is about a half.
    exact = on_battles(normalise)
    queries = on_topics(np.random.default_rng(1), 300)
    expected = wins_over_last(exact, queries)
    n_rescored = 256 if normalise == "query" else 0
    compressed = compress(exact, n_components=64, n_rescored=n_rescored)
    found = wins_over_last(compressed, queries)
    assert np.abs(found - expected).max() < tolerance
    assert spearmanr(found, expected)[0] > 0.995


def test_the_means_of_what_is_left_out_make_it_more_exact() -> None:
    exact = on_battles("train")
    queries = on_topics(np.random.default_rng(1), 300)
    expected = wins_over_last(exact, queries)
    compressed = compress(exact, n_components=16)
    with_means = np.abs(wins_over_last(compressed, queries) - expected).max()
    without = replace(compressed, cell_rests=None)
    assert with_means < 0.3 * np.abs(wins_over_last(without, queries) - expected).max()


def test_all_components_are_the_exact_form() -> None:
    exact = on_battles("train")
    queries = on_topics(np.random.default_rng(1), 50)
    whole = compress(exact, n_components=DIMENSION)
    assert wins_over_last(whole, queries) == pytest.approx(wins_over_last(exact, queries), abs=1e-5)


def test_rescored_candidates_have_their_exact_cosine() -> None:
    exact = on_battles("query")
    queries = on_topics(np.random.default_rng(1), 20)
    whole, _ = exact.prompts.similarities(queries)
    cosines, largest = compress(exact, n_components=8, n_rescored=64).prompts.similarities(queries)
    # Half precision moves a cosine by up to 2^-11 or so.
    assert (np.abs(cosines - whole) < 5e-4).sum(axis=1).min() >= 64
    assert np.abs(largest - whole.max(axis=1)).max() < 0.1


def test_tensors_rebuild_the_compressed_form() -> None:
    for normalise, rows in (("train", 0), ("query", N_PROMPTS)):
        compressed = compress(on_battles(normalise), n_components=16)
        tensors = compressed.tensors()
        assert len(tensors["embeddings"]) == rows
        queries = on_topics(np.random.default_rng(1), 50)
        assert wins_over_last(SimilarityWeighted.from_tensors(tensors), queries) == pytest.approx(
            wins_over_last(compressed, queries), abs=1e-4
        )


def test_components_are_the_singular_vectors() -> None:
    embeddings = on_topics(np.random.default_rng(2), 500)
    basis = principal_components(embeddings, 5)
    _, _, vectors = np.linalg.svd(embeddings, full_matrices=False)
    assert np.abs(np.sum(basis.T * vectors[:5], axis=1)) == pytest.approx(np.ones(5), abs=1e-4)


def test_means_by_cell_agree_with_a_loop() -> None:
    ranking = on_battles("train")
    records, embeddings = ranking.records, np.arange(2.0 * N_PROMPTS).reshape(-1, 2)
    kinds = np.searchsorted(records.kind_starts, np.arange(N_PROMPTS), side="right") - 1
    rows = [row for row in range(N_PROMPTS) if records.kind_wins[kinds[row], 1, 2] > 0]
    slow = np.mean([embeddings[row] for row in rows], axis=0)
    means = mean_by_cell(embeddings.astype(np.float32), records)
    assert means[1, 2] == pytest.approx(slow, rel=1e-5)
    assert means[1, 1].tolist() == [0, 0]


@given(seed=st.integers(0, 1000), n_columns=st.integers(1, 300), n_best=st.integers(1, 20))
def test_the_best_of_groups_hold_the_very_best(seed: int, n_columns: int, n_best: int) -> None:
    scores = np.random.default_rng(seed).normal(size=(3, n_columns)).astype(np.float32)
    columns = best_of_groups(scores, n_best)
    assert columns.shape == (3, min(n_best, n_columns))
    for row, chosen in zip(scores, columns, strict=True):
        assert len(set(chosen.tolist())) == len(chosen)
        assert int(row.argmax()) in chosen


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_components": 0}, "n_components 0 is out of range"),
        ({"n_components": 97}, "from 1 to the dimension of the embeddings, 96"),
        ({"n_rescored": -1}, "n_rescored -1 is out of range"),
    ],
)
def test_unusable_sizes_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compress(on_battles("train"), **options)


def test_a_compressed_form_is_not_compressed_again() -> None:
    compressed = compress(on_battles("train"), n_components=8)
    with pytest.raises(ConfigError, match="compressed already"):
        compress(compressed)
