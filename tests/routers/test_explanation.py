"""Explanations: the arithmetic by hand, the words, and the sum that they must keep."""

from dataclasses import replace

import numpy as np
import pytest

from routecast.artifacts import LoadedRouter
from routecast.embed.protocol import Embedder
from routecast.errors import ConfigError
from routecast.routers import explanation
from routecast.routers.calibrated import CalibratedRouter
from routecast.routers.explanation import SURFACE_WORDS, explain_line
from routecast.routers.length import LengthRouter
from routecast.routers.ridge import BoundRidge, FeatureScale, Ridge
from routecast.routers.surface import SURFACE_NAMES, surface_features
from routecast.stats.platt import PlattScaling

PROMPTS = ["Prove that 7 is prime.", "name a river", "def f(x): return x", "WHY?", "rice and maps"]
N_SURFACE = len(SURFACE_NAMES)


@pytest.fixture
def router(word_embedder: Embedder) -> BoundRidge:
    """Some coefficients for the embedder of 8 dimensions."""
    n_features = 8 + N_SURFACE
    ridge = Ridge(
        scale=FeatureScale.of(word_embedder.embed(PROMPTS), surface_features(PROMPTS)),
        coefficients=np.random.default_rng(0).normal(size=n_features) / 20,
        intercept=0.1,
        covariance=0.02 * np.eye(n_features, dtype=np.float64),
        prior_variance=0.05,
        intercept_variance=0.001,
    )
    return ridge.bind(strong=["big"], weak=["small"], embedder=word_embedder)


def loaded(router: BoundRidge | CalibratedRouter | LengthRouter) -> LoadedRouter:
    return LoadedRouter("one", router, None, None, None)


def words_of(found: explanation.Explanation) -> list[str]:
    return [one.words for one in found.contributions]


def test_half_of_each_term_of_the_gap_is_the_largest_first() -> None:
    # The gap is .1 - .04 + .06: win probability (1 + .1) / 2 at the mean, then +.03 and -.02.
    surface, above = np.zeros(N_SURFACE), np.zeros(N_SURFACE)
    digits = SURFACE_NAMES.index("digit_share")
    surface[digits], above[digits] = 0.06, -1.3
    found = explain_line(0.1, -0.04, surface, above)
    assert found.mean_prompt == pytest.approx(0.55)
    first, second = found.contributions
    assert (first.feature, first.words) == ("digit_share", "few digits")
    assert (second.feature, second.words) == ("content", "what it is about")
    assert [first.win_probability, second.win_probability] == pytest.approx([0.03, -0.02])


def test_words_say_on_which_side_of_the_mean_a_feature_is() -> None:
    surface, above = np.full(N_SURFACE, 0.1), np.ones(N_SURFACE)
    more, less = explain_line(0.0, 0.0, surface, above), explain_line(0.0, 0.0, surface, -above)
    assert [*zip(words_of(more), words_of(less), strict=True)] == [
        SURFACE_WORDS[name] for name in SURFACE_NAMES
    ]


def test_every_surface_feature_has_words_of_its_own() -> None:
    assert [name for name in SURFACE_NAMES if name not in SURFACE_WORDS] == []
    said = [words for pair in SURFACE_WORDS.values() for words in pair]
    assert len(set(said)) == len(said)


def test_a_feature_without_words_is_called_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explanation, "SURFACE_WORDS", {})
    surface = np.zeros(N_SURFACE)
    surface[0] = 0.1
    assert words_of(explain_line(0.0, 0.0, surface, surface)) == [
        f"{SURFACE_NAMES[0]} above the mean"
    ]


@pytest.mark.parametrize("prompt", [*PROMPTS, "12 + 30 = ?", "```\ncode\n```", "\U0001f600", ""])
def test_the_parts_add_up_to_the_win_probability(router: BoundRidge, prompt: str) -> None:
    found = router.explain(prompt)
    total = found.mean_prompt + sum(one.win_probability for one in found.contributions)
    embeddings = router.embedder.embed([prompt])
    assert total == pytest.approx(router.win_probabilities_from([prompt], embeddings)[0])
    sizes = [abs(one.win_probability) for one in found.contributions]
    assert sizes == sorted(sizes, reverse=True)


def test_a_mean_prompt_has_nothing_to_explain(router: BoundRidge) -> None:
    flat = replace(router, ridge=replace(router.ridge, coefficients=np.zeros(8 + N_SURFACE)))
    assert flat.explain("prove that 7 is prime").contributions == ()


def test_a_calibrated_router_says_what_its_own_router_says(router: BoundRidge) -> None:
    calibrated = CalibratedRouter(router, PlattScaling(slope=2.0, intercept=0.3))
    assert loaded(calibrated).explain(PROMPTS[0]) == router.explain(PROMPTS[0])


def test_a_router_that_cannot_say_names_those_that_can() -> None:
    with pytest.raises(ConfigError, match=r"router 'one' cannot say .* 'routecast train ridge'"):
        loaded(LengthRouter()).explain("prove it")
