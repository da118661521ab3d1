from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from routecast.artifacts import load_artifact, save_artifact
from routecast.data.comparisons import Comparisons
from routecast.data.leakage import prompt_hashes64
from routecast.embed.registry import load_embedder
from routecast.errors import ArtifactError, ConfigError, DataError
from routecast.routers.mf import MatrixFactorization
from routecast.train.new_model import NewModelRequest, run_new_model
from routecast.train.pipeline import TrainSettings, train_router
from routecast.train.sources import set_of_comparisons


@pytest.fixture
def router(planted_comparisons: Callable[..., Comparisons], tmp_path: Path) -> Path:
    """An mf that knows big, middle and small."""
    settings = TrainSettings(
        router="mf",
        strong=("big",),
        weak=("small",),
        options={"n_factors": 8, "weight_decay": 1e-3},
    )
    trained = train_router(
        [set_of_comparisons(planted_comparisons(200))], settings, embedder=load_embedder("static")
    )
    save_artifact(trained.artifact, tmp_path / "router")
    return tmp_path / "router"


@pytest.fixture
def newcomer(tmp_path: Path) -> Path:
    """Comparisons of a model that always loses to big and always beats small."""
    rows = [
        {
            "prompt": f"explain number {number} of things",
            "model_a": "new" if number % 2 else "big",
            "model_b": "big" if number % 2 else "new",
            "outcome": 0.0 if number % 2 else 1.0,
        }
        for number in range(40)
    ] + [
        {
            "prompt": f"explain {number}",
            "model_a": "new",
            "model_b": "small",
            "outcome": 1.0,
        }
        for number in range(20)
    ] + [{"prompt": "of others", "model_a": "big", "model_b": "small", "outcome": 1.0}]  # fmt: skip
    path = tmp_path / "newcomer.jsonl"
    pl.DataFrame(rows).write_ndjson(path)
    return path


def test_a_new_model_is_placed_and_the_pair_scores_as_before(
    router: Path, newcomer: Path, tmp_path: Path
) -> None:
    run = run_new_model(
        NewModelRequest(
            name="new", router=router, output=tmp_path / "out", comparisons=(str(newcomer),)
        )
    )
    assert run.n_comparisons == 60
    assert not run.recalibrated
    before, after = load_artifact(router), load_artifact(tmp_path / "out")
    embedder = load_embedder("static")
    prompts = ["prove this", "name that"]
    assert np.array_equal(
        before.router(embedder).win_probabilities(prompts),
        after.router(embedder).win_probabilities(prompts),
    )
    model = MatrixFactorization.from_tensors(after.tensors)
    scores = dict(zip(model.model_names, model.scores(embedder.embed(prompts)).T, strict=True))
    assert (scores["new"] < scores["big"]).all()


def test_the_manifest_says_who_was_added(router: Path, newcomer: Path, tmp_path: Path) -> None:
    run_new_model(
        NewModelRequest(
            name="new", router=router, output=tmp_path / "out", comparisons=(str(newcomer),)
        )
    )
    before, after = load_artifact(router), load_artifact(tmp_path / "out")
    assert after.manifest.settings["new_models"] == [
        {"name": "new", "n_comparisons": 60, "by_rating": False}
    ]
    assert after.manifest.training.n_comparisons == before.manifest.training.n_comparisons + 60
    assert after.manifest.training.sources[-1].name == "newcomer.jsonl"
    assert after.manifest.training.digest != before.manifest.training.digest
    assert after.manifest.metrics == before.manifest.metrics  # the pair is the same
    hashes = prompt_hashes64(["explain 3", "of others"])
    assert np.isin(hashes, after.training_prompt_hashes).tolist() == [True, False]


def test_predictions_of_its_comparisons_are_by_prompts_left_out(
    router: Path, newcomer: Path, tmp_path: Path
) -> None:
    run = run_new_model(
        NewModelRequest(
            name="new", router=router, output=tmp_path / "out", comparisons=(str(newcomer),)
        )
    )
    assert run.held_out is not None
    assert run.held_out.n_labels == 60
    # Whom it meets tells a loss from a win, which its win rate alone cannot.
    assert run.held_out.differences["log_loss", "win rate alone"].high < 0


def test_sides_named_anew_are_calibrated_anew(router: Path, newcomer: Path, tmp_path: Path) -> None:
    run = run_new_model(
        NewModelRequest(
            name="new",
            router=router,
            output=tmp_path / "out",
            comparisons=(str(newcomer),),
            weak=("new",),
        )
    )
    assert run.recalibrated
    assert (run.manifest.strong, run.manifest.weak) == (("big",), ("new",))
    assert run.manifest.calibration.n_prompts == 60
    assert run.manifest.metrics == ()  # those of the old pair say nothing of this one
    scores = load_artifact(tmp_path / "out").router(load_embedder("static"))
    assert scores.win_probabilities(["explain number 7 of things"])[0] > 0.9


def test_a_rating_places_a_model_without_comparisons(router: Path, tmp_path: Path) -> None:
    ratings = tmp_path / "board.csv"
    ratings.write_text("model,rating\nbig,1200\nmiddle,1100\nsmall,900\nnew,1190\n")
    run = run_new_model(NewModelRequest(name="new", router=router, output=router, ratings=ratings))
    assert (run.n_comparisons, run.held_out) == (0, None)
    model = MatrixFactorization.from_tensors(load_artifact(router).tensors)
    assert model.model_names[-1] == "new"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"name": "big"}, ConfigError, "in this router already"),
        ({"name": "nobody"}, DataError, "no comparison holds the new model 'nobody'"),
        ({"comparisons": ()}, ConfigError, "--comparisons FILE or --ratings FILE"),
        ({"weak": ("nobody",)}, ConfigError, "nobody"),
        ({"weak": ("middle",)}, DataError, "0 prompts have a comparison of strong"),
    ],
)
def test_what_cannot_be_added_is_refused_and_nothing_is_written(
    change: dict[str, object],
    error: type[Exception],
    message: str,
    router: Path,
    newcomer: Path,
    tmp_path: Path,
) -> None:
    request = NewModelRequest(
        name="new", router=router, output=tmp_path / "out", comparisons=(str(newcomer),)
    )
    with pytest.raises(error, match=message):
        run_new_model(replace(request, **change))  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_a_router_that_is_none_is_refused(newcomer: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no trained router"):
        run_new_model(
            NewModelRequest(
                name="new", router=tmp_path, output=tmp_path / "out", comparisons=(str(newcomer),)
            )
        )
