"""Runs of five words as numbers, and the pairs of texts that may share most of theirs.

Two texts whose sets of runs have a Jaccard index of ``t`` share a run among the rarest of each: of
d runs, the ``d - ceil(t d) + 1`` that the fewest texts have. So only texts that share a rare run
are compared, and a template that most texts share costs next to nothing.

References:
    Bayardo, Ma and Srikant (2007), "Scaling up all pairs similarity search"; Chaudhuri, Ganti and
    Kaushik (2006), "A primitive operator for similarity joins in data cleaning".
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt

from routecast.types import FloatArray, IntArray

N_WORDS = 5
MAX_ROWS = 2**24
MAX_LOOKED_AT = 2**24
"""Pairs that `candidate_pairs` proposes at most, nearest rows first."""

_BLOCK_CHARS = 2**20
_MIN_RUNS = 2**22  # of an array that is kept: large ones go back to the system when freed
_N_PARTS = 16  # of the runs, so that a sixteenth of them is sorted at a time
_N_CODES = 0x110000
_MULTIPLIER, _INVERSE = (np.uint64(value) for value in (0x5851F42D4C957F2D, 0xC097EF87329E28A5))
_PLACES = np.array(
    [0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93,
     0xA0761D6478BD642F, 0xE7037ED1A0B428DB], dtype=np.uint64,
)  # fmt: skip
_HASH_BITS, _RARITY_BITS = np.uint64(32), np.uint64(8)
_ROW_SHIFT = _HASH_BITS + _RARITY_BITS
_LOW = np.uint64(2**32 - 1)

HashArray = npt.NDArray[np.uint64]


@dataclass(frozen=True, kw_only=True, eq=False)
class RunTable:
    """The runs that two texts or more have, per text.

    Attributes:
        runs: Runs as numbers, those of one text together, the rarest first, shape (n_runs,). Equal
            numbers are equal runs but for a chance of about 1e-6 per pair of texts.
        starts: Where each text's runs begin, and where the last one's end, shape (n_texts + 1,).
        n_runs: Different runs of each text, those of no other text too, shape (n_texts,).
    """

    runs: HashArray
    starts: IntArray
    n_runs: IntArray

    def jaccard(self, left: IntArray, right: IntArray, *, at_least: float) -> FloatArray:
        """Return the Jaccard index of pairs of texts, 0 where it is known to be lower than asked.

        Args:
            left: One text of each pair, shape (n_pairs,).
            right: The other.
            at_least: In (0, 1].
        """
        shared = np.diff(self.starts)
        total = self.n_runs[left] + self.n_runs[right]
        most = np.minimum(shared[left], shared[right])  # of runs in both
        near = np.flatnonzero(most >= at_least * (total - most))
        found = np.zeros(len(left))
        for block in _blocks(near, shared[left] + shared[right]):
            both = self._n_shared(left[block], right[block])
            found[block] = both / (total[block] - both)
        return found

    def _n_shared(self, left: IntArray, right: IntArray) -> IntArray:
        pairs = np.tile(np.arange(len(left)), 2)
        rows = np.concatenate([left, right])
        lengths = self.starts[rows + 1] - self.starts[rows]
        keys = self.runs[_ranges(self.starts[rows], lengths)]
        keys += np.repeat(pairs, lengths).astype(np.uint64) << _ROW_SHIFT
        keys.sort()
        twice = keys[1:][keys[1:] == keys[:-1]] >> _ROW_SHIFT
        return np.bincount(twice.astype(np.int64), minlength=len(left))


def table_of_runs(texts: Sequence[str]) -> RunTable:
    """Find the runs of five words that texts share; a text of fewer words is one run.

    Args:
        texts: At most 2^24 of them; they are compared in lower case.

    Raises:
        ValueError: If there are more.
    """
    if len(texts) > MAX_ROWS:
        raise ValueError(f"{len(texts)} texts; accepted are at most {MAX_ROWS}")
    blocks = list(_hashed_runs(texts))
    n_runs, lengths = np.zeros((2, len(texts)), np.int64)
    shared = []
    for part in range(_N_PARTS):
        keys = _part_of(blocks, part)
        n_runs += np.bincount((keys & _LOW).astype(np.int64), minlength=len(texts))
        shared.append(_shared_runs(keys))
        lengths += np.bincount((shared[-1] >> _ROW_SHIFT).astype(np.int64), minlength=len(texts))
    blocks.clear()
    keys = np.concatenate(shared)
    keys.sort()  # by text, then rarity, then run
    keys &= (np.uint64(1) << _ROW_SHIFT) - np.uint64(1)
    return RunTable(runs=keys, starts=np.concatenate([[0], np.cumsum(lengths)]), n_runs=n_runs)


def _part_of(blocks: Sequence[HashArray], part: int) -> HashArray:
    """Return the runs of all blocks whose hashes lie in one of `_N_PARTS` ranges, sorted, once."""
    ends = np.array([part, part + 1], dtype=np.uint64) << np.uint64(64 - _N_PARTS.bit_length() + 1)
    last = part + 1 == _N_PARTS
    slices = []
    for block in blocks:
        first, after = np.searchsorted(block, ends)
        slices.append(block[first : len(block) if last else after])
    keys = np.concatenate([np.zeros(0, np.uint64), *slices])
    keys.sort()
    return keys[_is_new(keys)]


def _shared_runs(keys: HashArray) -> HashArray:
    """Return the runs that two texts or more have: text above, then rarity, then run."""
    starts = np.flatnonzero(_is_new(keys >> _HASH_BITS))
    counts = np.diff(starts, append=len(keys))
    often = counts > 1
    keys = keys[np.repeat(often, counts)]
    rarities = np.repeat(_rarity(counts[often]), counts[often])
    shared: HashArray = (keys & _LOW) << _ROW_SHIFT | rarities << _HASH_BITS | keys >> _HASH_BITS
    return shared


def candidate_pairs(table: RunTable, *, min_jaccard: float) -> Iterator[tuple[IntArray, IntArray]]:
    """Yield every pair of texts that may reach a Jaccard index, the first number the smaller.

    Pairs come in batches, those first that lie next to each other among the texts with one run; a
    pair may come more than once. After `MAX_LOOKED_AT` pairs no more come.

    Args:
        table: The runs.
        min_jaccard: In (0, 1].
    """
    lengths = np.diff(table.starts)
    n_rarest = table.n_runs - np.ceil(min_jaccard * table.n_runs - 1e-9).astype(np.int64) + 1
    n_alone = table.n_runs - lengths  # runs of no other text are rarer than all others
    n_taken = np.clip(n_rarest - n_alone, 0, lengths)
    entries = table.runs[_ranges(table.starts[:-1], n_taken)] << _HASH_BITS
    entries |= np.repeat(np.arange(len(lengths), dtype=np.uint64), n_taken)
    entries.sort()  # by run, then text
    bounds = np.flatnonzero(np.diff(entries >> _HASH_BITS, append=_LOW + np.uint64(1))) + 1
    ends = np.repeat(bounds, np.diff(bounds, prepend=0))
    texts = (entries & _LOW).astype(np.int64)
    active, n_looked_at, offset = np.arange(len(entries)), 0, 1
    while n_looked_at < MAX_LOOKED_AT:
        active = active[active + offset < ends[active]]
        if not len(active):
            return
        taken = active[: MAX_LOOKED_AT - n_looked_at]
        keys = np.unique((texts[taken] << 32) | texts[taken + offset])
        yield keys >> 32, keys & (2**32 - 1)
        n_looked_at += len(taken)
        offset += 1


def _hashed_runs(texts: Sequence[str]) -> Iterator[HashArray]:
    """Yield sorted numbers, a run's hash above and its text's position below, in large arrays."""
    waiting: list[HashArray] = []
    first, n_chars = 0, 0
    for position, text in enumerate(texts):
        n_chars += len(text)
        if n_chars >= _BLOCK_CHARS or position == len(texts) - 1:
            block = [text.lower() for text in texts[first : position + 1]]
            waiting.append(_runs_of(block, first))
            first, n_chars = position + 1, 0
            if sum(map(len, waiting)) >= _MIN_RUNS or position == len(texts) - 1:
                keys = np.concatenate(waiting)
                waiting.clear()
                keys.sort()
                yield keys


def _runs_of(texts: Sequence[str], first: int) -> HashArray:
    words, owners = _word_hashes(texts)  # (n_words,)
    n_words = np.bincount(owners, minlength=len(texts))
    whole = np.flatnonzero(owners[: -N_WORDS + 1] == owners[N_WORDS - 1 :])
    hashes = np.zeros(len(whole), np.uint64)
    for place in range(N_WORDS):
        hashes += words[whole + place] * _PLACES[place]
    short = np.flatnonzero(n_words < N_WORDS)
    begins = np.concatenate([[0], np.cumsum(n_words)])[short]
    of_short = n_words[short].astype(np.uint64) * _PLACES[N_WORDS]
    for place in range(N_WORDS - 1):
        has = n_words[short] > place
        of_short[has] += words[begins[has] + place] * _PLACES[place]
    rows = np.concatenate([owners[whole], short]) + first
    keys = _mixed(np.concatenate([hashes, of_short]))
    keys &= ~_LOW
    keys |= rows.astype(np.uint64)
    return keys


def _word_hashes(texts: Sequence[str]) -> tuple[HashArray, IntArray]:
    r"""Return a hash of each ``\w+`` of the texts, and the position of its text."""
    joined = "\n".join(texts) + "\n"
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    is_word, spread = _code_points()
    inside = is_word[codes].view(np.int8)
    edges = np.diff(inside, prepend=0, append=0)
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    powers, inverses = _powers(1 << len(codes).bit_length())
    sums = np.concatenate([[np.uint64(0)], np.cumsum(spread[codes] * powers[: len(codes)])])
    hashes = _mixed((sums[ends] - sums[starts]) * inverses[starts])
    text_ends = np.cumsum([len(text) + 1 for text in texts])
    return hashes, np.searchsorted(text_ends, starts, side="right")


@lru_cache(maxsize=2)
def _powers(n_powers: int) -> tuple[HashArray, HashArray]:
    """Return so many powers of the multiplier, from 1 on, and their inverses modulo 2^64."""
    powers, inverses = (
        np.cumprod(np.concatenate([[np.uint64(1)], np.full(n_powers - 1, base, np.uint64)]))
        for base in (_MULTIPLIER, _INVERSE)
    )
    return powers, inverses


@cache
def _code_points() -> tuple[npt.NDArray[np.bool_], HashArray]:
    r"""Return which code points ``\w`` matches, and a number of many bits for each."""
    is_word = np.array([chr(code).isalnum() or code == ord("_") for code in range(_N_CODES)])
    return is_word, _mixed(np.arange(_N_CODES, dtype=np.uint64))


def _mixed(values: HashArray) -> HashArray:
    """Spread the bits of 64-bit numbers; the finaliser of SplitMix64."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _is_new(values: HashArray) -> npt.NDArray[np.bool_]:
    """Tell which of some sorted values differ from the one before."""
    return np.concatenate([[True], values[1:] != values[:-1]])[: len(values)]


def _rarity(counts: IntArray) -> HashArray:
    """Return a byte that rises with how many texts have a run, by an eighth at a time or less."""
    steps = np.where(counts < 128, counts, 128 + 6 * np.log2(np.maximum(counts, 128) / 128))
    return np.minimum(steps, 255).astype(np.uint64)


def _ranges(starts: IntArray, lengths: IntArray) -> IntArray:
    """Return the numbers from each start on, as many as its length says, behind one another."""
    ends = np.cumsum(lengths)
    n_all = int(ends[-1]) if len(ends) else 0
    numbers: IntArray = np.arange(n_all) + np.repeat(starts - (ends - lengths), lengths)
    return numbers


def _blocks(pairs: IntArray, sizes: IntArray, *, n_cells: int = 2**22) -> Iterator[IntArray]:
    """Yield runs of pairs whose sizes add up to about so many."""
    if len(pairs):
        parts = np.cumsum(sizes[pairs]) // n_cells
        yield from np.split(pairs, np.flatnonzero(np.diff(parts)) + 1)
