from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from routecast.data.comparisons import Comparisons
from routecast.data.outcomes import Outcomes
from routecast.embed.protocol import Embedder
from routecast.train.fitting import lesson_of
from routecast.train.pipeline import TrainSettings, train_router
from routecast.train.prepare import Prepared, prepare
from routecast.train.registry import find_family
from routecast.train.ridge import RidgeSettings, fit_lesson
from routecast.train.rival import RIDGE, has_rival, rival_by_fold, rival_scores
from routecast.train.sources import LabelledSet, set_of_comparisons, set_of_outcomes

BIG, SMALL = ("big",), ("small",)


def prepared_of(
    one: LabelledSet, embedder: Embedder, fractions: tuple[float, float, float] = (0.6, 0.1, 0.3)
) -> Prepared:
    return prepare([one], strong=BIG, weak=SMALL, fractions=fractions, seed=1, embedder=embedder)


def test_it_says_what_a_trained_ridge_says(
    planted_outcomes: Callable[..., Outcomes], word_embedder: Embedder
) -> None:
    prepared = prepared_of(set_of_outcomes(planted_outcomes(300)), word_embedder)
    prompts = [prepared.prompts[row] for row in prepared.split.test]
    embeddings = prepared.embeddings[prepared.split.test]
    model = fit_lesson(lesson_of(prepared), RidgeSettings()).model
    router = model.bind(strong=BIG, weak=SMALL, embedder=word_embedder)
    expected = np.asarray(router.win_probabilities(prompts))
    scored = ~np.isnan(expected)  # the router abstains here and there, the rival never
    found = rival_scores(prepared, prompts, embeddings)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[scored], expected[scored], atol=1e-6)


def test_its_predictions_by_fold_are_those_of_the_family(
    planted_outcomes: Callable[..., Outcomes], word_embedder: Embedder
) -> None:
    labels = set_of_outcomes(planted_outcomes(120))
    prepared = prepared_of(labels, word_embedder, (1.0, 0.0, 0.0))
    expected = fit_lesson(lesson_of(prepared), RidgeSettings()).by_fold
    np.testing.assert_array_equal(rival_by_fold(prepared), expected)
    with pytest.raises(ValueError, match="there are no folds"):
        rival_by_fold(replace(prepared, folds=None))


def test_comparisons_of_other_models_teach_it_nothing(
    planted_comparisons: Callable[..., Comparisons], word_embedder: Embedder
) -> None:
    comparisons = planted_comparisons(400)
    table = comparisons.table
    between = (table["model_a"] != "middle") & (table["model_b"] != "middle")
    assert 0 < between.sum() < len(table)
    found = []
    for some in (table, table.filter(between)):
        prepared = prepared_of(
            set_of_comparisons(replace(comparisons, table=some)), word_embedder, (1.0, 0.0, 0.0)
        )
        found.append(rival_scores(prepared, ["prove rice"], word_embedder.embed(["prove rice"])))
    np.testing.assert_allclose(found[0], found[1])


def test_two_labels_are_too_few_for_a_rival(
    planted_outcomes: Callable[..., Outcomes], word_embedder: Embedder
) -> None:
    prepared = prepared_of(set_of_outcomes(planted_outcomes(300)), word_embedder)
    assert has_rival(prepared)
    few = replace(prepared, split=replace(prepared.split, train=prepared.split.train[:2]))
    assert not has_rival(few)


@pytest.mark.parametrize(("router", "is_there"), [("ridge", False), ("blend", True)])
def test_ridge_is_no_rival_of_itself(
    router: str,
    is_there: bool,
    planted_outcomes: Callable[..., Outcomes],
    word_embedder: Embedder,
) -> None:
    settings = TrainSettings(router=router, strong=BIG, weak=SMALL)
    labels = [set_of_outcomes(planted_outcomes(120))]
    held_out = train_router(labels, settings, embedder=word_embedder).held_out
    assert held_out is not None
    assert held_out.routing is not None
    assert (RIDGE in held_out.routing.figures) is is_there
    assert "oracle" in held_out.routing.figures
    assert find_family(RIDGE).name == RIDGE
