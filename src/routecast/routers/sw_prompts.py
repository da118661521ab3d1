"""Training prompts of `sw`, and how alike a query is to each of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from routecast.types import AnyArray, EmbeddingArray


class PromptIndex(Protocol):
    """Embeddings of training prompts, ready to be compared with queries."""

    @property
    def dimension(self) -> int:
        """Length of one embedding."""
        ...

    def __len__(self) -> int:
        """Return the number of prompts."""
        ...

    def similarities(self, queries: EmbeddingArray) -> tuple[EmbeddingArray, EmbeddingArray]:
        """Return the cosine of each query with each prompt, and each query's largest.

        Args:
            queries: Unit vectors, shape (n_queries, dimension).

        Returns:
            Shapes (n_queries, n_prompts), freshly made, and (n_queries,).
        """
        ...

    def tensors(self) -> dict[str, AnyArray]:
        """Return the arrays that an artifact stores, by name."""
        ...


@dataclass(frozen=True, eq=False)
class ExactPrompts:
    """Whole embeddings: one matrix product gives all cosines.

    Attributes:
        embeddings: Unit vectors, shape (n_prompts, dimension).
    """

    embeddings: EmbeddingArray

    @property
    def dimension(self) -> int:
        """Length of one embedding."""
        return int(self.embeddings.shape[1])

    def __len__(self) -> int:
        """Return the number of prompts."""
        return len(self.embeddings)

    def similarities(self, queries: EmbeddingArray) -> tuple[EmbeddingArray, EmbeddingArray]:
        """Return cosines, shape (n_queries, n_prompts), and each query's largest."""
        cosines = queries @ self.embeddings.T
        return cosines, cosines.max(axis=1)

    def tensors(self) -> dict[str, AnyArray]:
        """Return the embeddings in half precision, which moves a cosine by about 1e-5."""
        return {"embeddings": self.embeddings.astype(np.float16)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, AnyArray]) -> Self:
        """Rebuild from what ``tensors`` returned."""
        return cls(unit_rows(tensors["embeddings"].astype(np.float32)))


def unit_rows(vectors: EmbeddingArray) -> EmbeddingArray:
    """Scale rows to length 1; those that are within 1e-6 of it all stay as they are.

    Args:
        vectors: Finite, none of them zero, shape (n_vectors, dimension).
    """
    norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    if np.abs(norms - 1.0).max(initial=0.0) < 1e-6:
        return vectors
    return (vectors / norms[:, None]).astype(np.float32)
