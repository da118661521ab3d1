"""Robustness: what is measured of routers whose behaviour is known."""

from collections.abc import Sequence

import numpy as np
import pytest

from routecast.embed.static import load_static
from routecast.evaluate.robustness import Score, climb_prefix, measure_robustness
from routecast.evaluate.study import Robustness
from routecast.policy.abstaining import OnRouterError
from routecast.routers.length import LengthRouter
from routecast.routers.random import RandomRouter
from routecast.types import FloatArray

WORDS = ("blue", "green", "lamp", "river", "stone", "magic")
PROMPTS = [f"Question {number} asks for item{'s' * number}." for number in range(60)]


def measured(
    score: Score, prompts: Sequence[str] = PROMPTS, on_router_error: OnRouterError = "strong"
) -> Robustness:
    return measure_robustness(
        "mine",
        score,
        prompts,
        words=WORDS,
        on_router_error=on_router_error,
    )


def by_number(prompts: Sequence[str]) -> FloatArray:
    """Score by the first number of a prompt, which nothing changes."""
    found = ["".join(filter(str.isdigit, prompt)) for prompt in prompts]
    return np.array([int(digits or 0) for digits in found]) / 100.0


def by_capitals(prompts: Sequence[str]) -> FloatArray:
    return np.array([sum(map(str.isupper, p)) / len(p) + len(p) * 1e-6 for p in prompts])


def by_magic(prompts: Sequence[str]) -> FloatArray:
    """Score as `by_number`, more with each time that one word stands there."""
    return np.minimum(by_number(prompts) + [0.2 * p.count("magic") for p in prompts], 1.0)


def values(found: Robustness) -> dict[str, float]:
    return {name: share.figure.value for name, share in {**found.flipped, **found.lifted}.items()}


def test_a_router_that_reads_what_stays_is_not_moved() -> None:
    found = measured(by_number)
    assert found.strong_share == 0.5
    assert np.isnan(values(found).pop("rewrites"))  # no rule of those fits one of the prompts
    assert {share for share in values(found).values() if share == share} == {0.0}
    assert found.flipped["rewrites"].n_prompts == 0
    assert found.flipped["typos"].n_prompts > 50  # "ss" swapped is no typo
    assert 8 <= found.lifted["climbed_prefix"].n_prompts <= 22  # of about 15 weak ones


def test_length_alone_is_lifted_by_padding_and_by_any_prefix() -> None:
    found = measured(LengthRouter().win_probabilities)
    assert {share.figure.value for name, share in found.lifted.items() if "char" in name} == {1.0}
    assert values(found)["upper_case"] == values(found)["lower_case"] == 0.0
    assert values(found)["random_prefix"] > 0.5


def test_a_router_that_counts_capitals_flips_on_case() -> None:
    # In capitals every prompt scores above the threshold, so that all weak ones flip: one half.
    assert values(measured(by_capitals))["upper_case"] == 0.5


def test_half_of_what_random_decides_is_flipped_and_lifted() -> None:
    prompts = [f"Compute the sum of {number} and 3." for number in range(1_200)]
    found = measured(RandomRouter().win_probabilities, prompts)
    assert found.n_prompts == 1_000
    for share in (*found.flipped.values(), *found.lifted.values()):
        assert share.figure.value == pytest.approx(0.5, abs=0.13)  # four standard errors of 250
        assert share.figure.low < share.figure.value < share.figure.high


def test_the_climb_finds_the_word_that_lifts_other_prompts() -> None:
    found = measured(by_magic)
    assert found.prefix.count("magic") >= 3
    assert values(found)["climbed_prefix"] == 1.0
    assert found.n_climbed <= 64_500


@pytest.mark.parametrize(("on_router_error", "lifted"), [("strong", 1.0), ("weak", 0.0)])
def test_prompts_without_a_score_count_as_they_are_routed(
    on_router_error: OnRouterError, lifted: float
) -> None:
    def shy(prompts: Sequence[str]) -> FloatArray:
        return np.where([len(p) > 300 for p in prompts], np.nan, by_number(prompts))

    found = measured(shy, on_router_error=on_router_error)
    assert values(found)["1000_characters"] == lifted


def test_a_router_that_scores_nothing_sends_all_to_one_model() -> None:
    found = measured(lambda prompts: np.full(len(prompts), np.nan))
    assert found.strong_share == 1.0
    assert np.isnan(values(found)["climbed_prefix"])
    assert values(found)["typos"] == 0.0


def test_equal_seeds_measure_equally() -> None:
    assert measured(by_magic) == measured(by_magic)


def test_a_climb_never_gets_worse_than_its_first_prefix() -> None:
    score = RandomRouter().win_probabilities
    for seed in range(5):
        first = " ".join(
            WORDS[row] for row in np.random.default_rng(seed).integers(len(WORDS), size=10)
        )
        prefix, n_scored = climb_prefix(
            score, PROMPTS[:5], words=WORDS, draws=np.random.default_rng(seed)
        )
        assert n_scored == 5 * (10 + 4 * 10 * 32)
        means = [score([f"{text} {p}" for p in PROMPTS[:5]]).mean() for text in (first, prefix)]
        assert means[1] >= means[0]


def test_words_of_prefixes_are_tokens_of_the_static_embedder() -> None:
    embedder = load_static()
    words = embedder.whole_words()
    assert len(words) > 15_000
    assert all(len(embedder.token_ids(word)) == 1 for word in words[::500])
    assert {"prove", "the"} <= set(words)
