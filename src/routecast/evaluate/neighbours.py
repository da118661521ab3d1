"""The baseline that only remembers: the labels of the nearest other prompts, in cross-validation.

Every prompt is scored by prompts of other folds alone, and the number of neighbours is chosen
without it, so that the figure is what labels from the same traffic give to a method that learns
nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from routecast.data.splits import folds_by_prompt
from routecast.embed.protocol import Embedder
from routecast.types import EmbeddingArray, FloatArray, IntArray

N_FOLDS = 5
MIN_PROMPTS = 50
"""Fewest different prompts that cross-validation is worth: ten to a fold."""

NEIGHBOUR_COUNTS = (5, 10, 20, 50, 100, 200)
_BLOCK_ROWS = 1024
_SimilarityArray = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class NeighbourScores:
    """What the nearest prompts of other folds say.

    Attributes:
        scores: Mean label of the neighbours, per prompt, shape (n_prompts,).
        n_neighbours: How many were asked, per fold.
    """

    scores: FloatArray
    n_neighbours: tuple[int, ...]


@dataclass(frozen=True)
class _Nearest:
    """Most similar rows of one fold, to each row of all, similarity falling.

    Both arrays have shape (n_rows, n_kept); a row's own fold is left out elsewhere.
    """

    similarity: _SimilarityArray
    rows: IntArray


def neighbour_scores(
    prompts: Sequence[str],
    labels: FloatArray,
    embedder: Embedder,
    *,
    seed: int = 0,
    counts: Sequence[int] = NEIGHBOUR_COUNTS,
) -> NeighbourScores:
    """Score each prompt by the labels of its nearest prompts in the other four folds.

    Folds are by prompt: equal prompts fall into one fold. For each fold, the number of neighbours
    is the one with the least squared error when the other four predict one another.

    Args:
        prompts: One per row.
        labels: What is averaged, per prompt, shape (n_prompts,): (1 + gap) / 2, in [0, 1].
        embedder: Says which prompts are near.
        seed: Another seed gives other folds.
        counts: Numbers of neighbours to choose from.

    Raises:
        ValueError: If there are fewer than five different prompts.
    """
    folds = folds_by_prompt(prompts, n_folds=N_FOLDS, seed=seed)
    embeddings = embedder.embed(list(prompts))
    by_fold = [_nearest(embeddings, folds == fold, max(counts)) for fold in range(N_FOLDS)]
    scores = np.empty(len(labels))
    chosen = []
    for held_out in range(N_FOLDS):
        others = [fold for fold in range(N_FOLDS) if fold != held_out]
        errors = np.zeros(len(counts))
        for fold in others:
            rows = np.flatnonzero(folds == fold)
            asked = [by_fold[other] for other in others if other != fold]
            errors += _squared_errors(asked, rows, labels, counts)
        n_neighbours = counts[int(errors.argmin())]
        rows = np.flatnonzero(folds == held_out)
        means = _running_means([by_fold[fold] for fold in others], rows, labels, n_neighbours)
        scores[rows] = means[:, -1]
        chosen.append(n_neighbours)
    return NeighbourScores(scores=scores, n_neighbours=tuple(chosen))


def _nearest(embeddings: EmbeddingArray, in_fold: "npt.NDArray[np.bool_]", n_most: int) -> _Nearest:
    """Find the rows of one fold that are most similar to each row of all."""
    members = np.flatnonzero(in_fold)
    n_kept = min(n_most, len(members))
    similarity = np.empty((len(embeddings), n_kept), dtype=np.float32)
    rows = np.empty((len(embeddings), n_kept), dtype=np.int64)
    targets = np.ascontiguousarray(embeddings[members].T)
    for start in range(0, len(embeddings), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        cosines = embeddings[block] @ targets  # (n_block, n_members)
        places = np.argpartition(-cosines, n_kept - 1, axis=1)[:, :n_kept]
        similarity[block] = np.take_along_axis(cosines, places, axis=1)
        rows[block] = members[places]
    return _Nearest(similarity, rows)


def _running_means(
    asked: Sequence[_Nearest], rows: IntArray, labels: FloatArray, n_most: int
) -> FloatArray:
    """Return the mean label of the 1, 2 ... ``n_most`` nearest, shape (n_rows, n_most)."""
    similarity = np.hstack([nearest.similarity[rows] for nearest in asked])
    found = np.hstack([nearest.rows[rows] for nearest in asked])
    n_most = min(n_most, similarity.shape[1])
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :n_most]
    near = labels[np.take_along_axis(found, order, axis=1)]
    return np.cumsum(near, axis=1) / np.arange(1, n_most + 1)


def _squared_errors(
    asked: Sequence[_Nearest], rows: IntArray, labels: FloatArray, counts: Sequence[int]
) -> FloatArray:
    """Return the summed squared error of each number of neighbours, shape (n_counts,)."""
    means = _running_means(asked, rows, labels, max(counts))
    at = np.minimum(np.array(counts), means.shape[1]) - 1
    errors: FloatArray = ((means[:, at] - labels[rows, None]) ** 2).sum(axis=0)
    return errors
