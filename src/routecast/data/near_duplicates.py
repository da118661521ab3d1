"""Near-duplicates: prompts that say almost the same, found by embeddings, decided by words.

Cosine only proposes. On static vectors, where word order does not count, it alone would chain
hundreds of exam questions of one topic together; a pair counts when the two texts also share most
of their runs of five words.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from routecast.types import EmbeddingArray, FloatArray, IntArray

MIN_COSINE = 0.95
MIN_JACCARD = 0.6
MAX_GROUP_SHARE = 0.01
_N_WORDS = 5
_BLOCK_CELLS = 2**25  # similarities held at a time: 128 MB in single precision
_WORD = re.compile(r"\w+")


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
    rows, columns, cosines = _proposed(left_embeddings, right_embeddings, min_cosine)
    left_runs = {row: word_runs(left[row]) for row in np.unique(rows).tolist()}
    right_runs = {row: word_runs(right[row]) for row in np.unique(columns).tolist()}
    jaccard = np.array(
        [
            jaccard_index(left_runs[row], right_runs[column])
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        ],
        dtype=np.float64,
    )
    kept = jaccard >= min_jaccard
    return NearDuplicates(
        left_index=rows[kept],
        right_index=columns[kept],
        cosine=cosines[kept],
        jaccard=jaccard[kept],
        n_proposed=len(rows),
    )


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
    pairs = find_near_duplicates(
        texts, embeddings, texts, embeddings, min_cosine=min_cosine, min_jaccard=min_jaccard
    )
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
        n_proposed=(pairs.n_proposed - len(texts)) // 2,
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


def _proposed(
    left: EmbeddingArray, right: EmbeddingArray, min_cosine: float
) -> tuple[IntArray, IntArray, FloatArray]:
    """Return rows, columns and values of all cosines from ``min_cosine`` on, block by block."""
    n_rows = max(1, _BLOCK_CELLS // max(1, len(right)))
    parts: list[tuple[IntArray, IntArray, FloatArray]] = []
    for start in range(0, len(left), n_rows):
        cosines = left[start : start + n_rows] @ right.T
        rows, columns = np.nonzero(cosines >= min_cosine)
        values = np.minimum(cosines[rows, columns].astype(np.float64), 1.0)
        parts.append((rows + start, columns, values))
    if not parts:
        nothing = np.zeros(0, dtype=np.int64)
        return nothing, nothing, np.zeros(0)
    rows, columns, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    return rows, columns, values


def _root(roots: IntArray, row: int) -> int:
    """Follow the parents up, halving the path on the way."""
    while roots[row] != row:
        roots[row] = roots[roots[row]]
        row = int(roots[row])
    return row
