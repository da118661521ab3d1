"""Numbers as a report prints them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.evaluate.report_format import (
    dollar_digits,
    dollars,
    fixed,
    interval_text,
    p_value_text,
    percent,
    quality_digits,
)
from routecast.evaluate.study import Figure


@pytest.mark.parametrize(
    ("value", "n_digits", "text"),
    [
        (0.125, 2, "0.13"),  # an exact half: away from zero, where Python's own format says 0.12
        (-0.125, 2, "−0.13"),
        (1.005, 2, "1.00"),  # the double is 1.00499999999999989...
        (-0.0004, 3, "0.000"),
        (1234567.5, 0, "1,234,568"),
        (math.nan, 3, "–"),
        (math.inf, 3, "∞"),
        (-math.inf, 3, "−∞"),
    ],
)
def test_a_number_is_rounded_once_from_its_exact_value(
    value: float, n_digits: int, text: str
) -> None:
    assert fixed(value, n_digits) == text


@given(st.floats(-1e9, 1e9), st.integers(0, 8))
def test_a_printed_number_is_within_half_a_unit_of_the_value(value: float, n_digits: int) -> None:
    printed = float(fixed(value, n_digits).replace("−", "-").replace(",", ""))
    assert abs(printed - value) <= 0.5 * 10.0**-n_digits + 1e-6 * abs(value) * 1e-9


def test_shares_dollars_and_p_values_carry_their_signs() -> None:
    assert percent(0.62049) == "62.0%"
    assert percent(math.nan) == "–"
    assert dollars(-1234.5, 2) == "−$1,234.50"
    assert dollars(-0.001, 2) == "$0.00"
    assert p_value_text(0.0004) == "< 0.001"
    assert p_value_text(0.0456) == "0.046"
    assert p_value_text(math.nan) == "–"


def test_an_exact_or_undefined_figure_has_no_interval() -> None:
    assert interval_text(Figure(value=0.5, low=0.5, high=0.5), 3) == ""
    assert interval_text(Figure(value=0.5, low=math.nan, high=0.6), 3) == ""
    assert interval_text(Figure(value=0.5, low=0.4, high=0.6), 1, in_percent=True) == "[40.0, 60.0]"


def test_decimals_follow_the_scale() -> None:
    assert [quality_digits(scale) for scale in ((0, 1), (1, 10), (0, 100))] == [3, 2, 1]
    assert quality_digits((0.0, math.inf)) == 3
    assert [dollar_digits(amount) for amount in (12.0, 0.5, 0.034, 0.0)] == [2, 3, 4, 2]
