"""What shapes of words prompts have, read by a few array operations: none for each word.

A stretch of ASCII letters has the shape ``a`` (the first one small), ``Aa`` (the first one a
capital) or ``AA`` (two capitals or more, nothing else), with 1, 2 or 3 for up to 3, up to 7 and
more letters; a stretch of digits is ``d`` and their number, up to 4; any other character but white
space is its own shape, and so is the end of a line. Shapes count alone, and each two that follow
one another, with a space between them. A term's slot is its CRC-32 modulo the number of slots.
"""

from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import Final, NamedTuple, Self
from zlib import crc32

import numpy as np
import numpy.typing as npt

from routecast.types import IntArray

N_SHAPE_SLOTS: Final = 1_024

_SPACE, _LETTER, _DIGIT, _MARK = range(4)
_LONGEST: Final = 8  # letters or digits that are counted
_N_NARROW: Final = 128  # characters of ASCII
_MAX_BYTES: Final = 4  # of a shape
_REMEMBERED: Final = 65_536

# A mark's shape has the number of the character. Letters and digits are no marks, so that the
# shapes of stretches of 1 to 8 of them have the numbers of letters, from these up:
_NUMBER, _SMALL, _CAPITAL, _ALL_CAPITALS = ord("A"), ord("a"), ord("a") + 8, ord("a") + 16
_NO_SHAPE: Final = -_LONGEST - 1  # of white space, with its length less than 0

_KIND, _FIRST, _RISE, _SLOT, _N_BYTES, _START = range(6)  # rows; the last is one of five


def shape_keys(texts: Sequence[str]) -> IntArray:
    """Return row * 1,024 + slot of every shape and of every two in a row, in no order.

    The CRC-32 of a text that starts with a and ends with the k bytes of b is
    crc(a0) ^ crc(0) ^ crc(b), where 0 is k bytes of zero.

    Args:
        texts: What is read of some prompts, one or more.
    """
    starts, shapes, known = _find_shapes(" ".join(["", *texts, ""]))
    is_piece = shapes >= 0
    shapes = shapes[is_piece]
    slots = known.slots.take(shapes)
    places = known.places.take(shapes[1:])
    places += shapes[:-1]
    slots_of_two = known.starts.take(places)
    slots_of_two ^= slots[1:]
    if len(texts) > 1:
        rows = np.cumsum([1 + len(text) for text in texts]).searchsorted(starts[is_piece], "right")
        slots += N_SHAPE_SLOTS * rows
        slots_of_two += N_SHAPE_SLOTS * rows[1:]
        slots_of_two = slots_of_two[rows[1:] == rows[:-1]]
    return np.concatenate([slots, slots_of_two])


class _Known(NamedTuple):
    """What is known of each character, then of each shape; n is the number of either."""

    kinds: IntArray  # (n,)
    firsts: IntArray  # the shape of a stretch that starts so, less its length
    rises: IntArray  # by how much more that is if all are capitals
    slots: IntArray
    places: IntArray  # n times k, the number of bytes
    starts: IntArray  # crc(a0) ^ crc(0) for a shape and a space, (5 n,), by k

    @classmethod
    def of(cls, rows: IntArray) -> Self:
        kinds, firsts, rises, slots, n_bytes = rows[:_START]
        return cls(kinds, firsts, rises, slots, n_bytes * len(kinds), rows[_START:].ravel())


def _find_shapes(text: str) -> tuple[IntArray, IntArray, _Known]:
    """Cut a text between two spaces into pieces and stretches of white space.

    Returns:
        Where they start, counted from after the first space; their shapes, negative for white
        space; and what is known of shapes. White space at the end is left out.
    """
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    known = _known_of_ascii()
    if not text.isascii():
        codes, known = _widen(codes)
    kinds = known.kinds.take(codes)
    is_start = kinds[1:] != kinds[:-1]
    is_start |= kinds[1:] == _MARK
    starts = is_start.nonzero()[0]
    codes = codes[1:]
    rises = np.minimum.reduceat(known.rises.take(codes), starts)
    shapes = np.minimum(starts[1:] - starts[:-1], _LONGEST)
    starts = starts[:-1]  # the last one is that of the space at the end
    shapes += rises[:-1]
    shapes += known.firsts.take(codes.take(starts))
    return starts, shapes, known


def _widen(codes: npt.NDArray[np.uint32]) -> tuple[npt.NDArray[np.uint32], _Known]:
    """Number the characters beyond ASCII that occur from 128, and add what is known of them."""
    places = (codes >= _N_NARROW).nonzero()[0]
    of_places = codes.take(places)
    found = sorted(set(of_places.tolist()))
    codes = codes.copy()
    codes[places] = _N_NARROW + np.array(found, np.uint32).searchsorted(of_places)
    wide = _rows_of(map(chr, found))
    wide[_FIRST] += np.arange(_N_NARROW, _N_NARROW + len(found)) * (wide[_KIND] == _MARK)
    return codes, _Known.of(np.concatenate([_rows_of_ascii(), wide], axis=1))


@cache
def _known_of_ascii() -> _Known:
    return _Known.of(_rows_of_ascii())


@cache
def _rows_of_ascii() -> IntArray:
    """Return what is known, shape (10, 128): of characters, and of shapes in place of some."""
    characters = [chr(code) for code in range(_N_NARROW)]
    shapes = characters.copy()
    for n in range(1, _LONGEST + 1):
        size = 1 + (n > 3) + (n > 7)
        shapes[_NUMBER + n - 1] = f"d{min(n, 4)}"
        shapes[_SMALL + n - 1] = f"a{size}"
        shapes[_CAPITAL + n - 1] = f"Aa{size}"
        shapes[_ALL_CAPITALS + n - 1] = f"AA{size}" if n > 1 else "Aa1"
    rows = _rows_of(shapes)
    for code, character in enumerate(characters):
        first = (_NO_SHAPE, _SMALL - 1, _NUMBER - 1, code - 1)[_kind_of(character)]
        rise = (_CAPITAL - _SMALL) * character.isupper()
        rows[: _RISE + 1, code] = _kind_of(character), first + rise, rise
    return rows


def _rows_of(shapes: Iterable[str]) -> IntArray:
    """Return what is known of shapes, and of them as characters beyond ASCII, a column for each."""
    return np.frombuffer(b"".join(map(_row_of, shapes)), np.int64).reshape(-1, 10).T.copy()


@lru_cache(maxsize=_REMEMBERED)
def _row_of(shape: str) -> bytes:
    kind = _kind_of(shape)
    first = {_SPACE: _NO_SHAPE, _DIGIT: _NUMBER - 1}.get(kind, -1)
    encoded = shape.encode("utf-8", "surrogatepass")
    zeros = [bytes(n_bytes) for n_bytes in range(_MAX_BYTES + 1)]
    starts = [(crc32(encoded + b" " + zero) ^ crc32(zero)) % N_SHAPE_SLOTS for zero in zeros]
    slot = crc32(encoded) % N_SHAPE_SLOTS
    return np.array([kind, first, 0, slot, len(encoded), *starts], np.int64).tobytes()


def _kind_of(character: str) -> int:
    if character.isspace() and character != "\n":
        return _SPACE
    if character.isdecimal():
        return _DIGIT
    return _LETTER if character.isascii() and character.isalpha() else _MARK
