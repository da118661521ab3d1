"""The linear rival: its formula, its bounds, and what it abstains on."""

from dataclasses import replace

import numpy as np
import pytest

from routecast.embed.protocol import Embedder
from routecast.embed.static import load_static
from routecast.errors import ArtifactError
from routecast.routers.belonging import Belonging
from routecast.routers.ridge import FeatureScale, Ridge
from routecast.routers.surface import SURFACE_NAMES, surface_features

PROMPTS = ["Prove that 7 is prime.", "name a river", "def f(x): return x", "WHY?", "rice and maps"]
N_COUNTS = len(SURFACE_NAMES)


@pytest.fixture
def ridge(word_embedder: Embedder) -> Ridge:
    """Some coefficients for the embedder of 8 dimensions."""
    generator = np.random.default_rng(0)
    n_features = 8 + N_COUNTS
    return Ridge(
        scale=FeatureScale.of(word_embedder.embed(PROMPTS), surface_features(PROMPTS)),
        coefficients=generator.normal(size=n_features) / 20,
        intercept=0.1,
        covariance=0.02 * np.eye(n_features),
        prior_variance=0.05,
        intercept_variance=0.001,
    )


def test_the_gap_is_a_weighted_sum_of_standardised_features() -> None:
    # One dimension: the mean embedding is 0.5. All counts but the first are at their means; the
    # first lies two deviations above. Features: 1 - 0.5 and 2 / 10.
    scale = FeatureScale(np.array([0.5]), np.zeros(N_COUNTS), np.full(N_COUNTS, 3.0))
    counts = np.zeros((1, N_COUNTS))
    counts[0, 0] = 6.0
    features = scale.apply(np.array([[1.0]], dtype=np.float32), counts)
    assert features[0, :2] == pytest.approx([0.5, 0.2])
    coefficients = np.zeros(1 + N_COUNTS)
    coefficients[:2] = 0.2, 0.3
    ridge = Ridge(scale, coefficients, 0.1, np.eye(1 + N_COUNTS) / 50, 0.05, 0.0)
    assert ridge.gaps(features) == pytest.approx([0.1 + 0.2 * 0.5 + 0.3 * 0.2])
    # Of the variance before any label, 0.05, two fifths are left: 0.02.
    assert ridge.familiarity(features) == pytest.approx([0.6])
    assert ridge.gap_deviations(features) == pytest.approx([(0.02 * (0.25 + 0.04)) ** 0.5])


def test_no_prompt_gets_further_by_its_length_alone(ridge: Ridge, word_embedder: Embedder) -> None:
    long, longer = (
        ridge.scale.apply(
            np.zeros((1, 8), dtype=np.float32), surface_features(["rice " * 10**power])
        )
        for power in (4, 6)
    )
    np.testing.assert_allclose(long[:, 8:10], longer[:, 8:10])


def test_what_does_not_belong_cannot_lift_a_score(ridge: Ridge) -> None:
    embedder = load_static()
    n_features = embedder.identity.dimension + N_COUNTS
    coefficients = np.concatenate([np.zeros(embedder.identity.dimension), np.full(N_COUNTS, 0.1)])
    guarded = replace(
        ridge,
        scale=FeatureScale.of(embedder.embed(PROMPTS), surface_features(PROMPTS)),
        coefficients=coefficients,
        covariance=0.02 * np.eye(n_features),
        belonging=Belonging(first=0.3, tail=0.3),
    )
    router, plain = (
        one.bind(strong=["big"], weak=["small"], embedder=embedder)
        for one in (guarded, replace(guarded, belonging=Belonging()))
    )
    prompt = (
        "how long does a pot of white rice have to cook on a small stove, and with how much water"
    )
    prefix = "prove theorem integral derive therefore compute suppose evaluate debug matrix"
    texts = [prompt, f"{prefix} {prompt}", f"{prompt} and how is it kept warm in a kitchen"]
    found, before = router.win_probabilities(texts), plain.win_probabilities(texts)
    assert before[1] > before[0] + 0.03
    assert found[1] == found[0] == before[0]
    alone = [router.win_probability(text) for text in texts]
    np.testing.assert_allclose(alone, found, rtol=0, atol=1e-12)
    explanation = router.explain(texts[1])
    assert explanation.n_left_out == len(prefix) + 1
    assert replace(explanation, n_left_out=0) == router.explain(prompt)
    again = Ridge.from_tensors(guarded.tensors())
    assert again.belonging == guarded.belonging


def test_a_prompt_scores_alone_as_among_others(ridge: Ridge, word_embedder: Embedder) -> None:
    router = ridge.bind(strong=["big"], weak=["small"], embedder=word_embedder)
    together = router.win_probabilities(PROMPTS)
    for score in (router.win_probability, lambda prompt: router.win_probabilities([prompt])[0]):
        alone = [score(prompt) for prompt in PROMPTS]
        np.testing.assert_allclose(alone, together, rtol=0, atol=1e-7)
    assert np.all((together > 0) & (together < 1))


@pytest.mark.parametrize("intercept", [-5.0, 5.0])
def test_a_prompt_alone_is_never_certain(
    ridge: Ridge, word_embedder: Embedder, intercept: float
) -> None:
    far = replace(ridge, intercept=intercept)
    router = far.bind(strong=["big"], weak=["small"], embedder=word_embedder)
    assert router.win_probability(PROMPTS[0]) == router.win_probabilities(PROMPTS[:1])[0]
    assert 0.0 < router.win_probability(PROMPTS[0]) < 1.0


def test_it_abstains_on_what_it_cannot_read(ridge: Ridge, word_embedder: Embedder) -> None:
    router = ridge.bind(strong=["big"], weak=["small"], embedder=word_embedder)
    assert np.isnan(router.win_probabilities(["", *PROMPTS])).tolist() == [True] + [False] * 5
    assert np.isnan(router.win_probability(""))
    assert not np.isnan(router.win_probabilities_from([""], word_embedder.embed([""]))).any()


def test_tensors_that_do_not_fit_are_refused(ridge: Ridge) -> None:
    tensors = ridge.tensors()
    for name in tensors.keys() - {"covariance"}:
        lacking = {key: value for key, value in tensors.items() if key != name}
        with pytest.raises(ArtifactError, match="train it again"):
            Ridge.from_tensors(lacking)
    with pytest.raises(ArtifactError, match="train it again"):
        Ridge.from_tensors({**tensors, "covariance": tensors["covariance"][:3]})
    zero = np.zeros_like(tensors["surface_deviations"])
    with pytest.raises(ArtifactError, match="not above 0"):
        Ridge.from_tensors({**tensors, "surface_deviations": zero})


def test_without_a_covariance_it_scores_alike_and_knows_no_doubt(
    ridge: Ridge, word_embedder: Embedder
) -> None:
    sure = Ridge.from_tensors(
        {name: array for name, array in ridge.tensors().items() if name != "covariance"}
    )
    assert "covariance" not in sure.tensors()
    router, doubting = (
        one.bind(strong=["s"], weak=["w"], embedder=word_embedder) for one in (sure, ridge)
    )
    prompts = [*PROMPTS, ""]
    scores = router.win_probabilities(prompts)
    assert scores[:-1] == pytest.approx(doubting.win_probabilities(PROMPTS))
    assert np.isnan(scores[-1])
    assert [router.win_probability(one) for one in prompts] == pytest.approx(scores, nan_ok=True)
    assert np.isnan(router.gap_deviations(PROMPTS)).all()
    assert np.isnan(router.familiarity(PROMPTS)).all()
