"""Explanations of a score: what each feature adds, in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from routecast.routers.surface import SURFACE_NAMES
from routecast.types import FloatArray

CONTENT: Final = "content"
CONTENT_WORDS: Final = "what it is about"

SURFACE_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "log_words": ("a long text", "a short text"),
    "digit_share": ("many digits", "few digits"),
    "symbol_share": ("many symbols of code or formulas", "few symbols of code or formulas"),
    "log_lines": ("many lines", "few lines"),
    "non_ascii_share": ("many letters beyond ASCII", "few letters beyond ASCII"),
    "distinct_word_share": ("few words repeated", "many words repeated"),
    "is_code": ("code", "no code"),
    "mean_word_length": ("long words", "short words"),
    "log_numbers": ("many numbers", "few numbers"),
    "questions_per_word": ("many question marks", "few question marks"),
    "log_math_signs": ("many signs of mathematics", "few signs of mathematics"),
    "hard_words": ("words of hard tasks (prove, derive ...)", "few words of hard tasks"),
    "step_words": ("words of steps and conditions (then, must ...)", "few words of steps"),
    "logic_words": ("words of reasoning (why, if ...)", "few words of reasoning"),
    "negations": ("negations", "few negations"),
    "chat_words": ("small talk (hello, thanks ...)", "little small talk"),
    "is_fact_question": ("a question for one fact (who, when ...)", "no question for one fact"),
}
"""Each surface feature in words: above and below the mean of the training prompts."""


@dataclass(frozen=True, kw_only=True)
class Contribution:
    """Contribution of one feature.

    Attributes:
        feature: `CONTENT`, or a name of `SURFACE_NAMES`.
        words: What the feature is in this prompt, for people: "many digits".
        win_probability: What it adds to the win probability before calibration; below 0 it speaks
            for the weak model.
    """

    feature: str
    words: str
    win_probability: float


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Parts of a linear router's score of one prompt.

    Attributes:
        mean_prompt: Win probability before calibration of a prompt that is the mean of those that
            were learned from, in every feature.
        contributions: Of each feature that is not at its mean, the largest first. Their sum and
            ``mean_prompt`` are the prompt's win probability before calibration, before that is
            kept within (0, 1).
        n_left_out: Characters of the prompt that seem not to belong to it, and were left out.
    """

    mean_prompt: float
    contributions: tuple[Contribution, ...]
    n_left_out: int = 0


def explain_line(
    intercept: float, content: float, surface: FloatArray, above: FloatArray
) -> Explanation:
    """Put the terms of an expected gap into words; the win probability is (1 + gap) / 2.

    Args:
        intercept: The gap of a mean prompt.
        content: What the embedding adds to the gap.
        surface: What each feature of `SURFACE_NAMES` adds to the gap, shape (n_features,).
        above: Above 0 where the feature is above its mean, same shape.
    """
    named = [(CONTENT, CONTENT_WORDS, content)]
    for name, gap, height in zip(SURFACE_NAMES, surface.tolist(), above.tolist(), strict=True):
        higher, lower = SURFACE_WORDS.get(
            name, (f"{name} above the mean", f"{name} below the mean")
        )
        named.append((name, higher if height > 0 else lower, gap))
    order = np.argsort([-abs(gap) for _, _, gap in named], kind="stable")
    return Explanation(
        mean_prompt=(1.0 + intercept) / 2.0,
        contributions=tuple(
            Contribution(feature=name, words=words, win_probability=gap / 2.0)
            for name, words, gap in (named[place] for place in order)
            if gap
        ),
    )
