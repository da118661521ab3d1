"""What so many prompts can tell."""

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from routecast.evaluate.curve import cost_quality_curve
from routecast.evaluate.metrics import average_gap_recovered
from routecast.evaluate.pair import PairArrays
from routecast.evaluate.power import random_order_apgr, study_warnings
from routecast.evaluate.study import Figure


@given(st.lists(st.integers(-2, 4), min_size=2, max_size=6))
def test_the_spread_is_that_over_all_orders(gaps: list[int]) -> None:
    assume(sum(gaps) != 0)
    weak, strong = np.zeros(len(gaps)), np.array(gaps, dtype=np.float64)
    areas = [
        average_gap_recovered(
            cost_quality_curve(np.array(order), weak_quality=weak, strong_quality=strong)
        )
        for order in permutations(np.arange(float(len(gaps))))
    ]
    figure = random_order_apgr(weak_quality=weak, strong_quality=strong)
    assert np.mean(areas) == pytest.approx(figure.value)
    assert 1.959964 * np.std(areas) == pytest.approx(figure.high - figure.value, rel=1e-6)
    assert figure.value - figure.low == pytest.approx(figure.high - figure.value)


def test_there_is_no_spread_to_speak_of_at_the_edges() -> None:
    tie = random_order_apgr(weak_quality=np.ones(2), strong_quality=np.ones(2))
    assert math.isnan(tie.value)
    one = random_order_apgr(weak_quality=np.zeros(1), strong_quality=np.ones(1))
    assert (one.low, one.value, one.high) == (0.5, 0.5, 0.5)


def found(low: float, high: float) -> dict[str, dict[str, Figure]]:
    return {"r": {"apgr": Figure(value=(low + high) / 2, low=low, high=high)}}


def test_few_prompts_are_warned_about() -> None:
    few = PairArrays(weak_quality=np.zeros(20), strong_quality=np.tile([0.0, 1.0], 10))
    warnings = study_warnings(few, found(0.4, 0.8), ())
    assert "20 prompts cannot tell close routers apart" in warnings[0]
    assert warnings[1] == "not told from a random order at 95%: r"
    many = PairArrays(weak_quality=np.zeros(20_000), strong_quality=np.tile([0.0, 1.0], 10_000))
    assert study_warnings(many, found(0.58, 0.6), ()) == ()


def test_models_that_make_routing_pointless_are_named() -> None:
    tie = PairArrays(weak_quality=np.array([0.0, 1.0]), strong_quality=np.array([1.0, 0.0]))
    assert "equally good" in study_warnings(tie, {}, ())[0]
    same = np.ones(10_000)
    free = PairArrays(
        weak_quality=same * 0, strong_quality=same, weak_cost_usd=same, strong_cost_usd=same
    )
    assert study_warnings(free, {}, ()) == (
        "the strong model costs no more than the weak one: nothing to save",
    )


def test_few_groups_are_warned_about() -> None:
    pair = PairArrays(weak_quality=np.zeros(10_000), strong_quality=np.ones(10_000))
    warnings = study_warnings(pair, {}, (), group_codes=np.arange(10_000) % 7)
    assert warnings == ("intervals rest on 7 groups only, and are likely too narrow",)
