"""The compressed nearest neighbours: a value by hand, an oracle, limits."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.artifacts import load_router
from routecast.embed.registry import load_embedder
from routecast.errors import ArtifactError, ConfigError
from routecast.routers.knn import Knn
from routecast.routers.protocol import ScoresOne
from routecast.routers.registry import rebuild_router
from routecast.types import EmbeddingArray


def make_knn(**changed: object) -> Knn:
    fields: dict[str, object] = {
        "centres": np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32),
        "gap_sums": np.array([1.0, -2.0]),
        "masses": np.array([2.0, 4.0]),
        "sharpness": math.log(2.0),
        "prior": 1.0,
        "base_gap": 0.1,
        "length_slope": 0.0,
        "length_mean": 0.0,
        "length_deviation": 1.0,
        "length_far_share": 1.0,
    }
    return Knn(**{**fields, **changed})  # type: ignore[arg-type]


def test_a_gap_worked_by_hand() -> None:
    # cosines 1 and 0, so the kernel is 2^0 = 1 and 2^-1 = 0.5:
    # gap sums 1 * 1 + 0.5 * -2 = 0, masses 1 * 2 + 0.5 * 4 + prior 1 = 5; 0.1 + 0 / 5
    # the other way: 0.5 * 1 + 1 * -2 = -1.5 over 0.5 * 2 + 4 + 1 = 6; 0.1 - 0.25
    gaps = make_knn().predict(["a", "b"], np.eye(2, dtype=np.float32))
    assert gaps == pytest.approx([0.1, -0.15], abs=1e-7)


def test_length_counts_by_its_logarithm_up_to_three_deviations() -> None:
    # log(1 + 9) = 2.303 with mean 2.303 is 0 deviations; log(1 + 99) is 2.303 more, at deviation
    # 1.1513 two of them; log(1 + 0) = 0 is two below
    knn = make_knn(length_slope=0.01, length_mean=math.log(10), length_deviation=math.log(10) / 2)
    prompts = ["x" * 9, "x" * 99, ""]
    assert knn.standard_lengths(prompts) == pytest.approx([0.0, 2.0, -2.0])
    vectors = np.tile(np.array([[1.0, 0.0]], dtype=np.float32), (3, 1))
    assert knn.predict(prompts, vectors) == pytest.approx([0.1, 0.12, 0.08])


def test_length_counts_for_less_where_a_prompt_is_less_familiar() -> None:
    # towards the first centre the mass is 1 * 2 + 0.5 * 4 = 4 beside a prior of 1, familiarity
    # 4 / 5, and 0.25 + 0.75 * 4 / 5 = 0.85 of the slope of 0.1 is left: two deviations are 0.17;
    # the gap sums are 1 * 1 + 0.5 * -2 = 0
    knn = make_knn(
        length_slope=0.1, length_mean=0.0, length_deviation=math.log(3), length_far_share=0.25
    )
    first = np.array([[1.0, 0.0]], dtype=np.float32)
    assert knn.predict(["x" * 8], first) == pytest.approx([0.1 + 0.17])
    # away from both, 2^-2 * 2 + 2^-1 * 4 = 2.5 of 3.5: 0.25 + 0.75 * 5 / 7 of 0.2; the gap sums
    # 2^-2 * 1 + 2^-1 * -2 = -0.75 are over 3.5
    away = 0.1 + 0.2 * (0.25 + 0.75 * 5 / 7) - 0.75 / 3.5
    assert knn.predict(["x" * 8], -first) == pytest.approx([away])


def test_a_text_far_longer_than_any_labelled_one_counts_for_nothing() -> None:
    # deviations of log(1 + n) at base 2: 2^3 - 1 characters are 3 of them, 2^4.5 - 1 (21.6, so
    # 4.4955 with 21.55) near 4.5 and half of the way, 2^6 - 1 twice 3
    knn = make_knn(length_slope=0.1, length_deviation=math.log(2), gap_sums=np.array([5.0, 0.0]))
    first = np.array([[1.0, 0.0]], dtype=np.float32)
    inside, half_way, beyond, far_beyond = (
        knn.predict(["x" * n], first)[0] for n in (7, 22, 63, 100_000)
    )
    assert inside == pytest.approx(0.1 + 5 / 5 + 0.3)
    reach = 2 - math.log2(23) / 3  # 0.492
    assert half_way == pytest.approx(0.1 + reach * (5 / 5 + 0.3))
    assert beyond == pytest.approx(0.1)
    assert far_beyond == pytest.approx(0.1)


def test_far_from_every_centre_the_mean_gap_is_left() -> None:
    knn = make_knn(sharpness=30.0, prior=0.01)
    opposite = np.array([[-math.sqrt(0.5), -math.sqrt(0.5)]], dtype=np.float32)
    assert knn.predict(["x"], opposite) == pytest.approx([0.1], abs=1e-6)


def slow_gap(knn: Knn, prompt: str, vector: EmbeddingArray) -> float:
    """The formula, number by number."""
    total = mass = 0.0
    for centre, gap_sum, weight in zip(knn.centres, knn.gap_sums, knn.masses, strict=True):
        kernel = math.exp(knn.sharpness * (float(vector @ centre) - 1.0))
        total += kernel * gap_sum
        mass += kernel * weight
    length = (math.log(1 + len(prompt)) - knn.length_mean) / knn.length_deviation
    share = knn.length_far_share
    left = share + (1 - share) * mass / (mass + knn.prior)
    departure = total / (mass + knn.prior) + knn.length_slope * left * max(-3, min(length, 3))
    return float(knn.base_gap + departure * max(0, min(1, 2 - length / 3)))


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.floats(0.1, 3)), min_size=1, max_size=6),
    st.floats(0, 40),
    st.floats(0, 1),
    st.integers(0, 100),
)
def test_it_is_the_formula_of_a_slow_loop_alone_and_among_others(
    labels: list[tuple[float, float]], sharpness: float, share: float, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(len(labels) + 3, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    knn = make_knn(
        centres=vectors[3:],
        gap_sums=np.array([gap * mass for gap, mass in labels]),
        masses=np.array([mass for _, mass in labels]),
        sharpness=sharpness,
        prior=0.2,
        length_slope=0.05,
        length_mean=3.0,
        length_deviation=0.7,
        length_far_share=share,
    )
    prompts = ["x" * n for n in generator.integers(0, 1000, 3).tolist()]
    expected = [slow_gap(knn, *row) for row in zip(prompts, vectors, strict=False)]
    assert knn.predict(prompts, vectors[:3]) == pytest.approx(expected, abs=1e-4)
    alone = [knn.predict_one(*row) for row in zip(prompts, vectors, strict=False)]
    assert alone == pytest.approx(expected, abs=1e-4)
    largest = max(abs(gap) for gap, _ in labels)
    assert max(abs(gap - 0.1) for gap in expected) <= largest + 0.15 + 1e-9


@given(
    st.sampled_from([(2.0, 0.0), (0.0, 0.05)]), st.floats(0, 60), st.floats(0, 1), st.integers(0)
)
def test_the_farther_a_prompt_the_nearer_its_gap_to_the_mean_gap(
    parts: tuple[float, float], sharpness: float, share: float, n_characters: int
) -> None:
    gap_sum, length_slope = parts  # what content says alone, what length says alone
    knn = make_knn(
        centres=np.array([[1.0, 0.0]], dtype=np.float32),
        gap_sums=np.array([gap_sum]),
        masses=np.array([2.0]),
        sharpness=sharpness,
        length_slope=length_slope,
        length_mean=3.0,
        length_far_share=share,
    )
    angles = np.linspace(0, math.pi, 20)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    prompts = ["x" * (n_characters % 3000)] * 20
    departures = np.abs(knn.predict(prompts, vectors) - 0.1)
    assert np.all(np.diff(departures) <= 1e-7)
    if sharpness > 20:  # e^-40 of the mass is left on the other side
        assert departures[-1] <= length_slope * share * 3 + 1e-9


def test_prompts_score_alike_alone_and_together_and_leave_the_vectors_alone() -> None:
    embedder = load_embedder("static")
    prompts = ["What is the capital of France?", "def f(x): return x", "", "Prove it." * 50]
    vectors = embedder.embed(prompts)
    before = vectors.copy()
    knn = make_knn(centres=vectors[:2], length_slope=0.05)
    router = knn.bind(strong=["a"], weak=["b"], embedder=embedder)
    together = router.win_probabilities_from(prompts, vectors)
    assert np.array_equal(vectors, before)
    alone = [router.win_probabilities([prompt])[0] for prompt in prompts]
    assert together == pytest.approx(alone, abs=1e-7)
    assert np.all((together > 0) & (together < 1))


@given(st.integers(0, 1000), st.integers(0, 5000), st.sampled_from([0.7, 50.0, 80.0, 81.0, 400.0]))
def test_one_prompt_alone_has_the_gap_that_it_has_among_others(
    seed: int, n: int, sharpness: float
) -> None:
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(3, 2)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    knn = make_knn(length_slope=0.05, length_mean=3.0, length_deviation=0.7, sharpness=sharpness)
    prompts = ["a" * n, "bb", ""]
    among = knn.predict(prompts, vectors)
    alone = [knn.predict([p], vectors[i : i + 1])[0] for i, p in enumerate(prompts)]
    assert alone == pytest.approx(among, abs=1e-6 * max(1.0, sharpness))  # cosines have 24 bits


def test_one_prompt_scores_as_a_list_of_one_to_the_last_bit() -> None:
    router = load_router("default").router
    assert isinstance(router, ScoresOne)
    for prompt in ("What is the capital of France?", "", "Prove it." * 50, "什么是机器学习？"):
        assert router.win_probability(prompt) == router.win_probabilities([prompt])[0]


def test_what_is_stored_scores_the_same() -> None:
    embedder = load_embedder("static")
    prompts = ["one", "two words", "three more words"]
    knn = make_knn(centres=embedder.embed(prompts[:2]), length_slope=0.02)
    stored = rebuild_router(
        "knn", knn.tensors(), strong=("a",), weak=("b",), embedder=embedder
    ).win_probabilities(prompts)
    bound = knn.bind(strong=["a"], weak=["b"], embedder=embedder)
    assert np.array_equal(stored, bound.win_probabilities(prompts))


def test_a_missing_or_misshapen_tensor_is_named() -> None:
    tensors = make_knn().tensors()
    with pytest.raises(ArtifactError, match="masses"):
        Knn.from_tensors({name: value for name, value in tensors.items() if name != "masses"})
    with pytest.raises(ArtifactError, match="train it again"):
        Knn.from_tensors({**tensors, "gap_sums": np.zeros(3)})


def test_one_model_cannot_be_on_both_sides() -> None:
    with pytest.raises(ConfigError, match="both"):
        make_knn().bind(strong=["a"], weak=["a"], embedder=load_embedder("static"))
