"""What terms a prompt has, words or shapes of words, each weighted by how rare it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Final, Self

import numpy as np

from routecast.types import EmbeddingArray, FloatArray, IntArray

MAX_CHARACTERS: Final = 4_096
"""Characters of a prompt that are looked at, the first."""

_BLOCK: Final = 64


@dataclass(frozen=True, eq=False)
class TermRows:
    """One sparse vector per prompt over slots of terms: counts, or weights.

    A term's slot is its CRC-32 modulo the number of slots, so no word is kept.

    Attributes:
        ends: Where each row ends, with a 0 before the first, shape (n_prompts + 1,).
        slots: Slots of all rows, ascending in each.
        values: Positive, same shape.
        n_slots: Number of slots.
    """

    ends: IntArray
    slots: IntArray
    values: EmbeddingArray
    n_slots: int

    def __len__(self) -> int:
        """Return the number of prompts."""
        return len(self.ends) - 1

    def take(self, rows: IntArray | slice) -> "TermRows":
        """Return some of the prompts, by position or by slice."""
        chosen = np.arange(len(self))[rows]
        starts, lengths = self.ends[:-1][chosen], np.diff(self.ends)[chosen]
        ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        places = np.repeat(starts - ends[:-1], lengths) + np.arange(ends[-1])
        return TermRows(ends, self.slots[places], self.values[places], self.n_slots)

    def without_terms(self) -> "TermRows":
        """Return as many prompts, none of which has a term."""
        nothing = np.empty(0, dtype=np.int64)
        return TermRows(np.zeros_like(self.ends), nothing, nothing.astype(np.float32), self.n_slots)

    @cached_property
    def row_of_value(self) -> IntArray:
        """The row of each value."""
        return np.repeat(np.arange(len(self)), np.diff(self.ends))

    @property
    def columns(self) -> EmbeddingArray:
        """The same vectors, dense, a column each, shape (n_slots, n_prompts)."""
        dense = np.zeros((self.n_slots, len(self)), dtype=np.float32)
        dense[self.slots, self.row_of_value] = self.values
        return dense


def count_terms(
    prompts: Sequence[str], keys_of: Callable[[Sequence[str]], IntArray], *, n_slots: int
) -> TermRows:
    """Return how many terms of each prompt fall into each slot.

    Args:
        prompts: Any texts, of which the first 4,096 characters are read.
        keys_of: Returns row * ``n_slots`` + slot of every term of some texts, in any order.
        n_slots: Number of slots.
    """
    keys: list[IntArray] = [np.empty(0, dtype=np.int64)]
    counts: list[IntArray] = [np.empty(0, dtype=np.int64)]
    for start in range(0, len(prompts), _BLOCK):
        texts = [prompt[:MAX_CHARACTERS] for prompt in prompts[start : start + _BLOCK]]
        n_times: IntArray = np.bincount(keys_of(texts))
        found = n_times.nonzero()[0]
        keys.append(start * n_slots + found)
        counts.append(n_times[found])
    rows_and_slots = np.concatenate(keys)
    return TermRows(
        rows_and_slots.searchsorted(n_slots * np.arange(len(prompts) + 1)),
        rows_and_slots % n_slots,
        np.concatenate(counts).astype(np.float32),
        n_slots,
    )


def multiply_terms(left: TermRows, columns: EmbeddingArray, *, out: EmbeddingArray) -> None:
    """Write the product of each row on the left with each column.

    Args:
        left: Some prompts.
        columns: Of other prompts, shape (n_slots, n_others).
        out: Filled, shape (n_left, n_others); 0 for a prompt that has no term.
    """
    for row, (start, end) in enumerate(pairwise(left.ends.tolist())):
        left.values[start:end].dot(columns.take(left.slots[start:end], axis=0), out=out[row])


@dataclass(frozen=True, eq=False)
class TermScale:
    """How rare the terms of each slot are.

    Attributes:
        rarities: log((1 + n_prompts) / (1 + n_prompts_with_a_term_of_the_slot)) + 1, shape
            (n_slots,).
    """

    rarities: FloatArray

    @classmethod
    def of(cls, counts: TermRows) -> Self:
        """Measure prompts, given the counts of their terms."""
        n_with = np.bincount(counts.slots, minlength=counts.n_slots)
        return cls(np.log((1.0 + len(counts)) / (1.0 + n_with)) + 1.0)

    def apply(self, counts: TermRows) -> TermRows:
        """Return the prompts' weights, (1 + log count) times rarity, scaled to length 1."""
        weights = (1.0 + np.log(counts.values)) * self.rarities.take(counts.slots)
        squares = np.bincount(counts.row_of_value, weights**2, minlength=len(counts))
        weights /= np.sqrt(squares)[counts.row_of_value]
        return replace(counts, values=weights.astype(np.float32))
