from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from routecast.artifacts import load_artifact, save_artifact
from routecast.data.outcomes import Outcomes
from routecast.embed.protocol import Embedder
from routecast.embed.registry import load_embedder
from routecast.routers.ridge import BoundRidge, Ridge
from routecast.routers.surface import surface_features
from routecast.train.fitting import lesson_of
from routecast.train.pipeline import TrainedRouter, TrainSettings, train_router
from routecast.train.ridge import RidgeSettings, fit_lesson, fit_line
from routecast.train.sources import set_of_outcomes

SETTINGS = TrainSettings(router="ridge", strong=("big",), weak=("small",))


@pytest.fixture(scope="module")
def trained(word_embedder: Embedder) -> TrainedRouter:
    import polars as pl
    from tests.train.conftest import planted_rows

    outcomes = Outcomes(table=pl.DataFrame(planted_rows(400)), source="planted")
    return train_router([set_of_outcomes(outcomes, soft=True)], SETTINGS, embedder=word_embedder)


def test_every_label_is_learned_from_and_reported_on(trained: TrainedRouter) -> None:
    assert len(trained.prepared.split.train) == 400
    held_out = trained.held_out
    assert held_out is not None
    assert held_out.is_crosswise
    assert held_out.routing is not None
    assert held_out.routing.figures["router"]["apgr"].value > 0.6


def test_a_planted_difference_is_found_and_the_probabilities_are_honest(
    planted_outcomes: Callable[..., Outcomes], trained: TrainedRouter, word_embedder: Embedder
) -> None:
    fresh = planted_outcomes(800, seed=9)
    wins = (1.0 + fresh.quality("big") - fresh.quality("small")) / 2.0
    found = trained.artifact.router(word_embedder).win_probabilities(fresh.prompts)
    scored = ~np.isnan(found)
    assert scored.mean() > 0.97
    hard = np.array([prompt.startswith("prove") for prompt in fresh.prompts])
    for part in (scored & hard, scored & ~hard):
        assert found[part].mean() == pytest.approx(wins[part].mean(), abs=0.12)
    assert found[scored & hard].mean() > found[scored & ~hard].mean() + 0.15


def test_what_was_saved_scores_as_what_was_trained(
    trained: TrainedRouter, word_embedder: Embedder, tmp_path: Path
) -> None:
    save_artifact(trained.artifact, tmp_path / "router")
    prompts = ["prove number 3 of rice in 2 words", "name number 8 of trains in 4 words", "zebra"]
    again = load_artifact(tmp_path / "router").router(word_embedder).win_probabilities(prompts)
    before = trained.artifact.router(word_embedder).win_probabilities(prompts)
    np.testing.assert_allclose(again, before, rtol=0, atol=1e-6)


def test_the_covariance_is_that_of_the_coefficients_given_the_labels(
    trained: TrainedRouter,
) -> None:
    lesson = lesson_of(trained.prepared)
    line, model = fit_line(lesson), fit_lesson(lesson, RidgeSettings()).model
    assert isinstance(model, Ridge)
    rows = line.labels.rows
    surfaces = surface_features([lesson.prompts[row] for row in rows.tolist()])
    features = line.scale.apply(lesson.embeddings[rows], surfaces)
    weights = line.labels.weights / line.labels.weights.mean()
    precision = np.eye(features.shape[1]) + line.fit.ratio * (features.T * weights) @ features
    assert line.fit.ratio > 0
    assert model.covariance is not None
    np.testing.assert_allclose(
        model.covariance, line.fit.prior_variance * np.linalg.inv(precision), rtol=0, atol=1e-9
    )


def test_equal_labels_are_learned_as_they_are(word_embedder: Embedder) -> None:
    import polars as pl

    prompts = [f"name number {number} of rice" for number in range(40)]
    table = pl.DataFrame({
        "prompt": prompts, "quality|big": [1.0] * 40, "quality|small": [0.5] * 40
    })  # fmt: skip
    labels = [set_of_outcomes(Outcomes(table=table), soft=True)]
    router = train_router(labels, SETTINGS, embedder=word_embedder).artifact.router(word_embedder)
    assert router.win_probabilities(prompts[:2]) == pytest.approx([0.75, 0.75], abs=0.02)


def test_calibration_counts_prompts_as_they_are_served_parts_that_do_not_belong_and_all() -> None:
    import polars as pl

    draw = np.random.default_rng(0)
    numbers = [
        "theorem",
        "lemma",
        "proof",
        "integer",
        "prime",
        "divisor",
        "residue",
        "group",
        "ring",
        "field",
    ]
    kitchen = [
        "oven",
        "flour",
        "butter",
        "sugar",
        "bake",
        "whisk",
        "dough",
        "cream",
        "vanilla",
        "pastry",
    ]
    topics = [numbers, kitchen]
    rows = []
    for number in range(400):
        topic, other = draw.permutation(2) if number % 3 == 0 else (number % 2, number % 2)
        words = [*draw.choice(topics[other], 10), *draw.choice(topics[topic], 30)]
        strong = float(draw.random() < 0.5 + 0.3 * (topic == 0))
        rows.append(
            {"prompt": " ".join(words), "quality|big": strong, "quality|small": float(1 - strong)}
        )
    outcomes = Outcomes(table=pl.DataFrame(rows), source="planted")
    embedder = load_embedder("static")
    run = train_router([set_of_outcomes(outcomes, soft=True)], SETTINGS, embedder=embedder)
    router = run.artifact.router(embedder)
    assert isinstance(router.router, BoundRidge)
    quantiles = np.array(run.artifact.manifest.calibration.win_probability_quantiles)
    served = router.win_probabilities(outcomes.prompts)
    whole = router.calibration.apply(
        router.router.win_probabilities_from(outcomes.prompts, embedder.embed(outcomes.prompts))
    )
    assert 0.05 < (served < whole).mean() < 0.3
    assert served.mean() < whole.mean() - 0.002
    assert quantiles.mean() == pytest.approx(served.mean(), abs=0.005)
