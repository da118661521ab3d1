"""From a win probability to a decision, and from a goal to a threshold."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from routecast.errors import ConfigError
from routecast.types import FloatArray

if TYPE_CHECKING:
    from routecast.artifacts import LoadedRouter

NEVER_STRONG = math.nextafter(1.0, 2.0)
"""The smallest threshold that no win probability reaches; finite, so that JSON can hold it."""


class Reason(StrEnum):
    """Why a model was chosen; these strings are public, and none will change its meaning."""

    REACHES_THRESHOLD = "reaches_threshold"
    """The win probability is at or above the threshold: strong."""

    BELOW_THRESHOLD = "below_threshold"
    """The win probability is below the threshold: weak."""

    ROUTER_ABSTAINED = "router_abstained"
    """The router gave NaN, so the route's ``on_router_error`` model answers."""

    ROUTER_FAILED = "router_failed"
    """The router raised or broke its contract, so the ``on_router_error`` model answers."""

    NO_TEXT = "no_text"
    """The request has no text to score, so the ``on_router_error`` model answers."""

    DIRECT = "direct"
    """The client named a configured model; nothing was scored."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Which model answers, and why.

    Attributes:
        model: A model's name in the settings.
        win_probability: What the router gave; None where it gave nothing usable.
        threshold: What it was compared with; None where nothing was to be compared.
        reason: One of a closed set.
    """

    model: str
    win_probability: float | None
    threshold: float | None
    reason: Reason


def decide(
    win_probability: float,
    threshold: float,
    *,
    strong: str,
    weak: str,
    fallback: str | None = None,
) -> Decision:
    """Choose by the threshold: weak below it, otherwise strong.

    Args:
        win_probability: P(strong wins), in [0, 1]; NaN when the router abstains.
        threshold: From here on the strong model answers.
        strong: Name of the strong model.
        weak: Name of the weak model.
        fallback: Name of the model that answers when the router abstains; the strong one if None.

    References:
        Ong et al. (2024), arXiv:2406.18665, section 3: weak if P(win) < alpha, otherwise strong.
    """
    if win_probability >= threshold:
        return Decision(strong, win_probability, threshold, Reason.REACHES_THRESHOLD)
    if win_probability < threshold:
        return Decision(weak, win_probability, threshold, Reason.BELOW_THRESHOLD)
    return Decision(fallback or strong, None, threshold, Reason.ROUTER_ABSTAINED)


def threshold_for_share(quantiles: FloatArray, strong_share: float) -> float:
    """Return the threshold that sends a share of the calibration sample to the strong model.

    Args:
        quantiles: Quantiles of the win probability on that sample at evenly spaced levels from 0
            to 1, ascending, shape (n_quantiles,), at least two.
        strong_share: In [0, 1]. At 0 no prompt reaches the threshold, at 1 every prompt does,
            even those outside the sample's range.

    Returns:
        A threshold between the neighbouring quantiles; 0 for everything, ``NEVER_STRONG`` for
        nothing. Where the sample has many equal scores it sends more than the share.

    Raises:
        ConfigError: If the share is outside [0, 1].
    """
    if not 0 <= strong_share <= 1:
        raise ConfigError(f"strong_share {strong_share!r} is refused; accepted: 0 to 1")
    if strong_share == 0:
        return NEVER_STRONG
    if strong_share == 1:
        return 0.0
    levels = np.linspace(0, 1, len(quantiles))
    return float(np.interp(1 - strong_share, levels, quantiles))


def threshold_for_goal(loaded: "LoadedRouter", *, strong_share: float) -> float:
    """Return the threshold that meets a goal on a router's own calibration sample.

    Raises:
        ConfigError: If the router has no such sample, or the share is outside [0, 1].
    """
    if loaded.win_probability_quantiles is None:
        raise ConfigError(
            f"router {loaded.name!r} has no calibration sample, so strong_share {strong_share!r} "
            "says nothing about its threshold; give a threshold instead"
        )
    return threshold_for_share(loaded.win_probability_quantiles, strong_share)
