"""Which topics of the traffic a prompt belongs to, found without labels."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from routecast.types import EmbeddingArray, IntArray

SHARPNESS: Final = 12.0
"""How much more a prompt belongs to a nearer topic: exp of this times the difference of cosines."""


@dataclass(frozen=True, eq=False)
class Topics:
    """Several groupings of the traffic, coarse and fine, each into topics.

    Attributes:
        mean: Mean embedding of the traffic, shape (dimension,).
        centroids: Unit vectors about that mean, shape (n_topics, dimension), one grouping after
            the other.
        sizes: Number of topics of each grouping, positive, shape (n_groupings,).
    """

    mean: EmbeddingArray
    centroids: EmbeddingArray
    sizes: IntArray

    def apply(self, embeddings: EmbeddingArray) -> EmbeddingArray:
        """Return how much each prompt belongs to each topic, shape (n_prompts, n_topics).

        In each grouping a prompt's shares are proportional to exp(12 cosine), scaled to length
        1 / sqrt(n_groupings): products of rows are a kernel in (0, 1], and 1 for a prompt with
        itself. One embedding alone, shape (dimension,), gives shape (n_topics,).
        """
        cosines: EmbeddingArray = about(embeddings, self.mean) @ self.centroids.T
        cosines *= SHARPNESS
        shares = np.exp(cosines, out=cosines)
        lengths: EmbeddingArray = np.sqrt((shares * shares) @ self._groupings)
        return np.divide(shares, lengths.take(self._owners, axis=-1), out=shares)

    @cached_property
    def _owners(self) -> IntArray:
        """The grouping of each topic."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    @cached_property
    def _groupings(self) -> EmbeddingArray:
        """The number of groupings where a topic is of a grouping, (n_topics, n_groupings)."""
        is_own = self._owners[:, None] == np.arange(len(self.sizes))
        return np.asarray(len(self.sizes) * is_own, dtype=np.float32)


def about(embeddings: EmbeddingArray, mean: EmbeddingArray) -> EmbeddingArray:
    """Return the directions of embeddings as seen from the mean: unit vectors, or 0 at the mean.

    Args:
        embeddings: Shape (n_prompts, dimension) or (dimension,).
        mean: Shape (dimension,).
    """
    centred = embeddings - mean
    squares = np.add.reduce(centred * centred, axis=-1, keepdims=True)
    centred /= np.maximum(np.sqrt(squares), 1e-9)
    return centred
