"""The labels between the two sides, one per prompt: what learners of one pair learn from."""

from dataclasses import dataclass

import numpy as np

from routecast.data.preferences import PreferenceArrays
from routecast.routers.belonging import NOTHING_SUSPECTED, Belonging
from routecast.routers.gaps import win_probabilities_of_gaps
from routecast.train.registry import Lesson
from routecast.types import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True, eq=False)
class PromptLabels:
    """Prompts on which the sides met.

    Attributes:
        rows: Positions of the prompts in the lesson's list, ascending, shape (n_labels,).
        wins: P(strong wins), a tie counting half: the weighted mean over the prompt's comparisons
            between the sides, in [0, 1]. Same shape.
        weights: Their summed weights, above 0; same shape.
    """

    rows: IntArray
    wins: FloatArray
    weights: FloatArray

    def __len__(self) -> int:
        """Return the number of prompts."""
        return len(self.rows)

    @property
    def gaps(self) -> FloatArray:
        """Quality of strong minus that of weak as wins say it, in [-1, 1]; shape (n_labels,)."""
        return 2.0 * self.wins - 1.0

    def balance(self) -> dict[str, float]:
        """Return the weighted shares of prompts that strong wins, ties and loses.

        A soft label above one half counts as won, below as lost. All are NaN without labels.
        """
        if not len(self):
            return dict.fromkeys(("strong", "tie", "weak"), float("nan"))
        sides = np.sign(self.gaps)
        total = float(self.weights.sum())
        return {
            name: float(self.weights[sides == sign].sum()) / total
            for name, sign in (("strong", 1.0), ("tie", 0.0), ("weak", -1.0))
        }


def belonging_of(lesson: Lesson, rows: IntArray) -> Belonging:
    """Measure which parts of labelled prompts belong to them.

    Args:
        lesson: Has the prompts and their embedder.
        rows: Positions of the labelled prompts, shape (n_labels,).
    """
    if lesson.embedder is None:
        return NOTHING_SUSPECTED
    return Belonging.of([lesson.prompts[row] for row in rows.tolist()], lesson.embedder)


def labels_between_sides(lesson: Lesson, comparisons: PreferenceArrays) -> PromptLabels:
    """Return what some comparisons say of the lesson's sides; those of other models say nothing.

    Args:
        lesson: Names the sides.
        comparisons: Its training or its validation comparisons.

    Returns:
        One label per prompt on which a strong model met a weak one; none where they never met.
    """
    side = np.array(
        [(name in lesson.strong) - (name in lesson.weak) for name in comparisons.models], np.int64
    )  # 1 strong, -1 weak, 0 neither
    side_a, side_b = side[comparisons.model_a_index], side[comparisons.model_b_index]
    met = np.flatnonzero(side_a * side_b < 0)
    outcome = comparisons.outcome[met].astype(np.float64)
    wins = np.where(side_a[met] > 0, outcome, 1.0 - outcome)
    weights = comparisons.weight[met].astype(np.float64)
    rows, places = np.unique(comparisons.prompt_index[met], return_inverse=True)
    totals: FloatArray = np.bincount(places, weights, minlength=len(rows)).astype(np.float64)
    sums = np.bincount(places, weights * wins, minlength=len(rows))
    return PromptLabels(rows=rows.astype(np.int64), wins=sums / totals, weights=totals)


def placed(gaps: FloatArray, labels: PromptLabels, lesson: Lesson) -> FloatArray:
    """Return P(strong wins) of all the lesson's prompts, NaN where no gap is known.

    Args:
        gaps: Expected gap of each labelled prompt, shape (n_labels,).
        labels: Say which prompts these are.
        lesson: Has them all.
    """
    probabilities = np.full(len(lesson.prompts), np.nan)
    probabilities[labels.rows] = win_probabilities_of_gaps(gaps)
    return probabilities
