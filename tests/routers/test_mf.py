import math

import numpy as np
import pytest

from routecast.embed.protocol import Embedder
from routecast.errors import ArtifactError, ConfigError
from routecast.routers.mf import MatrixFactorization


@pytest.fixture
def tiny() -> MatrixFactorization:
    """Two dimensions, two factors, three models, numbers small enough for paper and pencil."""
    return MatrixFactorization(
        model_names=("large", "medium", "small"),
        projection=np.array([[1.0, 0.0], [0.0, 2.0]]),
        projection_bias=np.array([0.5, 0.0]),
        output=np.array([1.0, 0.5]),
        model_vectors=np.array([[2.0, 1.0], [1.0, 1.0], [0.0, -1.0]]),
        n_comparisons=np.array([30.0, 10.0, 5.0]),
    )


@pytest.fixture
def random_mf() -> MatrixFactorization:
    generator = np.random.default_rng(3)
    return MatrixFactorization(
        model_names=("a", "b", "c", "d"),
        projection=generator.normal(size=(8, 5)),
        projection_bias=generator.normal(size=5),
        output=generator.normal(size=5),
        model_vectors=generator.normal(size=(4, 5)),
        n_comparisons=np.array([10.0, 20.0, 30.0, 40.0]),
    )


def test_score_follows_the_paper_s_formula(tiny: MatrixFactorization) -> None:
    # With q = (1, 1), W1'q + b = (1.5, 2). Then large scores 1 * 2 * 1.5 + 0.5 * 1 * 2 = 4, medium
    # 1.5 + 1 = 2.5, and small 0 + 0.5 * (-1) * 2 = -1.
    assert tiny.scores(np.array([[1.0, 1.0]], dtype=np.float32)) == pytest.approx(
        np.array([[4.0, 2.5, -1.0]])
    )


def test_a_bound_pair_gives_the_sigmoid_of_the_difference(
    tiny: MatrixFactorization, word_embedder: Embedder
) -> None:
    bound = tiny.bind(strong=["large"], weak=["small"], embedder=word_embedder)
    # delta(large) - delta(small) = 4 + 1 = 5.
    embeddings = np.array([[1.0, 1.0]], dtype=np.float32)
    assert bound.win_probabilities_of(embeddings) == pytest.approx([1 / (1 + math.exp(-5))])


def test_a_set_of_models_scores_the_mean_weighted_by_comparisons(
    tiny: MatrixFactorization, word_embedder: Embedder
) -> None:
    bound = tiny.bind(strong=["large", "medium"], weak=["small"], embedder=word_embedder)
    # (30 * 4 + 10 * 2.5) / 40 = 3.625, less -1 is 4.625.
    embeddings = np.array([[1.0, 1.0]], dtype=np.float32)
    assert bound.win_probabilities_of(embeddings) == pytest.approx([1 / (1 + math.exp(-4.625))])


def test_swapping_strong_and_weak_gives_the_complement(
    random_mf: MatrixFactorization, word_embedder: Embedder
) -> None:
    prompts = [f"word{number} and more" for number in range(20)]
    forth = random_mf.bind(strong=["a", "b"], weak=["c"], embedder=word_embedder)
    back = random_mf.bind(strong=["c"], weak=["a", "b"], embedder=word_embedder)
    total = forth.win_probabilities(prompts) + back.win_probabilities(prompts)
    assert total == pytest.approx(np.ones(20))


def test_binding_equals_the_difference_of_scores(
    random_mf: MatrixFactorization, word_embedder: Embedder
) -> None:
    prompts = ["one", "two words", "three more words"]
    scores = random_mf.scores(word_embedder.embed(prompts))
    slow = [1 / (1 + math.exp(-(row[1] - row[3]))) for row in scores]
    bound = random_mf.bind(strong=["b"], weak=["d"], embedder=word_embedder)
    assert bound.win_probabilities(prompts) == pytest.approx(slow)


def test_tensors_rebuild_the_same_router(
    random_mf: MatrixFactorization, word_embedder: Embedder
) -> None:
    rebuilt = MatrixFactorization.from_tensors(random_mf.tensors())
    assert rebuilt.model_names == random_mf.model_names
    embeddings = word_embedder.embed(["one", "two"])
    assert rebuilt.scores(embeddings) == pytest.approx(random_mf.scores(embeddings), abs=1e-5)


def test_missing_tensors_are_named(random_mf: MatrixFactorization) -> None:
    tensors = random_mf.tensors()
    del tensors["output"]
    with pytest.raises(ArtifactError, match="'output'"):
        MatrixFactorization.from_tensors(tensors)


@pytest.mark.parametrize(
    ("strong", "weak", "message"),
    [
        (["larg"], ["small"], "nearest names are \\['large'"),
        ([], ["small"], "no strong model"),
        (["large"], ["large"], "both strong and weak"),
    ],
)
def test_unusable_bindings_are_refused(
    tiny: MatrixFactorization,
    word_embedder: Embedder,
    strong: list[str],
    weak: list[str],
    message: str,
) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny.bind(strong=strong, weak=weak, embedder=word_embedder)
