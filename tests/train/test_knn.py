"""Fitting ``knn``: clusters, what length gets, and what it refuses."""

import numpy as np
import pytest

from routecast.errors import ConfigError, DataError
from routecast.train.knn import KnnSettings, fit_knn, gather_clusters
from routecast.train.pair_labels import PromptLabels
from routecast.types import EmbeddingArray, FloatArray


def labels_of(gaps: FloatArray) -> PromptLabels:
    n_labels = len(gaps)
    return PromptLabels(rows=np.arange(n_labels), wins=(1 + gaps) / 2, weights=np.ones(n_labels))


def two_topics(n_each: int, seed: int) -> tuple[EmbeddingArray, FloatArray]:
    """Two directions with a little noise; strong wins on the first, on the second it does not."""
    generator = np.random.default_rng(seed)
    centres = np.repeat(np.eye(2, 8), n_each, axis=0)
    vectors = centres + 0.1 * generator.normal(size=centres.shape)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), np.repeat([0.8, 0.0], n_each)


def test_two_topics_become_two_clusters_with_their_mean_gaps() -> None:
    vectors, gaps = two_topics(50, seed=0)
    settings = KnnSettings(n_centres=2, prior=0.0, length_weight=0.0)
    knn = fit_knn(["x"] * 100, vectors, labels_of(gaps), settings=settings)
    assert sorted(knn.masses) == [50.0, 50.0]
    assert knn.base_gap == pytest.approx(0.4)
    # far topics hardly see each other at sharpness 30: e^-30 of the other's weight
    assert knn.predict(["x", "x"], np.eye(2, 8, dtype=np.float32)) == pytest.approx(
        [0.8, 0.0], abs=1e-6
    )


def test_length_gets_the_asked_share_of_the_spread() -> None:
    # the labels around each prompt, its own left out, are its topic's: gaps 0.4 above and below
    # the mean, a spread of 0.4; half of it per deviation of length is 0.2
    vectors, gaps = two_topics(50, seed=1)
    prompts = ["x" * n for n in range(1, 101)]
    settings = KnnSettings(n_centres=2, prior=0.0, length_weight=0.5)
    knn = fit_knn(prompts, vectors, labels_of(gaps), settings=settings)
    assert knn.length_slope == pytest.approx(0.2, abs=1e-6)
    logs = np.log1p(np.arange(1, 101))
    assert knn.length_mean == pytest.approx(logs.mean())
    assert knn.length_deviation == pytest.approx(logs.std())


def test_labels_that_say_nothing_leave_length_nothing_either() -> None:
    generator = np.random.default_rng(2)
    vectors = generator.normal(size=(40, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    knn = fit_knn([f"{n}" for n in range(40)], vectors, labels_of(np.full(40, 0.3)))
    assert knn.predict(["a", "long " * 99], vectors[:2]) == pytest.approx([0.3, 0.3], abs=1e-6)


def test_fits_of_one_seed_are_equal_and_the_order_of_prompts_hardly_matters() -> None:
    vectors, gaps = two_topics(30, seed=3)
    prompts = [f"prompt {n}" for n in range(60)]
    settings = KnnSettings(n_centres=2)
    first = fit_knn(prompts, vectors, labels_of(gaps), settings=settings)
    second = fit_knn(prompts, vectors, labels_of(gaps), settings=settings)
    assert np.array_equal(first.centres, second.centres)
    order = np.random.default_rng(0).permutation(60)
    shuffled = fit_knn(
        [prompts[row] for row in order], vectors[order], labels_of(gaps[order]), settings=settings
    )
    assert shuffled.predict(prompts, vectors) == pytest.approx(
        first.predict(prompts, vectors), abs=1e-5
    )


def test_clusters_may_be_made_once_for_many_fits() -> None:
    vectors, gaps = two_topics(30, seed=4)
    prompts = [f"prompt {n}" for n in range(60)]
    clusters = gather_clusters(vectors, n_centres=5, seed=7)
    n_centres = len(clusters.centres)  # fewer where one has lost all its prompts
    assert 2 <= n_centres <= 5
    assert np.linalg.norm(clusters.centres, axis=1) == pytest.approx(np.ones(n_centres), abs=1e-6)
    assert set(clusters.places.tolist()) == set(range(n_centres))
    settings = KnnSettings(n_centres=5, sharpness=20.0, seed=7)
    given = fit_knn(prompts, vectors, labels_of(gaps), settings=settings, clusters=clusters)
    made = fit_knn(prompts, vectors, labels_of(gaps), settings=settings)
    assert np.array_equal(given.predict(prompts, vectors), made.predict(prompts, vectors))


def test_more_clusters_than_prompts_and_equal_prompts_are_no_trouble() -> None:
    vectors = np.tile(np.eye(1, 4, dtype=np.float32), (5, 1))
    knn = fit_knn(["same"] * 5, vectors, labels_of(np.array([1.0, 1.0, 0.0, 0.0, 0.5])))
    assert len(knn.centres) == 1
    assert knn.predict(["same"], vectors[:1]) == pytest.approx([0.5], abs=1e-6)


def test_too_few_labels_and_settings_out_of_range_are_refused() -> None:
    with pytest.raises(DataError, match="3 are the fewest"):
        fit_knn(["a", "b"], np.eye(2, dtype=np.float32), labels_of(np.zeros(2)))
    with pytest.raises(ConfigError, match="n_centres 0"):
        KnnSettings(n_centres=0)
    with pytest.raises(ConfigError, match="sharpness nan"):
        KnnSettings(sharpness=float("nan"))
    with pytest.raises(ConfigError, match=r"length_weight -0\.5"):
        KnnSettings(length_weight=-0.5)
    with pytest.raises(ConfigError, match=r"length_far_share 1\.5 must be from 0 to 1"):
        KnnSettings(length_far_share=1.5)
