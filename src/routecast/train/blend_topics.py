"""Finding topics: k-means of embeddings, coarse and fine, several times over."""

from typing import Final

import numpy as np

from routecast.routers.blend_topics import Topics, about
from routecast.types import EmbeddingArray

N_TOPICS: Final = (8, 16, 32, 64)
"""Topics of a grouping, coarse to fine; fewer where there are fewer than 4 prompts for each."""

N_REPEATS: Final = 2
"""Groupings of each number of topics, from other starts."""

_MAX_GROUPED = 4_000
_N_ROUNDS = 12
_PROMPTS_PER_TOPIC = 4


def find_topics(embeddings: EmbeddingArray, *, seed: int = 0) -> Topics:
    """Group prompts by spherical k-means about their mean embedding.

    Args:
        embeddings: Unit vectors of one prompt or more, shape (n_prompts, dimension). Each grouping
            draws at most 4,000 of them.
        seed: Of the draws and of the starts.
    """
    generator = np.random.default_rng(seed)
    mean = embeddings.mean(axis=0)
    directions = about(embeddings, mean)
    most = max(1, len(embeddings) // _PROMPTS_PER_TOPIC)
    groupings = []
    for n_topics in N_TOPICS:
        for _ in range(N_REPEATS):
            drawn = generator.permutation(len(directions))[:_MAX_GROUPED]
            groupings.append(_group(directions[drawn], min(n_topics, most)))
    return Topics(
        mean=mean,
        centroids=np.concatenate(groupings),
        sizes=np.array([len(one) for one in groupings], dtype=np.int64),
    )


def _group(directions: EmbeddingArray, n_topics: int) -> EmbeddingArray:
    """Return the centroids of spherical k-means that starts at the first rows."""
    centroids = directions[:n_topics]
    for _ in range(_N_ROUNDS):
        nearest = (directions @ centroids.T).argmax(axis=1)
        is_member = (nearest == np.arange(n_topics)[:, None]).astype(np.float32)
        sums = is_member @ directions
        lengths = np.sqrt((sums * sums).sum(axis=1, keepdims=True))
        centroids = np.where(lengths > 1e-6, sums / np.maximum(lengths, 1e-6), centroids)
    return np.asarray(centroids, dtype=np.float32)
