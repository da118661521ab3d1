"""From a goal to a threshold on a sample, and what to expect of it."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from routecast.artifacts import N_QUANTILES, AbstainedRecord, OutcomesRecord
from routecast.calibrate.intervals import (
    chosen_share_figure,
    given_share_figure,
    mean_figure,
    ratio_figure,
)
from routecast.errors import ConfigError, DataError
from routecast.evaluate.curve import cost_quality_curve
from routecast.evaluate.study import Figure
from routecast.policy.abstaining import DEFAULT_ON_ROUTER_ERROR, Abstentions, OnRouterError
from routecast.policy.cuts import TIE_WIDTH, Cut, cut_for_share
from routecast.policy.goals import Goal, share_for_budget, share_for_quality
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

    def take(self, keep: npt.NDArray[np.bool_]) -> "SampleOutcomes":
        """Return the rows where ``keep``, shape (n_prompts,), is True."""
        strong_cost, weak_cost = self.strong_cost_usd, self.weak_cost_usd
        return replace(
            self,
            strong_quality=self.strong_quality[keep],
            weak_quality=self.weak_quality[keep],
            strong_cost_usd=None if strong_cost is None else strong_cost[keep],
            weak_cost_usd=None if weak_cost is None else weak_cost[keep],
        )


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
        n_prompts: Prompts of the sample; every figure counts all of them.
        n_abstained: Those without a score, which ``on_router_error`` routes.
        on_router_error: Who answers those.
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
    n_abstained: int
    on_router_error: OnRouterError
    n_tied: int
    n_groups: int | None
    n_to_halve: int


def choose_threshold(
    win_probabilities: FloatArray,
    goal: Goal,
    *,
    outcomes: SampleOutcomes | None = None,
    groups: IntArray | None = None,
    on_router_error: OnRouterError = DEFAULT_ON_ROUTER_ERROR,
) -> ThresholdChoice:
    """Find the cut that meets a goal on a sample.

    Args:
        win_probabilities: The router's, per prompt of the sample, shape (n_prompts,), NaN where it
            abstains.
        goal: A budget needs costs, a quality needs outcomes.
        outcomes: In the same order.
        groups: One integer per prompt, equal for prompts of one conversation, same shape: the
            intervals take into account that these are alike.
        on_router_error: Who answers prompts on which the router abstains: they count as such in
            the goal and in every figure.

    Returns:
        The cut and its figures. All intervals are for the threshold as it stands, on further
        traffic from where the sample came from; a threshold chosen for quality on the same sample
        does a little worse there than on the sample, by less than the interval's width.

    Raises:
        ConfigError: If the sample has not what the goal needs, or no cut meets it.
        DataError: If no prompt of the sample has a score.
    """
    scored = ~np.isnan(win_probabilities)
    if not scored.any():
        raise DataError("the sample has no prompt that the router scored; give more prompts")
    abstentions = Abstentions(1.0 - float(scored.mean()), on_router_error)
    scores = settle_ties(win_probabilities[scored])
    cut, share = _cut(scores, goal, outcomes, scored, abstentions)
    weights = np.full(len(scored), 1.0 if on_router_error == "strong" else 0.0)
    weights[scored] = cut.strong_weights(scores)
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
        strong_share=_share_figure(weights, share, abstentions, groups),
        quality=quality,
        quality_share=quality_share,
        cost_usd_per_1k=cost,
        weak_is_enough=not weights.any() if goal.name == "min_quality" else None,
        n_prompts=len(scored),
        n_abstained=int((~scored).sum()),
        on_router_error=on_router_error,
        n_tied=int(np.sum((weights > 0) & (weights < 1))),
        n_groups=None if groups is None else len(np.unique(groups)),
        n_to_halve=4 * len(scored),
    )


def _share_figure(
    weights: FloatArray, share: float | None, abstentions: Abstentions, groups: IntArray | None
) -> Figure:
    """Return the share of strong calls with its interval.

    ``share`` is that of the scored prompts, where the cut was chosen for one. Where the cut leaves
    them to one model, only how many prompts abstain wavers, and nobody chose that.
    """
    if share is None or (share in {0, 1} and abstentions.share > 0):
        return given_share_figure(weights, groups=groups)
    total = abstentions.strong_share + (1.0 - abstentions.share) * share
    return chosen_share_figure(weights, total, groups=groups)


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
    scores: FloatArray,
    goal: Goal,
    outcomes: SampleOutcomes | None,
    scored: npt.NDArray[np.bool_],
    abstentions: Abstentions,
) -> tuple[Cut, float | None]:
    """Return the cut and the share of scored prompts it is for; None for a given threshold."""
    if goal.name == "threshold":
        return Cut(goal.value), None
    if goal.name == "strong_share":
        share = abstentions.strong_share_of_scored(goal.value)
    else:
        share = _share(scores, goal, outcomes, scored, abstentions)
    n_scored = len(scores)
    levels = (np.arange(n_scored) + 0.5) / n_scored
    return cut_for_share(np.sort(scores), share, levels=levels), share


def _share(
    scores: FloatArray,
    goal: Goal,
    outcomes: SampleOutcomes | None,
    scored: npt.NDArray[np.bool_],
    abstentions: Abstentions,
) -> float:
    """Return the share of scored prompts, at the strong model, that meets a cost or a quality."""
    if outcomes is None:
        raise ConfigError(f"{goal.name} needs outcomes; give --outcomes FILE instead of --prompts")
    known, fixed = outcomes.take(scored), _abstained_means(outcomes, scored)
    if goal.name == "min_quality":
        share = share_for_quality(
            _along(scores, known.weak_quality, known.strong_quality)[1],
            goal.value,
            strong_quality=float(outcomes.strong_quality.mean()),
            abstentions=abstentions,
            fixed=fixed,
        )
        return float(np.ceil(share * len(scores) - _ROUNDING)) / len(scores)  # whole prompts
    if known.weak_cost_usd is None or known.strong_cost_usd is None:
        raise ConfigError(
            f"{goal.name} needs costs; give columns 'cost_usd|{outcomes.strong}' and "
            f"'cost_usd|{outcomes.weak}', or tokens with --strong-price and --weak-price"
        )
    means = _PER_1K * _along(scores, known.weak_cost_usd, known.strong_cost_usd)[1]
    share = share_for_budget(means, goal.value, abstentions=abstentions, fixed=fixed)
    return float(np.floor(share * len(scores) + _ROUNDING)) / len(scores)


def _abstained_means(
    outcomes: SampleOutcomes, scored: npt.NDArray[np.bool_]
) -> AbstainedRecord | None:
    """Return what the prompts without a score come to under each model; None without any."""
    if scored.all():
        return None
    fixed = outcomes.take(~scored)
    strong_cost, weak_cost = fixed.strong_cost_usd, fixed.weak_cost_usd
    return AbstainedRecord(
        strong_quality=float(fixed.strong_quality.mean()),
        weak_quality=float(fixed.weak_quality.mean()),
        strong_cost_usd_per_1k=None if strong_cost is None else _PER_1K * float(strong_cost.mean()),
        weak_cost_usd_per_1k=None if weak_cost is None else _PER_1K * float(weak_cost.mean()),
    )


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
        win_probabilities: Per prompt, shape (n_prompts,), NaN where the router abstains, but not
            everywhere.
        outcomes: In the same order.
    """
    scored = ~np.isnan(win_probabilities)
    scores, known = settle_ties(win_probabilities[scored]), outcomes.take(scored)
    levels = np.linspace(0.0, 1.0, N_QUANTILES)

    def means(weak: FloatArray, strong: FloatArray) -> tuple[float, ...]:
        shares, values = _along(scores, weak, strong)
        return tuple(np.interp(1.0 - levels, shares, values).tolist())

    costs = None
    if known.weak_cost_usd is not None and known.strong_cost_usd is not None:
        costs = means(_PER_1K * known.weak_cost_usd, _PER_1K * known.strong_cost_usd)
    return OutcomesRecord(
        strong=outcomes.strong,
        weak=outcomes.weak,
        strong_quality=float(outcomes.strong_quality.mean()),
        weak_quality=float(outcomes.weak_quality.mean()),
        qualities=means(known.weak_quality, known.strong_quality),
        costs_usd_per_1k=costs,
        abstained=_abstained_means(outcomes, scored),
    )
