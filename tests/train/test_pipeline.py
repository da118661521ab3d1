from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from routecast.artifacts import Artifact, load_artifact, save_artifact
from routecast.data.comparisons import Comparisons
from routecast.data.leakage import prompt_hashes64
from routecast.data.outcomes import Outcomes
from routecast.embed.protocol import Embedder
from routecast.errors import ConfigError
from routecast.train.pipeline import TrainedRouter, TrainSettings, train_router
from routecast.train.progress import Progress
from routecast.train.sources import set_of_comparisons, set_of_outcomes

SETTINGS = {"mf": {"weight_decay": 1e-3, "n_factors": 8}, "sw": {"gamma": 1000.0}}


def settings_for(router: str, **others: object) -> TrainSettings:
    arguments: dict[str, object] = {
        "router": router, "strong": ("big",), "weak": ("small",), "options": SETTINGS[router],
    } | others  # fmt: skip
    return TrainSettings(**arguments)  # type: ignore[arg-type]


@pytest.fixture(params=["mf", "sw"])
def trained(
    request: pytest.FixtureRequest,
    planted_outcomes: Callable[..., Outcomes],
    word_embedder: Embedder,
) -> TrainedRouter:
    sets = [set_of_outcomes(planted_outcomes(800))]
    return train_router(sets, settings_for(request.param), embedder=word_embedder)


def test_a_planted_difference_is_found_and_beats_doing_without(trained: TrainedRouter) -> None:
    held_out = trained.held_out
    assert held_out is not None
    assert held_out.routing is not None
    assert held_out.routing.figures["router"]["apgr"].low > 0.6
    assert held_out.wins.figures["router"]["auroc"].low > 0.6
    assert held_out.wins.differences["log_loss", "base rate"].high < 0
    assert all("ridge regression on the same labels" in warning for warning in held_out.warnings)


def test_what_was_saved_scores_as_what_was_measured(
    trained: TrainedRouter, word_embedder: Embedder, tmp_path: Path
) -> None:
    save_artifact(trained.artifact, tmp_path / "router")
    loaded: Artifact = load_artifact(tmp_path / "router")
    prompts = list(trained.prepared.prompts)[:200]
    before = trained.artifact.router(word_embedder).win_probabilities(prompts)
    after = loaded.router(word_embedder).win_probabilities(prompts)
    assert after == pytest.approx(before, abs=1e-4)
    hard = np.array([prompt.startswith("prove") for prompt in prompts])
    assert after[hard].min() > after[~hard].max() - 0.3
    assert after[hard].mean() > after[~hard].mean() + 0.1


def test_the_manifest_says_what_was_learned_from(trained: TrainedRouter) -> None:
    manifest = trained.artifact.manifest
    split = trained.prepared.split
    assert (manifest.strong, manifest.weak) == (("big",), ("small",))
    assert manifest.training.n_prompts == len(split.train) == 640
    assert manifest.training.sources[0].name == "planted"
    assert manifest.calibration.n_prompts == len(split.validation)
    assert len(manifest.training.digest) == 64
    quantiles = manifest.calibration.win_probability_quantiles
    assert np.all(np.diff(quantiles) >= 0)
    labels = trained.prepared.labels_on(split.validation)
    outcomes = manifest.calibration.outcomes  # from all strong to all weak
    assert outcomes is not None
    assert (outcomes.strong, outcomes.weak) == ("big", "small")
    assert outcomes.qualities[0] == pytest.approx(labels.strong_quality.mean())
    assert outcomes.qualities[-1] == pytest.approx(labels.weak_quality.mean())
    assert any(record.metric == "router apgr" for record in manifest.metrics)
    hashes = prompt_hashes64(trained.prepared.prompts)
    assert np.array_equal(trained.artifact.training_prompt_hashes, np.unique(hashes))
    assert len(trained.artifact.reference_embeddings) == 512


def test_equal_seeds_give_equal_routers_and_others_another_split(
    planted_outcomes: Callable[..., Outcomes], word_embedder: Embedder
) -> None:
    sets = [set_of_outcomes(planted_outcomes(200))]
    runs = [
        train_router(sets, settings_for("mf", seed=seed), embedder=word_embedder)
        for seed in (1, 1, 2)
    ]
    scores = [
        run.artifact.router(word_embedder).win_probabilities(["prove it", "name it"])
        for run in runs
    ]
    assert np.array_equal(scores[0], scores[1])
    assert not np.array_equal(runs[0].prepared.split.test, runs[2].prepared.split.test)


def test_trials_say_what_was_asked_for_and_what_the_labels_chose(
    planted_outcomes: Callable[..., Outcomes], word_embedder: Embedder
) -> None:
    sets = [set_of_outcomes(planted_outcomes(300))]
    tried = train_router(
        sets, settings_for("sw", options={"n_tiers": (10, 2)}), embedder=word_embedder
    )
    assert {trial.settings["n_tiers"] for trial in tried.trials} == {10, 2}


def test_the_settings_with_the_lowest_validation_loss_are_kept(
    planted_outcomes: Callable[..., Outcomes], word_embedder: Embedder
) -> None:
    sets = [set_of_outcomes(planted_outcomes(600))]
    options = {"weight_decay": (100.0, 1e-2), "n_factors": 8}  # the first shrinks all to nothing
    run = train_router(sets, settings_for("mf", options=options), embedder=word_embedder)
    assert [trial.settings["weight_decay"] for trial in run.trials] == [1e-2, 100.0]
    assert run.trials[0].pair_loss < run.trials[1].pair_loss
    assert run.artifact.manifest.settings["weight_decay"] == 1e-2


def test_comparisons_are_measured_on_all_models_too(
    planted_comparisons: Callable[..., Comparisons], word_embedder: Embedder
) -> None:
    sets = [set_of_comparisons(planted_comparisons(600))]
    trained = train_router(sets, settings_for("mf"), embedder=word_embedder)
    held_out = trained.held_out
    assert held_out is not None
    assert held_out.routing is None  # no qualities, so no cost-quality curve
    assert trained.artifact.manifest.calibration.outcomes is None
    assert held_out.battles is not None
    assert held_out.battles.n_labels == 3 * 60
    assert held_out.wins.n_labels == held_out.n_prompts == 60
    assert set(held_out.battles.figures) == {"router", "ratings alone"}


def test_labels_that_prompts_say_nothing_about_are_not_called_learned(
    planted_outcomes: Callable[..., Outcomes], word_embedder: Embedder
) -> None:
    outcomes = planted_outcomes(400)
    shuffled = outcomes.table.with_columns(
        outcomes.table["prompt"].sample(fraction=1.0, shuffle=True, seed=1).alias("prompt")
    )
    sets = [set_of_outcomes(Outcomes(table=shuffled))]
    held_out = train_router(sets, settings_for("mf"), embedder=word_embedder).held_out
    assert held_out is not None
    assert any("does not beat a random order" in warning for warning in held_out.warnings)
    assert any("number of characters" in warning for warning in held_out.warnings)


def test_an_sw_on_all_components_scores_as_on_whole_vectors(
    planted_outcomes: Callable[..., Outcomes], word_embedder: Embedder
) -> None:
    sets = [set_of_outcomes(planted_outcomes(200))]
    whole, components = (
        train_router(sets, settings_for("sw", options={"n_components": n}), embedder=word_embedder)
        for n in (0, word_embedder.identity.dimension)
    )
    assert "cell_rests" in components.artifact.tensors
    prompts = ["prove number 3 of rice", "name number 4 of maps"]
    scores = [
        run.artifact.router(word_embedder).win_probabilities(prompts) for run in (whole, components)
    ]
    assert scores[1] == pytest.approx(scores[0], abs=2e-3)


def test_without_test_prompts_nothing_is_measured(
    planted_outcomes: Callable[..., Outcomes], word_embedder: Embedder
) -> None:
    settings = settings_for("sw", fractions=(0.9, 0.1, 0.0))
    run = train_router([set_of_outcomes(planted_outcomes(200))], settings, embedder=word_embedder)
    assert run.held_out is None
    assert run.artifact.manifest.metrics == ()
    assert len(run.prepared.split.train) == 180


def test_progress_tells_the_losses(
    planted_outcomes: Callable[..., Outcomes], word_embedder: Embedder
) -> None:
    told: list[Progress] = []
    train_router(
        [set_of_outcomes(planted_outcomes(200))],
        settings_for("mf"),
        embedder=word_embedder,
        watch=told.append,
    )
    stages = list(dict.fromkeys(progress.stage for progress in told))
    assert stages == ["embedding", "finding near-duplicates", "fitting", "measuring"]
    fitting = [progress for progress in told if progress.stage == "fitting"]
    assert [progress.n_done for progress in fitting] == list(range(1, len(fitting) + 1))
    assert all(progress.validation_loss is not None for progress in fitting)


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"strong": ("bigger",)}, r"nearest names are \['big', 'middle'\].*--strong-as"),
        ({"options": {"speed": 1}}, "no setting 'speed'"),
    ],
)
def test_what_is_unknown_is_refused_before_anything_is_embedded(
    others: dict[str, object], message: str, planted_outcomes: Callable[..., Outcomes]
) -> None:
    class NeverAsked:
        identity = None

        def embed(self, texts: object) -> object:
            raise AssertionError(f"nothing should be embedded, not {texts!r}")

    with pytest.raises(ConfigError, match=message):
        train_router(
            [set_of_outcomes(planted_outcomes(200))],
            settings_for("mf", **others),
            embedder=NeverAsked(),  # type: ignore[arg-type]
        )
