"""Holm's correction."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.stats.holm import holm_adjusted

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def test_the_worked_example_of_the_encyclopedia() -> None:
    # is raised to .06.
    adjusted = holm_adjusted(np.array([0.01, 0.04, 0.03, 0.005]))
    np.testing.assert_allclose(adjusted, [0.03, 0.06, 0.06, 0.02])


@given(P_VALUES, st.floats(0.001, 0.999))
def test_rejections_are_those_of_the_step_down_procedure(
    p_values: list[float], level: float
) -> None:
    rejected = set()
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if (len(p_values) - rank) * p_values[i] > level:
            break
        rejected.add(i)
    adjusted = holm_adjusted(np.array(p_values))
    assert set(np.flatnonzero(adjusted <= level)) == rejected


@given(P_VALUES)
def test_adjusting_keeps_the_order_and_never_lowers_a_value(
    p_values: list[float],
) -> None:
    raw = np.array(p_values)
    adjusted = holm_adjusted(raw)
    assert (adjusted >= raw).all()
    assert (np.diff(adjusted[np.argsort(raw, kind="stable")]) >= 0).all()
    assert adjusted.max() <= 1.0


def test_what_could_not_be_tested_does_not_count() -> None:
    adjusted = holm_adjusted(np.array([0.02, math.nan, 0.03]))
    np.testing.assert_allclose(adjusted, [0.04, math.nan, 0.04])
    assert len(holm_adjusted(np.array([]))) == 0


def test_what_is_no_probability_is_refused() -> None:
    with pytest.raises(ValueError, match="outside"):
        holm_adjusted(np.array([1.5]))
