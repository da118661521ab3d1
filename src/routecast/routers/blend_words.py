"""What words prompts have, whatever their case."""

import re
from collections.abc import Sequence
from typing import Final
from zlib import crc32

import numpy as np

from routecast.types import IntArray

N_WORD_SLOTS: Final = 4_096

_WIDE_MARKS: Final = re.compile(r"[^\w\x00-\x7f]+")
_REMEMBERED: Final = 65_536
_LONGEST_REMEMBERED: Final = 32  # bytes, so that all take 10 MB at most


def _small_words() -> bytes:
    """Return what a byte of UTF-8 becomes, a table for ``bytes.translate``."""
    characters = map(chr, range(128))
    small = [one.lower() if one.isalnum() or one == "_" else " " for one in characters]
    return "".join(small).encode() + bytes(range(128, 256))


_SMALL_WORDS: Final = _small_words()


def word_slots(text: str) -> list[int]:
    r"""Return the slot of every word of a text, a match of ``\w+``, repeated ones too.

    A word's slot is the CRC-32 of its small letters modulo 4,096.
    """
    if not text.isascii():
        text = _WIDE_MARKS.sub(" ", text.lower())
    return list(map(_slots.__getitem__, text.encode().translate(_SMALL_WORDS).split()))


def word_keys(texts: Sequence[str]) -> IntArray:
    """Return row * 4,096 + slot of every word of some texts, one text or more."""
    slots = [word_slots(text) for text in texts]
    keys = np.concatenate(slots).astype(np.int64)
    keys += np.repeat(N_WORD_SLOTS * np.arange(len(texts)), list(map(len, slots)))
    return keys


class _Slots(dict[bytes, int]):
    """Slots by word; one that is new is learned.

    Threads may lose one another's words and pass the bound by one word each, no more.
    """

    def __missing__(self, word: bytes) -> int:
        slot = crc32(word) % N_WORD_SLOTS
        if len(word) <= _LONGEST_REMEMBERED:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[word] = slot
        return slot


_slots: Final = _Slots()
