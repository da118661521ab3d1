"""What words a prompt has, and what shapes of words, each weighted by how rare it is."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Final, Self
from zlib import crc32

import numpy as np

from routecast.types import EmbeddingArray, FloatArray, IntArray

N_WORD_SLOTS: Final = 4_096
N_SHAPE_SLOTS: Final = 1_024
MAX_CHARACTERS: Final = 4_096
"""Characters of a prompt that are looked at, the first."""

_WORD: Final = re.compile(r"\w+")
_PIECE: Final = re.compile(r"[A-Za-z]+|\d+|\n|[^\sA-Za-z\d]")
_REMEMBERED: Final = 65_536


def words_of(prompt: str) -> list[int]:
    """Return the CRC-32 of each word of a prompt in lower case, repeated ones too."""
    return list(map(_hash, _WORD.findall(prompt[:MAX_CHARACTERS].lower())))


def shapes_of(prompt: str) -> list[int]:
    """Return the CRC-32 of the shapes of a prompt's pieces, then of each two in a row.

    A stretch of ASCII letters has the shape ``a`` (all small), ``Aa`` (first one a capital) or
    ``AA`` (two capitals or more, nothing else), with 1, 2 or 3 for up to 3, up to 7 and more
    letters; a number that of its digits, up to 4; any other character but white space is its own
    shape, and so is the end of a line. Two in a row have a space between them.
    """
    shapes = list(map(shape_of, _PIECE.findall(prompt[:MAX_CHARACTERS])))
    return [*map(_hash, shapes), *map(_hash_of_two, shapes, shapes[1:])]


@lru_cache(maxsize=_REMEMBERED)
def shape_of(piece: str) -> str:
    """Return the shape of one piece."""
    if piece.isdecimal():
        return f"d{min(len(piece), 4)}"
    if not (piece.isascii() and piece.isalpha()):
        return piece
    is_upper = piece.isupper() and len(piece) > 1
    case = "AA" if is_upper else "Aa" if piece[0].isupper() else "a"
    return f"{case}{1 + (len(piece) > 3) + (len(piece) > 7)}"


@lru_cache(maxsize=_REMEMBERED)
def _hash(term: str) -> int:
    return crc32(term.encode("utf-8", "surrogatepass"))


@lru_cache(maxsize=_REMEMBERED)
def _hash_of_two(first: str, second: str) -> int:
    return crc32(f"{first} {second}".encode("utf-8", "surrogatepass"))


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

    @cached_property
    def columns(self) -> EmbeddingArray:
        """The same vectors, dense, a column each, shape (n_slots, n_prompts)."""
        dense = np.zeros((self.n_slots, len(self)), dtype=np.float32)
        dense[self.slots, self.row_of_value] = self.values
        return dense


def count_terms(
    prompts: Sequence[str], terms_of: Callable[[str], list[int]], *, n_slots: int
) -> TermRows:
    """Return how many terms of each prompt fall into each slot."""
    ends, slots, counts = [0], [], []
    for prompt in prompts:
        terms = np.array(terms_of(prompt), dtype=np.int64)
        n_times = np.bincount(terms % n_slots, minlength=n_slots)
        found = np.flatnonzero(n_times)
        slots.append(found)
        counts.append(n_times[found])
        ends.append(ends[-1] + len(found))
    return TermRows(
        np.array(ends, dtype=np.int64),
        np.concatenate(slots) if slots else np.empty(0, dtype=np.int64),
        (np.concatenate(counts) if counts else np.empty(0)).astype(np.float32),
        n_slots,
    )


def term_cosines(left: TermRows, right: TermRows) -> FloatArray:
    """Return the products of unit vectors, each prompt on the left with each on the right.

    Returns:
        Shape (n_left, n_right), in [0, 1]; 0 with a prompt that has no term.
    """
    columns, cosines = right.columns, np.zeros((len(left), len(right)))
    for row, (start, end) in enumerate(pairwise(left.ends.tolist())):
        cosines[row] = left.values[start:end] @ columns[left.slots[start:end]]
    return np.minimum(cosines, 1.0)


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
        weights = (1.0 + np.log(counts.values)) * self.rarities[counts.slots]
        squares = np.bincount(counts.row_of_value, weights**2, minlength=len(counts))
        weights /= np.sqrt(squares)[counts.row_of_value]
        return replace(counts, values=weights.astype(np.float32))
