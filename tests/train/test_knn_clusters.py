"""Gathering labelled prompts: what clusters hold, and what the kernel counts around a prompt."""

import numpy as np
import pytest

from routecast.train.knn_clusters import gather_clusters, without_group, without_itself
from routecast.types import EmbeddingArray


def unit_vectors(n_vectors: int, seed: int) -> EmbeddingArray:
    vectors = np.random.default_rng(seed).normal(size=(n_vectors, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32)


def test_clusters_hold_every_prompt_and_their_centres_are_unit_vectors() -> None:
    clusters = gather_clusters(unit_vectors(60, seed=0), n_centres=5, seed=7)
    n_centres = len(clusters.centres)  # fewer where one has lost all its prompts
    assert 2 <= n_centres <= 5
    assert np.linalg.norm(clusters.centres, axis=1) == pytest.approx(np.ones(n_centres), abs=1e-6)
    assert set(clusters.places.tolist()) == set(range(n_centres))


def test_with_centres_enough_each_prompt_is_its_own_cluster() -> None:
    vectors = unit_vectors(30, seed=1)
    clusters = gather_clusters(vectors, n_centres=512, seed=0)
    assert len(clusters.centres) == 30
    assert clusters.centres[clusters.places] == pytest.approx(vectors, abs=1e-6)


def test_sums_around_a_prompt_are_those_of_all_others_one_by_one() -> None:
    vectors = unit_vectors(50, seed=2)
    generator = np.random.default_rng(3)
    values, weights = generator.normal(size=50), generator.uniform(0.5, 2.0, 50)
    groups = generator.integers(0, 12, 50)
    clusters = gather_clusters(vectors, n_centres=9, seed=0)
    around = without_itself(vectors, clusters, values, weights, sharpness=6.0)
    apart = without_group(around, vectors, clusters, values, weights, groups=groups, sharpness=6.0)
    homes = clusters.centres[clusters.places]
    for row in range(50):
        kernel = np.array([np.exp(6.0 * (vectors[row] @ home - 1.0)) for home in homes])
        others, strangers = np.arange(50) != row, groups != groups[row]
        assert around.sums[row] == pytest.approx(kernel[others] @ values[others], abs=1e-5)
        assert around.masses[row] == pytest.approx(kernel[others] @ weights[others], abs=1e-5)
        assert apart.sums[row] == pytest.approx(kernel[strangers] @ values[strangers], abs=1e-5)
        assert apart.masses[row] == pytest.approx(kernel[strangers] @ weights[strangers], abs=1e-5)


def test_narrow_kernels_leave_no_rounding_of_what_was_left_out() -> None:
    vectors = unit_vectors(40, seed=4)
    vectors = np.concatenate([vectors, vectors[:20]])  # twins of the first twenty
    groups = np.concatenate([np.arange(40), np.arange(20)])
    generator = np.random.default_rng(5)
    values, weights = generator.normal(size=60), generator.uniform(0.5, 2.0, 60)
    clusters = gather_clusters(vectors, n_centres=512, seed=0)
    given = (vectors, clusters, values, weights)
    around = without_itself(*given, sharpness=80.0)
    apart = without_group(around, *given, groups=groups, sharpness=80.0)
    homes = clusters.centres[clusters.places].astype(np.float64)
    kernel = np.exp(80.0 * (vectors.astype(np.float64) @ homes.T - 1.0))
    kernel[groups[:, None] == groups] = 0.0
    assert apart.sums == pytest.approx(kernel @ values, rel=1e-3, abs=1e-30)
    assert apart.masses == pytest.approx(kernel @ weights, rel=1e-3, abs=1e-30)
    assert apart.masses.max() < 1e-3 < around.masses.max()  # twins count, next to nothing else does
