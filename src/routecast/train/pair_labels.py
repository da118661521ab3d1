"""Labels between strong and weak: one per battle or row of outcomes, or one per prompt."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from routecast.data.outcomes import Outcomes, rescale_quality
from routecast.data.preferences import PreferenceArrays
from routecast.routers.gaps import win_probabilities_of_gaps
from routecast.train.registry import Lesson
from routecast.train.sides import Sides
from routecast.train.sources import LabelledSet
from routecast.types import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True, eq=False)
class PairLabels:
    """Labels between strong and weak, one for each battle or row of outcomes.

    Attributes:
        prompt_index: Position of the prompt in the list of all prompts, shape (n_labels,).
        wins: 1 where strong won, 0 where weak did, 0.5 for a tie; between for soft labels and for
            several models, the mean over their pairs. Same shape.
        weight: How much a label counts when calibrating, above 0; same shape.
        weak_quality: On the scale [0, 1], mean over the weak models; NaN for battles. Same shape.
        strong_quality: Likewise.
        groups: Conversation or subset of each, None without.
    """

    prompt_index: IntArray
    wins: FloatArray
    weight: FloatArray
    weak_quality: FloatArray
    strong_quality: FloatArray
    groups: tuple[str | None, ...]

    def __len__(self) -> int:
        """Return the number of labels."""
        return len(self.prompt_index)

    def take(self, rows: IntArray) -> "PairLabels":
        """Return the chosen labels, by position."""
        return PairLabels(
            prompt_index=self.prompt_index[rows],
            wins=self.wins[rows],
            weight=self.weight[rows],
            weak_quality=self.weak_quality[rows],
            strong_quality=self.strong_quality[rows],
            groups=tuple(self.groups[row] for row in rows.tolist()),
        )

    def by_prompt(self) -> "PromptLabels":
        """Return one label per prompt: the weighted mean of its labels and their summed weight."""
        rows, places = np.unique(self.prompt_index, return_inverse=True)
        totals = np.bincount(places, self.weight, minlength=len(rows)).astype(np.float64)
        sums = np.bincount(places, self.weight * self.wins, minlength=len(rows))
        return PromptLabels(rows=rows, wins=sums / totals, weights=totals)


@dataclass(frozen=True, kw_only=True, eq=False)
class PromptLabels:
    """Labels between strong and weak, one for each prompt on which they met.

    Attributes:
        rows: Positions of the prompts in the list of all prompts, ascending, shape (n_labels,).
        wins: P(strong wins), a tie counting half: the weighted mean over the prompt's labels, in
            [0, 1]. Same shape.
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


def labels_of(one: LabelledSet, sides: Sides, positions: dict[str, int]) -> PairLabels:
    """Return what happened between the sides in one set.

    Args:
        one: A set of comparisons or outcomes.
        sides: Who is strong and who is weak; those whom the set does not know are left out.
        positions: Position of every prompt.

    Returns:
        One label per battle, or per row of outcomes where both sides are known; none where the
        sides never met.
    """
    if one.outcomes is not None:
        return _labels_of_outcomes(one, one.outcomes, sides, positions)
    labels = _labels_of_battles(one.preferences, sides.strong, sides.weak)
    listed = np.array([positions[prompt] for prompt in one.preferences.prompts], dtype=np.int64)
    return replace(labels, prompt_index=listed[labels.prompt_index])


def _labels_of_battles(
    preferences: PreferenceArrays, strong: Collection[str], weak: Collection[str]
) -> PairLabels:
    """Return one label per battle between the sides; prompts are numbered as the battles do."""
    side = np.array(
        [(name in strong) - (name in weak) for name in preferences.models], np.int64
    )  # 1 strong, -1 weak, 0 neither
    side_a, side_b = side[preferences.model_a_index], side[preferences.model_b_index]
    rows = np.flatnonzero(side_a * side_b < 0)
    outcome = preferences.outcome[rows].astype(np.float64)
    unknown = np.full(len(rows), np.nan)
    return PairLabels(
        prompt_index=preferences.prompt_index[rows].astype(np.int64),
        wins=np.where(side_a[rows] > 0, outcome, 1.0 - outcome),
        weight=preferences.weight[rows].astype(np.float64),
        weak_quality=unknown,
        strong_quality=unknown,
        groups=(None,) * len(rows),
    )


def _labels_of_outcomes(
    one: LabelledSet, outcomes: Outcomes, sides: Sides, positions: dict[str, int]
) -> PairLabels:
    scaled = rescale_quality(outcomes)
    strong, weak = (
        np.stack([scaled.quality(name) for name in names if name in scaled.models])
        if set(names) & set(scaled.models)
        else np.full((1, len(scaled)), np.nan)
        for names in (sides.strong, sides.weak)
    )  # (n_models, n_prompts)
    rows = np.flatnonzero(~(np.isnan(strong).all(axis=0) | np.isnan(weak).all(axis=0)))
    strong, weak = strong[:, rows], weak[:, rows]
    groups = outcomes.table["group"] if "group" in outcomes.table.columns else None
    return PairLabels(
        prompt_index=np.array([positions[outcomes.prompts[row]] for row in rows], dtype=np.int64),
        wins=_mean_wins(strong, weak, soft=one.soft),
        weight=np.ones(len(rows)),
        weak_quality=np.nanmean(weak, axis=0),
        strong_quality=np.nanmean(strong, axis=0),
        groups=(None,) * len(rows)
        if groups is None
        else tuple(None if g is None else f"{one.name}: {g}" for g in groups.gather(rows)),
    )


def _mean_wins(strong: FloatArray, weak: FloatArray, *, soft: bool) -> FloatArray:
    """Return P(strong wins), ties half, over the pairs of models that are known; (n_prompts,)."""
    won, n_known = np.zeros(strong.shape[1]), np.zeros(strong.shape[1])
    for better, worse in product(strong, weak):
        gap = better - worse
        known = ~np.isnan(gap)
        won += np.where(known, (1.0 + (gap if soft else np.sign(gap))) / 2.0, 0.0)
        n_known += known
    return won / n_known


def join_labels(parts: Sequence[PairLabels]) -> PairLabels:
    """Put the labels of several sets together, in order."""
    return PairLabels(
        prompt_index=np.concatenate([part.prompt_index for part in parts]),
        wins=np.concatenate([part.wins for part in parts]),
        weight=np.concatenate([part.weight for part in parts]),
        weak_quality=np.concatenate([part.weak_quality for part in parts]),
        strong_quality=np.concatenate([part.strong_quality for part in parts]),
        groups=tuple(group for part in parts for group in part.groups),
    )


def labels_between_sides(lesson: Lesson, comparisons: PreferenceArrays) -> PromptLabels:
    """Return what some comparisons say of the lesson's sides; those of other models say nothing.

    Args:
        lesson: Names the sides.
        comparisons: Its training or its validation comparisons.

    Returns:
        One label per prompt on which a strong model met a weak one; none where they never met.
    """
    return _labels_of_battles(comparisons, lesson.strong, lesson.weak).by_prompt()


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
