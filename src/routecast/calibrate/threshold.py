"""From a goal to a threshold on a sample, and what to expect of it."""

from dataclasses import dataclass

import numpy as np

from routecast.artifacts import N_QUANTILES, OutcomesRecord
from routecast.calibrate.intervals import (
    chosen_share_figure,
    given_share_figure,
    mean_figure,
    ratio_figure,
)
from routecast.errors import ConfigError, DataError
from routecast.evaluate.curve import cost_quality_curve
from routecast.evaluate.study import Figure
from routecast.policy.cuts import TIE_WIDTH, Cut, cut_for_share
from routecast.policy.goals import (
    Goal,
    largest_share_within,
    quality_target,
    smallest_share_reaching,
)
from routecast.types import FloatArray, IntArray

MIN_PROMPTS = 100
"""A smaller sample is warned about: its interval for a share of one half is 20 points wide."""

_PER_1K = 1000.0
_ROUNDING = 1e-6  # of one prompt


@dataclass(frozen=True, kw_only=True, eq=False)
class SampleOutcomes:
    """What both models' answers to the sample were worth, and cost.

    Attributes:
        strong: Name of the strong model.
        weak: Name of the weak model.
        strong_quality: Quality of its answers, shape (n_prompts,), in the sample's own unit.
        weak_quality: Quality of the weak model's answers, same shape.
        strong_cost_usd: US dollars of each of the strong model's answers, same shape, or None.
        weak_cost_usd: Likewise of the weak model's; both are known or neither is.
    """

    strong: str
    weak: str
    strong_quality: FloatArray
    weak_quality: FloatArray
    strong_cost_usd: FloatArray | None = None
    weak_cost_usd: FloatArray | None = None


@dataclass(frozen=True, kw_only=True)
class ThresholdChoice:
    """A threshold, and what to expect of it on traffic like the sample.

    Attributes:
        goal: What was asked for.
        cut: What the router's win probability is compared with.
        strong_share: Share of calls that go to the strong model.
        quality: Mean quality of routing, in the sample's unit; None without outcomes.
        quality_share: That over the strong model's mean quality; None without outcomes, or when
            the strong model's mean is not above 0.
        cost_usd_per_1k: US dollars per 1,000 requests; None without costs.
        weak_is_enough: Whether the weak model alone meets a goal of quality; None for others.
        n_prompts: Prompts of the sample that were scored.
        n_tied: Prompts of the sample at the threshold, which a hash splits; 0 where none are.
        n_groups: Groups that the prompts fall into; None where each stands alone.
        n_to_halve: Prompts that a sample needs for intervals half as wide: four times as many (and
            as many groups, where there are groups).
    """

    goal: Goal
    cut: Cut
    strong_share: Figure
    quality: Figure | None
    quality_share: Figure | None
    cost_usd_per_1k: Figure | None
    weak_is_enough: bool | None
    n_prompts: int
    n_tied: int
    n_groups: int | None
    n_to_halve: int


def choose_threshold(
    win_probabilities: FloatArray,
    goal: Goal,
    *,
    outcomes: SampleOutcomes | None = None,
    groups: IntArray | None = None,
) -> ThresholdChoice:
    """Find the cut that meets a goal on a sample.

    Args:
        win_probabilities: The router's, per prompt of the sample, shape (n_prompts,), none NaN.
        goal: A budget needs costs, a quality needs outcomes.
        outcomes: In the same order.
        groups: One integer per prompt, equal for prompts of one conversation, same shape: the
            intervals take into account that these are alike.

    Returns:
        The cut and its figures. All intervals are for the threshold as it stands, on further
        traffic from where the sample came from; a threshold chosen for quality on the same sample
        does a little worse there than on the sample, by less than the interval's width.

    Raises:
        ConfigError: If the sample has not what the goal needs, or no cut meets it.
        DataError: If the sample is empty.
    """
    if not len(win_probabilities):
        raise DataError("the sample has no prompt that the router scored; give more prompts")
    scores = settle_ties(win_probabilities)
    cut, share = _cut(scores, goal, outcomes)
    weights = cut.strong_weights(scores)
    quality = quality_share = cost = None
    if outcomes is not None:
        routed = _routed(weights, outcomes.weak_quality, outcomes.strong_quality)
        quality = mean_figure(routed, groups=groups)
        if outcomes.strong_quality.mean() > 0:
            quality_share = ratio_figure(routed, outcomes.strong_quality, groups=groups)
        if outcomes.strong_cost_usd is not None and outcomes.weak_cost_usd is not None:
            spent = _routed(weights, outcomes.weak_cost_usd, outcomes.strong_cost_usd)
            cost = mean_figure(spent, groups=groups, scale=_PER_1K)
    return ThresholdChoice(
        goal=goal,
        cut=cut,
        strong_share=given_share_figure(weights, groups=groups)
        if share is None
        else chosen_share_figure(weights, share, groups=groups),
        quality=quality,
        quality_share=quality_share,
        cost_usd_per_1k=cost,
        weak_is_enough=share == 0 if goal.name == "min_quality" else None,
        n_prompts=len(scores),
        n_tied=int(np.sum((weights > 0) & (weights < 1))),
        n_groups=None if groups is None else len(np.unique(groups)),
        n_to_halve=4 * len(scores),
    )


def settle_ties(win_probabilities: FloatArray) -> FloatArray:
    """Return the values with each run that rises by at most ``TIE_WIDTH`` a step made one value."""
    values, position = np.unique(win_probabilities, return_inverse=True)
    starts = np.concatenate([[True], np.diff(values) > TIE_WIDTH])
    settled: FloatArray = values[starts][np.cumsum(starts) - 1][position]
    return settled


def _routed(weights: FloatArray, weak: FloatArray, strong: FloatArray) -> FloatArray:
    """Expected quality or cost per prompt, before the hash of a split tie is known."""
    return weak + weights * (strong - weak)


def _cut(
    scores: FloatArray, goal: Goal, outcomes: SampleOutcomes | None
) -> tuple[Cut, float | None]:
    """Return the cut and the share it was chosen for; None for a given threshold."""
    if goal.name == "threshold":
        return Cut(goal.value), None
    share = goal.value if goal.name == "strong_share" else _share(scores, goal, outcomes)
    n_prompts = len(scores)
    levels = (np.arange(n_prompts) + 0.5) / n_prompts
    return cut_for_share(np.sort(scores), share, levels=levels), share


def _share(scores: FloatArray, goal: Goal, outcomes: SampleOutcomes | None) -> float:
    """Return the share of strong calls that meets a goal of cost or quality on the sample."""
    if outcomes is None:
        raise ConfigError(f"{goal.name} needs outcomes; give --outcomes FILE instead of --prompts")
    if goal.name == "min_quality":
        shares, means = _along(scores, outcomes.weak_quality, outcomes.strong_quality)
        target = quality_target(goal.value, strong_quality=float(outcomes.strong_quality.mean()))
        share = smallest_share_reaching(shares, means, target)
        return float(np.ceil(share * len(scores) - _ROUNDING)) / len(scores)  # whole prompts
    if outcomes.weak_cost_usd is None or outcomes.strong_cost_usd is None:
        raise ConfigError(
            f"{goal.name} needs costs; give columns 'cost_usd|{outcomes.strong}' and "
            f"'cost_usd|{outcomes.weak}', or tokens with --strong-price and --weak-price"
        )
    shares, means = _along(scores, outcomes.weak_cost_usd, outcomes.strong_cost_usd)
    share = largest_share_within(shares, _PER_1K * means, goal.value)
    return float(np.floor(share * len(scores) + _ROUNDING)) / len(scores)


def _along(
    scores: FloatArray, weak: FloatArray, strong: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return shares of strong calls from 0 to 1, and the mean quality or cost at each."""
    curve = cost_quality_curve(scores, weak_quality=weak, strong_quality=strong)
    return curve.strong_share, curve.quality


def outcomes_along_quantiles(
    win_probabilities: FloatArray, outcomes: SampleOutcomes
) -> OutcomesRecord:
    """Return what an artifact keeps of a sample's outcomes, so that goals can be read from it.

    Args:
        win_probabilities: Per prompt, shape (n_prompts,), none NaN.
        outcomes: In the same order.
    """
    scores = settle_ties(win_probabilities)
    levels = np.linspace(0.0, 1.0, N_QUANTILES)

    def means(weak: FloatArray, strong: FloatArray) -> tuple[float, ...]:
        shares, values = _along(scores, weak, strong)
        return tuple(np.interp(1.0 - levels, shares, values).tolist())

    costs = None
    if outcomes.weak_cost_usd is not None and outcomes.strong_cost_usd is not None:
        costs = means(_PER_1K * outcomes.weak_cost_usd, _PER_1K * outcomes.strong_cost_usd)
    return OutcomesRecord(
        strong=outcomes.strong,
        weak=outcomes.weak,
        strong_quality=float(outcomes.strong_quality.mean()),
        weak_quality=float(outcomes.weak_quality.mean()),
        qualities=means(outcomes.weak_quality, outcomes.strong_quality),
        costs_usd_per_1k=costs,
    )
