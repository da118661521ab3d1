"""Gathering labelled prompts in clusters, and what the kernel counts around each of them."""

from dataclasses import dataclass

import numpy as np

from routecast.routers.knn import kernel_of
from routecast.stats.groups import groups_of_many
from routecast.types import EmbeddingArray, FloatArray, IntArray

_ROUNDS = 15
_BLOCK = 4_096


@dataclass(frozen=True, eq=False)
class Clusters:
    """Labelled prompts that are alike, put together.

    Attributes:
        centres: Unit vectors, shape (n_centres, dimension), float32.
        places: Each prompt's cluster, shape (n_prompts,); no cluster is empty.
    """

    centres: EmbeddingArray
    places: IntArray


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What the kernel counts around labelled prompts, the labels of some left out.

    Attributes:
        sums: Kernel sum of what is learned from the labels left, shape (n_prompts,).
        masses: Kernel sum of their weights, 0 or more, same shape.
    """

    sums: FloatArray
    masses: FloatArray


def gather_clusters(embeddings: EmbeddingArray, *, n_centres: int, seed: int) -> Clusters:
    """Gather unit vectors, shape (n_prompts, dimension), in at most ``n_centres`` clusters.

    Spherical k-means, from distinct prompts drawn at random; scipy's and scikit-learn's are for
    Euclidean distances, and the former needs minutes where this needs seconds.

    References:
        Dhillon and Modha (2001), Concept Decompositions for Large Sparse Text Data.
    """
    vectors = np.ascontiguousarray(embeddings, dtype=np.float32)
    distinct = np.unique(vectors, axis=0)
    generator = np.random.default_rng(seed)
    n_centres = min(n_centres, len(distinct))
    centres = distinct[generator.choice(len(distinct), n_centres, replace=False)]
    for _ in range(_ROUNDS):
        nearest = _nearest(vectors, centres)
        order = np.argsort(nearest, kind="stable")
        _, starts, places = np.unique(nearest[order], return_index=True, return_inverse=True)
        sums = np.add.reduceat(vectors[order], starts, axis=0)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = sums / np.maximum(lengths, np.finfo(np.float32).tiny)
    ordered = np.empty(len(vectors), dtype=np.int64)
    ordered[order] = places
    return Clusters(centres, ordered)


def _nearest(vectors: EmbeddingArray, centres: EmbeddingArray) -> IntArray:
    """Return the position of the centre with the largest cosine, shape (n_vectors,)."""
    nearest = np.empty(len(vectors), dtype=np.int64)
    for start in range(0, len(vectors), _BLOCK):
        rows = slice(start, start + _BLOCK)
        nearest[rows] = (vectors[rows] @ centres.T).argmax(axis=1)
    return nearest


def without_itself(
    embeddings: EmbeddingArray,
    clusters: Clusters,
    values: FloatArray,
    weights: FloatArray,
    *,
    sharpness: float,
) -> Surroundings:
    """Return what the kernel counts around each prompt, its own label left out.

    What is left is summed, never a total lessened: where the kernel is narrow, a prompt's own share
    is nearly all of the total, and the difference would be rounding error.

    Args:
        embeddings: Unit vectors, shape (n_prompts, dimension).
        clusters: Of these.
        values: What is summed, a prompt's weight in it already, shape (n_prompts,).
        weights: Same shape.
        sharpness: Of the kernel.
    """
    centres, places = clusters.centres, clusters.places
    totals = _totals(clusters, values, weights)  # (n_centres, 2)
    left = totals[places] - np.stack([values, weights], axis=1)
    left[np.bincount(places)[places] == 1] = 0.0
    found = np.empty((len(embeddings), 2))
    for start in range(0, len(embeddings), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(embeddings)))
        kernel = kernel_of(embeddings[rows] @ centres.T, sharpness).astype(np.float64)
        at_home = np.arange(len(rows)), places[rows]
        own = kernel[at_home]
        kernel[at_home] = 0.0
        found[rows] = kernel @ totals + own[:, None] * left[rows]
    return Surroundings(found[:, 0], np.maximum(found[:, 1], 0.0))


def without_group(
    around: Surroundings,
    embeddings: EmbeddingArray,
    clusters: Clusters,
    values: FloatArray,
    weights: FloatArray,
    *,
    groups: IntArray,
    sharpness: float,
) -> Surroundings:
    """Leave out the labels of all prompts of a prompt's group, near-duplicates say; likewise.

    Args:
        around: What `without_itself` gave for the rest.
        embeddings: As there; so are clusters, values, weights and sharpness.
        clusters: As there.
        values: As there.
        weights: As there.
        groups: One label per prompt, shape (n_prompts,).
        sharpness: As there.
    """
    sums, masses = around.sums.copy(), around.masses.copy()
    totals, sizes = _totals(clusters, values, weights), np.bincount(clusters.places)
    for rows in groups_of_many(groups):
        homes, places = np.unique(clusters.places[rows], return_inverse=True)
        left = totals.copy()
        left[homes, 0] -= np.bincount(places, values[rows])
        left[homes, 1] -= np.bincount(places, weights[rows])
        left[homes[np.bincount(places) == sizes[homes]]] = 0.0
        kernel = kernel_of(embeddings[rows] @ clusters.centres.T, sharpness)
        sums[rows], masses[rows] = (kernel @ left).T
    return Surroundings(sums, np.maximum(masses, 0.0))


def _totals(clusters: Clusters, values: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the sums of both in each cluster, shape (n_centres, 2)."""
    n_centres = len(clusters.centres)
    sums = [np.bincount(clusters.places, one, n_centres) for one in (values, weights)]
    return np.stack(sums, axis=1)
