"""Training prompts of `sw`, and how alike a query is to each of them.

Two forms: whole embeddings, and their projections onto a few principal components, with whole
embeddings in half precision for the few candidates whose cosine has to be right.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from routecast.types import AnyArray, EmbeddingArray, IntArray

SingleArray = npt.NDArray[np.float32]
HalfArray = npt.NDArray[np.float16]

_RESCORED_AT_ONCE = 1 << 13  # embeddings gathered at once: 48 MB at 1,536 dimensions


class PromptIndex(Protocol):
    """Embeddings of training prompts, ready to be compared with queries."""

    @property
    def dimension(self) -> int:
        """Length of one embedding."""
        ...

    def __len__(self) -> int:
        """Return the number of prompts."""
        ...

    def similarities(self, queries: EmbeddingArray) -> tuple[SingleArray, SingleArray]:
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

    def similarities(self, queries: EmbeddingArray) -> tuple[SingleArray, SingleArray]:
        """Return cosines, shape (n_queries, n_prompts), and each query's largest."""
        cosines = queries @ self.embeddings.T
        return cosines, cosines.max(axis=1)

    def tensors(self) -> dict[str, AnyArray]:
        """Return the embeddings in half precision: it moves cosines by 1e-4 at most or so."""
        return {"embeddings": self.embeddings.astype(np.float16)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, AnyArray]) -> Self:
        """Rebuild from what ``tensors`` returned."""
        return cls(tensors["embeddings"].astype(np.float32))


@dataclass(frozen=True, eq=False)
class CompressedPrompts:
    """Projections onto principal components; the best candidates are compared whole.

    Attributes:
        basis: Orthonormal columns, shape (dimension, n_components).
        projections: Embeddings in that basis, shape (n_prompts, n_components).
        embeddings: Whole embeddings in half precision, shape (n_prompts, dimension); no rows where
            nothing is rescored.
        n_rescored: How many candidates per query are compared whole: the best of each of the
            ``n_rescored`` best of four times as many groups of prompts.
    """

    basis: SingleArray
    projections: SingleArray
    embeddings: HalfArray
    n_rescored: int

    @property
    def dimension(self) -> int:
        """Length of one embedding."""
        return int(self.basis.shape[0])

    def __len__(self) -> int:
        """Return the number of prompts."""
        return len(self.projections)

    def similarities(self, queries: EmbeddingArray) -> tuple[SingleArray, SingleArray]:
        """Return cosines, exact for the best candidates, and the largest of those.

        Without rescoring, the largest is that of the approximate cosines.
        """
        cosines = np.asarray((queries @ self.basis) @ self.projections.T, dtype=np.float32)
        if not self.n_rescored:
            return cosines, cosines.max(axis=1)
        candidates = best_of_groups(cosines, self.n_rescored)
        exact = np.empty(candidates.shape, dtype=np.float32)
        n_rows = max(1, _RESCORED_AT_ONCE // candidates.shape[1])
        for start in range(0, len(queries), n_rows):
            rows = slice(start, start + n_rows)
            whole = self.embeddings[candidates[rows]].astype(np.float32)  # (n_rows, n_rescored, d)
            exact[rows] = (whole @ queries[rows, :, None])[:, :, 0]
        np.put_along_axis(cosines, candidates, exact, axis=1)
        return cosines, exact.max(axis=1)

    def tensors(self) -> dict[str, AnyArray]:
        """Return the arrays that an artifact stores; projections in half precision."""
        return {
            "basis": self.basis,
            "projections": self.projections.astype(np.float16),
            "embeddings": self.embeddings,
            "n_rescored": np.array([self.n_rescored], dtype=np.int64),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, AnyArray]) -> Self:
        """Rebuild from what ``tensors`` returned."""
        return cls(
            basis=tensors["basis"],
            projections=tensors["projections"].astype(np.float32),
            embeddings=tensors["embeddings"],
            n_rescored=int(tensors["n_rescored"][0]),
        )


def prompts_from_tensors(tensors: Mapping[str, AnyArray]) -> PromptIndex:
    """Rebuild whichever form was stored.

    Raises:
        KeyError: If a tensor is missing.
    """
    if "basis" in tensors:
        return CompressedPrompts.from_tensors(tensors)
    return ExactPrompts.from_tensors(tensors)


def best_of_groups(scores: SingleArray, n_best: int) -> IntArray:
    """Return columns with high scores, quicker than by sorting, and not always the very highest.

    Columns are dealt into four times ``n_best`` groups; the best column of each of the ``n_best``
    best groups is returned. The highest of all is always among them.

    Args:
        scores: Shape (n_rows, n_columns).
        n_best: How many per row, at least 1.

    Returns:
        Column numbers, each once, in no order, shape (n_rows, the lesser of n_best and n_columns).
    """
    n_columns = scores.shape[1]
    if n_columns <= 4 * n_best:
        n_best = min(n_best, n_columns)
        return np.argpartition(-scores, n_best - 1, axis=1)[:, :n_best].astype(np.int64)
    n_groups = 4 * n_best
    n_whole = n_columns // n_groups
    highest = scores[:, : n_whole * n_groups].reshape(-1, n_whole, n_groups).max(axis=1)
    n_rest = n_columns - n_whole * n_groups
    np.maximum(
        highest[:, :n_rest], scores[:, n_whole * n_groups :], out=highest[:, :n_rest]
    )  # the last, incomplete round of dealing
    groups = np.argpartition(highest, n_groups - n_best, axis=1)[:, n_groups - n_best :]
    members = groups[:, :, None] + n_groups * np.arange(n_whole + 1)  # (n_rows, n_best, n_whole+1)
    members = np.where(members < n_columns, members, groups[:, :, None])
    rows = np.arange(len(scores))[:, None, None]
    best = scores[rows, members].argmax(axis=2)[:, :, None]
    return np.take_along_axis(members, best, axis=2)[:, :, 0].astype(np.int64)
