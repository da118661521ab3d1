"""Surface features of a prompt: length, shares of characters, words that tell how hard it is.

Upper and lower case are the same, and so are one space and many: neither changes what is asked.
"""

from collections.abc import Sequence
from math import log1p
from typing import Final

import numpy as np

from routecast.types import FloatArray

SURFACE_NAMES: Final = (
    "log_words",
    "digit_share",
    "symbol_share",
    "log_lines",
    "non_ascii_share",
    "distinct_word_share",
    "is_code",
    "mean_word_length",
    "log_numbers",
    "questions_per_word",
    "log_math_signs",
    "hard_words",
    "step_words",
    "logic_words",
    "negations",
    "chat_words",
    "is_fact_question",
)
"""The features, in the order of the columns."""

MAX_CHARACTERS: Final = 8_192
"""Characters that are looked at, the first of a prompt: what comes later changes nothing."""


def _words(text: str) -> frozenset[bytes]:
    return frozenset(text.encode().split())


HARD_WORDS: Final = _words(
    "algorithm analysis analyse analyze architecture calculate compare complexity compute contrast "
    "converge critique debug derivation derive design determine equation estimate evaluate explain "
    "formula function implement integral justify matrix optimise optimization optimize probability "
    "proof prove refactor simulate solve strategy theorem"
)
"""Words that ask for work that small models often fail at."""

STEP_WORDS: Final = _words(
    "constraints each ensure every exactly finally first following given least must requirements "
    "second should step steps then using"
)
"""Words of tasks of several steps or conditions."""

LOGIC_WORDS: Final = _words("assume because how if suppose therefore whether why")
NEGATIONS: Final = _words("cannot except never no not unless without")
CHAT_WORDS: Final = _words(
    "favorite feel hello hey hi hola i joke lol love me my please thank thanks you your"
)
"""Words of small talk, and of a person who speaks about himself or herself."""

FACT_OPENINGS: Final = _words("name what when where which who")
"""First words of questions for one fact."""

_MATH_SIGNS: Final = b"=^\\$"
_OTHER, _DIGIT, _SYMBOL, _NON_ASCII = (bytes([number]) for number in range(4))


def _byte_classes() -> bytes:
    """Return the class of each byte of UTF-8, a table for ``bytes.translate``."""
    classes = bytearray(256)
    classes[ord("0") : ord("9") + 1] = 10 * _DIGIT
    for symbol in b"+-*/=^<>\\{}()[]_$|&%#":
        classes[symbol] = _SYMBOL[0]
    classes[0xC0:] = 64 * _NON_ASCII  # the first byte of a character; those after it are less
    return bytes(classes)


_CLASSES: Final = _byte_classes()
_IS_DIGIT: Final = bytes(0x30 <= byte < 0x3A for byte in range(256))
_LETTERS_ONLY: Final = bytes(
    byte if byte >= 0x80 or chr(byte).isalnum() else ord(" ") for byte in range(256)
)


def surface_features(prompts: Sequence[str]) -> FloatArray:
    """Describe the form of prompts.

    All features are of the first 8,192 characters, in lower case. Words are stretches of letters
    and digits; lines hold more than white space. Shares are of the characters, white space counting
    one for each stretch between words, or of the words. A logarithm is log(1 + count), natural.
    ``hard_words``, ``step_words``, ``logic_words``, ``negations`` and ``chat_words`` are numbers of
    different words of the lists in this module; ``is_code`` is 1 with a fenced block or ``def``,
    ``is_fact_question`` is 1 where the first word is one of `FACT_OPENINGS`, else they are 0.

    Args:
        prompts: Any texts, empty ones too.

    Returns:
        Finite numbers, shape (n_prompts, 17), columns as in `SURFACE_NAMES`.
    """
    rows = [features_of(prompt) for prompt in prompts]
    return np.array(rows, np.float64).reshape(len(rows), len(SURFACE_NAMES))


def features_of(prompt: str) -> tuple[float, ...]:
    """Return the same features of one prompt."""
    text = prompt[:MAX_CHARACTERS].lower()
    encoded = text.encode("utf-8", "surrogatepass")
    count = encoded.translate(_CLASSES).count
    words = encoded.translate(_LETTERS_ONLY).split()
    different = frozenset(words)
    pieces = text.split()
    n_visible = len("".join(pieces))
    n_characters, n_words = n_visible + len(pieces) or 1, len(words) or 1
    n_lines = sum(not line.isspace() for line in text.split("\n") if line)
    return (
        log1p(len(words)),
        count(_DIGIT) / n_characters,
        count(_SYMBOL) / n_characters,
        log1p(max(n_lines - 1, 0)),
        count(_NON_ASCII) / n_characters,
        len(different) / n_words,
        float("```" in text or "def " in text),
        n_visible / n_words,
        log1p(_count_numbers(encoded)),
        encoded.count(b"?") / n_words,
        log1p(sum(map(encoded.count, _MATH_SIGNS))),
        float(len(HARD_WORDS & different)),
        float(len(STEP_WORDS & different)),
        float(len(LOGIC_WORDS & different)),
        float(len(NEGATIONS & different)),
        float(len(CHAT_WORDS & different)),
        float(bool(words) and words[0] in FACT_OPENINGS),
    )


def _count_numbers(encoded: bytes) -> int:
    """Count the stretches of digits."""
    is_digit = encoded.translate(_IS_DIGIT)
    return is_digit.count(b"\0\1") + is_digit.startswith(b"\1")
