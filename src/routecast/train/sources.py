"""What a router learns from: comparisons, or outcomes turned into them, one set per file."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from routecast.data.comparisons import Comparisons
from routecast.data.outcomes import Outcomes
from routecast.data.preferences import (
    PreferenceArrays,
    gold_preferences,
    preferences_from_comparisons,
)
from routecast.data.reading import Dropped
from routecast.errors import DataError

BoolArray = npt.NDArray[np.bool_]
MAX_CONVERSATION_PROMPTS = 20
"""A ``group`` of more prompts is a subset of the data and no conversation: it may be split."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledSet:
    """One file, or one table, to learn from.

    Attributes:
        name: What reports and manifests call it.
        preferences: Its comparisons; those of outcomes are gold labels.
        outcomes: The qualities behind them, or None where people or a judge compared answers.
        soft: Whether the comparisons of outcomes keep the margin.
        groups: Conversation or subset of a prompt, where the set says.
        licence: Of the set; empty where nobody said.
        dropped: What its reader left out.
    """

    name: str
    preferences: PreferenceArrays
    outcomes: Outcomes | None = None
    soft: bool = False
    groups: Mapping[str, str] = field(default_factory=dict)
    licence: str = ""
    dropped: tuple[Dropped, ...] = ()

    def without(self, prompts: frozenset[str]) -> "LabelledSet":
        """Return the set without all rows of some prompts."""
        if not prompts:
            return self
        listed = self.preferences.prompts
        keep_prompt = np.array([prompt not in prompts for prompt in listed], dtype=np.bool_)
        kept_rows = keep_prompt[self.preferences.prompt_index]
        outcomes = self.outcomes
        if outcomes is not None:
            outcomes = outcomes.keep_rows(np.array([p not in prompts for p in outcomes.prompts]))
        return replace(self, preferences=compact(self.preferences, kept_rows), outcomes=outcomes)


def set_of_comparisons(
    comparisons: Comparisons,
    *,
    even_prompts: bool = False,
    licence: str = "",
    dropped: Sequence[Dropped] = (),
) -> LabelledSet:
    """Learn from comparisons.

    Args:
        comparisons: With prompts.
        even_prompts: Let each prompt count once, whatever the weights of its comparisons.
        licence: Of the set.
        dropped: What the reader left out.

    Raises:
        DataError: If they have no prompts.
    """
    preferences = preferences_from_comparisons(comparisons)
    return LabelledSet(
        name=comparisons.source,
        preferences=_equal_weight_per_prompt(preferences) if even_prompts else preferences,
        groups=_groups(comparisons),
        licence=licence,
        dropped=tuple(dropped),
    )


def set_of_outcomes(
    outcomes: Outcomes,
    *,
    models: Sequence[str] | None = None,
    soft: bool = False,
    licence: str = "",
    dropped: Sequence[Dropped] = (),
) -> LabelledSet:
    """Learn from outcomes: the better quality wins, equal ones tie.

    Each prompt counts once, however many pairs of models answered it.

    Args:
        outcomes: Qualities per prompt and model.
        models: Which models are compared, each pair of them; by default all.
        soft: Keep the margin: a comparison's outcome is (1 + gap) / 2, on the scale [0, 1].
        licence: Of the set.
        dropped: What the reader left out.

    Raises:
        DataError: If a model is unknown, or no row has two known qualities of these models.
    """
    preferences = gold_preferences(outcomes, models=models, soft=soft)
    if not len(preferences):
        raise DataError(
            f"no row of {outcomes.source} has known qualities of two of the models "
            f"{list(preferences.models)!r}; there is nothing to compare"
        )
    return LabelledSet(
        name=outcomes.source,
        preferences=_equal_weight_per_prompt(preferences),
        outcomes=outcomes,
        soft=soft,
        groups=_groups(outcomes),
        licence=licence,
        dropped=tuple(dropped),
    )


def conversation_labels(sets: Sequence[LabelledSet], prompts: Sequence[str]) -> list[str | None]:
    """Return the conversation that each prompt belongs to, None for a prompt without one.

    A ``group`` of more than `MAX_CONVERSATION_PROMPTS` prompts is taken for a subset, and none.
    """
    labels: dict[str, str] = {}
    for number, one in enumerate(sets):
        counts = Counter(one.groups.values())
        labels |= {
            prompt: f"{number}:{group}"
            for prompt, group in one.groups.items()
            if 1 < counts[group] <= MAX_CONVERSATION_PROMPTS
        }
    return [labels.get(prompt) for prompt in prompts]


def _groups(rows: Comparisons | Outcomes) -> dict[str, str]:
    """Return the group of each prompt that has one, that of its first row."""
    if "group" not in rows.table.columns:
        return {}
    known = rows.table.select("prompt", "group").drop_nulls().unique("prompt", keep="first")
    return {prompt: str(group) for prompt, group in known.iter_rows()}


def _equal_weight_per_prompt(preferences: PreferenceArrays) -> PreferenceArrays:
    n_pairs = np.bincount(preferences.prompt_index)
    weight = (1.0 / n_pairs[preferences.prompt_index]).astype(np.float32)
    return replace(preferences, weight=weight)


def compact(preferences: PreferenceArrays, kept: BoolArray) -> PreferenceArrays:
    """Return the kept comparisons, without the prompts that none is left of."""
    chosen = preferences.take(kept)
    used, prompt_index = np.unique(chosen.prompt_index, return_inverse=True)
    prompts = tuple(preferences.prompts[row] for row in used.tolist())
    return replace(chosen, prompts=prompts, prompt_index=prompt_index.astype(np.int32))
