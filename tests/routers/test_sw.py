import math
from dataclasses import replace

import numpy as np
import pytest

from routecast.embed.protocol import Embedder
from routecast.errors import ArtifactError, ConfigError, DataError
from routecast.routers.registry import rebuild_router
from routecast.routers.sw import SimilarityWeighted, SwSettings
from routecast.routers.sw_prompts import ExactPrompts
from routecast.routers.sw_records import WinRecords
from routecast.types import EmbeddingArray


def unit_rows(generator: np.random.Generator, n_rows: int, dimension: int = 8) -> EmbeddingArray:
    rows = generator.normal(size=(n_rows, dimension))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


@pytest.fixture
def two_prompts() -> SimilarityWeighted:
    """Two prompts at right angles: large wins on the first, 3 to 1, and loses on the other."""
    return SimilarityWeighted(
        model_names=("large", "small"),
        model_tiers=np.array([0, 1]),
        n_comparisons=np.array([8.0, 8.0]),
        prompts=ExactPrompts(np.eye(2, dtype=np.float32)),
        records=WinRecords(
            kind_starts=np.array([0, 1]),
            kind_wins=np.array([[[0, 0.75], [0.25, 0]], [[0, 0.25], [0.75, 0]]], dtype=np.float32),
            totals=np.array([4.0, 4.0], dtype=np.float32),
            n_comparisons=8,
        ),
        settings=SwSettings(),
    )


@pytest.fixture
def ranking() -> SimilarityWeighted:
    """Forty prompts in eight dimensions, four tiers of six models, random wins."""
    generator = np.random.default_rng(5)
    kind_wins = generator.integers(0, 4, (40, 4, 4)) * (1 - np.eye(4)) + 0.1
    kind_wins /= kind_wins.sum(axis=(1, 2), keepdims=True)
    return SimilarityWeighted(
        model_names=("a", "b", "c", "d", "e", "f"),
        model_tiers=np.array([0, 0, 1, 2, 3, 3]),
        n_comparisons=np.array([30.0, 10.0, 20.0, 20.0, 5.0, 0.0]),
        prompts=ExactPrompts(unit_rows(generator, 40)),
        records=WinRecords(
            kind_starts=np.arange(40),
            kind_wins=kind_wins.astype(np.float32),
            totals=generator.uniform(1, 3, 40).astype(np.float32),
            n_comparisons=120,
        ),
        settings=SwSettings(),
    )


def test_win_probability_by_hand(two_prompts: SimilarityWeighted) -> None:
    # The query is the first prompt: cosines 1 and 0, weights 10^2 and 10^1. Large wins
    # 100 * 3 + 10 * 1 = 310 of 100 * 4 + 10 * 4 = 440, and with two tiers the fit is that share.
    query = np.array([[1.0, 0.0]], dtype=np.float32)
    coefficients = two_prompts.coefficients(query)
    log_odds = math.log(310 / 130)
    assert coefficients == pytest.approx(np.array([[log_odds / 2, -log_odds / 2]]), abs=1e-6)


def test_wins_add_up_to_the_number_of_comparisons(two_prompts: SimilarityWeighted) -> None:
    # 310 and 130 of 440, on the scale of 8 comparisons: 5.636 and 2.364.
    query = np.array([[1.0, 0.0]], dtype=np.float32)
    assert two_prompts.wins(query)[0] == pytest.approx(np.array([[0, 5.6363636], [2.3636364, 0]]))


def test_the_published_code_s_similarity_is_relative_to_the_largest(
    two_prompts: SimilarityWeighted,
) -> None:
    # Cosines .8 and .6: S is 1 and .75, weights 10^2 and 10^1.75 = 56.234. Large wins
    # 100 * 3 + 56.234 = 356.234 of 4 * 156.234 = 624.936.
    query = np.array([[0.8, 0.6]], dtype=np.float32)
    published = replace(two_prompts, settings=SwSettings(normalise="query"))
    win = 356.234 / 624.936
    log_odds = math.log(win / (1 - win))
    assert np.diff(published.coefficients(query))[0, 0] == pytest.approx(-log_odds, abs=1e-5)


def test_a_query_on_nobody_s_side_is_scored_by_plain_cosines(
    two_prompts: SimilarityWeighted,
) -> None:
    query = np.array([[-0.6, -0.8]], dtype=np.float32)
    published = replace(two_prompts, settings=SwSettings(normalise="query"))
    assert published.coefficients(query) == pytest.approx(two_prompts.coefficients(query))


def test_gamma_one_weighs_all_prompts_alike(ranking: SimilarityWeighted) -> None:
    even = replace(ranking, settings=SwSettings(gamma=1.0))
    coefficients = even.coefficients(unit_rows(np.random.default_rng(1), 5))
    assert np.ptp(coefficients, axis=0) == pytest.approx(np.zeros(4), abs=1e-6)


def test_only_the_nearest_prompts_count_when_asked(two_prompts: SimilarityWeighted) -> None:
    # Of the first prompt alone, large wins 3 to 1.
    query = np.array([[0.8, 0.6]], dtype=np.float32)
    nearest = replace(two_prompts, settings=SwSettings(gamma=1.0, n_neighbours=1))
    assert -np.diff(nearest.coefficients(query))[0, 0] == pytest.approx(math.log(3), abs=1e-5)


def test_background_mixes_all_comparisons_in(two_prompts: SimilarityWeighted) -> None:
    # Half the weight on the nearest prompt, 3 to 1, half on all, 1 to 1: shares .75 and .5, mean
    # .625 against .375.
    query = np.array([[0.8, 0.6]], dtype=np.float32)
    settings = SwSettings(gamma=1.0, n_neighbours=1, background=0.5)
    mixed = replace(two_prompts, settings=settings)
    assert -np.diff(mixed.coefficients(query))[0, 0] == pytest.approx(math.log(5 / 3), abs=1e-5)


@pytest.mark.parametrize("normalise", ["train", "query"])
def test_rows_do_not_depend_on_their_order_or_company(
    ranking: SimilarityWeighted, monkeypatch: pytest.MonkeyPatch, normalise: str
) -> None:
    ranking = replace(ranking, settings=SwSettings(normalise=normalise))  # type: ignore[arg-type]
    queries = unit_rows(np.random.default_rng(2), 30)
    together = ranking.coefficients(queries)
    monkeypatch.setattr("routecast.routers.sw._BLOCK_WEIGHTS", 40 * 7)  # blocks of 7
    order = np.random.default_rng(3).permutation(30)
    assert ranking.coefficients(queries[order], n_threads=3) == pytest.approx(
        together[order], abs=1e-5
    )
    assert ranking.coefficients(queries[4:5]) == pytest.approx(together[4:5], abs=1e-5)


def test_coefficients_sum_to_zero_and_models_have_their_tier_s(ranking: SimilarityWeighted) -> None:
    queries = unit_rows(np.random.default_rng(2), 6)
    coefficients = ranking.coefficients(queries)
    assert coefficients.sum(axis=1) == pytest.approx(np.zeros(6), abs=1e-9)
    by_model = ranking.model_coefficients(queries)
    assert by_model.tolist() == coefficients[:, [0, 0, 1, 2, 3, 3]].tolist()


def test_no_prompts_give_no_scores(ranking: SimilarityWeighted, word_embedder: Embedder) -> None:
    bound = ranking.bind(strong=["a"], weak=["d"], embedder=word_embedder)
    assert bound.win_probabilities([]).shape == (0,)


def test_swapping_strong_and_weak_gives_the_complement(
    ranking: SimilarityWeighted, word_embedder: Embedder
) -> None:
    prompts = [f"word{number} and more" for number in range(20)]
    forth = ranking.bind(strong=["a", "c"], weak=["tier:3"], embedder=word_embedder)
    back = ranking.bind(strong=["tier:3"], weak=["a", "c"], embedder=word_embedder)
    total = forth.win_probabilities(prompts) + back.win_probabilities(prompts)
    assert total == pytest.approx(np.ones(20))


def test_a_set_scores_the_mean_weighted_by_comparisons(
    ranking: SimilarityWeighted, word_embedder: Embedder
) -> None:
    # a has 30 comparisons in tier 0 and c 20 in tier 1: .6 and .4. d is all of the weak side.
    queries = word_embedder.embed(["one", "two words"])
    xi = ranking.coefficients(queries)
    expected = 1 / (1 + np.exp(-(0.6 * xi[:, 0] + 0.4 * xi[:, 1] - xi[:, 2])))
    bound = ranking.bind(strong=["a", "c"], weak=["d"], embedder=word_embedder)
    assert bound.win_probabilities(["one", "two words"]) == pytest.approx(expected)


def test_without_names_the_paper_s_tiers_are_bound(
    ranking: SimilarityWeighted, word_embedder: Embedder
) -> None:
    # Tier 0 has 30 + 10 comparisons and tier 1 has 20: two thirds and one third.
    contrast = ranking.bind(embedder=word_embedder).contrast
    assert contrast == pytest.approx([2 / 3, 1 / 3, -1, 0])


def test_a_name_of_one_s_own_stands_for_a_model(
    ranking: SimilarityWeighted, word_embedder: Embedder
) -> None:
    aliases = {"my-model": "a", "my-cheap-model": "tier:3"}
    bound = ranking.bind(
        strong=["my-model"], weak=["my-cheap-model"], embedder=word_embedder, aliases=aliases
    )
    assert bound.contrast.tolist() == [1, 0, 0, -1]


@pytest.mark.parametrize(
    ("strong", "weak", "message"),
    [
        (["aa"], ["c"], "model 'aa' is not in this router's comparisons"),
        ([], ["c"], "no strong model is named"),
        (["a"], [], "no weak model is named"),
        (["a"], ["a"], "both strong and weak"),
        (["a"], ["b"], "are the same tiers"),
        (["tier:0"], ["b"], "are the same tiers"),
        (["tier:4"], ["a"], "unknown tier 'tier:4'; this router has 'tier:0', the strongest, to"),
    ],
)
def test_unusable_bindings_are_refused(
    ranking: SimilarityWeighted,
    word_embedder: Embedder,
    strong: list[str],
    weak: list[str],
    message: str,
) -> None:
    with pytest.raises(ConfigError, match=message):
        ranking.bind(strong=strong, weak=weak, embedder=word_embedder)


def test_an_embedder_of_another_dimension_is_refused(
    two_prompts: SimilarityWeighted, word_embedder: Embedder
) -> None:
    with pytest.raises(ConfigError, match="8 dimensions, and the training prompts have 2"):
        two_prompts.bind(strong=["large"], weak=["small"], embedder=word_embedder)


def test_tensors_rebuild_the_same_router(
    ranking: SimilarityWeighted, word_embedder: Embedder
) -> None:
    ranking = replace(ranking, settings=SwSettings(gamma=100.0, normalise="query", background=0.1))
    rebuilt = SimilarityWeighted.from_tensors(ranking.tensors())
    assert (rebuilt.model_names, rebuilt.settings) == (ranking.model_names, ranking.settings)
    prompts = ["one", "two words", "three more words"]
    bound = ranking.bind(strong=["a"], weak=["d"], embedder=word_embedder)
    again = rebuild_router(
        "sw", ranking.tensors(), strong=("a",), weak=("d",), embedder=word_embedder
    )
    # Half precision moves a cosine by up to 2^-11 or so.
    assert again.win_probabilities(prompts) == pytest.approx(
        bound.win_probabilities(prompts), abs=1e-3
    )


@pytest.mark.parametrize("name", ["embeddings", "kind_wins", "settings", "model_names"])
def test_missing_tensors_are_named(ranking: SimilarityWeighted, name: str) -> None:
    tensors = ranking.tensors()
    del tensors[name]
    with pytest.raises(ArtifactError, match=f"'{name}'"):
        SimilarityWeighted.from_tensors(tensors)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": 0.0}, "gamma 0.0 is out of range"),
        ({"gamma": -1.0}, "gamma -1.0 is out of range"),
        ({"gamma": math.nan}, "gamma nan is out of range"),
        ({"gamma": 1e31}, "gamma 1e"),
        ({"normalise": "both"}, "unknown normalise 'both'"),
        ({"n_neighbours": 0}, "n_neighbours 0 is out of range"),
        ({"background": 1.0}, "background 1.0 is out of range"),
    ],
)
def test_settings_without_meaning_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SwSettings(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("embeddings", "message"),
    [
        (np.ones((1, 3)), r"shape \(1, 3\); accepted is \(n_prompts, 8\)"),
        (np.ones(8), r"shape \(8,\)"),
        (np.full((1, 8), np.nan), "embedding of prompt 0 is not finite"),
        (np.array([[1.0] * 8, [0.0] * 8]), "embedding of prompt 1 is zero"),
    ],
)
def test_unusable_embeddings_are_refused(
    ranking: SimilarityWeighted, embeddings: EmbeddingArray, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        ranking.coefficients(embeddings.astype(np.float32))


def test_vectors_are_brought_to_unit_length(ranking: SimilarityWeighted) -> None:
    queries = unit_rows(np.random.default_rng(2), 3)
    assert ranking.coefficients(3 * queries) == pytest.approx(
        ranking.coefficients(queries), abs=1e-5
    )


@pytest.mark.parametrize("gamma", [1e-20, 1e30])
def test_extreme_gammas_stay_finite(ranking: SimilarityWeighted, gamma: float) -> None:
    extreme = replace(ranking, settings=SwSettings(gamma=gamma))
    assert np.isfinite(extreme.coefficients(unit_rows(np.random.default_rng(4), 20))).all()
