"""Who is strong and who is weak, and what happened whenever the two sides met."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from routecast.data.outcomes import Outcomes, rescale_quality
from routecast.data.preferences import PreferenceArrays
from routecast.data.ratings import rate_models
from routecast.data.tiers import DEFAULT_N_TIERS, TierTable, assign_tiers
from routecast.errors import ConfigError, DataError
from routecast.routers.binding import (
    DEFAULT_STRONG,
    DEFAULT_WEAK,
    refuse_overlap,
    resolve_name,
    tier_number,
)
from routecast.train.sources import LabelledSet
from routecast.types import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True)
class Sides:
    """The models of the data that stand for strong and for weak.

    Attributes:
        strong: Their names; none of them in ``weak``.
        weak: Likewise.
        tiers: Tier of every model, 0 the strongest, where tiers were asked for; else None.
    """

    strong: tuple[str, ...]
    weak: tuple[str, ...]
    tiers: Mapping[str, int] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class PairLabels:
    """What happened between strong and weak: a battle each, or a prompt's outcomes.

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


def resolve_sides(
    preferences: PreferenceArrays, *, strong: Sequence[str], weak: Sequence[str]
) -> Sides:
    """Turn names of models and of tiers into models of the data.

    Args:
        preferences: All comparisons.
        strong: Models, or tiers as ``tier:0``; with no name on either side, strong is tiers 0 and
            1 of ten and weak is tier 2.
        weak: Likewise.

    Raises:
        ConfigError: If a model is not in the data, a tier is not there, only one side is named, or
            a model is on both.
        DataError: If tiers are needed and there are too few models to make them of.
    """
    if bool(strong) != bool(weak):
        missing = "weak" if strong else "strong"
        raise ConfigError(f"--{missing} is missing; name both sides, or neither for the tiers")
    if not strong:
        strong, weak = DEFAULT_STRONG, DEFAULT_WEAK
    by_tier = any(tier_number(name) is not None for name in (*strong, *weak))
    tiers = rate_tiers(preferences) if by_tier else None
    sides = [
        tuple(dict.fromkeys(m for name in names for m in _members(name, preferences, tiers, side)))
        for side, names in (("strong", strong), ("weak", weak))
    ]
    refuse_overlap(*sides)
    return Sides(strong=sides[0], weak=sides[1], tiers=tiers.tier_by_model if tiers else None)


def rate_tiers(
    preferences: PreferenceArrays, *, n_tiers: int = DEFAULT_N_TIERS, at_most: bool = False
) -> TierTable:
    """Rate the models by all comparisons and group them into tiers.

    Args:
        preferences: The comparisons.
        n_tiers: Number of tiers.
        at_most: With fewer distinct ratings than tiers, let each be a tier.

    Raises:
        DataError: If there are fewer distinct ratings than tiers.
    """
    models = np.array(preferences.models, dtype=object)
    rated = rate_models(
        models[preferences.model_a_index].tolist(),
        models[preferences.model_b_index].tolist(),
        preferences.outcome.astype(np.float64),
        weights=preferences.weight.astype(np.float64),
    )
    n_ratings = len({model.rating for model in rated})
    if at_most:
        n_tiers = min(n_tiers, n_ratings)
    if n_ratings < n_tiers:
        raise DataError(
            f"{len(rated)} models of {n_ratings} different ratings are too few for {n_tiers} "
            f"tiers; name the models that stand for "
            f"the two sides with --strong and --weak, of {[model.model for model in rated]!r} "
            "(best first)"
        )
    return assign_tiers(rated, n_tiers=n_tiers)


def _members(
    name: str, preferences: PreferenceArrays, tiers: TierTable | None, side: str
) -> tuple[str, ...]:
    target = resolve_name(name, preferences.models, side=side)
    number = None if target in preferences.models else tier_number(target)
    if number is None or tiers is None:
        return (target,)
    if number >= len(tiers.tiers):
        raise ConfigError(
            f"--{side} {name!r} is no tier; accepted are 'tier:0' (the strongest) to "
            f"'tier:{len(tiers.tiers) - 1}'"
        )
    return tuple(member.model for member in tiers.tiers[number].models)


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
    preferences = one.preferences
    side = np.array(
        [(name in sides.strong) - (name in sides.weak) for name in preferences.models], np.int64
    )  # 1 strong, -1 weak, 0 neither
    side_a, side_b = side[preferences.model_a_index], side[preferences.model_b_index]
    rows = np.flatnonzero(side_a * side_b < 0)
    outcome = preferences.outcome[rows].astype(np.float64)
    listed = np.array([positions[prompt] for prompt in preferences.prompts], dtype=np.int64)
    unknown = np.full(len(rows), np.nan)
    return PairLabels(
        prompt_index=listed[preferences.prompt_index[rows]],
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
