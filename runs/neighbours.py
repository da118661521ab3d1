"""The baseline of the older studies: the labels of the nearest training prompts."""

from dataclasses import dataclass

import numpy as np

from routecast.types import EmbeddingArray, FloatArray

N_NEIGHBOURS = 50
_BLOCK = 1000


@dataclass(frozen=True)
class NearestNeighbours:
    """Scores a prompt by the mean label of its most similar training prompts.

    Attributes:
        embeddings: Unit vectors of the labelled training prompts, shape (n_labels, dimension).
        labels: What is averaged: wins, or gaps; shape (n_labels,).
        n_neighbours: How many prompts vote; all where there are fewer.
    """

    embeddings: EmbeddingArray
    labels: FloatArray
    n_neighbours: int = N_NEIGHBOURS

    def scores(self, queries: EmbeddingArray) -> FloatArray:
        """Return the mean label of each query's neighbours, shape (n_queries,).

        Raises:
            ValueError: If there is no labelled prompt.
        """
        n_labels = len(self.labels)
        if not n_labels:
            raise ValueError("nearest neighbours need at least one labelled prompt")
        if n_labels <= self.n_neighbours:
            return np.full(len(queries), self.labels.mean())
        scores = np.empty(len(queries))
        for start in range(0, len(queries), _BLOCK):
            similarity = queries[start : start + _BLOCK] @ self.embeddings.T  # (n_block, n_labels)
            nearest = np.argpartition(-similarity, self.n_neighbours - 1, axis=1)
            voters = nearest[:, : self.n_neighbours]
            scores[start : start + _BLOCK] = self.labels[voters].mean(axis=1)
        return scores
