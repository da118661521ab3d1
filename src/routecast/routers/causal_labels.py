"""The labels that a causal LM chooses from, and the win probability that their logits give."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from routecast.errors import ConfigError
from routecast.types import FloatArray

GOOD_GRADE: Final = 4
"""The lowest grade of the weak answer that is good enough, as in RouteLLM's checkpoint."""


@dataclass(frozen=True, kw_only=True)
class LabelSet:
    """Labels, one token each.

    Attributes:
        name: As users write it.
        tokens: The labels' text.
        levels: What each stands for on the scale [0, 1] of the target: P(strong wins) for `win`
            and `letters`, the weak answer's quality for `grade`. Strictly monotone.
        worths: P(strong wins) that each stands for, in [0, 1].
    """

    name: str
    tokens: tuple[str, ...]
    levels: tuple[float, ...]
    worths: tuple[float, ...]

    def win_probabilities(self, logits: FloatArray) -> FloatArray:
        """Return P(strong wins) from the labels' logits: their softmax, each times its worth.

        Args:
            logits: Shape (n_prompts, n_labels); log-probabilities do as well. -inf is a label that
                cannot come.

        Returns:
            Shape (n_prompts,), in [0, 1]; NaN where no logit of a row is finite.

        References:
            Ong et al. (2024), arXiv:2406.18665, section 4.2, with ties counted half.
        """
        wins: FloatArray = softmax_rows(logits) @ np.array(self.worths)
        return wins

    def targets(self, values: FloatArray) -> FloatArray:
        """Return the distribution over the labels that a value on the target's scale asks for.

        A value at a label's level is that label. One between two levels is shared by their two
        labels so that the mean level is the value: P(strong) + P(tie) / 2 is the soft target.

        Args:
            values: In [0, 1], shape (n,).

        Returns:
            Shape (n, n_labels); rows add up to 1, and ``targets @ levels`` is ``values``.

        Raises:
            ValueError: If a value is not in [0, 1].
        """
        if not ((values >= 0) & (values <= 1)).all():
            raise ValueError("targets must be in [0, 1]")
        levels = np.array(self.levels)
        eye = np.eye(len(levels))
        order = np.argsort(levels)
        columns = [np.interp(values, levels[order], row[order]) for row in eye]
        return np.stack(columns, axis=1).reshape(len(values), len(levels))


def softmax_rows(logits: FloatArray) -> FloatArray:
    """Return the softmax of each row; NaN where no value of the row is finite."""
    wide = np.asarray(logits, dtype=np.float64)
    highest = wide.max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        shares = np.exp(wide - highest)
        total = shares.sum(axis=1, keepdims=True)
        unit: FloatArray = shares / total
    unit[~np.isfinite(highest[:, 0])] = np.nan
    return unit


WIN: Final = LabelSet(
    name="win",
    tokens=("[[strong]]", "[[tie]]", "[[weak]]"),
    levels=(1.0, 0.5, 0.0),
    worths=(1.0, 0.5, 0.0),
)
"""Who wins; the tokens are new to the vocabulary."""

LETTERS: Final = LabelSet(
    name="letters", tokens=("A", "B", "C"), levels=(1.0, 0.5, 0.0), worths=(1.0, 0.5, 0.0)
)
"""The same in letters that every vocabulary has, for models that were not fine-tuned."""


def grade_labels(good_grade: int = GOOD_GRADE) -> LabelSet:
    """Return the five grades of the weak model's answer, [[1]] the worst.

    P(strong wins) is the probability of a grade below ``good_grade``: with 4, one minus
    P([[4]]) + P([[5]]), which RouteLLM's released checkpoint calls "weak is good enough".

    Raises:
        ConfigError: If ``good_grade`` is not 2, 3, 4 or 5.
    """
    if good_grade not in (2, 3, 4, 5):
        raise ConfigError(f"good_grade {good_grade!r}; accepted are 2, 3, 4 and 5")
    grades = range(1, 6)
    return LabelSet(
        name="grade",
        tokens=tuple(f"[[{grade}]]" for grade in grades),
        levels=tuple((grade - 1) / 4 for grade in grades),
        worths=tuple(float(grade < good_grade) for grade in grades),
    )


LABEL_SETS: Final = ("win", "grade", "letters")
"""How users write them."""


def find_labels(
    name: str, *, good_grade: int = GOOD_GRADE, among: Sequence[str] = LABEL_SETS
) -> LabelSet:
    """Return a label set by name.

    Raises:
        ConfigError: If there is none of this name among the accepted ones.
    """
    known: Mapping[str, LabelSet] = {
        "win": WIN, "grade": grade_labels(good_grade), "letters": LETTERS
    }  # fmt: skip
    if name not in among:
        raise ConfigError(f"labels {name!r}; choose one of {list(among)!r}")
    return known[name]
