"""The choice of a calibration map."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.artifacts import load_router
from routecast.calibrate.probability import choose_calibration
from routecast.evaluate.benchmarks import load_benchmark
from routecast.evaluate.discrimination import win_labels
from routecast.evaluate.metrics import routing_metrics
from routecast.routers.calibrated import CalibratedRouter
from routecast.routers.length import LengthRouter
from routecast.stats.isotonic import fit_isotonic
from routecast.stats.platt import fit_platt, log_odds, sigmoid
from routecast.types import FloatArray


def sample(n: int, truth: FloatArray | None = None) -> tuple[FloatArray, FloatArray]:
    generator = np.random.default_rng(2)
    scores = generator.uniform(0.02, 0.98, n)
    chance = (
        sigmoid(0.5 * log_odds(scores) - 1)
        if truth is None
        else np.interp(scores, np.linspace(0, 1, len(truth)), truth)
    )
    return scores, (generator.uniform(size=n) < chance).astype(np.float64)


def test_platt_is_chosen_where_its_curve_is_true() -> None:
    choice = choose_calibration(*sample(2000))
    assert choice.kind == "platt"
    assert choice.platt_log_loss < choice.isotonic_log_loss


def test_isotonic_is_chosen_where_the_truth_is_a_step() -> None:
    choice = choose_calibration(*sample(2000, np.array([0.2] * 50 + [0.8] * 50)))
    assert choice.kind == "isotonic"
    assert choice.isotonic_log_loss < choice.platt_log_loss


def test_the_losses_are_those_of_folds_left_out() -> None:
    # With as many groups as folds, whatever the seed, each group is left out once: slowly.
    scores, wins = sample(200)
    groups = np.arange(200) % 10
    choice = choose_calibration(scores, wins, groups=groups, seed=9)
    for fit, loss in ((fit_platt, choice.platt_log_loss), (fit_isotonic, choice.isotonic_log_loss)):
        losses = []
        for group in range(10):
            fitted = fit(scores[groups != group], wins[groups != group])
            for score, win in zip(scores[groups == group], wins[groups == group], strict=True):
                p = fitted.apply(np.array([score]))[0]
                losses.append(-math.log(p) if win else -math.log(1 - p))
        assert loss == pytest.approx(np.mean(losses))
    assert choice.n_folds == 10


def test_the_map_is_fitted_on_the_whole_sample() -> None:
    scores, wins = sample(500)
    choice = choose_calibration(scores, wins)
    assert choice.calibration == fit_platt(scores, wins)


def test_abstentions_are_left_out_and_counted() -> None:
    scores, wins = sample(300)
    gaps = np.where(np.arange(300) % 3 == 0, np.nan, scores)
    choice = choose_calibration(gaps, wins)
    assert (choice.n_prompts, choice.n_abstained) == (200, 100)
    kept = ~np.isnan(gaps)
    assert choice.calibration == choose_calibration(scores[kept], wins[kept]).calibration
    assert np.isnan(choice.calibration.apply(np.array([np.nan]))).all()


def test_one_group_has_no_folds_and_gives_platt() -> None:
    choice = choose_calibration(np.array([0.2, 0.8]), np.array([0.0, 1.0]), groups=["a", "a"])
    assert (choice.kind, choice.n_folds) == ("platt", 0)
    assert math.isnan(choice.platt_log_loss)


def test_seeds_decide_the_folds_and_nothing_else() -> None:
    scores, wins = sample(300)
    one, same, other = (choose_calibration(scores, wins, seed=seed) for seed in (1, 1, 2))
    assert one.platt_log_loss == same.platt_log_loss != other.platt_log_loss
    assert one.calibration == other.calibration


def test_scores_that_mislead_still_get_an_increasing_map() -> None:
    scores = np.linspace(0.1, 0.9, 400)
    wins = (np.random.default_rng(0).uniform(size=400) > scores).astype(np.float64)
    choice = choose_calibration(scores, wins)
    assert np.all(np.diff(choice.calibration.apply(scores)) > 0)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=40))
def test_the_order_of_any_sample_is_kept(rows: list[tuple[float, float]]) -> None:
    scores, wins = np.array(rows).T
    calibration = choose_calibration(scores, wins).calibration
    assert np.all(np.diff(calibration.apply(np.sort(scores))) >= 0)


@pytest.mark.parametrize("n_targets", [2, 4])
def test_columns_of_different_lengths_are_refused(n_targets: int) -> None:
    with pytest.raises(ValueError, match="give one of each per prompt"):
        choose_calibration(np.full(3, 0.5), np.zeros(n_targets))


def test_a_sample_of_abstentions_is_refused() -> None:
    with pytest.raises(ValueError, match="empty sample"):
        choose_calibration(np.array([np.nan]), np.array([1.0]))


@pytest.mark.parametrize("name", ["default", "length"])
def test_apgr_on_mmlu_is_the_same_before_and_after(name: str, shared_data: Path) -> None:
    pair = load_benchmark("mmlu", shared_data / "benchmarks" / "routellm").pair
    weak, strong = pair.weak_quality, pair.strong_quality
    loaded = load_router(name).router if name == "default" else LengthRouter()
    raw = loaded.router if isinstance(loaded, CalibratedRouter) else loaded
    scores = raw.win_probabilities(pair.prompts)
    rows = np.random.default_rng(0).permutation(len(scores))[:1531]
    wins = win_labels(weak_quality=weak, strong_quality=strong)
    before = routing_metrics(scores, weak_quality=weak, strong_quality=strong).apgr
    for fit in (fit_platt, fit_isotonic):
        mapped = fit(scores[rows], wins[rows]).apply(scores)
        after = routing_metrics(mapped, weak_quality=weak, strong_quality=strong).apgr
        assert after == pytest.approx(before, abs=1e-7)
        order = np.argsort(scores, kind="stable")
        is_apart = np.diff(scores[order]) >= 1e-12  # nearer ones may become equal, never turn
        assert np.all(np.diff(mapped[order]) >= 0)
        assert np.all(np.diff(mapped[order])[is_apart] > 0)
        assert np.mean(is_apart) > (0.9 if name == "default" else 0.1)
