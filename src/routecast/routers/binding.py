"""How the two sides of a pair are named: by model, by tier, or by a name of one's own."""

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches

import numpy as np

from routecast.errors import ConfigError
from routecast.types import IntArray

TIER_PREFIX = "tier:"
DEFAULT_STRONG = ("tier:0", "tier:1")
"""Who is strong when nobody says: the two best tiers, as in Ong et al. (2024), section 5."""
DEFAULT_WEAK = ("tier:2",)
"""Who is weak when nobody says."""

_N_NEAREST = 5


def tier_number(name: str) -> int | None:
    """Return the number in ``tier:N``, or None where a name is a model's.

    Raises:
        ConfigError: If what follows ``tier:`` is no whole number from 0.
    """
    if not name.startswith(TIER_PREFIX):
        return None
    number = name.removeprefix(TIER_PREFIX)
    if not (number.isascii() and number.isdigit()):
        raise ConfigError(f"tier {name!r} has no number; write it as 'tier:0', the strongest")
    return int(number)


def resolve_name(
    name: str, known: Collection[str], *, side: str, aliases: Mapping[str, str] | None = None
) -> str:
    """Return the known model, or the ``tier:N``, that a name stands for.

    Args:
        name: A known model, ``tier:N``, or a key of ``aliases``. A known model's own name wins
            over an alias.
        known: Models of the comparisons.
        side: ``strong`` or ``weak``, for the message.
        aliases: Own names to known models or tiers. One step: a value is not looked up again.

    Raises:
        ConfigError: If the name, or what it is mapped to, is unknown; the message lists the
            nearest names and how to map it.
    """
    target = name if name in known else (aliases or {}).get(name, name)
    if target in known or tier_number(target) is not None:
        return target
    shown = repr(name) if target == name else f"{target!r}, which {name!r} is mapped to,"
    nearest = get_close_matches(target, sorted(known), n=_N_NEAREST, cutoff=0.3)
    listed = f"the nearest names are {nearest!r}" if nearest else f"it knows {sorted(known)[:20]!r}"
    example = (nearest or sorted(known))[0]
    raise ConfigError(
        f"model {shown} is not in this router's comparisons; {listed}; let a model or tier that "
        f"it knows stand for it: --{side}-as NAME, such as --{side}-as {example}"
    )


def tiers_in_order(models: Sequence[str], tiers: Mapping[str, int]) -> IntArray:
    """Return the tier of each model, -1 where it has none, shape (n_models,).

    Args:
        models: A router's models, in its order.
        tiers: Tier by model, 0 the strongest; other models in it are passed over.

    Raises:
        ConfigError: If a tier is below 0, or none of the models has one.
    """
    below = sorted(name for name, tier in tiers.items() if tier < 0)
    if below:
        raise ConfigError(
            f"model {below[0]!r} has the tier {tiers[below[0]]!r}; accepted is 0 or more"
        )
    rows = np.array([tiers.get(name, -1) for name in models], dtype=np.int64)
    if not (rows >= 0).any():
        raise ConfigError(
            f"none of the tiers' models, such as {sorted(tiers)[:3]!r}, is one of this router's, "
            f"such as {list(models[:3])!r}; give tiers under these names"
        )
    return rows


def refuse_overlap(strong: Collection[str], weak: Collection[str]) -> None:
    """Refuse models that would be compared with themselves.

    Raises:
        ConfigError: If a model is on both sides.
    """
    shared = sorted(set(strong) & set(weak))
    if shared:
        raise ConfigError(f"models {shared!r} are both strong and weak; name each on one side")
