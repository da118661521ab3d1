"""The compressed nearest neighbours: a value by hand, an oracle, limits."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.embed.registry import load_embedder
from routecast.errors import ArtifactError, ConfigError
from routecast.routers.knn import Knn
from routecast.routers.registry import rebuild_router


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
    # 1.1513 two of them; 10^9 characters would be 16 deviations and count as 3
    knn = make_knn(length_slope=0.01, length_mean=math.log(10), length_deviation=math.log(10) / 2)
    prompts = ["x" * 9, "x" * 99, "x" * 10**6]
    assert knn.standard_lengths(prompts) == pytest.approx([0.0, 2.0, 3.0])
    vectors = np.tile(np.array([[1.0, 0.0]], dtype=np.float32), (3, 1))
    assert knn.predict(prompts, vectors) == pytest.approx([0.1, 0.12, 0.13])


def test_far_from_every_centre_the_mean_gap_is_left() -> None:
    knn = make_knn(sharpness=30.0, prior=0.01)
    opposite = np.array([[-math.sqrt(0.5), -math.sqrt(0.5)]], dtype=np.float32)
    assert knn.predict(["x"], opposite) == pytest.approx([0.1], abs=1e-6)


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.floats(0.1, 3)), min_size=1, max_size=6),
    st.floats(0, 40),
    st.integers(0, 100),
)
def test_it_is_the_plain_weighted_mean_of_a_slow_loop(
    labels: list[tuple[float, float]], sharpness: float, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(len(labels) + 1, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    knn = make_knn(
        centres=vectors[1:],
        gap_sums=np.array([gap * mass for gap, mass in labels]),
        masses=np.array([mass for _, mass in labels]),
        sharpness=sharpness,
        prior=0.2,
    )
    total, mass_in_all = 0.0, 0.2
    for (gap, mass), centre in zip(labels, vectors[1:], strict=True):
        kernel = math.exp(sharpness * (float(vectors[0] @ centre) - 1.0))
        total += kernel * mass * gap
        mass_in_all += kernel * mass
    expected = 0.1 + total / mass_in_all
    assert knn.predict(["x"], vectors[:1]) == pytest.approx([expected], abs=1e-4)
    assert abs(expected - 0.1) <= max(abs(gap) for gap, _ in labels)


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


@given(st.integers(0, 1000), st.integers(0, 5000))
def test_one_prompt_alone_has_the_gap_that_it_has_among_others(seed: int, n: int) -> None:
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(3, 2)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    knn = make_knn(length_slope=0.05, length_mean=3.0, length_deviation=0.7)
    prompts = ["a" * n, "bb", ""]
    among = knn.predict(prompts, vectors)
    alone = [knn.predict([p], vectors[i : i + 1])[0] for i, p in enumerate(prompts)]
    assert alone == pytest.approx(among, abs=1e-6)


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
