import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from routecast.stats.platt import PlattScaling, fit_platt, log_odds, sigmoid
from routecast.types import FloatArray


def test_apply_follows_the_formula() -> None:
    # logit(0.8) = ln 4, so 2 ln 4 - ln 2 = ln 8, and sigmoid(ln 8) = 8 / 9.
    scaled = PlattScaling(slope=2.0, intercept=-math.log(2)).apply(np.array([0.8]))
    assert scaled == pytest.approx([8 / 9])


def test_a_calibrated_sample_is_left_as_it_is() -> None:
    # At 0.25 a quarter wins and at 0.75 three quarters: slope 1, intercept 0.
    probabilities = np.repeat([0.25, 0.75], 4)
    targets = np.array([1, 0, 0, 0, 1, 1, 1, 0], dtype=float)
    fitted = fit_platt(probabilities, targets)
    assert fitted.slope == pytest.approx(1, abs=1e-4)
    assert fitted.intercept == pytest.approx(0, abs=1e-4)


def test_fit_agrees_with_a_general_optimiser() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.uniform(0.01, 0.99, 500)
    truth = sigmoid(0.4 * log_odds(probabilities) - 0.7)
    targets = (generator.uniform(size=500) < truth).astype(np.float64)
    weights = generator.uniform(0.1, 3, 500)

    def loss(parameters: FloatArray) -> float:
        p = 1 / (1 + np.exp(-(parameters[0] * log_odds(probabilities) + parameters[1])))
        return -float(
            np.average(targets * np.log(p) + (1 - targets) * np.log1p(-p), weights=weights)
        )

    slow = minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead", options={"xatol": 1e-8})
    fitted = fit_platt(probabilities, targets, weights=weights)
    assert [fitted.slope, fitted.intercept] == pytest.approx(slow.x, abs=1e-4)


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0.01, 50), st.floats(-800, 800)
)
def test_a_probability_maps_alike_alone_and_among_others_to_the_last_bit(
    values: list[float], slope: float, intercept: float
) -> None:
    scaling = PlattScaling(slope=slope, intercept=intercept)
    together = scaling.apply(np.array(values))
    alone = np.concatenate([scaling.apply(np.array([value])) for value in values])
    assert np.array_equal(together, alone)
    # the formula on whole arrays; NumPy's log and exp differ from the C library's in the last bits
    slow = sigmoid(slope * log_odds(np.array(values)) + intercept)
    assert together == pytest.approx(slow, rel=1e-11, abs=0)
    assert np.all((together >= 0) & (together <= 1))


def test_the_ends_stay_finite_and_an_abstention_stays_one() -> None:
    scaled = PlattScaling(slope=3.0, intercept=-900.0).apply(np.array([0.0, 1.0, np.nan]))
    assert np.all(np.isfinite(scaled[:2]))
    assert np.isnan(scaled[2])
    assert PlattScaling(slope=1.0, intercept=0.0).apply(np.array([])).shape == (0,)


@given(st.lists(st.floats(0.001, 0.999), min_size=2, max_size=50, unique=True))
def test_order_is_kept(values: list[float]) -> None:
    probabilities = np.sort(np.array(values))
    scaled = PlattScaling(slope=0.3, intercept=0.1).apply(probabilities)
    assert np.all(np.diff(scaled) >= 0)


def test_scores_that_mislead_shrink_to_the_base_rate_and_keep_their_order() -> None:
    probabilities = np.linspace(0.05, 0.95, 101)
    targets = 1.0 - probabilities
    targets[:50] = 0.9
    scaled = fit_platt(probabilities, targets).apply(probabilities)
    assert scaled == pytest.approx(np.full(101, targets.mean()), abs=0.01)
    assert np.all(np.diff(scaled) > 0)


def test_rounding_of_large_margins_does_not_keep_the_fit_from_ending() -> None:
    # Found by hypothesis. The slope goes to -20 where the log-odds are -27.6: margins of 557, whose
    # rounding hid the last gains of the loss.
    probabilities, targets = np.array([0.0, 0.5, 0.6]), np.array([0.99999, 0.75, 0.0])
    assert fit_platt(probabilities, targets).slope == 0.001


def test_separable_targets_stay_finite() -> None:
    fitted = fit_platt(np.array([0.2, 0.4, 0.6, 0.8]), np.array([0.0, 0.0, 1.0, 1.0]))
    assert math.isfinite(fitted.slope)
    assert math.isfinite(fitted.intercept)


@pytest.mark.parametrize(
    ("probabilities", "targets", "message"),
    [
        ([], [], "empty sample"),
        ([0.5], [0.5, 0.5], "one length"),
        ([1.5], [0.5], "probabilities must lie"),
        ([0.5], [float("nan")], "targets must lie"),
    ],
)
def test_unusable_samples_are_refused(
    probabilities: list[float], targets: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        fit_platt(np.array(probabilities), np.array(targets))


def test_a_map_that_would_turn_the_order_is_refused() -> None:
    with pytest.raises(ValueError, match="slope above 0"):
        PlattScaling(slope=-1.0, intercept=0.0)
