"""Leakage: prompts that are in the training data and in a benchmark.

Two prompts count as the same text when they are equal after normalising. Near-duplicates by
embedding need more than this module.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from routecast.types import IntArray

HashArray = npt.NDArray[np.uint64]

MIN_CHARS = 24
"""Characters, normalised, from which a text inside another counts as leaked.

Between MMLU's questions and the rows of MMLU-Pro, RouterDC and LLMRouter, options left out, all
20 rows whose longest match had 16 to 23 characters were chance, and all of the 13,000 with 24 or
more were known copies.
"""

_ANCHOR = 16  # characters hashed to find candidates: 2 to the power of the number of multipliers
_MULTIPLIERS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93)
_FILTER_BITS = 22
_BLOCK_CHARS = 2**20
_OTHER_ASCII = bytes(code for code in range(128) if not chr(code).isalnum())
_NOT_ALPHANUMERIC = re.compile(r"[\W_]+")


def normalise_prompt(text: str) -> str:
    """Return the letters and digits of a text, in lower case and nothing between.

    Exactly: Unicode normal form NFKC, then ``str.lower``, then every character dropped that
    ``str.isalnum`` denies: spaces, punctuation, symbols, emoji, combining marks, control
    characters, lone surrogates. Text without letters and digits becomes the empty string.
    """
    if text.isascii():  # most texts; bytes lose characters ten times as fast
        return text.lower().encode().translate(None, _OTHER_ASCII).decode()
    text = unicodedata.normalize("NFKC", text)
    return _NOT_ALPHANUMERIC.sub("", text.lower())


def prompt_hash64(text: str) -> int:
    """Return 64 bits that stand for a prompt: equal when the normalised prompts are.

    BLAKE2b with an 8-byte digest over the normalised prompt in UTF-8, read as a little-endian
    number. Artifacts keep these instead of prompts.
    """
    return int.from_bytes(_digest(text), "little")


def prompt_hashes64(texts: Sequence[str]) -> HashArray:
    """Return `prompt_hash64` of each text, shape (n_texts,)."""
    return np.frombuffer(b"".join(map(_digest, texts)), dtype="<u8").astype(np.uint64)


def _digest(text: str) -> bytes:
    return blake2b(normalise_prompt(text).encode(), digest_size=8).digest()


@dataclass(frozen=True, kw_only=True, eq=False)
class Overlap:
    """Pairs of a training prompt and a benchmark question that share their text.

    Attributes:
        training_index: Row of the training prompt, shape (n_pairs,).
        benchmark_index: Row of the benchmark question, same shape.
    """

    training_index: IntArray
    benchmark_index: IntArray

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.training_index)

    @property
    def training_rows(self) -> IntArray:
        """Training rows to leave out, each once, ascending."""
        return np.unique(self.training_index)

    @property
    def benchmark_rows(self) -> IntArray:
        """Benchmark rows that are in the training data, each once, ascending."""
        return np.unique(self.benchmark_index)


def contained_questions(
    training_prompts: Sequence[str],
    benchmark_questions: Sequence[str],
    *,
    min_chars: int = MIN_CHARS,
) -> Overlap:
    """Find training prompts that contain a benchmark question, or the other way round.

    Texts are normalised first. One text inside the other counts when the inner one has at least
    ``min_chars`` characters; shorter ones, which are inside others by chance, count when both are
    equal. Texts without letters and digits never count.

    Args:
        training_prompts: Texts of the training data.
        benchmark_questions: Texts of the benchmark; give questions without their options too
            where the options may differ (`question_stem`).
        min_chars: As above; 1 or more. Below 16 it takes a slower way for the short texts.

    Returns:
        The pairs, sorted by training row, then benchmark row. They hold rows only, no text.

    Raises:
        ValueError: If ``min_chars`` is below 1.
    """
    if min_chars < 1:
        raise ValueError(f"min_chars is {min_chars!r}; accepted is 1 or more")
    training = [normalise_prompt(text) for text in training_prompts]
    benchmark = [normalise_prompt(text) for text in benchmark_questions]
    pairs = set(_equal(training, benchmark))
    for find in (_short_inside, _long_inside):
        pairs.update((outer, inner) for inner, outer in find(benchmark, training, min_chars))
        pairs.update(find(training, benchmark, min_chars))
    found = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
    return Overlap(training_index=found[:, 0], benchmark_index=found[:, 1])


def question_stem(prompt: str) -> str:
    """Return a multiple-choice prompt without its options: what comes before the first.

    Options start at the first line ``A.`` or ``A)`` that a line ``B.`` or ``B)`` follows. Other
    prompts are returned whole.
    """
    options = _OPTIONS.search(prompt)
    return prompt[: options.start()] if options and options.start() else prompt


_OPTIONS = re.compile(r"^\(?A[.)] .*?^\(?B[.)] ", re.MULTILINE | re.DOTALL)


def _equal(left: Sequence[str], right: Sequence[str]) -> Iterator[tuple[int, int]]:
    rows: dict[str, list[int]] = {}
    for row, text in enumerate(right):
        if text:
            rows.setdefault(text, []).append(row)
    for row, text in enumerate(left):
        for other in rows.get(text, ()):
            yield row, other


def _short_inside(
    inner: Sequence[str], outer: Sequence[str], min_chars: int
) -> Iterator[tuple[int, int]]:
    """Yield (row of inner, row of outer) wherever a text too short to hash is inside."""
    for row, text in enumerate(inner):
        if min_chars <= len(text) < _ANCHOR:
            yield from ((row, other) for other, whole in enumerate(outer) if text in whole)


def _long_inside(
    inner: Sequence[str], outer: Sequence[str], min_chars: int
) -> Iterator[tuple[int, int]]:
    """Yield (row of inner, row of outer) wherever the one text is inside the other.

    The 16 characters at the middle of each inner text are looked up at every place of the outer
    texts by a hash; each hit is then checked in full.
    """
    rows = [row for row, text in enumerate(inner) if len(text) >= max(min_chars, _ANCHOR)]
    if not rows:
        return
    offsets = {row: (len(inner[row]) - _ANCHOR) // 2 for row in rows}
    anchors: dict[int, list[int]] = {}
    texts = [inner[row][offsets[row] : offsets[row] + _ANCHOR] for row in rows]
    for row, value in zip(rows, _window_hashes("".join(texts))[::_ANCHOR].tolist(), strict=True):
        anchors.setdefault(value, []).append(row)
    wanted = np.array(sorted(anchors), dtype=np.uint64)
    for first, block in _blocks(outer):
        bounds = np.cumsum([0, *map(len, block)])
        hashes = _window_hashes("".join(block))
        places = _places_of(hashes, wanted)
        owners = np.searchsorted(bounds, places, side="right") - 1
        for place, owner in zip(places.tolist(), owners.tolist(), strict=True):
            start = place - int(bounds[owner])
            for row in anchors[int(hashes[place])]:
                begin = start - offsets[row]
                if begin >= 0 and block[owner].startswith(inner[row], begin):
                    yield row, first + owner


def _blocks(texts: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield runs of texts of about a million characters, with the row that each starts at."""
    block: list[str] = []
    first = n_chars = 0
    for row, text in enumerate(texts):
        if not block:
            first = row
        block.append(text)
        n_chars += len(text)
        if n_chars >= _BLOCK_CHARS or row == len(texts) - 1:
            yield first, block
            block, n_chars = [], 0


def _window_hashes(text: str) -> HashArray:
    """Hash the 16 characters from each place on, shape (n_chars - 15,), by doubling windows."""
    hashes = np.frombuffer(text.encode("utf-32-le"), dtype="<u4").astype(np.uint64)
    width = 1
    for multiplier in _MULTIPLIERS:
        hashes = hashes[:-width] * np.uint64(multiplier) + hashes[width:]
        hashes ^= hashes >> np.uint64(29)
        width *= 2
    return hashes


def _places_of(hashes: HashArray, wanted: HashArray) -> IntArray:
    """Return where a hash is one of those wanted (sorted), ascending."""
    bits = np.uint64(2**_FILTER_BITS - 1)
    maybe = np.zeros(2**_FILTER_BITS, dtype=np.bool_)
    maybe[wanted & bits] = True
    places = np.flatnonzero(maybe[hashes & bits])
    nearest = np.minimum(np.searchsorted(wanted, hashes[places]), len(wanted) - 1)
    found: IntArray = places[wanted[nearest] == hashes[places]]
    return found
