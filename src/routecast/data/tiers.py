"""Tiers: models grouped by strength, so that any two groups have met often enough to compare.

Ong et al. (2024), arXiv:2406.18665, section 3: ten tiers by rating, with the least squared
deviation inside tiers.
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from routecast.data.ratings import RatedModel
from routecast.errors import ConfigError, DataError
from routecast.stats.partition import partition_values

DEFAULT_N_TIERS = 10


@dataclass(frozen=True)
class Tier:
    """Models of about one strength.

    Attributes:
        number: 0 for the strongest tier.
        models: At least one, highest rating first.
    """

    number: int
    models: tuple[RatedModel, ...]

    @property
    def highest_rating(self) -> float:
        """The best member's rating, Elo points."""
        return self.models[0].rating

    @property
    def lowest_rating(self) -> float:
        """The worst member's rating, Elo points; above the next tier's highest."""
        return self.models[-1].rating


@dataclass(frozen=True)
class TierTable:
    """All tiers, strongest first; ``tiers[i].number`` is i."""

    tiers: tuple[Tier, ...]

    @property
    def tier_by_model(self) -> dict[str, int]:
        """The tier of each model, strongest model first."""
        return {member.model: tier.number for tier in self.tiers for member in tier.models}

    def rows(self) -> list[dict[str, Any]]:
        """Return one record per model, strongest first: its tier, then `RatedModel`'s fields."""
        return [
            {"tier": tier.number, **dataclasses.asdict(member)}
            for tier in self.tiers
            for member in tier.models
        ]


def assign_tiers(models: Sequence[RatedModel], *, n_tiers: int = DEFAULT_N_TIERS) -> TierTable:
    """Group models into tiers with the least squared deviation of ratings inside tiers.

    Args:
        models: In any order, each name once. Equal ratings share a tier.
        n_tiers: Number of tiers, none of them empty.

    Raises:
        DataError: If a name occurs twice, a rating is not finite, or there are fewer distinct
            ratings than tiers.
        ConfigError: If ``n_tiers`` is below 1.
    """
    if n_tiers < 1:
        raise ConfigError(f"n_tiers {n_tiers!r} must be 1 or more")
    _check(models, n_tiers)
    ranked = sorted(models, key=lambda member: (-member.rating, member.model))
    labels = n_tiers - 1 - partition_values(_ratings(ranked), n_tiers)  # 0: the strongest
    return TierTable(
        tuple(
            Tier(number, tuple(ranked[i] for i in np.flatnonzero(labels == number)))
            for number in range(n_tiers)
        )
    )


def _ratings(models: Sequence[RatedModel]) -> np.typing.NDArray[np.float64]:
    return np.array([member.rating for member in models], dtype=np.float64)


def _check(models: Sequence[RatedModel], n_tiers: int) -> None:
    repeated = [name for name, n in Counter(m.model for m in models).items() if n > 1]
    if repeated:
        raise DataError(
            f"model {repeated[0]!r} is rated more than once; give one rating for each model"
        )
    for member in models:
        if not np.isfinite(member.rating):
            raise DataError(
                f"model {member.model!r} has the rating {member.rating!r}; "
                "give a finite number of Elo points, or leave the model out"
            )
    n_distinct = len({member.rating for member in models})
    if n_distinct < n_tiers:
        raise DataError(
            f"{len(models)} models with {n_distinct} distinct ratings cannot fill {n_tiers!r} "
            f"tiers; ask for at most {n_distinct}"
        )
