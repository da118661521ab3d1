import math

import numpy as np
import pytest

from routecast.embed.protocol import Embedder
from routecast.embed.registry import load_embedder
from routecast.errors import ArtifactError, ConfigError
from routecast.routers.blend import Blend, Centres, View, lengths_of, mean_of_largest
from routecast.routers.ridge import FeatureScale
from routecast.routers.surface import SURFACE_NAMES, surface_features
from routecast.train.blend import find_view
from routecast.types import AnyArray, EmbeddingArray, FloatArray

PROMPTS = [f"what is the {noun} of {place}?" for noun in ("name", "size") for place in "ABCDE"]
N_COUNTS = len(SURFACE_NAMES)


def made(
    prompts: list[str], embedder: Embedder, coefficients: FloatArray, *, least: float
) -> Blend:
    embeddings, surfaces = embedder.embed(prompts), surface_features(prompts)
    view = find_view(embeddings, surfaces)
    return Blend(
        view=view,
        centres=Centres(view.apply(embeddings, surfaces)),
        coefficients=coefficients,
        intercept=0.1,
        slope=0.05,
        told=np.outer(coefficients, [0.1, 0.2]).astype(np.float32),
        prior_variance=0.2,
        intercept_variance=0.01,
        least_familiarity=least,
    )


def x_of(blend: Blend, prompts: list[str], embedder: Embedder) -> EmbeddingArray:
    return blend.view.apply(embedder.embed(prompts), surface_features(prompts))


@pytest.fixture
def blend(word_embedder: Embedder) -> Blend:
    weights = np.linspace(-0.3, 0.3, len(PROMPTS))
    return made(PROMPTS, word_embedder, weights, least=0.3)


def worked_by_hand() -> tuple[View, EmbeddingArray, FloatArray]:
    """Two prompts: opposite directions, and 2 deviations of length between them."""
    scale = FeatureScale(
        embedding_mean=np.zeros(2),
        surface_means=np.zeros(N_COUNTS),
        surface_deviations=np.ones(N_COUNTS),
    )
    surfaces = np.zeros((2, N_COUNTS))
    surfaces[0, SURFACE_NAMES.index("log_words")] = 2.0
    view = View(scale, np.array([[1.0], [0.0]], np.float32))
    return view, np.array([[0.6, 0.8], [-0.6, 0.8]], np.float32), surfaces


def test_a_likeness_and_a_gap_worked_by_hand() -> None:
    # Whole directions (.6, .8) and (-.6, .8) are apart by 1.2^2 = 1.44; in one principal direction,
    # the same for 64, 16 and 4, they are 1 and -1, apart by (1 + 1 + 1) / 3 * 2^2 = 4. Lengths are
    # 2 deviations apart: 4 (.1 * 2)^2 = .16.
    view, embeddings, surfaces = worked_by_hand()
    x = view.apply(embeddings, surfaces)
    apart = 1.44 + 4.0 + 0.16
    centres = Centres(x[1:])
    alike = math.exp(-apart / 2.0)
    assert centres.likeness(x) == pytest.approx(np.array([[alike], [1.0]]), rel=1e-5)
    assert lengths_of(x) == pytest.approx([2.0, 0.0])
    # The slope's variance counts from the mean length, which is the centre's own.
    assert centres.kernel(x) == pytest.approx(centres.likeness(x))
    assert Centres(x).kernel(x)[0, 0] == pytest.approx(1.0 + 0.03 * 2.0 * 2.0)
    told = np.array([[0.3]], np.float32)
    blend = Blend(view, centres, np.array([0.25]), 0.1, 0.05, told, 0.2, 0.01, 0.0)
    gaps, familiarity = blend.predict(x)
    assert gaps == pytest.approx([0.1 + 0.05 * 2.0 + 0.25 * alike, 0.35])
    assert familiarity == pytest.approx([alike, 1.0])
    # Before labels .2 (1 + .03 * 4) and .2; labels take away (.3 k)^2, and .01 is the intercept's.
    variances = [0.224 - (0.3 * alike) ** 2 + 0.01, 0.2 - 0.09 + 0.01]
    assert blend.gap_deviations(x) == pytest.approx(np.sqrt(variances))


def test_familiarity_is_the_mean_of_the_five_most_alike() -> None:
    kernel = np.array([[0.1, 0.9, 0.5, 0.3, 0.2, 0.6], [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]])
    assert mean_of_largest(kernel) == pytest.approx([2.5 / 5, 2.0 / 5])
    assert mean_of_largest(kernel[:, :2]) == pytest.approx([0.5, 1.0])


def test_the_bound_router_gives_half_of_one_plus_the_gap(
    blend: Blend, word_embedder: Embedder
) -> None:
    bound = blend.bind(strong=["big"], weak=["small"], embedder=word_embedder)
    gaps, _ = blend.predict(x_of(blend, PROMPTS, word_embedder))
    assert bound.win_probabilities(PROMPTS) == pytest.approx((1.0 + gaps) / 2.0)


def test_scores_do_not_depend_on_the_other_prompts_of_a_call(
    blend: Blend, word_embedder: Embedder
) -> None:
    bound = blend.bind(strong=["big"], weak=["small"], embedder=word_embedder)
    many = PROMPTS * 120  # more than one block
    alone = [bound.win_probabilities([prompt])[0] for prompt in PROMPTS]
    assert bound.win_probabilities(many) == pytest.approx(alone * 120)
    assert bound.win_probabilities([]).shape == (0,)
    doubts = [bound.gap_deviations([prompt])[0] for prompt in PROMPTS]
    assert min(doubts) > 0.0
    assert bound.gap_deviations(many) == pytest.approx(doubts * 120, abs=1e-6)
    assert bound.gap_deviations([]).shape == (0,)


def test_case_and_repeated_spaces_change_no_score(blend: Blend, word_embedder: Embedder) -> None:
    del word_embedder
    static = load_embedder("static")
    bound = made(PROMPTS, static, blend.coefficients, least=0.0).bind(
        strong=["big"], weak=["small"], embedder=static
    )
    shouted = [prompt.upper().replace(" ", "   ") for prompt in PROMPTS]
    assert bound.win_probabilities(shouted) == pytest.approx(bound.win_probabilities(PROMPTS))


def test_it_abstains_on_what_is_unlike_anything_labelled(
    blend: Blend, word_embedder: Embedder
) -> None:
    bound = blend.bind(strong=["big"], weak=["small"], embedder=word_embedder)
    odd = "def f(x):\n    return {x: [1, 2, 3]}\n" * 40
    found = bound.win_probabilities([PROMPTS[0], odd, ""])
    assert np.isnan(found).tolist() == [False, True, True]
    assert bound.familiarity([PROMPTS[0], odd])[1] < 0.3
    embeddings = word_embedder.embed([odd])
    assert math.isfinite(bound.win_probabilities_from([odd], embeddings)[0])


def test_it_abstains_on_what_the_embedder_cannot_read() -> None:
    static = load_embedder("static")
    labelled = ["\U0001f600\U0001f600?", "\u0e01\u0e02 \u0e04"] * 5  # as unread as what is asked
    lenient = made(labelled, static, np.zeros(10), least=0.0)
    bound = lenient.bind(strong=["big"], weak=["small"], embedder=static)
    found = bound.win_probabilities(["\U0001f600\U0001f680", "   ", "what is a rocket?"])
    assert np.isnan(found).tolist() == [True, True, False]


def test_tensors_rebuild_the_same_router(blend: Blend, word_embedder: Embedder) -> None:
    rebuilt = Blend.from_tensors(blend.tensors())
    x = x_of(rebuilt, PROMPTS, word_embedder)
    for before, after in zip(blend.predict(x), rebuilt.predict(x), strict=True):
        assert after == pytest.approx(before, abs=1e-6)
    assert rebuilt.gap_deviations(x) == pytest.approx(blend.gap_deviations(x))
    assert rebuilt.least_familiarity == blend.least_familiarity


@pytest.mark.parametrize("name", ["coefficients", "directions", "told", "slope"])
def test_a_missing_tensor_is_named(blend: Blend, name: str) -> None:
    tensors = {key: array for key, array in blend.tensors().items() if key != name}
    with pytest.raises(ArtifactError, match=f"'{name}'.*: train it again"):
        Blend.from_tensors(tensors)


def test_tensors_that_do_not_fit_together_are_refused(blend: Blend) -> None:
    tensors = blend.tensors()
    with pytest.raises(ArtifactError, match="train it again"):
        Blend.from_tensors({**tensors, "centres": tensors["centres"][:9]})
    with pytest.raises(ArtifactError, match="train it again"):
        Blend.from_tensors({**tensors, "centres": tensors["centres"][:, :-1]})
    with pytest.raises(ArtifactError, match="not above 0"):
        Blend.from_tensors({**tensors, "surface_deviations": np.zeros(N_COUNTS)})


def test_an_artifact_of_the_larger_blend_is_refused(blend: Blend) -> None:
    former: dict[str, AnyArray] = {
        "embeddings": np.zeros((10, 256), np.float32),
        "coefficients": np.zeros(10),
        "intercept": np.zeros(1),
        "word_rarities": np.ones(4_096),
    }
    with pytest.raises(ArtifactError, match=r"a blend router has the tensors.*train it again"):
        Blend.from_tensors(former)


def test_a_model_on_both_sides_is_refused(blend: Blend, word_embedder: Embedder) -> None:
    with pytest.raises(ConfigError, match="both strong and weak"):
        blend.bind(strong=["a"], weak=["a"], embedder=word_embedder)
