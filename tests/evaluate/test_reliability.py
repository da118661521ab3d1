"""The reliability curve."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from routecast.evaluate.discrimination import expected_calibration_error
from routecast.evaluate.reliability import reliability_curve, wilson_interval

ROWS = st.lists(
    st.tuples(st.sampled_from([0.05, 0.2, 0.5, 0.75, 0.9]), st.sampled_from([0.0, 0.5, 1.0])),
    min_size=1,
    max_size=40,
)


def test_bins_by_hand() -> None:
    # Two bins of two: forecasts .1 and .3 against 0 and 1, then .6 and .8 against 1 and a tie.
    curve = reliability_curve(
        np.array([0.8, 0.1, 0.3, 0.6]), np.array([0.5, 0.0, 1.0, 1.0]), n_bins=2
    )
    np.testing.assert_allclose(curve.mean_probability, [0.2, 0.7])
    np.testing.assert_allclose(curve.win_share, [0.5, 0.75])
    np.testing.assert_array_equal(curve.n_prompts, [2, 2])


def test_equal_probabilities_make_one_bin() -> None:
    curve = reliability_curve(np.full(100, 0.4), np.repeat([0.0, 1.0], 50))
    np.testing.assert_array_equal(curve.n_prompts, [100])


@given(ROWS)
def test_its_weighted_distance_is_the_calibration_error(rows: list[tuple[float, float]]) -> None:
    scores, labels = np.array(rows).T
    curve = reliability_curve(scores, labels)
    distance = np.abs(curve.mean_probability - curve.win_share) @ curve.n_prompts / len(rows)
    assert distance == pytest.approx(expected_calibration_error(scores, labels))
    assert curve.n_prompts.sum() == len(rows)
    assert (np.diff(curve.mean_probability) > 0).all()
    assert (curve.low <= curve.win_share + 1e-12).all()
    assert (curve.win_share <= curve.high + 1e-12).all()


def test_wilsons_interval_is_scipys() -> None:
    for n_wins, n_draws in ((0, 5), (3, 10), (50, 50), (411, 900)):
        low, high = wilson_interval(np.array([n_wins / n_draws]), np.array([n_draws]))
        theirs = stats.binomtest(n_wins, n_draws).proportion_ci(method="wilson")
        assert (low[0], high[0]) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_what_is_no_probability_is_refused() -> None:
    with pytest.raises(ValueError, match="win probabilities are outside"):
        reliability_curve(np.array([1.5]), np.array([1.0]))
    with pytest.raises(ValueError, match="n_bins is 0"):
        reliability_curve(np.array([0.5]), np.array([1.0]), n_bins=0)
