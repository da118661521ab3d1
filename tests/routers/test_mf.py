import math

import numpy as np
import pytest

from routecast.embed.protocol import Embedder
from routecast.errors import ArtifactError, ConfigError, DataError
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


@pytest.fixture
def flat_embedder(word_embedder: Embedder) -> Embedder:
    """An embedder of two dimensions, as many as ``tiny`` reads."""
    return type(word_embedder)(2)  # type: ignore[call-arg]


def test_score_follows_the_paper_s_formula(tiny: MatrixFactorization) -> None:
    # With q = (1, 1), W1'q + b = (1.5, 2). Then large scores 1 * 2 * 1.5 + 0.5 * 1 * 2 = 4, medium
    # 1.5 + 1 = 2.5, and small 0 + 0.5 * (-1) * 2 = -1.
    assert tiny.scores(np.array([[1.0, 1.0]], dtype=np.float32)) == pytest.approx(
        np.array([[4.0, 2.5, -1.0]])
    )


def test_a_bound_pair_gives_the_sigmoid_of_the_difference(
    tiny: MatrixFactorization, flat_embedder: Embedder
) -> None:
    bound = tiny.bind(strong=["large"], weak=["small"], embedder=flat_embedder)
    # delta(large) - delta(small) = 4 + 1 = 5.
    embeddings = np.array([[1.0, 1.0]], dtype=np.float32)
    assert bound.win_probabilities_of(embeddings) == pytest.approx([1 / (1 + math.exp(-5))])


def test_a_set_of_models_scores_the_mean_weighted_by_comparisons(
    tiny: MatrixFactorization, flat_embedder: Embedder
) -> None:
    bound = tiny.bind(strong=["large", "medium"], weak=["small"], embedder=flat_embedder)
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
        (["larg"], ["small"], "nearest names are \\['large'.*--strong-as large"),
        (["large"], ["smal"], "nearest names are \\['small'.*--weak-as small"),
        ([], ["small"], "no strong model"),
        (["large"], ["large"], "both strong and weak"),
        (["tier:0"], ["small"], "has no tiers, so 'tier:0' names nobody"),
    ],
)
def test_unusable_bindings_are_refused(
    tiny: MatrixFactorization,
    flat_embedder: Embedder,
    strong: list[str],
    weak: list[str],
    message: str,
) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny.bind(strong=strong, weak=weak, embedder=flat_embedder)


def test_an_embedder_of_another_dimension_is_refused(
    tiny: MatrixFactorization, word_embedder: Embedder
) -> None:
    with pytest.raises(ConfigError, match="gives 8 dimensions, and this router reads 2"):
        tiny.bind(strong=["large"], weak=["small"], embedder=word_embedder)
    with pytest.raises(DataError, match=r"accepted is \(n_prompts, 2\)"):
        tiny.scores_of_prompts(["a prompt"], word_embedder)


def test_scores_of_prompts_are_those_of_their_embeddings(
    random_mf: MatrixFactorization, word_embedder: Embedder
) -> None:
    prompts = ["one", "two words"]
    found = random_mf.scores_of_prompts(prompts, word_embedder)
    assert found.shape == (2, 4)
    assert found == pytest.approx(random_mf.scores(word_embedder.embed(prompts)))


def test_an_alias_binds_a_name_of_one_s_own(
    random_mf: MatrixFactorization, word_embedder: Embedder
) -> None:
    plain = random_mf.bind(strong=["b"], weak=["d"], embedder=word_embedder)
    mapped = random_mf.bind(
        strong=["mine"], weak=["d"], embedder=word_embedder, aliases={"mine": "b"}
    )
    assert mapped.direction.tolist() == plain.direction.tolist()
    assert mapped.bias == plain.bias


def test_a_tier_is_its_members_and_an_alias_may_name_one(
    random_mf: MatrixFactorization, word_embedder: Embedder
) -> None:
    tiered = random_mf.with_tiers({"a": 0, "b": 1, "c": 2, "d": 2, "unheard-of": 1})
    named = random_mf.bind(strong=["a", "b"], weak=["c", "d"], embedder=word_embedder)
    by_default = tiered.bind(embedder=word_embedder)  # tiers 0 and 1 against tier 2
    by_alias = tiered.bind(
        strong=["tier:0", "mine"],
        weak=["tier:2", "d"],
        embedder=word_embedder,
        aliases={"mine": "tier:1"},
    )
    for bound in (by_default, by_alias):
        assert bound.direction == pytest.approx(named.direction)
        assert bound.bias == pytest.approx(named.bias)


def test_unusable_tiers_are_refused(
    random_mf: MatrixFactorization, word_embedder: Embedder
) -> None:
    tiered = random_mf.with_tiers({"a": 0, "b": 1})
    with pytest.raises(ConfigError, match=r"'tier:2' has no model .*\['tier:0', 'tier:1'\]"):
        tiered.bind(embedder=word_embedder)
    with pytest.raises(ConfigError, match="none of the tiers' models, such as \\['z'\\]"):
        random_mf.with_tiers({"z": 0})
    with pytest.raises(ConfigError, match="'a' has the tier -1"):
        random_mf.with_tiers({"a": -1})


def test_tiers_survive_the_artifact_s_tensors(random_mf: MatrixFactorization) -> None:
    tiered = random_mf.with_tiers({"a": 0, "d": 3})
    rebuilt = MatrixFactorization.from_tensors(tiered.tensors())
    assert rebuilt.model_tiers is not None
    assert rebuilt.model_tiers.tolist() == [0, -1, -1, 3]
    assert MatrixFactorization.from_tensors(random_mf.tensors()).model_tiers is None


def test_one_more_model_leaves_the_others_scores_alone(
    random_mf: MatrixFactorization, word_embedder: Embedder
) -> None:
    vector = random_mf.model_vectors[[1, 3]].mean(axis=0)
    larger = random_mf.with_tiers({"a": 0}).with_model("new", vector, n_comparisons=7)
    embeddings = word_embedder.embed(["one", "two words", "three more words"])
    before, after = random_mf.scores(embeddings), larger.scores(embeddings)
    assert after[:, :4] == pytest.approx(before)
    # Scores are linear in the vector, so a vector half way between two scores half way.
    assert after[:, 4] == pytest.approx((before[:, 1] + before[:, 3]) / 2)
    assert larger.n_comparisons.tolist() == [10.0, 20.0, 30.0, 40.0, 7.0]
    assert larger.model_tiers is not None
    assert larger.model_tiers.tolist() == [0, -1, -1, -1, -1]


def test_a_model_without_comparisons_counts_as_with_one(
    tiny: MatrixFactorization, flat_embedder: Embedder
) -> None:
    larger = tiny.with_model("rated", np.array([0.0, 3.0]))
    bound = larger.bind(strong=["small", "rated"], weak=["large"], embedder=flat_embedder)
    # At q = (1, 1), small scores -1 with 5 comparisons, rated 0.5 * 3 * 2 = 3 as with one, large 4:
    # (5 * (-1) + 3) / 6 - 4 = -13/3.
    embeddings = np.array([[1.0, 1.0]], dtype=np.float32)
    assert bound.win_probabilities_of(embeddings) == pytest.approx([1 / (1 + math.exp(13 / 3))])


@pytest.mark.parametrize("name", ["a", "", " ", "two\nlines", "tier:1"])
def test_a_name_that_no_model_can_have_is_refused(
    random_mf: MatrixFactorization, name: str
) -> None:
    with pytest.raises(ConfigError, match="name"):
        random_mf.with_model(name, np.zeros(5))


def test_a_vector_that_does_not_fit_is_refused(random_mf: MatrixFactorization) -> None:
    with pytest.raises(DataError, match="5 finite numbers"):
        random_mf.with_model("new", np.zeros(4))
    with pytest.raises(DataError, match="5 finite numbers"):
        random_mf.with_model("new", np.full(5, np.nan))


def test_tensors_that_do_not_fit_together_are_refused(random_mf: MatrixFactorization) -> None:
    tensors = random_mf.tensors()
    tensors["model_vectors"] = tensors["model_vectors"][:3]
    with pytest.raises(ArtifactError, match="4 models with 5 factors need"):
        MatrixFactorization.from_tensors(tensors)
