"""Metrics of routing."""

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TypedDict

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from routecast.evaluate.benchmarks import load_benchmark
from routecast.evaluate.curve import CostQualityCurve, cost_quality_curve
from routecast.evaluate.metrics import (
    RANDOM_APGR,
    apgr_eleven_quantiles,
    apgr_ten_thresholds,
    average_gap_recovered,
    calls_for_strong_quality,
    normalised_apgr,
    oracle_scores,
    performance_gap_recovered,
    routing_metrics,
    share_for_gap_recovered,
)
from routecast.types import FloatArray

QUALITIES = st.lists(
    st.tuples(st.sampled_from([0.1, 0.2, 0.3, 0.4]), st.integers(0, 5), st.integers(0, 5)),
    min_size=1,
    max_size=12,
)


class Qualities(TypedDict):
    weak_quality: FloatArray
    strong_quality: FloatArray


def curve_of(scores: Sequence[float], gaps: Sequence[float]) -> CostQualityCurve:
    weak = np.zeros(len(gaps))
    return cost_quality_curve(np.array(scores), weak_quality=weak, strong_quality=np.array(gaps))


def columns(rows: list[tuple[float, int, int]]) -> tuple[FloatArray, Qualities]:
    scores, weak, strong = np.array(rows, dtype=np.float64).T
    assume(weak.sum() != strong.sum())
    return scores, Qualities(weak_quality=weak, strong_quality=strong)


def slow_area(curve: CostQualityCurve) -> float:
    points = zip(curve.strong_share, curve.gap_recovered, strict=True)
    area = 0.0
    for (left, low), (right, high) in pairwise(points):
        area += float((right - left) * (low + high) / 2)
    return area


def slow_share(curve: CostQualityCurve, target: float) -> float:
    """Walk along the running maximum in small steps of PGR."""
    best = curve.gap_recovered[0]
    if best >= target:
        return 0.0
    for k, value in enumerate(curve.gap_recovered[1:], start=1):
        if value >= target - 1e-9:
            part = min((target - best) / (value - best), 1.0)
            return float((k - 1 + part) / curve.n_prompts)
        best = max(best, value)
    return math.nan


def test_gap_recovered_is_the_share_of_the_way_from_weak_to_strong() -> None:
    # (0.75 - 0.5) / (0.9 - 0.5) = 0.625
    assert performance_gap_recovered(0.75, weak=0.5, strong=0.9) == pytest.approx(0.625)
    assert performance_gap_recovered(0.4, weak=0.5, strong=0.9) == pytest.approx(-0.25)


def test_gap_recovered_is_nan_when_the_models_tie() -> None:
    assert math.isnan(performance_gap_recovered(0.7, weak=0.1 + 0.2, strong=0.3))
    assert math.isnan(performance_gap_recovered(0.0, weak=0.0, strong=0.0))


@pytest.mark.parametrize("quality", [math.nan, math.inf])
def test_gap_recovered_refuses_what_is_not_finite(quality: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        performance_gap_recovered(0.5, weak=quality, strong=1.0)


def test_apgr_is_the_area_by_trapezoid() -> None:
    # Gaps in order of score: 2, 0, -1, 1; their sum is 2, so PGR is 0, 1, 1, 0.5, 1 at quarters.
    curve = curve_of([0.9, 0.7, 0.5, 0.3], [2, 0, -1, 1])
    # (0 + 1)/2 + (1 + 1)/2 + (1 + 0.5)/2 + (0.5 + 1)/2 = 3, times 1/4
    assert average_gap_recovered(curve) == pytest.approx(0.75)


def test_cpt_inverts_the_running_maximum() -> None:
    # Gaps in order of score: 1, -1, 2, 2 of 4: PGR 0, 0.25, 0, 0.5, 1; maximum 0, .25, .25, .5, 1.
    curve = curve_of([0.9, 0.7, 0.5, 0.3], [1, -1, 2, 2])
    assert share_for_gap_recovered(curve, 0.125) == pytest.approx(0.5 / 4)
    assert share_for_gap_recovered(curve, 0.25) == pytest.approx(1 / 4)
    # From .25 at two quarters to .5 at three: .375 is half way.
    assert share_for_gap_recovered(curve, 0.375) == pytest.approx(2.5 / 4)
    assert share_for_gap_recovered(curve, 0.8) == pytest.approx((3 + 0.6) / 4)
    assert share_for_gap_recovered(curve, 1.0) == 1.0


def test_cpt_at_the_ends() -> None:
    curve = curve_of([0.9, 0.7], [2, -1])
    assert share_for_gap_recovered(curve, 0.0) == 0.0
    assert share_for_gap_recovered(curve, -1.0) == 0.0
    assert share_for_gap_recovered(curve, 1.5) == pytest.approx(0.375)  # PGR 2 at the half
    assert math.isnan(share_for_gap_recovered(curve, 2.5))


def test_metrics_are_nan_when_the_models_tie() -> None:
    metrics = routing_metrics(
        np.array([0.1, 0.2]),
        weak_quality=np.array([0.0, 1.0]),
        strong_quality=np.array([1.0, 0.0]),
    )
    assert math.isnan(metrics.apgr)
    assert math.isnan(metrics.cpt_50)
    assert math.isnan(metrics.cpt_80)
    assert math.isnan(metrics.apgr_ten_thresholds)
    assert math.isnan(metrics.apgr_eleven_quantiles)
    assert (metrics.weak_quality, metrics.strong_quality, metrics.n_prompts) == (0.5, 0.5, 2)


def test_a_router_that_cannot_tell_prompts_apart_is_the_random_one() -> None:
    curve = curve_of([0.5] * 7, [1, 0, 2, -1, 0, 0, 1])
    assert average_gap_recovered(curve) == pytest.approx(RANDOM_APGR)
    assert apgr_ten_thresholds(curve) == pytest.approx(RANDOM_APGR)
    assert share_for_gap_recovered(curve, 0.8) == pytest.approx(0.8)


def test_ten_thresholds_are_the_middles_of_ten_parts() -> None:
    # Ten prompts, all the gap in the first: PGR is 0.5 at .05 and 1 at .15, .25 ... .95.
    curve = curve_of([10 - i for i in range(10)], [1] + [0] * 9)
    assert apgr_ten_thresholds(curve) == pytest.approx((0.5 + 9) / 10)


def test_eleven_quantiles_move_equal_scores_together() -> None:
    scores, weak = np.array([0.2, 0.2, 0.2, 0.8]), np.zeros(4)
    strong = np.array([1.0, 0.0, 0.0, 1.0])
    # Quantiles 0 ... 60% are 0.2, 70% is 0.26, 80% 0.44, 90% 0.62, 100% is 0.8 (strictly above).
    # Shares 1 (PGR 1), 1/4 (PGR 1/2), 0 (PGR 0): area 3/4 * 3/4 + 1/4 * 1/4 = 0.625.
    apgr = apgr_eleven_quantiles(scores, weak_quality=weak, strong_quality=strong)
    assert apgr == pytest.approx(0.625)


@settings(deadline=None)  # other work may share the machine
@given(QUALITIES)
def test_metrics_equal_their_slow_definitions(rows: list[tuple[float, int, int]]) -> None:
    scores, qualities = columns(rows)
    curve = cost_quality_curve(scores, **qualities)
    metrics = routing_metrics(scores, **qualities)
    assert metrics.apgr == pytest.approx(slow_area(curve))
    assert metrics.cpt_50 == pytest.approx(slow_share(curve, 0.5))
    assert metrics.cpt_80 == pytest.approx(slow_share(curve, 0.8))


@settings(deadline=None)  # other work may share the machine
@given(QUALITIES)
def test_no_order_beats_the_oracle(rows: list[tuple[float, int, int]]) -> None:
    scores, qualities = columns(rows)
    assume(qualities["strong_quality"].sum() > qualities["weak_quality"].sum())
    best = routing_metrics(oracle_scores(**qualities), **qualities).apgr
    assert routing_metrics(scores, **qualities).apgr <= best + 1e-9


@settings(deadline=None)  # other work may share the machine
@given(QUALITIES)
def test_swapping_models_and_order_keeps_the_area(rows: list[tuple[float, int, int]]) -> None:
    scores, qualities = columns(rows)
    swapped = Qualities(
        weak_quality=qualities["strong_quality"], strong_quality=qualities["weak_quality"]
    )
    # Sending the lowest scores to the other model first walks the same curve from its other end.
    here, there = routing_metrics(scores, **qualities), routing_metrics(-scores, **swapped)
    assert here.apgr == pytest.approx(1.0 - there.apgr)


@settings(deadline=None)  # other work may share the machine
@given(QUALITIES, st.floats(0.1, 10), st.floats(-5, 5))
def test_the_unit_of_quality_does_not_matter(
    rows: list[tuple[float, int, int]], scale: float, shift: float
) -> None:
    scores, qualities = columns(rows)
    moved = Qualities(
        weak_quality=scale * qualities["weak_quality"] + shift,
        strong_quality=scale * qualities["strong_quality"] + shift,
    )
    here, there = routing_metrics(scores, **qualities), routing_metrics(scores, **moved)
    assert here.apgr == pytest.approx(there.apgr)
    assert here.cpt_80 == pytest.approx(there.cpt_80)


def test_calls_for_strong_quality_by_hand() -> None:
    # Weak 0.5; in order of score the gaps are +1, 0, +1, -1 over 4 prompts: quality .5, .75, .75,
    # 1, .75; the strong model's own is .75.
    scores = np.array([0.9, 0.7, 0.5, 0.3])
    weak, strong = np.array([0.0, 1, 0, 1]), np.array([1.0, 1, 1, 0])
    curve = cost_quality_curve(scores, weak_quality=weak, strong_quality=strong)
    assert calls_for_strong_quality(curve, 1.0) == pytest.approx(1 / 4)
    # 90% of .75 is .675, which is .7 of the way from .5 to .75.
    assert calls_for_strong_quality(curve, 0.9) == pytest.approx(0.7 / 4)
    # 60% of .75 is .45: the weak model alone is there.
    assert calls_for_strong_quality(curve, 0.6) == 0.0


def test_no_calls_are_needed_when_the_weak_model_ties_or_leads() -> None:
    for strong in ([1.0, 0.0], [0.0, 0.5]):
        curve = cost_quality_curve(
            np.array([0.1, 0.2]), weak_quality=np.array([0.0, 1.0]), strong_quality=np.array(strong)
        )
        assert calls_for_strong_quality(curve, 1.0) == 0.0


def test_calls_are_undefined_without_quality_to_reach() -> None:
    assert math.isnan(calls_for_strong_quality(curve_of([0.5], [0.0]), 0.9))
    with pytest.raises(ValueError, match="fraction is 95"):
        calls_for_strong_quality(curve_of([0.5], [1.0]), 95)


@given(QUALITIES, st.sampled_from([0.5, 0.9, 0.95, 1.0]))
def test_calls_equal_the_walk_along_quality(
    rows: list[tuple[float, int, int]], fraction: float
) -> None:
    scores, qualities = columns(rows)
    assume(qualities["strong_quality"].sum() > 0)
    curve = cost_quality_curve(scores, **qualities)
    goal, best, expected = fraction * curve.strong_quality, curve.weak_quality, 0.0
    if best < goal - 1e-9:
        for k, quality in enumerate(curve.quality[1:], start=1):
            if quality >= goal - 1e-9:
                expected = (k - 1 + min((goal - best) / (quality - best), 1.0)) / len(rows)
                break
            best = max(best, quality)
    assert calls_for_strong_quality(curve, fraction) == pytest.approx(expected, abs=1e-6)


def test_normalised_apgr_is_0_at_random_and_1_at_the_oracle() -> None:
    assert normalised_apgr(0.5, oracle=0.9) == 0.0
    assert normalised_apgr(0.9, oracle=0.9) == pytest.approx(1.0)
    assert normalised_apgr(0.6, oracle=0.9) == pytest.approx(0.25)  # .1 of .4
    assert math.isnan(normalised_apgr(0.5, oracle=0.5))
    assert math.isnan(normalised_apgr(math.nan, oracle=math.nan))


@pytest.mark.parametrize(
    ("name", "n_prompts", "oracle", "length"),
    [
        ("mt-bench", 72, 0.964, 0.548),
        ("mmlu", 14_037, 1.285, 0.586),
        ("gsm8k", 1_307, 1.121, 0.598),
    ],
)
def test_the_known_figures_of_the_benchmarks(
    shared_data: Path, name: str, n_prompts: int, oracle: float, length: float
) -> None:
    benchmark = load_benchmark(name, shared_data / "benchmarks" / "routellm")
    pair = benchmark.pair
    qualities = Qualities(weak_quality=pair.weak_quality, strong_quality=pair.strong_quality)
    characters = np.array([len(prompt) for prompt in benchmark.outcomes.prompts], dtype=np.float64)
    assert len(pair) == n_prompts
    assert routing_metrics(oracle_scores(**qualities), **qualities).apgr == pytest.approx(
        oracle, abs=5e-4
    )
    assert routing_metrics(characters, **qualities).apgr == pytest.approx(length, abs=5e-4)
    assert routing_metrics(np.zeros(n_prompts), **qualities).apgr == pytest.approx(RANDOM_APGR)
