"""The quantiles that an artifact keeps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.calibrate.quantiles import win_probability_quantiles


def test_two_values_meet_half_way() -> None:
    # With two values the middles of the steps are levels .25 and .75; .5 is half way.
    quantiles = win_probability_quantiles(np.array([0.8, 0.2]))
    assert quantiles[[0, 250, 500, 750, 1000]] == pytest.approx([0.2, 0.2, 0.5, 0.8, 0.8])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=100))
def test_they_are_hazen_s_quantiles(values: list[float]) -> None:
    expected = np.quantile(values, np.linspace(0, 1, 1001), method="hazen")
    assert win_probability_quantiles(np.array(values)) == pytest.approx(expected, abs=1e-12)


def test_abstentions_are_left_out() -> None:
    assert win_probability_quantiles(np.array([np.nan, 0.3]))[0] == 0.3
    with pytest.raises(ValueError, match="give one or more"):
        win_probability_quantiles(np.array([np.nan]))
