"""The decision rule."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.policy.cuts import TIE_WIDTH, Cut, tie_draw
from routecast.policy.decide import Decision, Reason, decide

probabilities = st.floats(min_value=0, max_value=1)
SPLIT = Cut(0.5, 0.25)


def choose(win_probability: float, cut: Cut, prompt: str = "Hi") -> Decision:
    return decide(win_probability, cut, prompt=prompt, strong="big", weak="small")


def test_weak_answers_below_the_threshold_and_strong_from_it_on() -> None:
    # Section 3 of the paper: weak if P(win) < alpha, otherwise strong; so equality is strong.
    below, equal = choose(0.4999, Cut(0.5)), choose(0.5, Cut(0.5))
    assert below == Decision("small", 0.4999, 0.5, Reason.BELOW_THRESHOLD)
    assert equal == Decision("big", 0.5, 0.5, Reason.REACHES_THRESHOLD)


def test_an_abstaining_router_gives_the_fallback_and_no_win_probability() -> None:
    decision = decide(math.nan, SPLIT, prompt="Hi", strong="big", weak="small", fallback="small")
    assert decision == Decision("small", None, 0.5, Reason.ROUTER_ABSTAINED)


def test_the_strong_model_is_the_fallback_when_none_is_named() -> None:
    assert choose(math.nan, Cut(0.5)).model == "big"


def test_reasons_are_these_strings_and_no_others() -> None:
    assert {reason.value for reason in Reason} == {
        "reaches_threshold", "below_threshold", "split_at_threshold", "router_abstained",
        "router_failed", "router_slow", "no_text", "only_capable", "same_conversation", "fallback",
        "forced", "direct",
    }  # fmt: skip


@given(probabilities, probabilities, probabilities)
def test_a_higher_threshold_never_sends_more_to_the_strong_model(
    win_probability: float, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    assert [choose(win_probability, Cut(t)).model for t in (low, high)] != ["small", "big"]


def test_a_split_tie_sends_its_share_of_prompts_to_the_strong_model() -> None:
    prompts = [f"prompt {number}" for number in range(4000)]
    n_strong = sum(choose(0.5, SPLIT, prompt).model == "big" for prompt in prompts)
    # 1000 are expected, with a standard deviation of sqrt(4000 * .25 * .75) = 27.
    assert abs(n_strong - 1000) < 4 * 27


def test_a_retry_of_a_tied_prompt_decides_alike_and_says_why() -> None:
    decisions = {choose(0.5, SPLIT, "again") for _ in range(10)}
    (decision,) = decisions
    assert decision.reason is Reason.SPLIT_AT_THRESHOLD
    assert decision.model == ("big" if tie_draw("again") < 0.25 else "small")


def test_rounding_in_the_last_digits_does_not_move_a_prompt_out_of_its_tie() -> None:
    for score in (0.5 - TIE_WIDTH / 2, math.nextafter(0.5, 0), 0.5 + TIE_WIDTH / 2):
        assert choose(score, SPLIT).reason is Reason.SPLIT_AT_THRESHOLD
    assert choose(0.5 - 2 * TIE_WIDTH, SPLIT).reason is Reason.BELOW_THRESHOLD
    assert choose(0.5 + 2 * TIE_WIDTH, SPLIT).reason is Reason.REACHES_THRESHOLD


@given(st.text(), st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_larger_share_of_a_tie_never_takes_a_prompt_from_the_strong_model(
    prompt: str, one: float, other: float
) -> None:
    small, large = sorted((one, other))
    models = [choose(0.5, Cut(0.5, share), prompt).model for share in (small, large)]
    assert models != ["big", "small"]


def test_draws_are_uniform_and_take_any_text() -> None:
    draws = sorted(tie_draw(f"{number}") for number in range(2000))
    # Kolmogorov and Smirnov's 99.9% point for 2000 draws is 1.95 / sqrt(2000) = .044.
    assert max(abs(draw - rank / 2000) for rank, draw in enumerate(draws)) < 0.044
    assert 0 <= tie_draw("\ud800") < 1
    assert tie_draw("a b") != tie_draw("a  b")


@pytest.mark.parametrize("cut", [(-0.1, 1), (1.1, 1), (math.nan, 1), (0.5, 0), (0.5, 1.5)])
def test_a_cut_that_means_nothing_is_refused(cut: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="accepted are 0 to 1"):
        Cut(*cut)
