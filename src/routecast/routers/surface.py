"""What a prompt looks like: lengths, shares of characters, signs of code, in 15 numbers."""

from collections.abc import Sequence
from math import log1p
from typing import Final

import numpy as np

from routecast.types import FloatArray

SURFACE_NAMES: Final = (
    "log_characters",
    "log_words",
    "characters_per_word",
    "digit_share",
    "capital_share",
    "symbol_share",
    "lines_per_word",
    "questions_per_word",
    "log_lines",
    "log_dollars",
    "non_ascii_share",
    "distinct_word_share",
    "is_code",
    "mean_word_length",
    "log_numbers",
)
"""The features, in the order of the columns."""

MAX_CHARACTERS: Final = 8_192
"""Characters that are looked at, the first of a prompt; its length counts all of them."""

_SYMBOLS: Final = b"+-*/=^<>\\{}()[]_$"
_OTHER, _DIGIT, _CAPITAL, _SYMBOL, _NON_ASCII = (bytes([number]) for number in range(5))


def _byte_classes() -> bytes:
    """Return the class of each byte of UTF-8, a table for ``bytes.translate``."""
    classes = bytearray(256)
    classes[ord("0") : ord("9") + 1] = 10 * _DIGIT
    classes[ord("A") : ord("Z") + 1] = 26 * _CAPITAL
    for symbol in _SYMBOLS:
        classes[symbol] = _SYMBOL[0]
    classes[0xC0:] = 64 * _NON_ASCII  # the first byte of a character; those after it are less
    return bytes(classes)


_CLASSES: Final = _byte_classes()
_IS_DIGIT: Final = bytes(0x30 <= byte < 0x3A for byte in range(256))


def surface_features(prompts: Sequence[str]) -> FloatArray:
    """Describe the form of prompts.

    Shares are of the characters or of the words (pieces between white space) that are looked at,
    the first 8,192 characters; a logarithm is log(1 + count), natural. Digits, capitals and symbols
    are those of ASCII. ``is_code`` is 1 with a fenced block or ``def``, else 0.

    Args:
        prompts: Any texts, empty ones too.

    Returns:
        Finite numbers, shape (n_prompts, 15), columns as in `SURFACE_NAMES`.
    """
    rows = [features_of(prompt) for prompt in prompts]
    return np.array(rows, np.float64).reshape(len(rows), len(SURFACE_NAMES))


def features_of(prompt: str) -> tuple[float, ...]:
    """Return the same features of one prompt."""
    text = prompt[:MAX_CHARACTERS]
    encoded = text.encode("utf-8", "surrogatepass")
    count = encoded.translate(_CLASSES).count
    words = text.lower().split()
    n_characters, n_words = len(text) + 1, len(words) or 1
    n_lines = encoded.count(b"\n")
    return (
        log1p(len(prompt)),
        log1p(len(words) * max(1.0, len(prompt) / MAX_CHARACTERS)),
        len(text) / n_words,
        count(_DIGIT) / n_characters,
        count(_CAPITAL) / n_characters,
        count(_SYMBOL) / n_characters,
        n_lines / n_words,
        encoded.count(b"?") / n_words,
        log1p(n_lines),
        log1p(encoded.count(b"$")),
        count(_NON_ASCII) / n_characters,
        len(set(words)) / n_words,
        float("```" in text or "def " in text),
        len("".join(words)) / n_words,
        log1p(_count_numbers(encoded)),
    )


def _count_numbers(encoded: bytes) -> int:
    """Count the stretches of digits."""
    is_digit = encoded.translate(_IS_DIGIT)
    return is_digit.count(b"\0\1") + is_digit.startswith(b"\1")
