"""From a goal to a threshold on a sample."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.calibrate.threshold import (
    SampleOutcomes,
    ThresholdChoice,
    choose_threshold,
    outcomes_along_quantiles,
    settle_ties,
)
from routecast.errors import ConfigError, DataError
from routecast.policy.cuts import tie_draw
from routecast.policy.goals import Goal

# Ten prompts by rising score; the strong model is right on all but the first two, the weak one on
# the first five. Strong costs 9 dollars per 1,000 requests, weak 1.
SCORES = np.linspace(0.05, 0.95, 10)
TEN = SampleOutcomes(
    strong="big",
    weak="small",
    strong_quality=np.array([0, 0, 1, 1, 1, 1, 1, 1, 1, 1], dtype=float),
    weak_quality=np.array([1, 1, 1, 1, 1, 0, 0, 0, 0, 0], dtype=float),
    strong_cost_usd=np.full(10, 0.009),
    weak_cost_usd=np.full(10, 0.001),
)


def choose(goal: Goal, scores: np.ndarray = SCORES) -> ThresholdChoice:
    return choose_threshold(scores, goal, outcomes=TEN)


def test_a_share_lies_half_way_between_two_scores() -> None:
    # 3 of 10: above .65 are .75, .85 and .95; the threshold is the middle, .7.
    choice = choose(Goal("strong_share", 0.3))
    assert choice.cut.threshold == pytest.approx(0.7)
    assert choice.strong_share.value == 0.3
    # Quality: the three at the top are right by strong, the first five by weak: .8. Over strong's
    # own .8 that is 1. Cost: .3 * 9 + .7 * 1 = 3.4.
    assert choice.quality is not None
    assert choice.quality_share is not None
    assert choice.cost_usd_per_1k is not None
    figures = choice.quality, choice.quality_share, choice.cost_usd_per_1k
    assert [figure.value for figure in figures] == pytest.approx([0.8, 1.0, 3.4])
    assert (choice.n_prompts, choice.n_to_halve, choice.n_tied) == (10, 40, 0)


def test_a_given_threshold_says_what_it_does() -> None:
    choice = choose(Goal("threshold", 0.9))
    assert (choice.cut.threshold, choice.strong_share.value) == (0.9, 0.1)
    assert choice.strong_share.low < 0.1 < choice.strong_share.high


def test_a_budget_is_never_passed_on_the_sample() -> None:
    # 1 + 8 s <= 3.9 allows s = .3625: three whole prompts.
    choice = choose(Goal("budget_usd_per_1k", 3.9))
    assert choice.strong_share.value == pytest.approx(0.3)
    assert choice.cost_usd_per_1k is not None
    assert choice.cost_usd_per_1k.value == pytest.approx(3.4)


def test_a_quality_is_reached_on_the_sample_with_the_fewest_prompts() -> None:
    # 1.1 of strong's .8 is .88: routing has .5 + .1 per prompt, so four of ten.
    choice = choose(Goal("min_quality", 1.1))
    assert choice.strong_share.value == pytest.approx(0.4)
    assert choice.weak_is_enough is False
    assert choice.quality_share is not None
    assert choice.quality_share.value == pytest.approx(0.9 / 0.8)


def test_it_says_when_the_weak_model_alone_is_enough() -> None:
    choice = choose(Goal("min_quality", 0.6))
    assert choice.weak_is_enough is True
    assert choice.strong_share.value == 0
    assert choice.cut.strong_weights(SCORES).sum() == 0


def test_a_tie_is_split_and_its_prompts_are_counted() -> None:
    scores = np.repeat([0.2, 0.5, 0.8], [300, 500, 200])
    choice = choose_threshold(scores, Goal("strong_share", 0.4))
    assert choice.cut.threshold == 0.5
    assert choice.cut.tie_share == pytest.approx((400 - 200) / 500, abs=0.002)
    assert choice.n_tied == 500
    assert choice.cut.strong_weights(scores).mean() == pytest.approx(0.4, abs=0.001)


def test_the_share_is_met_on_new_prompts_of_few_scores() -> None:
    rng = np.random.default_rng(0)
    traffic = rng.choice([0.1, 0.4, 0.7], p=[0.2, 0.5, 0.3], size=20_000)
    choice = choose_threshold(traffic[:2000], Goal("strong_share", 0.55))
    draws = np.array([tie_draw(f"prompt {number}") for number in range(18_000)])
    met = np.mean(draws < choice.cut.strong_weights(traffic[2000:]))
    assert choice.strong_share.low <= met <= choice.strong_share.high
    assert met == pytest.approx(0.55, abs=0.025)


def test_scores_that_differ_by_rounding_are_one_tie() -> None:
    scores = np.array([0.3, np.nextafter(0.3, 1), 0.3 + 5e-10, 0.4])
    assert settle_ties(scores).tolist() == [0.3, 0.3, 0.3, 0.4]


@given(
    st.lists(st.integers(0, 20).map(lambda step: step / 20), min_size=1, max_size=150),
    st.floats(0, 1),
)
def test_the_expected_share_on_the_sample_is_met_to_within_a_prompt(
    scores: list[float], share: float
) -> None:
    cut = choose_threshold(np.array(scores), Goal("strong_share", share)).cut
    n_strong = cut.strong_weights(np.array(scores)).sum()
    assert abs(n_strong - share * len(scores)) <= 1 + 1e-6


@pytest.mark.parametrize("name", ["budget_usd_per_1k", "min_quality"])
def test_goals_that_need_outcomes_are_refused_without(name: str) -> None:
    goal = Goal(name, 1.0)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=f"{name} needs outcomes; give --outcomes FILE"):
        choose_threshold(SCORES, goal)


def test_a_budget_without_costs_names_the_columns() -> None:
    outcomes = SampleOutcomes(
        strong="big", weak="small", strong_quality=TEN.strong_quality, weak_quality=TEN.weak_quality
    )
    with pytest.raises(ConfigError, match=r"'cost_usd\|big' and 'cost_usd\|small', or tokens with"):
        choose_threshold(SCORES, Goal("budget_usd_per_1k", 5), outcomes=outcomes)


def test_an_empty_sample_is_refused() -> None:
    with pytest.raises(DataError, match="give more prompts"):
        choose_threshold(np.array([]), Goal("strong_share", 0.5))


def test_what_an_artifact_keeps_gives_the_same_means() -> None:
    record = outcomes_along_quantiles(SCORES, TEN)
    assert (record.strong_quality, record.weak_quality) == (0.8, 0.5)
    # All strong is .8; the share .3 of the first test is level .7, the 701st quantile.
    assert record.qualities[0] == pytest.approx(0.8)
    assert record.qualities[700] == pytest.approx(0.8)
    assert record.qualities[1000] == pytest.approx(0.5)
    assert record.costs_usd_per_1k is not None
    assert [record.costs_usd_per_1k[k] for k in (0, 700, 1000)] == pytest.approx([9, 3.4, 1])
