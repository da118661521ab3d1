"""Near-duplicates: prompts that say almost the same, by their words and by their embeddings.

Cosine alone says too little: on static vectors, where word order does not count, it would chain
hundreds of exam questions of one topic together. A pair counts when the two texts also share most
of their runs of five words. Between two tables cosine proposes and the words decide; inside one
table, which may be large, the words propose, and only what they propose is embedded.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from routecast.data.chains import Chains
from routecast.data.run_table import N_WORDS, candidate_pairs, table_of_runs
from routecast.types import EmbeddingArray, FloatArray, IntArray

MIN_COSINE = 0.95
MIN_JACCARD = 0.6
MAX_GROUP_SHARE = 0.01
MAX_COMPARED = 2**21
"""Pairs whose words are compared in one table at most."""

_N_EMBEDDED = 2**14  # pairs at a time
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
    """

    labels: IntArray
    sizes: tuple[int, ...]
    oversized: tuple[int, ...]


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
    embed: Callable[[IntArray], EmbeddingArray],
    *,
    min_cosine: float = MIN_COSINE,
    min_jaccard: float = MIN_JACCARD,
    max_group_share: float = MAX_GROUP_SHARE,
) -> DuplicateGroups:
    """Put near-duplicates of one table together, in chains.

    Pairs that share a rare run of words are compared, at most `MAX_COMPARED` of them: in a table
    with more, where thousands of texts are nearly alike, each is compared with those that stand
    nearest among them, and chains do the rest.

    Args:
        texts: One per row.
        embed: Returns the unit vectors of some rows, shape (n, dimension); called only for rows
            that share most of their words with another.
        min_cosine: As in `find_near_duplicates`.
        min_jaccard: Likewise, above 0.
        max_group_share: As in `merge_groups`.
    """
    table = table_of_runs(texts)
    chains = Chains(len(texts))
    n_left = MAX_COMPARED
    for one, other in candidate_pairs(table, min_jaccard=min_jaccard):
        roots = chains.roots()
        apart = np.flatnonzero(roots[one] != roots[other])[:n_left]
        n_left -= len(apart)
        left, right = one[apart], other[apart]
        near = table.jaccard(left, right, at_least=min_jaccard) >= min_jaccard
        for rows in np.array_split(np.flatnonzero(near), max(1, near.sum() // _N_EMBEDDED)):
            alike = rows[_cosines(left[rows], right[rows], embed) >= min_cosine]
            chains.join(left[alike], right[alike])
        if n_left == 0:
            break
    return merge_groups(chains.roots(), max_group_share=max_group_share)


def merge_groups(roots: IntArray, *, max_group_share: float = MAX_GROUP_SHARE) -> DuplicateGroups:
    """Merge rows that belong together, but for groups that are too large.

    Args:
        roots: One number per row, equal within a group, shape (n_rows,).
        max_group_share: A group of more than this share of the rows (and more than two rows) is
            reported and not merged: it is a template, not a duplicate.
    """
    _, firsts, codes, counts = np.unique(
        roots, return_index=True, return_inverse=True, return_counts=True
    )
    labels = firsts[codes].astype(np.int64)
    limit = max(2, int(max_group_share * len(roots)))
    too_large = counts[codes] > limit
    labels[too_large] = np.flatnonzero(too_large)
    merged = counts[(counts > 1) & (counts <= limit)]
    return DuplicateGroups(
        labels=labels,
        sizes=tuple(sorted(merged.tolist(), reverse=True)),
        oversized=tuple(sorted(counts[counts > limit].tolist(), reverse=True)),
    )


def _cosines(
    left: IntArray, right: IntArray, embed: Callable[[IntArray], EmbeddingArray]
) -> FloatArray:
    if not len(left):
        return np.zeros(0)
    rows, places = np.unique(np.concatenate([left, right]), return_inverse=True)
    vectors = embed(rows)
    pairs = places.reshape(2, -1)
    products = np.einsum("ij,ij->i", vectors[pairs[0]], vectors[pairs[1]])
    return np.asarray(products, dtype=np.float64)


def word_runs(text: str) -> frozenset[tuple[str, ...]]:
    """Return every run of five words of a text, in lower case; a shorter text is one run."""
    words = _WORD.findall(text.lower())
    n_runs = max(1, len(words) - N_WORDS + 1)
    return frozenset(tuple(words[start : start + N_WORDS]) for start in range(n_runs))


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


def _proposed(left: EmbeddingArray, right: EmbeddingArray, min_cosine: float) -> _Proposed:
    """Return the pairs with a cosine from ``min_cosine`` on, block by block.

    Args:
        left: Shape (n_left, dimension).
        right: Shape (n_right, dimension).
        min_cosine: In [-1, 1].
    """
    n_rows = max(1, _BLOCK_CELLS // max(1, len(right)))
    parts = [_Proposed(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for start in range(0, len(left), n_rows):
        cosines = left[start : start + n_rows] @ right.T
        cells = np.flatnonzero(cosines >= min_cosine)
        rows, columns = np.divmod(cells, cosines.shape[1])
        values = np.minimum(cosines.ravel()[cells].astype(np.float64), 1.0)
        parts.append(_Proposed(rows + start, columns, values))
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
