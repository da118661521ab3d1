"""From a goal to a cut."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.artifacts import AbstainedRecord, LoadedRouter, OutcomesRecord, load_router
from routecast.errors import ConfigError
from routecast.policy.abstaining import Abstentions, OnRouterError
from routecast.policy.cuts import ALL_STRONG, ALL_WEAK, Cut
from routecast.policy.goals import (
    Goal,
    GoalName,
    cut_for_goal,
    largest_share_within,
    smallest_share_reaching,
)
from routecast.routers.random import RandomRouter

# Quality rises from .6 (weak) to .8 (strong) and cost from 1 to 9, both in straight lines, so at
# share s quality is .6 + .2 s and cost 1 + 8 s. Quantiles are uniform: the threshold is 1 - s.
LINEAR = OutcomesRecord(
    strong="big",
    weak="small",
    strong_quality=0.8,
    weak_quality=0.6,
    qualities=tuple(np.linspace(0.8, 0.6, 1001).tolist()),
    costs_usd_per_1k=tuple(np.linspace(9, 1, 1001).tolist()),
)


def router_with(record: OutcomesRecord | None) -> LoadedRouter:
    """The default router, as if calibrated on uniform scores."""
    loaded = load_router()
    assert loaded.manifest is not None
    calibration = msgspec.structs.replace(loaded.manifest.calibration, outcomes=record)
    manifest = msgspec.structs.replace(loaded.manifest, calibration=calibration)
    return replace(loaded, manifest=manifest, win_probability_quantiles=np.linspace(0, 1, 1001))


def test_a_share_is_read_from_the_router_s_own_calibration_sample() -> None:
    loaded = LoadedRouter("mine", RandomRouter(), np.linspace(0.4, 0.6, 1001), "500 prompts", None)
    assert cut_for_goal(loaded, Goal("strong_share", 0.25)).threshold == pytest.approx(0.55)


def test_a_threshold_is_taken_as_it_stands() -> None:
    loaded = LoadedRouter("mine", RandomRouter(), None, None, None)
    assert cut_for_goal(loaded, Goal("threshold", 0.25)) == Cut(0.25)


def test_a_budget_buys_the_largest_share_that_it_pays_for() -> None:
    # 1 + 8 s = 3 at s = 1/4.
    cut = cut_for_goal(router_with(LINEAR), Goal("budget_usd_per_1k", 3))
    assert cut.threshold == pytest.approx(0.75)


def test_a_quality_takes_the_smallest_share_that_reaches_it() -> None:
    # .9 of the strong model's .8 is .72, and .6 + .2 s = .72 at s = 3/5.
    cut = cut_for_goal(router_with(LINEAR), Goal("min_quality", 0.9))
    assert cut.threshold == pytest.approx(0.4)


def test_goals_that_one_model_meets_alone_route_nothing() -> None:
    loaded = router_with(LINEAR)
    assert cut_for_goal(loaded, Goal("min_quality", 0.75)) == ALL_WEAK
    assert cut_for_goal(loaded, Goal("min_quality", 1)) == ALL_STRONG
    assert cut_for_goal(loaded, Goal("budget_usd_per_1k", 9)) == ALL_STRONG
    assert cut_for_goal(loaded, Goal("budget_usd_per_1k", 1)) == ALL_WEAK


@pytest.mark.parametrize(
    ("goal", "message"),
    [
        (
            Goal("budget_usd_per_1k", 0.5),
            r"costs at least 1 US dollars.*few strong calls as can be 1",
        ),
        (
            Goal("min_quality", 1.1),
            r"quality of 0.88.*at most 0.8 \(with as many strong calls as can be 0.8",
        ),
    ],
)
def test_a_goal_out_of_reach_is_refused_with_what_is_in_reach(goal: Goal, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        cut_for_goal(router_with(LINEAR), goal)


def test_a_goal_that_a_router_cannot_tell_names_the_command_to_run() -> None:
    command = (
        r"run routecast calibrate --router default --outcomes FILE --strong NAME --weak NAME "
        r"--budget-usd-per-1k 3 --output DIR and set router to DIR"
    )
    for record in (None, msgspec.structs.replace(LINEAR, costs_usd_per_1k=None)):
        with pytest.raises(ConfigError, match=command):
            cut_for_goal(router_with(record), Goal("budget_usd_per_1k", 3))


@pytest.mark.parametrize("name", ["strong_share", "min_quality", "budget_usd_per_1k"])
def test_a_baseline_without_a_sample_says_how_to_find_a_threshold(name: GoalName) -> None:
    with pytest.raises(ConfigError, match=r"give a threshold instead, which this finds: routecast"):
        cut_for_goal(load_router("length"), Goal(name, 0.25))


def test_a_share_of_no_quality_is_refused() -> None:
    record = msgspec.structs.replace(LINEAR, strong_quality=0.0)
    with pytest.raises(ConfigError, match="accepted is a scale on which it is above 0"):
        cut_for_goal(router_with(record), Goal("min_quality", 0.9))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("strong_share", 1.5), ("threshold", -0.1), ("budget_usd_per_1k", -1),
        ("budget_usd_per_1k", float("inf")), ("min_quality", 0), ("min_quality", float("nan")),
    ],
)  # fmt: skip
def test_a_goal_out_of_range_is_refused_with_its_value(name: GoalName, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{name} {value!r} is refused; accepted"):
        Goal(name, value)


curves = st.lists(st.floats(0, 100), min_size=2, max_size=40)


@given(curves, st.floats(0, 100))
def test_a_budget_is_kept_and_nothing_larger_would_keep_it(
    costs: list[float], budget: float
) -> None:
    values = np.array(costs)
    shares = np.linspace(0, 1, len(values))
    if budget < values.min():
        with pytest.raises(ConfigError, match="cannot be met"):
            largest_share_within(shares, values, budget)
        return
    share = largest_share_within(shares, values, budget)
    assert np.interp(share, shares, values) <= budget + 1e-6
    finely = np.linspace(0, 1, 2001)  # slowly: every larger share on a grid is too dear
    assert np.all(np.interp(finely[finely > share + 1e-6], shares, values) > budget - 1e-6)


@given(curves, st.floats(0, 100))
def test_a_quality_is_reached_and_nothing_smaller_reaches_it(
    qualities: list[float], target: float
) -> None:
    values = np.array(qualities)
    shares = np.linspace(0, 1, len(values))
    if target > values.max() * (1 + 2e-9):
        with pytest.raises(ConfigError, match="cannot be met"):
            smallest_share_reaching(shares, values, target)
        return
    share = smallest_share_reaching(shares, values, target)
    assert np.interp(share, shares, values) >= target - 1e-6
    finely = np.linspace(0, 1, 2001)
    assert np.all(np.interp(finely[finely < share - 1e-6], shares, values) < target + 1e-6)


def test_the_other_model_is_not_proposed_where_it_would_not_help() -> None:
    # 80% are strong at any threshold, or 80% are weak: half can be had neither way.
    for shy in (Abstentions(0.8, "strong"), Abstentions(0.8, "weak")):
        with pytest.raises(ConfigError, match="another goal") as caught:
            shy.strong_share_of_scored(0.5)
        assert "set on_router_error" not in str(caught.value)


# Abstentions. Of the sample, 40% have no score; strong's quality on those is .9, weak's .5, and
# strong costs 20 per 1,000, weak 2.
FORTY = msgspec.structs.replace(
    LINEAR,
    strong_quality=0.6 * 0.8 + 0.4 * 0.9,
    weak_quality=0.6 * 0.6 + 0.4 * 0.5,
    abstained=AbstainedRecord(
        strong_quality=0.9,
        weak_quality=0.5,
        strong_cost_usd_per_1k=20,
        weak_cost_usd_per_1k=2,
    ),
)


def shy_router() -> LoadedRouter:
    """The router above, whose sample holds 40% of prompts without a score."""
    loaded = router_with(FORTY)
    assert loaded.manifest is not None
    calibration = msgspec.structs.replace(loaded.manifest.calibration, abstained_share=0.4)
    manifest = msgspec.structs.replace(loaded.manifest, calibration=calibration)
    return replace(loaded, manifest=manifest)


@pytest.mark.parametrize(
    ("goal", "answered_by", "threshold"),
    [
        # .4 + .6 q = .7 at q = 1/2; without the block, .6 q = .3 at q = 1/2.
        (Goal("strong_share", 0.7), "strong", 0.5),
        (Goal("strong_share", 0.3), "weak", 0.5),
        # .95 of .84 is .798: .4 * .9 + .6 (.6 + .2 q) = .798 at q = .65.
        (Goal("min_quality", 0.95), "strong", 0.35),
        # .75 of .84 is .63: .4 * .5 + .6 (.6 + .2 q) = .63 at q = 7/12.
        (Goal("min_quality", 0.75), "weak", 5 / 12),
        # .4 * 20 + .6 (1 + 8 q) = 11 at q = 1/2; .4 * 2 + .6 (1 + 8 q) = 3.8 there, too.
        (Goal("budget_usd_per_1k", 11), "strong", 0.5),
        (Goal("budget_usd_per_1k", 3.8), "weak", 0.5),
    ],
)
def test_a_goal_counts_prompts_without_a_score_as_they_are_routed(
    goal: Goal, answered_by: OnRouterError, threshold: float
) -> None:
    cut = cut_for_goal(shy_router(), goal, on_router_error=answered_by)
    assert cut.threshold == pytest.approx(threshold, abs=1e-6)


@pytest.mark.parametrize(
    ("goal", "answered_by", "words"),
    [
        (Goal("strong_share", 0.3), "strong", "strong_share 0.3 cannot be met.*at least 40.0%"),
        (Goal("strong_share", 0.7), "weak", "strong_share 0.7 cannot be met.*at most 60.0%"),
        (Goal("min_quality", 0.9), "weak", "min_quality cannot be met"),
        (Goal("budget_usd_per_1k", 3.8), "strong", "budget_usd_per_1k 3.8 cannot be met"),
    ],
)
def test_a_goal_that_abstentions_rule_out_is_refused_with_what_helps(
    goal: Goal, answered_by: OnRouterError, words: str
) -> None:
    other = "weak" if answered_by == "strong" else "strong"
    with pytest.raises(ConfigError, match=words) as caught:
        cut_for_goal(shy_router(), goal, on_router_error=answered_by)
    assert "gives no score to 40.0% of the calibration sample, and on_router_error = " in str(
        caught.value
    )
    assert f"set on_router_error = {other!r}" in str(caught.value)
    assert "train a router on labels of this traffic" in str(caught.value)


@pytest.mark.parametrize(
    ("goal", "words"),
    [
        (Goal("min_quality", 2.0), "routing reaches at most"),
        (Goal("budget_usd_per_1k", 0.001), "routing costs at least"),
    ],
)
@pytest.mark.parametrize("answered_by", ["strong", "weak"])
def test_the_other_model_is_not_advised_where_it_would_not_help(
    goal: Goal, answered_by: OnRouterError, words: str
) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        cut_for_goal(shy_router(), goal, on_router_error=answered_by)
    assert "set on_router_error" not in str(caught.value)
    assert "train a router on labels of this traffic" in str(caught.value)
