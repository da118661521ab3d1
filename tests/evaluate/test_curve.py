"""The cost-quality curve."""

from itertools import permutations
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routecast.evaluate.curve import CostQualityCurve, cost_quality_curve
from routecast.types import FloatArray

ROWS = st.lists(
    st.tuples(st.sampled_from([0.1, 0.2, 0.3]), st.integers(0, 4), st.integers(0, 4)),
    min_size=1,
    max_size=6,
)


def arrays(rows: list[tuple[float, int, int]]) -> tuple[FloatArray, FloatArray, FloatArray]:
    scores, weak, strong = np.array(rows, dtype=np.float64).T
    return scores, weak, strong


def curve_of(rows: list[tuple[float, int, int]]) -> CostQualityCurve:
    scores, weak, strong = arrays(rows)
    return cost_quality_curve(scores, weak_quality=weak, strong_quality=strong)


def test_each_cut_point_sends_one_more_prompt_to_the_strong_model() -> None:
    curve = curve_of([(0.2, 0, 1), (0.9, 0, 3), (0.1, 2, 1)])
    # All weak: (0 + 0 + 2) / 3. Then 0.9 (+3), 0.2 (+1) and 0.1 (-1) go to the strong model.
    np.testing.assert_allclose(curve.quality, [2 / 3, 5 / 3, 6 / 3, 5 / 3])
    np.testing.assert_allclose(curve.strong_share, [0, 1 / 3, 2 / 3, 1])
    # Gap recovered: (5/3 - 2/3) / (5/3 - 2/3) = 1, then 4/3, then 1.
    np.testing.assert_allclose(curve.gap_recovered, [0, 1, 4 / 3, 1])


def test_equal_scores_are_a_straight_line() -> None:
    curve = curve_of([(0.5, 0, 1), (0.5, 0, 0), (0.5, 0, 1), (0.1, 0, 0)])
    # Three equal scores with gaps 1, 0, 1: 2/3 is gained by each in expectation, over 4 prompts.
    np.testing.assert_allclose(curve.quality, [0, 1 / 6, 2 / 6, 3 / 6, 3 / 6])


@settings(deadline=None)  # other work may share the machine
@given(ROWS)
def test_the_curve_is_the_mean_over_all_orders_of_equal_scores(
    rows: list[tuple[float, int, int]],
) -> None:
    curves = []
    for order in permutations(rows):
        ranked = sorted(order, key=lambda row: -row[0])
        n = len(ranked)
        curves.append(
            [
                sum(strong if i < k else weak for i, (_, weak, strong) in enumerate(ranked)) / n
                for k in range(n + 1)
            ]
        )
    np.testing.assert_allclose(curve_of(rows).quality, np.mean(curves, axis=0), atol=1e-12)


@settings(deadline=None)  # other work may share the machine
@given(ROWS, st.randoms())
def test_the_order_of_the_rows_does_not_matter(
    rows: list[tuple[float, int, int]], rng: Random
) -> None:
    shuffled = rng.sample(rows, len(rows))
    np.testing.assert_allclose(curve_of(rows).quality, curve_of(shuffled).quality, atol=1e-12)


@settings(deadline=None)  # other work may share the machine
@given(ROWS)
def test_the_ends_are_the_single_models(rows: list[tuple[float, int, int]]) -> None:
    _, weak, strong = arrays(rows)
    curve = curve_of(rows)
    assert curve.weak_quality == pytest.approx(weak.mean())
    assert curve.strong_quality == pytest.approx(strong.mean())


@settings(deadline=None)  # other work may share the machine
@given(ROWS)
def test_only_the_order_of_the_scores_counts(rows: list[tuple[float, int, int]]) -> None:
    stretched = [(1000 * score**3, weak, strong) for score, weak, strong in rows]
    np.testing.assert_array_equal(curve_of(rows).quality, curve_of(stretched).quality)


def test_the_gap_recovered_is_nan_when_the_models_tie() -> None:
    assert np.isnan(curve_of([(0.1, 0, 1), (0.2, 1, 0)]).gap_recovered).all()


def test_quality_between_cut_points_is_interpolated() -> None:
    curve = curve_of([(0.9, 0, 1), (0.1, 0, 0)])
    assert curve.quality_at(0.25) == pytest.approx(0.25)
    assert curve.quality_at(0.75) == pytest.approx(0.5)


def test_an_abstaining_router_is_refused_in_plain_words() -> None:
    scores = np.array([0.5, np.nan])
    with pytest.raises(ValueError, match="1 of 2 scores are NaN: the router abstained"):
        cost_quality_curve(scores, weak_quality=np.zeros(2), strong_quality=np.ones(2))


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="shapes"):
        cost_quality_curve(np.zeros(2), weak_quality=np.zeros(3), strong_quality=np.zeros(2))
    with pytest.raises(ValueError, match="at least one prompt"):
        cost_quality_curve(np.zeros(0), weak_quality=np.zeros(0), strong_quality=np.zeros(0))
    with pytest.raises(ValueError, match="not finite"):
        cost_quality_curve(np.zeros(1), weak_quality=np.zeros(1), strong_quality=np.full(1, np.inf))
