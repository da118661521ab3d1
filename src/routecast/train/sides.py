"""Sides of a pair, strong and weak: models of the data, named one by one or by tier."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

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
