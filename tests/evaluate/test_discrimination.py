"""Discrimination and calibration of win probabilities."""

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routecast.evaluate.discrimination import (
    auroc,
    brier_score,
    expected_calibration_error,
    log_loss,
    win_labels,
)
from routecast.types import FloatArray

Metric = Callable[[FloatArray, FloatArray], float]

ROWS = st.lists(
    st.tuples(st.sampled_from([0.05, 0.2, 0.5, 0.75, 0.9]), st.sampled_from([0.0, 0.5, 1.0])),
    min_size=1,
    max_size=30,
)


def arrays(rows: list[tuple[float, float]]) -> tuple[FloatArray, FloatArray]:
    scores, labels = np.array(rows).T
    return scores, labels


def test_ties_are_half_a_win() -> None:
    labels = win_labels(
        weak_quality=np.array([0.0, 1.0, 0.5, 9.0]), strong_quality=np.array([1.0, 0.0, 0.5, 9.5])
    )
    np.testing.assert_array_equal(labels, [1.0, 0.0, 0.5, 1.0])


def test_auroc_counts_the_pairs_in_order() -> None:
    # Wins at 0.9 and 0.4, losses at 0.4 and 0.1: of four pairs three in order, one equal.
    scores, labels = np.array([0.9, 0.4, 0.4, 0.1]), np.array([1.0, 1.0, 0.0, 0.0])
    assert auroc(scores, labels) == pytest.approx(3.5 / 4)


def test_a_tie_is_half_a_win_and_half_a_loss_in_auroc() -> None:
    # 1 at .9, a tie at .5, 0 at .1: wins weigh 1 + 1/2, losses 1/2 + 1, pairs 2.25.
    # .9 beats both halves of loss (1.5); the half win at .5 equals its own half loss (.125) and
    # beats .1 (.5): 2.125 of 2.25.
    scores, labels = np.array([0.9, 0.5, 0.1]), np.array([1.0, 0.5, 0.0])
    assert auroc(scores, labels) == pytest.approx(2.125 / 2.25)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_auroc_is_nan_with_one_kind_of_label(label: float) -> None:
    assert math.isnan(auroc(np.array([0.1, 0.9]), np.full(2, label)))


@settings(deadline=None)  # other work may share the machine
@given(ROWS)
def test_auroc_equals_the_loop_over_all_pairs(rows: list[tuple[float, float]]) -> None:
    scores, labels = arrays(rows)
    won = total = 0.0
    for (s, y), (t, z) in product(rows, rows):
        won += y * (1 - z) * ((s > t) + 0.5 * (s == t))
        total += y * (1 - z)
    expected = won / total if total else math.nan
    assert auroc(scores, labels) == pytest.approx(expected, nan_ok=True)


@settings(deadline=None)  # other work may share the machine
@given(ROWS)
def test_auroc_is_complementary_when_the_models_swap(rows: list[tuple[float, float]]) -> None:
    scores, labels = arrays(rows)
    assert auroc(scores, labels) == pytest.approx(auroc(-scores, 1.0 - labels), nan_ok=True)


def test_log_loss_and_brier_by_hand() -> None:
    probabilities, labels = np.array([0.8, 0.5, 0.25]), np.array([1.0, 0.5, 0.0])
    # P of what happened: 0.8, 0.5 either way at the tie, and 1 - 0.25.
    expected = -(math.log(0.8) + math.log(0.5) + math.log(0.75)) / 3
    assert log_loss(probabilities, labels) == pytest.approx(expected)
    # Off by 0.2, by nothing at the tie, and by 0.25.
    assert brier_score(probabilities, labels) == pytest.approx((0.04 + 0.0625) / 3)


def test_log_loss_at_the_ends_is_zero_when_right_and_infinite_when_wrong() -> None:
    ends = np.array([0.0, 1.0])
    assert log_loss(ends, ends) == 0.0
    assert log_loss(ends, np.array([0.0, 0.0])) == math.inf
    assert log_loss(ends, np.array([0.5, 1.0])) == math.inf


@settings(deadline=None)  # other work may share the machine
@given(ROWS)
def test_log_loss_equals_the_loop(rows: list[tuple[float, float]]) -> None:
    scores, labels = arrays(rows)
    losses = [-(y * math.log(p) + (1 - y) * math.log(1 - p)) for p, y in rows]
    assert log_loss(scores, labels) == pytest.approx(sum(losses) / len(losses))


def test_ece_by_hand() -> None:
    # Two bins of two: means (.1, .3) -> .2 against labels (0, 1) -> .5; (.6, .8) -> .7 against 1.
    probabilities, labels = np.array([0.1, 0.3, 0.6, 0.8]), np.array([0.0, 1.0, 1.0, 1.0])
    # Each bin weighs a half and is 0.3 off.
    assert expected_calibration_error(probabilities, labels, n_bins=2) == pytest.approx(0.3)


def test_ece_keeps_equal_probabilities_in_one_bin() -> None:
    # All equal: one bin, mean .5 against .5, however the rows are ordered.
    probabilities, labels = np.full(100, 0.5), np.repeat([0.0, 1.0], 50)
    assert expected_calibration_error(probabilities, labels) == pytest.approx(0.0)


def test_ece_bins_have_equal_mass() -> None:
    # 30 distinct probabilities in 15 bins: pairs; labels alternate, so each pair has mean .5.
    probabilities = np.arange(30) / 100
    labels = np.tile([0.0, 1.0], 15)
    pair_means = probabilities.reshape(15, 2).mean(axis=1)
    expected = np.abs(pair_means - 0.5).mean()
    assert expected_calibration_error(probabilities, labels) == pytest.approx(expected)


@settings(deadline=None)  # other work may share the machine
@given(ROWS, st.integers(1, 20))
def test_ece_equals_the_loop_over_bins(rows: list[tuple[float, float]], n_bins: int) -> None:
    scores, labels = arrays(rows)
    bins: dict[int, list[float]] = {}
    for p, y in rows:
        below = sum(q < p for q, _ in rows)
        equal = sum(q == p for q, _ in rows)
        bins.setdefault(math.floor((below + equal / 2) * n_bins / len(rows)), []).append(p - y)
    expected = sum(abs(sum(excess)) for excess in bins.values()) / len(rows)
    found = expected_calibration_error(scores, labels, n_bins=n_bins)
    assert found == pytest.approx(expected)
    assert 0.0 <= found <= 1.0


@settings(deadline=None)  # other work may share the machine
@given(ROWS)
def test_the_order_of_the_rows_does_not_matter(rows: list[tuple[float, float]]) -> None:
    here, there = arrays(rows), arrays(sorted(rows, key=repr))
    for metric in (auroc, log_loss, brier_score, expected_calibration_error):
        assert metric(*here) == pytest.approx(metric(*there), nan_ok=True)


@pytest.mark.parametrize("metric", [auroc, log_loss, brier_score, expected_calibration_error])
def test_what_cannot_be_measured_is_refused(metric: Metric) -> None:
    with pytest.raises(ValueError, match="shapes"):
        metric(np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match="at least one prompt"):
        metric(np.zeros(0), np.zeros(0))
    with pytest.raises(ValueError, match="abstained"):
        metric(np.array([np.nan]), np.zeros(1))
    with pytest.raises(ValueError, match="labels are outside"):
        metric(np.zeros(1), np.array([2.0]))


@pytest.mark.parametrize("metric", [log_loss, brier_score, expected_calibration_error])
def test_scores_that_are_no_probabilities_are_refused(metric: Metric) -> None:
    with pytest.raises(ValueError, match="win probabilities are outside"):
        metric(np.array([1.5]), np.array([1.0]))


def test_no_bins_are_refused() -> None:
    with pytest.raises(ValueError, match="n_bins is 0"):
        expected_calibration_error(np.zeros(1), np.zeros(1), n_bins=0)
