"""The decision rule and the thresholds behind it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.artifacts import LoadedRouter
from routecast.errors import ConfigError
from routecast.policy.decide import (
    NEVER_STRONG,
    Decision,
    Reason,
    decide,
    threshold_for_goal,
    threshold_for_share,
)
from routecast.routers.random import RandomRouter

probabilities = st.floats(min_value=0, max_value=1)


def test_weak_answers_below_the_threshold_and_strong_from_it_on() -> None:
    # Section 3 of the paper: weak if P(win) < alpha, otherwise strong; so equality is strong.
    below = decide(0.4999, 0.5, strong="big", weak="small")
    equal = decide(0.5, 0.5, strong="big", weak="small")
    assert below == Decision("small", 0.4999, 0.5, Reason.BELOW_THRESHOLD)
    assert equal == Decision("big", 0.5, 0.5, Reason.REACHES_THRESHOLD)


def test_an_abstaining_router_gives_the_fallback_and_no_win_probability() -> None:
    decision = decide(math.nan, 0.5, strong="big", weak="small", fallback="small")
    assert decision == Decision("small", None, 0.5, Reason.ROUTER_ABSTAINED)


def test_the_strong_model_is_the_fallback_when_none_is_named() -> None:
    assert decide(math.nan, 0.5, strong="big", weak="small").model == "big"


def test_reasons_are_these_strings_and_no_others() -> None:
    assert {reason.value for reason in Reason} == {
        "reaches_threshold", "below_threshold", "router_abstained", "router_failed", "no_text",
        "direct",
    }  # fmt: skip


@given(probabilities, probabilities, probabilities)
def test_a_higher_threshold_never_sends_more_to_the_strong_model(
    win_probability: float, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    chosen = [decide(win_probability, t, strong="big", weak="small").model for t in (low, high)]
    assert chosen != ["small", "big"]


def test_threshold_for_share_lies_between_the_neighbouring_quantiles() -> None:
    # Five quantiles stand at levels 0, .25, .5, .75, 1. A share of .3 is level .7, which is 4/5 of
    # the way from .5 to .75, so the threshold is .4 + 4/5 * (.8 - .4) = .72.
    quantiles = np.array([0.1, 0.2, 0.4, 0.8, 0.9])
    assert threshold_for_share(quantiles, 0.3) == pytest.approx(0.72)


def test_a_share_of_a_uniform_win_probability_is_one_minus_the_threshold() -> None:
    quantiles = np.linspace(0, 1, 1001)
    assert threshold_for_share(quantiles, 0.3) == pytest.approx(0.7)


def test_no_prompt_is_strong_at_share_zero_and_every_prompt_at_share_one() -> None:
    quantiles = np.array([0.3, 0.5, 1.0])
    nothing, everything = threshold_for_share(quantiles, 0), threshold_for_share(quantiles, 1)
    assert decide(1.0, nothing, strong="big", weak="small").model == "small"
    assert decide(0.0, everything, strong="big", weak="small").model == "big"
    assert nothing == NEVER_STRONG > 1


@given(st.lists(probabilities, min_size=2, max_size=300, unique=True), probabilities)
def test_the_share_that_passes_is_met_to_within_one_prompt_and_one_quantile(
    scores: list[float], share: float
) -> None:
    threshold = threshold_for_share(np.quantile(scores, np.linspace(0, 1, 1001)), share)
    slowly_counted = sum(1 for score in scores if score >= threshold)
    assert abs(slowly_counted / len(scores) - share) <= 1 / len(scores) + 1 / 1000 + 1e-9


@given(st.lists(probabilities, min_size=2, max_size=50), probabilities, probabilities)
def test_a_larger_share_never_has_a_higher_threshold(
    scores: list[float], one: float, other: float
) -> None:
    quantiles = np.sort(scores)
    small, large = sorted((one, other))
    # Interpolation rounds in the last digit.
    assert threshold_for_share(quantiles, large) <= threshold_for_share(quantiles, small) + 1e-12


@pytest.mark.parametrize("share", [-0.1, 1.01, math.nan])
def test_a_share_outside_its_range_is_refused_with_its_value(share: float) -> None:
    with pytest.raises(ConfigError, match=f"strong_share {share!r} is refused"):
        threshold_for_share(np.array([0.0, 1.0]), share)


def test_a_goal_is_read_from_the_router_s_own_calibration_sample() -> None:
    loaded = LoadedRouter("mine", RandomRouter(), np.linspace(0.4, 0.6, 1001), "500 prompts", None)
    assert threshold_for_goal(loaded, strong_share=0.25) == pytest.approx(0.55)


def test_a_router_without_a_sample_cannot_answer_a_share() -> None:
    loaded = LoadedRouter("mine", RandomRouter(), None, None, None)
    with pytest.raises(ConfigError, match=r"'mine' has no calibration sample.*give a threshold"):
        threshold_for_goal(loaded, strong_share=0.25)
