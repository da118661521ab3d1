import math
from dataclasses import replace

import numpy as np
import pytest

from routecast.embed.protocol import Embedder
from routecast.embed.registry import load_embedder
from routecast.errors import ArtifactError, ConfigError
from routecast.routers.blend import Blend, mean_of_largest
from routecast.routers.blend_kernel import Scales, SurfaceScale, describe
from routecast.routers.blend_spread import Spread
from routecast.routers.blend_terms import TermScale
from routecast.routers.blend_topics import Topics
from routecast.routers.surface import surface_features
from routecast.types import FloatArray

PROMPTS = [f"what is the {noun} of {place}?" for noun in ("name", "size") for place in "ABCDE"]


def made(
    prompts: list[str], embedder: Embedder, coefficients: FloatArray, *, least: float
) -> Blend:
    described = describe(prompts, embedder.embed(prompts))
    scales = Scales(
        surface=SurfaceScale.of(described.features),
        topics=Topics(
            mean=described.embeddings.mean(axis=0),
            centroids=described.embeddings[:5],
            sizes=np.array([2, 3]),
        ),
        words=TermScale.of(described.words),
        shapes=TermScale.of(described.shapes),
    )
    return Blend(
        centres=scales.apply(described),
        scales=scales,
        coefficients=coefficients,
        intercept=0.1,
        length_slope=0.05,
        least_familiarity=least,
        form_weight=0.75,
    )


@pytest.fixture
def blend(word_embedder: Embedder) -> Blend:
    weights = np.linspace(-0.3, 0.3, len(PROMPTS))
    return made(PROMPTS, word_embedder, weights, least=0.05)


def test_a_gap_is_the_intercept_the_slope_and_the_weighted_centres_worked_by_hand() -> None:
    # One centre that is the prompt itself, kernel 1, weight 0.25; its length is two standard
    # deviations above the mean: 0.1 + 2 * 0.05 + 0.25 = 0.45, so P = 0.725.
    described = describe(["x" * 20], np.array([[0.6, 0.8]], np.float32))
    means = surface_features(["x" * 20])[0]
    means[0] -= 2.0
    scales = Scales(
        surface=SurfaceScale(means, np.ones(17)),
        topics=Topics(np.zeros(2, np.float32), np.eye(2, dtype=np.float32), np.array([2])),
        words=TermScale.of(described.words),
        shapes=TermScale.of(described.shapes),
    )
    blend = Blend(scales.apply(described), scales, np.array([0.25]), 0.1, 0.05, 0.0)
    gaps, familiarity = blend.predict(blend.views(["x" * 20], described.embeddings))
    assert gaps == pytest.approx([0.45])
    assert familiarity == pytest.approx([1.0])


def test_familiarity_is_the_mean_of_the_five_most_alike() -> None:
    kernel = np.array([[0.1, 0.9, 0.5, 0.3, 0.2, 0.6], [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]])
    assert mean_of_largest(kernel) == pytest.approx([2.5 / 5, 2.0 / 5])
    assert mean_of_largest(kernel[:, :2]) == pytest.approx([0.5, 1.0])


def test_the_bound_router_gives_half_of_one_plus_the_gap(
    blend: Blend, word_embedder: Embedder
) -> None:
    bound = blend.bind(strong=["big"], weak=["small"], embedder=word_embedder)
    gaps, _ = blend.predict(blend.views(PROMPTS, word_embedder.embed(PROMPTS)))
    assert bound.win_probabilities(PROMPTS) == pytest.approx((1.0 + gaps) / 2.0)


def test_scores_do_not_depend_on_the_other_prompts_of_a_call(
    blend: Blend, word_embedder: Embedder
) -> None:
    bound = blend.bind(strong=["big"], weak=["small"], embedder=word_embedder)
    many = PROMPTS * 120  # more than one block
    alone = [bound.win_probabilities([prompt])[0] for prompt in PROMPTS]
    assert bound.win_probabilities(many) == pytest.approx(alone * 120)
    assert bound.win_probabilities([]).shape == (0,)


def test_it_abstains_on_what_is_unlike_anything_labelled(
    blend: Blend, word_embedder: Embedder
) -> None:
    bound = blend.bind(strong=["big"], weak=["small"], embedder=word_embedder)
    odd = "def f(x):\n    return {x: [1, 2, 3]}\n" * 40
    found = bound.win_probabilities([PROMPTS[0], odd, ""])
    assert np.isnan(found).tolist() == [False, True, True]
    assert bound.familiarity([PROMPTS[0], odd])[1] < 0.05
    embeddings = word_embedder.embed([odd])
    assert math.isfinite(bound.win_probabilities_from([odd], embeddings)[0])


def test_it_abstains_on_what_the_embedder_cannot_read(blend: Blend) -> None:
    static = load_embedder("static")
    labelled = ["\U0001f600\U0001f600?", "\u0e01\u0e02 \u0e04"] * 5  # as unread as what is asked
    lenient = made(labelled, static, np.zeros(10), least=0.0)
    bound = lenient.bind(strong=["big"], weak=["small"], embedder=static)
    found = bound.win_probabilities(["\U0001f600\U0001f680", "   ", "what is a rocket?"])
    assert np.isnan(found).tolist() == [True, True, False]


def test_tensors_rebuild_the_same_router(blend: Blend, word_embedder: Embedder) -> None:
    rebuilt = Blend.from_tensors(blend.tensors())
    views = blend.views(PROMPTS, word_embedder.embed(PROMPTS))
    for before, after in zip(blend.predict(views), rebuilt.predict(views), strict=True):
        assert after == pytest.approx(before, abs=1e-6)
    assert rebuilt.least_familiarity == blend.least_familiarity


def test_an_artifact_from_before_the_weight_of_form_scores_as_it_did(
    blend: Blend, word_embedder: Embedder
) -> None:
    tensors = {k: v for k, v in blend.tensors().items() if k != "form_weight"}
    views = blend.views(PROMPTS, word_embedder.embed(PROMPTS))
    expected = replace(blend, form_weight=1.0).predict(views)[0]
    assert Blend.from_tensors(tensors).predict(views)[0] == pytest.approx(expected, abs=1e-6)


def test_an_artifact_without_a_spread_says_that_it_knows_none(
    blend: Blend, word_embedder: Embedder
) -> None:
    bound = blend.bind(strong=["big"], weak=["small"], embedder=word_embedder)
    assert np.isnan(bound.gap_deviations(PROMPTS)).tolist() == [True] * len(PROMPTS)


def test_deviations_do_not_depend_on_the_other_prompts_of_a_call(
    blend: Blend, word_embedder: Embedder
) -> None:
    doubtful = replace(
        blend,
        spread=Spread(
            of_centres=np.linspace(-0.1, 0.1, 20).reshape(10, 2),
            of_length=np.array([0.1, 0.2]),
            of_ones=np.array([0.0, 0.1]),
            signs=np.array([-1.0, 1.0]),
            prior=0.2,
            length_variance=0.03,
        ),
    )
    rebuilt = Blend.from_tensors(doubtful.tensors())
    bound = rebuilt.bind(strong=["big"], weak=["small"], embedder=word_embedder)
    alone = [bound.gap_deviations([prompt])[0] for prompt in PROMPTS]
    assert min(alone) > 0.0
    assert bound.gap_deviations(PROMPTS * 120) == pytest.approx(alone * 120, abs=1e-6)
    assert bound.gap_deviations([]).shape == (0,)


def test_a_missing_tensor_and_one_of_another_shape_are_named(blend: Blend) -> None:
    tensors = blend.tensors()
    with pytest.raises(ArtifactError, match="'coefficients'"):
        Blend.from_tensors({k: v for k, v in tensors.items() if k != "coefficients"})
    with pytest.raises(ArtifactError, match=r"surfaces': \(9, 17\).*10 centres"):
        Blend.from_tensors({**tensors, "surfaces": tensors["surfaces"][:9]})
    with pytest.raises(ArtifactError, match="word slots"):
        Blend.from_tensors({**tensors, "word_slots": tensors["word_slots"] + 10_000})


def test_a_model_on_both_sides_is_refused(blend: Blend, word_embedder: Embedder) -> None:
    with pytest.raises(ConfigError, match="both strong and weak"):
        blend.bind(strong=["a"], weak=["a"], embedder=word_embedder)
