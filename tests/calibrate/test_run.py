"""Calibration of a router on a sample, and the artifact that comes of it."""

from pathlib import Path

import numpy as np
import pytest

from routecast.artifacts import IsotonicRecord, load_artifact, load_router, router_folder
from routecast.calibrate.run import calibrate_router
from routecast.calibrate.sample import Sample
from routecast.calibrate.threshold import SampleOutcomes
from routecast.errors import ConfigError
from routecast.policy.cuts import tie_draw
from routecast.policy.goals import Goal, cut_for_goal

HALF = Goal("strong_share", 0.5)


def sample_of(n: int, *, with_outcomes: bool = True, costs: bool = True) -> Sample:
    """Made-up prompts, the strong model mostly right and the weak one on short ones."""
    rng = np.random.default_rng(0)
    words = ["prove", "the", "theorem", "hello", "code", "write", "a", "sum", "of", "integers"]
    prompts = [f"{' '.join(rng.choice(words, rng.integers(1, 30)))} {row}" for row in range(n)]
    lengths = np.array([len(prompt) for prompt in prompts])
    strong = (rng.uniform(size=n) < 0.9).astype(np.float64)
    weak = (rng.uniform(size=n) < np.where(lengths < 60, 0.9, 0.3)).astype(np.float64)
    outcomes = SampleOutcomes(
        strong="big",
        weak="small",
        strong_quality=strong,
        weak_quality=weak,
        strong_cost_usd=lengths * 1e-4 if costs else None,
        weak_cost_usd=lengths * 1e-5 if costs else None,
    )
    return Sample(
        name=f"{n} made-up prompts", prompts=prompts, outcomes=outcomes if with_outcomes else None
    )


def test_the_new_artifact_routes_the_sample_as_the_report_says(tmp_path: Path) -> None:
    sample = sample_of(400)
    for goal in (HALF, Goal("min_quality", 0.97), Goal("budget_usd_per_1k", 4.0)):
        report = calibrate_router(load_router(), sample, goal, output=tmp_path / "new")
        loaded = load_router(str(tmp_path / "new"))
        assert loaded.calibration_sample == "400 made-up prompts"
        scores = loaded.router.win_probabilities(sample.prompts)
        draws = np.array([tie_draw(prompt) for prompt in sample.prompts])
        met = np.mean(draws < cut_for_goal(loaded, goal).strong_weights(scores))
        assert met == pytest.approx(report.choice.strong_share.value, abs=1 / 400 + 2 / 1001)


def test_the_order_of_prompts_and_the_weights_stay_as_they_were(tmp_path: Path) -> None:
    sample = sample_of(400)
    report = calibrate_router(load_router(), sample, HALF, output=tmp_path / "new")
    old, new = load_artifact(router_folder("default")), load_artifact(tmp_path / "new")
    assert new.manifest.files == old.manifest.files
    assert new.manifest.training == old.manifest.training
    before, after = (
        load_router(name).router.win_probabilities(sample.prompts)
        for name in ("default", str(tmp_path / "new"))
    )
    assert np.argsort(before).tolist() == np.argsort(after).tolist()
    assert report.map_choice is not None
    assert report.map_choice.kind in {"platt", "isotonic"}


def test_prompts_alone_change_the_quantiles_and_not_the_map(tmp_path: Path) -> None:
    sample = sample_of(150, with_outcomes=False)
    report = calibrate_router(load_router(), sample, HALF, output=tmp_path / "new")
    old, new = load_artifact(router_folder("default")), load_artifact(tmp_path / "new")
    assert report.map_choice is None
    assert new.manifest.calibration.map == old.manifest.calibration.map
    assert new.manifest.calibration.outcomes is None
    assert new.manifest.calibration.n_prompts == 150
    quantiles = new.manifest.calibration.win_probability_quantiles
    assert quantiles != old.manifest.calibration.win_probability_quantiles


def test_without_an_output_the_threshold_is_for_the_router_as_it_is(tmp_path: Path) -> None:
    sample = sample_of(200)
    report = calibrate_router(load_router(), sample, HALF)
    scores = load_router().router.win_probabilities(sample.prompts)
    assert np.mean(scores >= report.choice.cut.threshold) == 0.5
    assert report.map_choice is None
    assert list(tmp_path.iterdir()) == []


def test_a_goal_out_of_reach_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be met"):
        calibrate_router(
            load_router(), sample_of(150), Goal("min_quality", 3), output=tmp_path / "new"
        )
    assert list(tmp_path.iterdir()) == []


def test_a_baseline_gets_a_threshold_and_no_folder(tmp_path: Path) -> None:
    sample = sample_of(200)
    report = calibrate_router(load_router("length"), sample, HALF)
    assert report.likeness is None
    assert report.choice.strong_share.value == 0.5
    with pytest.raises(ConfigError, match="'length' is a baseline without a folder"):
        calibrate_router(load_router("length"), sample, HALF, output=tmp_path / "new")


def test_small_and_foreign_samples_are_warned_about() -> None:
    report = calibrate_router(load_router(), sample_of(60), HALF)
    assert any("only 60 prompts" in warning for warning in report.warnings)
    assert any("unlike the router's training data" in warning for warning in report.warnings)
    assert report.likeness is not None
    assert report.likeness.n_prompts == 60


def test_prompts_that_the_router_learned_from_are_warned_about(shared_data: Path) -> None:
    import polars as pl

    path = shared_data / "train" / "llmrouter_uiuc_train.parquet"
    prompts = pl.read_parquet(path)["query"].unique(maintain_order=True).to_list()
    report = calibrate_router(load_router(), Sample(name="known", prompts=prompts), HALF)
    assert any("are in the router's training data" in warning for warning in report.warnings)


def test_an_isotonic_map_is_stored_and_rebuilt_exactly(tmp_path: Path) -> None:
    sample = sample_of(3000)
    rng = np.random.default_rng(1)
    scores = load_router().router.win_probabilities(sample.prompts)
    win = rng.uniform(size=3000) < np.where(scores > np.median(scores), 0.9, 0.2)
    outcomes = SampleOutcomes(
        strong="big",
        weak="small",
        strong_quality=win.astype(np.float64),
        weak_quality=(~win).astype(np.float64),
    )
    stepped = Sample(name="a step", prompts=sample.prompts, outcomes=outcomes)
    report = calibrate_router(load_router(), stepped, HALF, output=tmp_path / "new")
    assert report.map_choice is not None
    assert report.map_choice.kind == "isotonic"
    record = load_artifact(tmp_path / "new").manifest.calibration.map
    assert isinstance(record, IsotonicRecord)
    fitted, rebuilt = report.map_choice.calibration, record.rebuild()
    grid = np.linspace(0, 1, 1001)
    assert rebuilt.apply(grid).tolist() == fitted.apply(grid).tolist()
