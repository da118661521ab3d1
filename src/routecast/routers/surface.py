"""What a prompt looks like: lengths, shares of characters, signs of code, in 15 numbers."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from routecast.types import AnyArray, FloatArray

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

_SYMBOLS: Final = b"+-*/=^<>\\{}()[]_"
_OTHER, _DIGIT, _CAPITAL, _SYMBOL, _NEWLINE, _QUESTION, _DOLLAR, _NON_ASCII, _CONTINUATION = range(
    9
)


def _byte_classes() -> AnyArray:
    """Return the class of each byte of UTF-8, shape (256,)."""
    classes = np.zeros(256, dtype=np.uint8)
    classes[ord("0") : ord("9") + 1] = _DIGIT
    classes[ord("A") : ord("Z") + 1] = _CAPITAL
    classes[list(_SYMBOLS)] = _SYMBOL
    classes[ord("\n")], classes[ord("?")], classes[ord("$")] = _NEWLINE, _QUESTION, _DOLLAR
    classes[0x80:0xC0] = _CONTINUATION  # the second to fourth byte of one character
    classes[0xC0:] = _NON_ASCII
    return classes


_CLASSES: Final = _byte_classes()


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
    features = np.empty((len(prompts), len(SURFACE_NAMES)))
    for row, prompt in enumerate(prompts):
        features[row] = _features(prompt)
    of_counts = [SURFACE_NAMES.index(name) for name in SURFACE_NAMES if name.startswith("log_")]
    features[:, of_counts] = np.log1p(features[:, of_counts])
    return features


def _features(prompt: str) -> tuple[float, ...]:
    """Return the features of one prompt, counts in place of their logarithms."""
    text = prompt[:MAX_CHARACTERS]
    classes = _CLASSES[np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8)]
    counts = np.bincount(classes, minlength=9).tolist()
    words = text.split()
    n_characters, n_words = len(text) + 1, len(words) or 1
    return (
        len(prompt),
        len(words) * max(1.0, len(prompt) / MAX_CHARACTERS),
        len(text) / n_words,
        counts[_DIGIT] / n_characters,
        counts[_CAPITAL] / n_characters,
        (counts[_SYMBOL] + counts[_DOLLAR]) / n_characters,
        counts[_NEWLINE] / n_words,
        counts[_QUESTION] / n_words,
        counts[_NEWLINE],
        counts[_DOLLAR],
        counts[_NON_ASCII] / n_characters,
        len(set(text.lower().split())) / n_words,
        float("```" in text or "def " in text),
        sum(map(len, words)) / n_words,
        _count_runs(classes == _DIGIT) if counts[_DIGIT] else 0,
    )


def _count_runs(inside: AnyArray) -> int:
    """Count the stretches of true values."""
    return int(inside[0]) + int(np.count_nonzero(inside[1:] & ~inside[:-1]))
