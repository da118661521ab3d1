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
        itself.
        """
        starts, owners = self._places
        shares = np.exp(np.float32(SHARPNESS) * (about(embeddings, self.mean) @ self.centroids.T))
        lengths = np.sqrt(np.add.reduceat(shares * shares, starts, axis=1) * len(self.sizes))
        return np.asarray(shares / lengths[:, owners], dtype=np.float32)

    @cached_property
    def _places(self) -> tuple[IntArray, IntArray]:
        """The first topic of each grouping, and the grouping of each topic."""
        starts = np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(np.int64)
        return starts, np.repeat(np.arange(len(self.sizes)), self.sizes)


def about(embeddings: EmbeddingArray, mean: EmbeddingArray) -> EmbeddingArray:
    """Return the directions of embeddings as seen from the mean: unit vectors, or 0 at the mean."""
    centred = embeddings - mean
    lengths = np.sqrt((centred * centred).sum(axis=1, keepdims=True))
    return np.asarray(centred / np.maximum(lengths, 1e-9), dtype=np.float32)
