"""From a judge's words to a verdict, or to None: nothing is ever guessed."""

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

from routecast.label.templates import ReplyForm

Preference = Literal["A", "B", "tie"]
"""The answer shown first, the one shown second, or neither."""

LOWEST_GRADE, HIGHEST_GRADE = 1, 10

_MARK = re.compile(r"\[\[([^\[\]]*)\]\]")
_PREFERENCES: dict[str, Preference] = {"A": "A", "B": "B", "C": "tie"}


@dataclass(frozen=True, kw_only=True)
class PairVerdict:
    """Two verdicts on one pair of answers, the second with the answers swapped.

    Attributes:
        strong_first: The verdict with the strong model's answer shown first.
        weak_first: The verdict with the weak model's answer shown first.
    """

    strong_first: Preference
    weak_first: Preference

    @property
    def outcome(self) -> float:
        """1 when both verdicts name the strong model's answer, 0 the weak one's, otherwise 0.5."""
        if (self.strong_first, self.weak_first) == ("A", "B"):
            return 1.0
        return 0.0 if (self.strong_first, self.weak_first) == ("B", "A") else 0.5

    @property
    def disagrees(self) -> bool:
        """Whether the two verdicts name different answers; the outcome is a tie then."""
        swapped: dict[Preference, Preference] = {"A": "B", "B": "A", "tie": "tie"}
        return self.strong_first != swapped[self.weak_first]

    @property
    def follows_position(self) -> Literal["first", "second"] | None:
        """The position that won both times, whichever answer stood there; None otherwise."""
        if self.strong_first != self.weak_first or self.strong_first == "tie":
            return None
        return "first" if self.strong_first == "A" else "second"


def read_preference(text: str, form: ReplyForm) -> Preference | None:
    """Read which answer a judge prefers.

    Args:
        text: The whole reply.
        form: The form that was asked for; the other one is not accepted.

    Returns:
        None unless the reply is a JSON object of exactly the schema's keys and values, or holds
        exactly one mark in double brackets and this is ``[[A]]``, ``[[B]]`` or ``[[C]]``.
    """
    if form == "marker":
        return _PREFERENCES.get(_only_mark(text) or "")
    verdict = _value_of(text, "verdict")
    return verdict if verdict in ("A", "B", "tie") else None


def read_grade(text: str, form: ReplyForm) -> int | None:
    """Read the grade that a judge gives, 1 to 10; as strict as ``read_preference``."""
    if form == "marker":
        mark = _only_mark(text) or ""
        return int(mark) if re.fullmatch(r"[1-9]|10", mark, re.ASCII) else None
    grade = _value_of(text, "grade")
    return grade if type(grade) is int and LOWEST_GRADE <= grade <= HIGHEST_GRADE else None


def outcome_of_grades(*, strong: int, weak: int) -> float:
    """Return 1 when the strong model's answer has the higher grade, 0 the lower, 0.5 the same."""
    return 0.5 if strong == weak else float(strong > weak)


def _only_mark(text: str) -> str | None:
    marks = _MARK.findall(text)
    return marks[0] if len(marks) == 1 else None


def _value_of(text: str, key: str) -> Any:  # noqa: ANN401 (whatever JSON held)
    """Return the value of ``key``, or None when the reply is not of the schema."""
    try:
        reply = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(reply, dict) or reply.keys() != {"explanation", key}:
        return None
    return reply[key] if isinstance(reply["explanation"], str) else None
