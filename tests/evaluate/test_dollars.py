"""The cost-quality curve with dollars on the x-axis."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.evaluate.curve import cost_quality_curve
from routecast.evaluate.dollars import (
    DollarCurve,
    average_gap_recovered_usd,
    dollar_curve,
    saving_fraction,
    saving_usd,
)
from routecast.evaluate.metrics import average_gap_recovered, share_for_gap_recovered
from routecast.types import FloatArray

ROWS = st.lists(
    st.tuples(*(st.integers(0, high) for high in (3, 3, 3, 5, 9))), min_size=1, max_size=12
)


def curve_of(
    scores: list[float], gaps: list[float], weak_cost: list[float], strong_cost: list[float]
) -> DollarCurve:
    values = np.array(scores, dtype=np.float64)
    calls = cost_quality_curve(
        values, weak_quality=np.zeros(len(gaps)), strong_quality=np.array(gaps, dtype=np.float64)
    )
    return dollar_curve(
        calls,
        values,
        weak_cost_usd=np.array(weak_cost, dtype=np.float64),
        strong_cost_usd=np.array(strong_cost, dtype=np.float64),
    )


def test_each_prompt_adds_its_own_extra_cost() -> None:
    # In order of score, extra costs 4 - 1 = 3 and 2 - 1 = 1 over two prompts; all weak costs 1.
    curve = curve_of([0.9, 0.1], [1, 1], [1, 1], [4, 2])
    np.testing.assert_allclose(curve.cost_usd, [1.0, 2.5, 3.0])
    np.testing.assert_allclose(curve.extra_cost, [0, 0.75, 1])
    # PGR 0, .5, 1 at 0, .75, 1: .75 * .25 + .25 * .75 = .375, where calls give .5.
    assert average_gap_recovered_usd(curve) == pytest.approx(0.375)
    assert average_gap_recovered(curve.calls) == pytest.approx(0.5)
    # Half the gap is there after one call, which is three quarters of the extra dollars.
    assert curve.extra_cost_at(share_for_gap_recovered(curve.calls, 0.5)) == pytest.approx(0.75)
    # All strong costs 3 per prompt; one call saves 0.5 of it.
    assert saving_usd(curve, 0.5) == pytest.approx(0.5)
    assert saving_fraction(curve, 0.5) == pytest.approx(1 / 6)


def test_a_prompt_on_which_the_weak_model_is_dearer_steps_back() -> None:
    # Extra costs 3, -1, 2 of 4: x is 0, .75, .5, 1; gaps 1, 0, 1 of 2: PGR 0, .5, .5, 1.
    curve = curve_of([0.9, 0.5, 0.1], [1, 0, 1], [0, 1, 0], [3, 0, 2])
    np.testing.assert_allclose(curve.extra_cost, [0, 0.75, 0.5, 1])
    # .75 * .25 - .25 * .5 + .5 * .75 = .4375
    assert average_gap_recovered_usd(curve) == pytest.approx(0.4375)


def test_equal_scores_share_their_cost() -> None:
    curve = curve_of([0.5, 0.5], [1, 0], [0, 0], [3, 1])
    np.testing.assert_allclose(curve.cost_usd, [0, 1, 2])
    assert average_gap_recovered_usd(curve) == pytest.approx(0.5)


def test_there_is_no_area_where_the_strong_model_costs_no_more() -> None:
    for strong_cost in ([0.5, 1.5], [0.0, 0.0]):
        curve = curve_of([0.9, 0.1], [1, 1], [1, 1], strong_cost)
        assert math.isnan(average_gap_recovered_usd(curve))
    free = curve_of([0.9, 0.1], [1, 1], [0, 0], [0, 0])
    assert saving_usd(free, 0.5) == 0.0
    assert math.isnan(saving_fraction(free, 0.5))
    assert math.isnan(saving_usd(free, math.nan))


def test_costs_that_no_bill_has_are_refused() -> None:
    with pytest.raises(ValueError, match="negative or not finite"):
        curve_of([0.5], [1], [-1], [1])
    with pytest.raises(ValueError, match="negative or not finite"):
        curve_of([0.5], [1], [0], [math.nan])
    with pytest.raises(ValueError, match="shapes"):
        curve_of([0.5], [1], [0, 0], [1, 1])


def slow_cost(scores: FloatArray, weak: FloatArray, strong: FloatArray, n_sent: int) -> float:
    """Bill of the n highest scores, the score at the edge taken in expectation."""
    total = 0.0
    for score, cheap, dear in zip(scores, weak, strong, strict=True):
        above, equal = (scores > score).sum(), (scores == score).sum()
        sent = min(max((n_sent - above) / equal, 0.0), 1.0)
        total += cheap + sent * (dear - cheap)
    return total / len(scores)


@given(ROWS)
def test_the_cost_at_each_cut_equals_the_bill(rows: list[tuple[int, ...]]) -> None:
    scores, _, gaps, weak, strong = np.array(rows, dtype=np.float64).T
    curve = curve_of(list(scores), list(gaps), list(weak), list(strong))
    expected = [slow_cost(scores, weak, strong, n) for n in range(len(rows) + 1)]
    np.testing.assert_allclose(curve.cost_usd, expected, atol=1e-12)


@given(ROWS, st.integers(1, 5))
def test_one_price_for_every_call_gives_the_area_of_calls(
    rows: list[tuple[int, ...]], price: int
) -> None:
    scores, _, gaps, weak, _ = np.array(rows, dtype=np.float64).T
    curve = curve_of(list(scores), list(gaps), list(weak), list(weak + price))
    assert average_gap_recovered_usd(curve) == pytest.approx(
        average_gap_recovered(curve.calls), nan_ok=True
    )
