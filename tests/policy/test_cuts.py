"""From a share to a cut."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.errors import ConfigError
from routecast.policy.cuts import (
    ALL_STRONG,
    ALL_WEAK,
    NEVER_STRONG,
    TIE_WIDTH,
    Cut,
    cut_for_share,
    tie_draw,
)

probabilities = st.floats(min_value=0, max_value=1)


def test_the_threshold_lies_between_the_neighbouring_quantiles() -> None:
    # Five quantiles stand at levels 0, .25, .5, .75, 1. A share of .3 is level .7, which is 4/5 of
    # the way from .5 to .75, so the threshold is .4 + 4/5 * (.8 - .4) = .72.
    quantiles = np.array([0.1, 0.2, 0.4, 0.8, 0.9])
    cut = cut_for_share(quantiles, 0.3)
    assert [cut.threshold, cut.tie_share] == pytest.approx([0.72, 1])


def test_a_share_inside_a_tie_takes_the_missing_part_of_it() -> None:
    # Levels 0, .25, .5, .75, 1; the tie of .4 stands at .25 to .75 and reaches half a step beyond,
    # from .125 to .875. A share of .35 is level .65: (.875 - .65) / .75 = .3 of the tie, and all
    # of what is above.
    cut = cut_for_share(np.array([0.1, 0.4, 0.4, 0.4, 0.9]), 0.35)
    assert [cut.threshold, cut.tie_share] == pytest.approx([0.4, 0.3])


def test_a_sample_of_one_score_is_split_by_the_share_itself() -> None:
    cut = cut_for_share(np.full(1001, 0.7), 0.3)
    assert [cut.threshold, cut.tie_share] == pytest.approx([0.7, 0.3])


def test_at_the_ends_of_a_tie_half_a_prompt_is_still_split() -> None:
    # At level .75, the tie's last quantile, half a step of its three is left: .125 / .75 = 1/6.
    quantiles = np.array([0.1, 0.4, 0.4, 0.4, 0.9])
    assert cut_for_share(quantiles, 0.25).tie_share == pytest.approx(1 / 6)
    assert cut_for_share(quantiles, 0.75).tie_share == pytest.approx(5 / 6)


def test_weights_are_0_below_1_above_and_the_share_in_the_tie() -> None:
    weights = Cut(0.5, 0.25).strong_weights(np.array([0.4, 0.5 - TIE_WIDTH / 2, 0.5, 0.6]))
    assert weights.tolist() == [0, 0.25, 0.25, 1]


def test_a_share_of_a_uniform_win_probability_is_one_minus_the_threshold() -> None:
    assert cut_for_share(np.linspace(0, 1, 1001), 0.3).threshold == pytest.approx(0.7)


def test_no_prompt_is_strong_at_share_zero_and_every_prompt_at_share_one() -> None:
    quantiles = np.array([0.3, 0.5, 1.0])
    assert cut_for_share(quantiles, 0) == ALL_WEAK
    assert cut_for_share(quantiles, 1) == ALL_STRONG
    assert ALL_WEAK.strong_weights(np.array([1.0])).tolist() == [0]
    assert ALL_STRONG.strong_weights(np.array([0.0])).tolist() == [1]
    assert NEVER_STRONG > 1


@given(
    st.lists(st.integers(0, 12).map(lambda step: step / 12), min_size=1, max_size=200),
    st.floats(0, 1),
)
def test_with_ties_the_expected_share_is_met_to_within_one_prompt_and_one_quantile(
    scores: list[float], share: float
) -> None:
    quantiles = np.quantile(scores, np.linspace(0, 1, 1001), method="hazen")
    weights = cut_for_share(quantiles, share).strong_weights(np.array(scores))
    slack = 1 / len(scores) + 1 / 1000
    assert abs(sum(weights.tolist()) / len(scores) - share) <= slack + 1e-9


@given(st.lists(probabilities, min_size=2, max_size=50), probabilities, probabilities)
def test_a_larger_share_never_sends_fewer_to_the_strong_model(
    scores: list[float], one: float, other: float
) -> None:
    quantiles = np.sort(scores)
    small, large = (cut_for_share(quantiles, share) for share in sorted((one, other)))
    # Interpolation rounds in the last digit.
    assert small.threshold >= large.threshold - 1e-12 - 2 * TIE_WIDTH


@pytest.mark.parametrize("share", [-0.1, 1.01, math.nan])
def test_a_share_outside_its_range_is_refused_with_its_value(share: float) -> None:
    with pytest.raises(ConfigError, match=f"strong_share {share!r} is refused"):
        cut_for_share(np.array([0.0, 1.0]), share)


def test_a_split_tie_sends_each_text_where_its_draw_says() -> None:
    prompts = [f"prompt {number}" for number in range(200)]
    cut = Cut(0.5, tie_share=0.3)
    strong = cut.sends_strong(prompts, np.full(200, 0.5))
    assert strong.tolist() == [tie_draw(prompt) < 0.3 for prompt in prompts]
    assert cut.sends_strong(["a", "b"], np.array([0.4, 0.6])).tolist() == [False, True]
    assert Cut(0.5).sends_strong(["a", "b"], np.array([0.5, 0.4])).tolist() == [True, False]
