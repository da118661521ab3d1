"""Prompts that a router gives no score: a block that one model answers at every threshold.

Every share, mean quality and mean cost that Routecast states counts them as the route's
``on_router_error`` sends them.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from routecast.errors import ConfigError
from routecast.types import FloatArray

OnRouterError = Literal["strong", "weak"]
DEFAULT_ON_ROUTER_ERROR: OnRouterError = "strong"

ABOVE_ALL, BELOW_ALL = 2.0, -1.0
"""Scores that no win probability reaches."""

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Abstentions:
    """The prompts of a sample without a score, and who answers them.

    Attributes:
        share: Of all prompts, in [0, 1).
        answered_by: The route's ``on_router_error``.
    """

    share: float = 0.0
    answered_by: OnRouterError = DEFAULT_ON_ROUTER_ERROR

    @property
    def strong_share(self) -> float:
        """Share of all prompts that go to the strong model without a score."""
        return self.share if self.answered_by == "strong" else 0.0

    @property
    def to_the_other(self) -> "Abstentions":
        """The same prompts, were they to go to the other model."""
        return Abstentions(self.share, "weak" if self.answered_by == "strong" else "strong")

    def mean(self, scored: FloatArray, *, weak: float, strong: float) -> FloatArray:
        """Return a mean over all prompts.

        Args:
            scored: The mean over scored prompts, any shape.
            weak: The mean over prompts without a score when the weak model answers them.
            strong: Likewise of the strong model.
        """
        fixed = strong if self.answered_by == "strong" else weak
        return self.share * fixed + (1.0 - self.share) * scored

    def strong_share_of_scored(self, strong_share: float) -> float:
        """Return the share of scored prompts that brings all prompts to a share of strong calls.

        Raises:
            ConfigError: If no threshold does; the message says what would help.
        """
        low, high = self.strong_share, self.strong_share + 1.0 - self.share
        if not low - _ROUNDING <= strong_share <= high + _ROUNDING:
            other_low = self.to_the_other.strong_share
            other_helps = other_low <= strong_share <= other_low + 1.0 - self.share
            bound = f"at least {low:.1%}" if strong_share < low else f"at most {high:.1%}"
            raise ConfigError(
                f"strong_share {strong_share!r} cannot be met: {self.words}, so that {bound} of "
                f"calls are strong at any threshold; {self.help(other_helps=other_helps)}"
            )
        return min(max((strong_share - low) / (1.0 - self.share), 0.0), 1.0)

    @property
    def words(self) -> str:
        """Clause that says what happens to these prompts."""
        return (
            f"the router gives no score to {self.share:.1%} of the calibration sample, and "
            f"on_router_error = {self.answered_by!r} sends these to the {self.answered_by} model"
        )

    def help(self, *, other_helps: bool) -> str:
        """Say what to do about a goal that these prompts rule out.

        Args:
            other_helps: Whether the goal can be met with the other ``on_router_error``.
        """
        other = self.to_the_other.answered_by
        switch = f"set on_router_error = {other!r} (--on-router-error {other}), "
        return (
            f"{switch if other_helps else ''}train a router on labels of this traffic, or ask for "
            "another goal"
        )


def routed_scores(win_probabilities: FloatArray, answered_by: OnRouterError) -> FloatArray:
    """Return scores in the order in which prompts are routed.

    Args:
        win_probabilities: Shape (n_prompts,), NaN where the router abstains.
        answered_by: Who answers those.

    Returns:
        Same shape; in place of NaN ``ABOVE_ALL`` where the strong model answers, else
        ``BELOW_ALL``.
    """
    fixed = ABOVE_ALL if answered_by == "strong" else BELOW_ALL
    return np.where(np.isnan(win_probabilities), fixed, win_probabilities)
