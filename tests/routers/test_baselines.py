import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.routers.length import LengthRouter
from routecast.routers.random import RandomRouter


def test_length_scores_n_over_n_plus_midpoint() -> None:
    # "abc" has 3 characters: 3 / (3 + 9) = 0.25. Nothing scores 0.
    assert LengthRouter(midpoint=9).win_probabilities(["abc", ""]).tolist() == [0.25, 0.0]


@given(st.lists(st.integers(0, 3_000), min_size=2, max_size=10, unique=True))
def test_length_orders_prompts_strictly_by_their_characters(lengths: list[int]) -> None:
    scores = LengthRouter().win_probabilities(["é" * length for length in lengths])
    assert np.argsort(scores).tolist() == np.argsort(lengths).tolist()


def test_random_repeats_itself_and_depends_on_the_seed() -> None:
    prompts = [f"prompt {number}" for number in range(50)]
    first = RandomRouter(seed=1).win_probabilities(prompts)
    assert first.tolist() == RandomRouter(seed=1).win_probabilities(prompts).tolist()
    assert first.tolist() != RandomRouter(seed=2).win_probabilities(prompts).tolist()


def test_random_scores_are_uniform() -> None:
    scores = RandomRouter().win_probabilities([str(number) for number in range(20_000)])
    # The Kolmogorov-Smirnov distance of 20,000 uniform draws passes 0.0138 once in a thousand.
    distance = np.abs(np.sort(scores) - np.linspace(0, 1, 20_000)).max()
    assert distance < 0.0138


@pytest.mark.parametrize("router", [RandomRouter(), LengthRouter()])
@given(prompts=st.lists(st.text(max_size=20) | st.just("\ud800"), max_size=5))
def test_any_text_scores_between_0_and_1(
    router: RandomRouter | LengthRouter, prompts: list[str]
) -> None:
    scores = router.win_probabilities(prompts)
    assert scores.shape == (len(prompts),)
    assert np.all((scores >= 0) & (scores < 1))
