from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from routecast.data.comparisons import Comparisons
from routecast.data.outcomes import Outcomes
from routecast.embed.protocol import Embedder
from routecast.stats.platt import sigmoid
from routecast.train.battles import ModelScores
from routecast.train.held_out import HeldOut, measure_held_out
from routecast.train.prepare import Prepared, prepare
from routecast.train.sources import LabelledSet, set_of_comparisons, set_of_outcomes
from routecast.types import EmbeddingArray, FloatArray


def prepared_of(one: LabelledSet, embedder: Embedder) -> Prepared:
    return prepare(
        [one],
        strong=("big",),
        weak=("small",),
        fractions=(0.6, 0.1, 0.3),
        seed=1,
        embedder=embedder,
    )


def planted_scores(prepared: Prepared) -> FloatArray:
    """What a router would say that knows the word that decides."""
    return np.array([0.8 if "prove" in prompt else 0.55 for prompt in prepared.prompts])


def measured(prepared: Prepared, scores: FloatArray) -> HeldOut:
    return measure_held_out(prepared, scores, None, seed=0)


def test_a_router_that_knows_the_truth_earns_no_warning(
    planted_outcomes: Callable[..., Outcomes], word_embedder: Embedder
) -> None:
    prepared = prepared_of(set_of_outcomes(planted_outcomes(600)), word_embedder)
    held_out = measured(prepared, planted_scores(prepared))
    assert held_out.warnings == ()
    assert held_out.n_prompts == held_out.wins.n_labels == 180
    assert set(held_out.wins.figures) == {"router", "length", "ridge", "base rate"}


def test_a_router_that_ranks_the_wrong_way_is_warned_of(
    planted_outcomes: Callable[..., Outcomes], word_embedder: Embedder
) -> None:
    prepared = prepared_of(set_of_outcomes(planted_outcomes(600)), word_embedder)
    warnings = " ".join(measured(prepared, 1.0 - planted_scores(prepared)).warnings)
    assert "does not beat a random order" in warnings
    assert "does not beat the number of characters" in warnings
    assert "no better than one base rate" in warnings


def test_a_base_rate_of_the_other_folds_is_a_random_order(
    planted_outcomes: Callable[..., Outcomes], word_embedder: Embedder
) -> None:
    # Pooled, such a router would order folds by the wins that it did not see: the more a fold has,
    # the lower its base rate. Within a fold all its prompts are equal.
    prepared = prepare(
        [set_of_outcomes(planted_outcomes(200))], strong=("big",), weak=("small",),
        fractions=(1.0, 0.0, 0.0), seed=1, embedder=word_embedder,
    )  # fmt: skip
    assert prepared.folds is not None
    labels = prepared.labels_on(prepared.split.train)
    folds = prepared.folds[labels.prompt_index]
    rates = np.full(200, np.nan)
    for fold in range(10):
        rates[prepared.folds == fold] = labels.wins[folds != fold].mean()
    held_out = measure_held_out(prepared, rates, None, by_fold=rates, seed=0)
    assert held_out.routing is not None
    assert held_out.routing.figures["router"]["apgr"].value == pytest.approx(0.5, abs=1e-12)
    assert held_out.wins.figures["router"]["auroc"].value == pytest.approx(0.5, abs=0.01)


def test_prompts_without_a_score_count_as_strong_calls(
    planted_outcomes: Callable[..., Outcomes], word_embedder: Embedder
) -> None:
    prepared = prepared_of(set_of_outcomes(planted_outcomes(600)), word_embedder)
    scores = planted_scores(prepared)
    scores[prepared.split.test[:90]] = np.nan
    held_out = measured(prepared, scores)
    assert held_out.routing is not None
    assert (held_out.routing.n_labels, held_out.wins.n_labels) == (180, 90)
    # Half of all prompts go to the strong model at any threshold.
    assert held_out.routing.figures["router"]["cpt_50"].value >= 0.5
    assert "no score to the prompts of 90 of 180 held-out labels" in held_out.warnings[0]
    assert "are of the 50.0% with a score" in held_out.warnings[0]


def test_prompts_without_a_score_are_not_in_figures_of_probabilities(
    planted_outcomes: Callable[..., Outcomes], word_embedder: Embedder
) -> None:
    prepared = prepared_of(set_of_outcomes(planted_outcomes(600)), word_embedder)
    scores = planted_scores(prepared)
    scores[prepared.split.test[:7]] = np.nan
    held_out = measured(prepared, scores)
    assert held_out.n_abstained == 7
    assert held_out.wins.n_labels == 173
    assert held_out.n_prompts == 180


def test_named_groups_are_resampled_where_there_are_enough(
    planted_outcomes: Callable[..., Outcomes], word_embedder: Embedder
) -> None:
    outcomes = planted_outcomes(600)
    for n_groups, by_group in ((12, True), (3, False)):
        groups = pl.Series("group", [f"task {row % n_groups}" for row in range(600)])
        grouped = replace(outcomes, table=outcomes.table.with_columns(groups))
        prepared = prepared_of(set_of_outcomes(grouped), word_embedder)
        held_out = measured(prepared, planted_scores(prepared))
        assert held_out.by_group is by_group
        assert held_out.wins.n_clusters == (12 if by_group else 180)


def test_sides_that_tie_are_said_to_tie(
    planted_outcomes: Callable[..., Outcomes], word_embedder: Embedder
) -> None:
    outcomes = planted_outcomes(600)
    equal = outcomes.table.with_columns(pl.col("quality|small").alias("quality|big"))
    prepared = prepared_of(set_of_outcomes(replace(outcomes, table=equal)), word_embedder)
    assert "APGR is undefined" in measured(prepared, planted_scores(prepared)).warnings[0]


def test_all_comparisons_are_predicted_beside_the_ratings_alone(
    planted_comparisons: Callable[..., Comparisons], word_embedder: Embedder
) -> None:
    prepared = prepared_of(set_of_comparisons(planted_comparisons(400)), word_embedder)

    def of(embeddings: EmbeddingArray) -> FloatArray:
        return np.tile([1.0, 0.0], (len(embeddings), 1))  # big above small; nobody knows middle

    scores = ModelScores(names=("big", "small"), of=of)
    battles = measure_held_out(prepared, planted_scores(prepared), scores, seed=0).battles
    assert battles is not None
    assert battles.n_labels == 120  # of 360: those of middle are left out
    wins = prepared.labels_on(prepared.split.test).wins
    expected = np.mean(
        -wins * np.log(sigmoid(np.ones(1))) - (1 - wins) * np.log(sigmoid(-np.ones(1)))
    )
    assert battles.figures["router"]["log_loss"].value == pytest.approx(expected)
