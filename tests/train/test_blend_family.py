from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from routecast.artifacts import load_artifact, save_artifact
from routecast.data.comparisons import Comparisons
from routecast.data.outcomes import Outcomes
from routecast.embed.protocol import Embedder
from routecast.train.pipeline import TrainedRouter, TrainSettings, train_router
from routecast.train.run import TrainRequest, read_sets
from routecast.train.sources import set_of_comparisons, set_of_outcomes

SETTINGS = TrainSettings(router="blend", strong=("big",), weak=("small",))


@pytest.fixture
def trained(planted_outcomes: Callable[..., Outcomes], word_embedder: Embedder) -> TrainedRouter:
    sets = [set_of_outcomes(planted_outcomes(400), soft=True)]
    return train_router(sets, SETTINGS, embedder=word_embedder)


def test_every_label_is_learned_from_and_reported_on(trained: TrainedRouter) -> None:
    held_out = trained.held_out
    assert held_out is not None
    assert held_out.is_crosswise
    assert held_out.routing is not None
    assert held_out.n_prompts == held_out.routing.n_labels == 400
    apgr = {name: figures["apgr"].value for name, figures in held_out.routing.figures.items()}
    assert 0.5 < apgr["router"] < apgr["oracle"]
    assert set(apgr) == {"router", "length", "ridge", "oracle"}
    records = trained.artifact.manifest.metrics
    assert {record.benchmark for record in records} == {"cross-fitted"}


def test_labels_that_say_nothing_are_reported_as_a_random_order(
    planted_outcomes: Callable[..., Outcomes], word_embedder: Embedder
) -> None:
    # Each label lowers what the others' fits expect at its own prompt, and raises it elsewhere.
    # Compared across fits, the figures of noise would be far below those of a random order.
    found = []
    for seed in range(4):
        table = planted_outcomes(120, seed=seed).table
        noise = np.random.default_rng(seed).permutation(len(table))
        shuffled = table.with_columns(table[noise].select("^quality.*$").get_columns())
        sets = [set_of_outcomes(Outcomes(table=shuffled), soft=True)]
        held_out = train_router(sets, SETTINGS, embedder=word_embedder).held_out
        assert held_out is not None
        found.append(held_out.wins.figures["router"]["auroc"].value)
    assert np.mean(found) == pytest.approx(0.5, abs=0.06)


def test_a_share_set_aside_on_request_is_reported_on_instead(
    planted_outcomes: Callable[..., Outcomes], word_embedder: Embedder
) -> None:
    settings = replace(SETTINGS, fractions=(0.8, 0.1, 0.1))
    sets = [set_of_outcomes(planted_outcomes(400), soft=True)]
    run = train_router(sets, settings, embedder=word_embedder)
    assert (len(run.prepared.split.train), len(run.prepared.split.test)) == (360, 40)
    assert run.held_out is not None
    assert not run.held_out.is_crosswise


def test_test_prompts_without_a_score_are_counted_as_the_gateway_routes_them(
    planted_outcomes: Callable[..., Outcomes], word_embedder: Embedder
) -> None:
    table = planted_outcomes(200, seed=9).table
    foreign = pl.format("{} {}", pl.lit("something else entirely " * 300), "prompt")
    is_foreign = pl.int_range(pl.len()) < 150
    mixed = table.with_columns(
        pl.when(is_foreign).then(foreign).otherwise("prompt").alias("prompt")
    )
    learned, test = (
        set_of_outcomes(one, soft=True) for one in (planted_outcomes(300), Outcomes(table=mixed))
    )
    run = train_router([learned], SETTINGS, embedder=word_embedder, test_sets=[test])
    held_out = run.held_out
    assert held_out is not None
    assert held_out.routing is not None
    tested = [run.prepared.prompts[row] for row in run.prepared.split.test]
    scores = run.artifact.router(word_embedder).win_probabilities(tested)
    assert held_out.n_abstained == np.isnan(scores).sum() >= 150
    assert held_out.routing.n_labels == held_out.wins.n_labels + held_out.n_abstained
    assert "gives no score" in held_out.warnings[0]
    n_of = {one.metric: one.n_prompts for one in run.artifact.manifest.metrics}
    assert n_of["router auroc"] == held_out.wins.n_labels


def test_nothing_is_set_aside_for_calibration(trained: TrainedRouter) -> None:
    split, manifest = trained.prepared.split, trained.artifact.manifest
    assert (len(split.train), len(split.validation), len(split.test)) == (400, 0, 0)
    assert manifest.training.n_prompts == manifest.calibration.n_prompts == 400
    assert manifest.calibration.sample == "400 cross-fitted prompts of the training data"


def test_a_planted_difference_is_found_and_the_probabilities_are_honest(
    planted_outcomes: Callable[..., Outcomes], trained: TrainedRouter, word_embedder: Embedder
) -> None:
    router = trained.artifact.router(word_embedder)
    fresh = planted_outcomes(800, seed=9)
    wins = (1.0 + fresh.quality("big") - fresh.quality("small")) / 2.0
    found = router.win_probabilities(fresh.prompts)
    scored = ~np.isnan(found)
    assert scored.mean() > 0.97
    hard = np.array([prompt.startswith("prove") for prompt in fresh.prompts])
    for part in (scored & hard, scored & ~hard):
        assert found[part].mean() == pytest.approx(wins[part].mean(), abs=0.1)
    assert found[scored & hard].mean() > found[scored & ~hard].mean() + 0.15


def test_cross_fitted_probabilities_are_no_more_certain_than_those_of_fresh_prompts(
    trained: TrainedRouter, word_embedder: Embedder, planted_outcomes: Callable[..., Outcomes]
) -> None:
    quantiles = np.array(trained.artifact.manifest.calibration.win_probability_quantiles)
    fresh = planted_outcomes(800, seed=9).prompts
    found = trained.artifact.router(word_embedder).win_probabilities(fresh)
    quarters = [0.1, 0.25, 0.75, 0.9]  # the median lies between two kinds of prompts
    assert np.nanquantile(found, quarters) == pytest.approx(
        quantiles[[100, 250, 750, 900]], abs=0.1
    )


def test_comparisons_of_the_pair_teach_as_outcomes_do(
    planted_comparisons: Callable[..., Comparisons],
    planted_outcomes: Callable[..., Outcomes],
    word_embedder: Embedder,
) -> None:
    # The battles hold the same rows, and others of a third model that are passed over.
    runs = [
        train_router([one], SETTINGS, embedder=word_embedder)
        for one in (
            set_of_comparisons(planted_comparisons(300)),
            set_of_outcomes(planted_outcomes(300), models=["big", "small"], soft=True),
        )
    ]
    prompts = ["prove number 3 of rice in 2 words", "name number 8 of trains in 4 words"]
    first, second = (run.artifact.router(word_embedder).win_probabilities(prompts) for run in runs)
    assert first == pytest.approx(second)
    assert first[0] > first[1]


def test_what_was_saved_scores_as_what_was_trained(
    trained: TrainedRouter, word_embedder: Embedder, tmp_path: Path
) -> None:
    save_artifact(trained.artifact, tmp_path / "router")
    prompts = [*trained.prepared.prompts[:50], "", "something else entirely " * 300]
    before, after = (
        artifact.router(word_embedder).win_probabilities(prompts)
        for artifact in (trained.artifact, load_artifact(tmp_path / "router"))
    )
    assert after == pytest.approx(before, abs=1e-6, nan_ok=True)
    assert np.isnan(after[-2:]).all()


def test_outcomes_keep_their_margins(outcomes_file: Path, tmp_path: Path) -> None:
    request = TrainRequest(
        settings=SETTINGS, output=tmp_path / "router", outcomes=(str(outcomes_file),)
    )
    assert [one.soft for one in read_sets(request)] == [True]
