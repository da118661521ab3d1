"""Near-duplicates: prompts that say almost the same, found by embeddings, decided by words.

Cosine only proposes. On static vectors, where word order does not count, it alone would chain
hundreds of exam questions of one topic together; a pair counts when the two texts also share most
of their runs of five words.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from routecast.types import EmbeddingArray, FloatArray, IntArray

MIN_COSINE = 0.95
MIN_JACCARD = 0.6
MAX_GROUP_SHARE = 0.01
_N_WORDS = 5
_BLOCK_CELLS = 2**25  # similarities held at a time: 128 MB in single precision
_WORD = re.compile(r"\w+")
_Runs = Mapping[int, frozenset[tuple[str, ...]]]


@dataclass(frozen=True, kw_only=True, eq=False)
class NearDuplicates:
    """Pairs of rows whose texts are nearly the same.

    Attributes:
        left_index: Row of the left texts, shape (n_pairs,).
        right_index: Row of the right texts, same shape.
        cosine: Of the two embeddings, same shape.
        jaccard: Share of five-word runs that both have, of those that either has, same shape.
        n_proposed: Pairs that cosine alone proposed.
    """

    left_index: IntArray
    right_index: IntArray
    cosine: FloatArray
    jaccard: FloatArray
    n_proposed: int

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.left_index)


@dataclass(frozen=True, kw_only=True, eq=False)
class DuplicateGroups:
    """Rows of one table, near-duplicates put together.

    Attributes:
        labels: Group per row, shape (n_rows,): the first row of the group; a row that is like no
            other, or whose group is too large, is its own.
        sizes: Number of rows of each merged group of two or more, descending.
        oversized: Number of rows of each group that was left unmerged, descending.
        n_proposed: Pairs of two rows that cosine alone proposed.
    """

    labels: IntArray
    sizes: tuple[int, ...]
    oversized: tuple[int, ...]
    n_proposed: int


def find_near_duplicates(
    left: Sequence[str],
    left_embeddings: EmbeddingArray,
    right: Sequence[str],
    right_embeddings: EmbeddingArray,
    *,
    min_cosine: float = MIN_COSINE,
    min_jaccard: float = MIN_JACCARD,
) -> NearDuplicates:
    """Find the pairs of a left and a right text that are nearly the same.

    Args:
        left: Texts, for example of the training file.
        left_embeddings: Their unit vectors, shape (n_left, dimension).
        right: Texts, for example of the evaluation file.
        right_embeddings: Their unit vectors, shape (n_right, dimension).
        min_cosine: From here on a pair is looked at.
        min_jaccard: From here on it counts: Jaccard index of the sets of five-word runs, in lower
            case; a text of fewer than five words is one run.

    Returns:
        The pairs, sorted by left row, then right row.

    Raises:
        ValueError: If texts and embeddings differ in number, or the vectors in length.
    """
    _check(left, left_embeddings)
    _check(right, right_embeddings)
    proposed = _proposed(left_embeddings, right_embeddings, min_cosine)
    left_runs = {row: word_runs(left[row]) for row in np.unique(proposed.rows).tolist()}
    right_runs = {row: word_runs(right[row]) for row in np.unique(proposed.columns).tolist()}
    return _near_duplicates(proposed, left_runs, right_runs, min_jaccard)


def group_near_duplicates(
    texts: Sequence[str],
    embeddings: EmbeddingArray,
    *,
    min_cosine: float = MIN_COSINE,
    min_jaccard: float = MIN_JACCARD,
    max_group_share: float = MAX_GROUP_SHARE,
) -> DuplicateGroups:
    """Put near-duplicates of one table together, in chains.

    Args:
        texts: One per row.
        embeddings: Their unit vectors, shape (n_rows, dimension).
        min_cosine: As in `find_near_duplicates`.
        min_jaccard: Likewise.
        max_group_share: A group of more than this share of the rows (and more than two rows) is
            reported and not merged: it is a template, not a duplicate.

    Raises:
        ValueError: As in `find_near_duplicates`.
    """
    _check(texts, embeddings)
    proposed = _proposed(embeddings, embeddings, min_cosine, above_diagonal=True)
    alike = np.union1d(proposed.rows, proposed.columns)
    runs = {row: word_runs(texts[row]) for row in alike.tolist()}
    pairs = _near_duplicates(proposed, runs, runs, min_jaccard)
    roots = np.arange(len(texts))
    for one, other in zip(pairs.left_index.tolist(), pairs.right_index.tolist(), strict=True):
        first, second = sorted((_root(roots, one), _root(roots, other)))
        roots[second] = first
    labels = np.array([_root(roots, row) for row in range(len(texts))], dtype=np.int64)
    names, counts = np.unique(labels, return_counts=True)
    limit = max(2, int(max_group_share * len(texts)))
    too_large = np.isin(labels, names[counts > limit])
    labels[too_large] = np.flatnonzero(too_large)
    merged = counts[(counts > 1) & (counts <= limit)]
    return DuplicateGroups(
        labels=labels,
        sizes=tuple(sorted(merged.tolist(), reverse=True)),
        oversized=tuple(sorted(counts[counts > limit].tolist(), reverse=True)),
        n_proposed=pairs.n_proposed,
    )


def word_runs(text: str) -> frozenset[tuple[str, ...]]:
    """Return every run of five words of a text, in lower case; a shorter text is one run."""
    words = _WORD.findall(text.lower())
    n_runs = max(1, len(words) - _N_WORDS + 1)
    return frozenset(tuple(words[start : start + _N_WORDS]) for start in range(n_runs))


def jaccard_index(one: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]) -> float:
    """Return the size of the intersection over that of the union, in [0, 1].

    References:
        Jaccard (1901), "Distribution de la flore alpine".
    """
    return len(one & other) / len(one | other)


def _check(texts: Sequence[str], embeddings: EmbeddingArray) -> None:
    if embeddings.ndim != 2 or len(embeddings) != len(texts):
        raise ValueError(
            f"embeddings of shape {embeddings.shape} for {len(texts)} texts; give one row per text"
        )


@dataclass(frozen=True, eq=False)
class _Proposed:
    """Pairs whose cosine is large, by row and column, in order; arrays of shape (n_pairs,)."""

    rows: IntArray
    columns: IntArray
    cosines: FloatArray


def _proposed(
    left: EmbeddingArray, right: EmbeddingArray, min_cosine: float, *, above_diagonal: bool = False
) -> _Proposed:
    """Return the pairs with a cosine from ``min_cosine`` on, block by block.

    Args:
        left: Shape (n_left, dimension).
        right: Shape (n_right, dimension).
        min_cosine: In [-1, 1].
        above_diagonal: Leave out columns up to the row's own; both sides are the same then.
    """
    n_rows = max(1, _BLOCK_CELLS // max(1, len(right)))
    parts = [_Proposed(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for start in range(0, len(left), n_rows):
        first = start if above_diagonal else 0
        cosines = left[start : start + n_rows] @ right[first:].T
        cells = np.flatnonzero(cosines >= min_cosine)
        rows, columns = np.divmod(cells, cosines.shape[1])
        if above_diagonal:
            is_above = columns > rows
            cells, rows, columns = cells[is_above], rows[is_above], columns[is_above]
        values = np.minimum(cosines.ravel()[cells].astype(np.float64), 1.0)
        parts.append(_Proposed(rows + start, columns + first, values))
    return _Proposed(
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.columns for part in parts]),
        np.concatenate([part.cosines for part in parts]),
    )


def _near_duplicates(
    proposed: _Proposed, left_runs: _Runs, right_runs: _Runs, min_jaccard: float
) -> NearDuplicates:
    """Keep the pairs that share enough of their words."""
    pairs = zip(proposed.rows.tolist(), proposed.columns.tolist(), strict=True)
    indices = [jaccard_index(left_runs[row], right_runs[column]) for row, column in pairs]
    jaccard = np.array(indices, dtype=np.float64)
    kept = jaccard >= min_jaccard
    return NearDuplicates(
        left_index=proposed.rows[kept],
        right_index=proposed.columns[kept],
        cosine=proposed.cosines[kept],
        jaccard=jaccard[kept],
        n_proposed=len(jaccard),
    )


def _root(roots: IntArray, row: int) -> int:
    """Follow the parents up, halving the path on the way."""
    while roots[row] != row:
        roots[row] = roots[roots[row]]
        row = int(roots[row])
    return row
