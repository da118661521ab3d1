"""From what users want to the cut that gives it, read from a router's calibration sample."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from routecast.errors import ConfigError
from routecast.policy.abstaining import DEFAULT_ON_ROUTER_ERROR, Abstentions, OnRouterError
from routecast.policy.cuts import Cut, cut_for_share
from routecast.types import FloatArray

if TYPE_CHECKING:
    from routecast.artifacts import AbstainedRecord, LoadedRouter, OutcomesRecord

GoalName = Literal["strong_share", "threshold", "budget_usd_per_1k", "min_quality"]
GOAL_NAMES: tuple[GoalName, ...] = (
    "strong_share",
    "threshold",
    "budget_usd_per_1k",
    "min_quality",
)
"""As the settings spell them; flags have hyphens."""

_ROUNDING = 1e-9  # relative: sums over a sample differ in the last digits from its mean


@dataclass(frozen=True, slots=True)
class Goal:
    """One goal.

    Attributes:
        name: ``strong_share`` (share of calls, 0 to 1), ``threshold`` (win probability, 0 to 1),
            ``budget_usd_per_1k`` (US dollars per 1,000 requests, from 0), or ``min_quality``
            (mean quality of routing over the strong model's mean, above 0).
        value: In that unit.

    Raises:
        ConfigError: If the value is out of range.
    """

    name: GoalName
    value: float

    def __post_init__(self) -> None:
        """Refuse values that no goal of this kind has."""
        accepted = {
            "strong_share": (0 <= self.value <= 1, "0 to 1"),
            "threshold": (0 <= self.value <= 1, "0 to 1"),
            "budget_usd_per_1k": (0 <= self.value < np.inf, "US dollars from 0"),
            "min_quality": (0 < self.value < np.inf, "a fraction above 0, such as 0.95"),
        }
        fits, words = accepted[self.name]
        if not fits:
            raise ConfigError(f"{self.name} {self.value!r} is refused; accepted: {words}")

    @property
    def flag(self) -> str:
        """The goal as a flag of the command line."""
        return f"--{self.name.replace('_', '-')} {self.value:g}"


def cut_for_goal(
    loaded: "LoadedRouter", goal: Goal, *, on_router_error: OnRouterError = DEFAULT_ON_ROUTER_ERROR
) -> Cut:
    """Return the cut that meets a goal on a router's own calibration sample.

    Args:
        loaded: The router.
        goal: For all prompts of the sample, those without a score among them.
        on_router_error: Who answers prompts without a score.

    Raises:
        ConfigError: If the router has no such sample, the sample had no outcomes or costs, or no
            cut meets the goal; the message says what to run.
    """
    if goal.name == "threshold":
        return Cut(goal.value)
    quantiles = loaded.win_probability_quantiles
    abstentions = Abstentions(loaded.abstained_share, on_router_error)
    if goal.name == "strong_share":
        if quantiles is None:
            raise ConfigError(
                f"router {loaded.name!r} has no calibration sample, so strong_share "
                f"{goal.value!r} says nothing about its threshold; give a threshold instead, which "
                f"this finds: routecast calibrate --router {loaded.name} --prompts FILE {goal.flag}"
            )
        return cut_for_share(quantiles, abstentions.strong_share_of_scored(goal.value))
    manifest = loaded.manifest
    record = None if manifest is None else manifest.calibration.outcomes
    if quantiles is None or record is None:
        raise ConfigError(_missing(loaded, goal, "outcomes"))
    if goal.name == "budget_usd_per_1k" and record.costs_usd_per_1k is None:
        raise ConfigError(_missing(loaded, goal, "costs"))
    return cut_for_share(quantiles, _share_of_scored(record, goal, abstentions))


def _share_of_scored(record: "OutcomesRecord", goal: Goal, abstentions: Abstentions) -> float:
    """Return the share of scored prompts that meets a goal of quality or cost."""
    if goal.name == "min_quality":
        return share_for_quality(
            np.array(record.qualities)[::-1],
            goal.value,
            strong_quality=record.strong_quality,
            abstentions=abstentions,
            fixed=record.abstained,
        )
    costs = np.array(record.costs_usd_per_1k)[::-1]
    return share_for_budget(costs, goal.value, abstentions=abstentions, fixed=record.abstained)


def share_for_quality(
    qualities: FloatArray,
    min_quality: float,
    *,
    strong_quality: float,
    abstentions: Abstentions,
    fixed: "AbstainedRecord | None",
) -> float:
    """Return the smallest share of scored prompts, sent to the strong model, that is good enough.

    Args:
        qualities: Mean quality of the scored prompts at evenly spaced shares of them from 0 to 1,
            shape (n_points,).
        min_quality: Mean quality of all prompts, over the strong model's.
        strong_quality: The strong model's mean over all prompts.
        abstentions: The prompts without a score.
        fixed: Their means; None without any.

    Raises:
        ConfigError: If no share is that good; the message says what abstentions have to do with it.
    """
    target = quality_target(min_quality, strong_quality=strong_quality)
    shares = np.linspace(0, 1, len(qualities))

    def share_with(routed: Abstentions) -> float:
        if fixed is None:
            return smallest_share_reaching(shares, qualities, target)
        weak, strong = fixed.weak_quality, fixed.strong_quality
        means = routed.mean(qualities, weak=weak, strong=strong)
        return smallest_share_reaching(shares, means, target)

    return _share_or_advice(share_with, abstentions)


def share_for_budget(
    costs: FloatArray,
    budget: float,
    *,
    abstentions: Abstentions,
    fixed: "AbstainedRecord | None",
) -> float:
    """Return the largest share of scored prompts, sent to the strong model, that is cheap enough.

    Args:
        costs: As ``qualities`` of `share_for_quality`, in US dollars per 1,000 requests.
        budget: For all prompts, in the same unit.
        abstentions: The prompts without a score.
        fixed: Their means; None without any.

    Raises:
        ConfigError: If no share is that cheap; the message says what abstentions have to do with
            it.
    """
    shares = np.linspace(0, 1, len(costs))

    def share_with(routed: Abstentions) -> float:
        if fixed is None:
            return largest_share_within(shares, costs, budget)
        weak, strong = fixed.weak_cost_usd_per_1k or 0.0, fixed.strong_cost_usd_per_1k or 0.0
        return largest_share_within(shares, routed.mean(costs, weak=weak, strong=strong), budget)

    return _share_or_advice(share_with, abstentions)


def _share_or_advice(share_with: Callable[[Abstentions], float], abstentions: Abstentions) -> float:
    """Return the share that meets a goal; if none does, say what abstentions have to do with it.

    Args:
        share_with: Returns the share, given who answers prompts without a score.
        abstentions: Who does.
    """
    try:
        return share_with(abstentions)
    except ConfigError as error:
        if abstentions.share == 0:
            raise
        try:
            share_with(abstentions.to_the_other)
            other_helps = True
        except ConfigError:
            other_helps = False
        advice = abstentions.help(other_helps=other_helps)
        raise ConfigError(f"{error}; {abstentions.words}: {advice}") from None


def _missing(loaded: "LoadedRouter", goal: Goal, lacking: str) -> str:
    if loaded.manifest is None:
        return (
            f"router {loaded.name!r} keeps no {lacking} of a calibration sample, so "
            f"{goal.name} {goal.value!r} says nothing about its threshold; give a threshold "
            f"instead, which this finds: {_command(loaded, goal)}"
        )
    return (
        f"router {loaded.name!r} keeps no {lacking} of its calibration sample "
        f"({loaded.calibration_sample}), so {goal.name} {goal.value!r} says nothing about its "
        f"threshold; run {_command(loaded, goal)} --output DIR and set router to DIR"
    )


def _command(loaded: "LoadedRouter", goal: Goal) -> str:
    return (
        f"routecast calibrate --router {loaded.name} --outcomes FILE --strong NAME --weak NAME "
        f"{goal.flag}"
    )


def quality_target(min_quality: float, *, strong_quality: float) -> float:
    """Return the mean quality that a share of the strong model's quality comes to.

    Raises:
        ConfigError: If the strong model's mean quality is not above 0: it then has no share.
    """
    if not strong_quality > 0:
        raise ConfigError(
            f"min_quality {min_quality!r} is a share of the strong model's mean quality, and that "
            f"is {strong_quality:g}; accepted is a scale on which it is above 0"
        )
    return min_quality * strong_quality


def largest_share_within(shares: FloatArray, costs: FloatArray, budget: float) -> float:
    """Return the largest share of strong calls whose cost is within the budget.

    Args:
        shares: Ascending from 0 to 1, shape (n_points,).
        costs: Mean cost at each, same shape, in the budget's unit; straight lines between.
        budget: In US dollars per 1,000 requests.

    Raises:
        ConfigError: If no share is that cheap.
    """
    within = np.flatnonzero(costs <= budget * (1 + _ROUNDING))
    if not len(within):
        raise ConfigError(
            f"budget_usd_per_1k {budget!r} cannot be met: on the calibration sample routing costs "
            f"at least {costs.min():.4g} US dollars per 1,000 requests, and with as few "
            f"strong calls as can be {costs[0]:.4g}"
        )
    return _crossing(shares, costs, int(within[-1]), step=1, target=budget)


def smallest_share_reaching(shares: FloatArray, qualities: FloatArray, target: float) -> float:
    """Return the smallest share of strong calls with at least this mean quality.

    Args:
        shares: Ascending from 0 to 1, shape (n_points,).
        qualities: Mean quality at each, same shape; straight lines between.
        target: In the qualities' unit.

    Raises:
        ConfigError: If no share is that good.
    """
    slack = _ROUNDING * abs(target)
    reaching = np.flatnonzero(qualities >= target - slack)
    if not len(reaching):
        raise ConfigError(
            f"min_quality cannot be met: it asks for a mean quality of {target:.4g}, and on the "
            f"calibration sample routing reaches at most {qualities.max():.4g} (with as "
            f"many strong calls as can be {qualities[-1]:.4g}, with as few {qualities[0]:.4g})"
        )
    return _crossing(shares, qualities, int(reaching[0]), step=-1, target=target)


def _crossing(
    shares: FloatArray, values: FloatArray, inside: int, *, step: int, target: float
) -> float:
    """Go from a point that meets the target towards its neighbour that does not, and stop there."""
    outside = inside + step
    if not 0 <= outside < len(shares) or values[outside] == values[inside]:
        return float(shares[inside])
    way = np.clip((target - values[inside]) / (values[outside] - values[inside]), 0.0, 1.0)
    return float(shares[inside] + way * (shares[outside] - shares[inside]))
