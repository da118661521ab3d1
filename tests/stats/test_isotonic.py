"""Isotonic regression, and the strict map made from it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from routecast.stats.isotonic import SLOPE, IsotonicScaling, fit_isotonic, isotonic_regression

unit = st.floats(0, 1)
samples = st.lists(st.tuples(unit, st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=60)


def test_violators_become_their_weighted_mean() -> None:
    # 3 and 1 are in the wrong order: with weights 1 and 3 they pool to (3 + 3 * 1) / 4 = 1.5.
    # 2 stands; 5 and 4 pool to 4.5.
    fitted = isotonic_regression(
        np.array([3.0, 1.0, 2.0, 5.0, 4.0]), weights=np.array([1.0, 3.0, 1.0, 1.0, 1.0])
    )
    assert fitted.tolist() == [1.5, 1.5, 2.0, 4.5, 4.5]


def test_a_falling_sequence_pools_whole() -> None:
    assert isotonic_regression(np.array([4.0, 3.0, 2.0])).tolist() == [3.0, 3.0, 3.0]


def test_the_example_of_ayer_and_others_with_proportions() -> None:
    # Ayer et al. (1955) pool successive proportions of successes: 1/2, 0/1, 2/3 with 2, 1 and 3
    # trials. 1/2 > 0/1, so both become 1/3; 2/3 stands.
    fitted = isotonic_regression(np.array([1 / 2, 0, 2 / 3]), weights=np.array([2.0, 1.0, 3.0]))
    assert fitted == pytest.approx([1 / 3, 1 / 3, 2 / 3])


@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(0.01, 100)), min_size=1, max_size=80))
def test_it_agrees_with_scikit_learn(rows: list[tuple[float, float]]) -> None:
    values, weights = np.array(rows).T
    expected = IsotonicRegression().fit_transform(
        np.arange(len(rows)), values, sample_weight=weights
    )
    assert isotonic_regression(values, weights=weights) == pytest.approx(expected, abs=1e-6)


@given(st.lists(unit, min_size=1, max_size=30))
def test_it_is_the_largest_of_least_means_to_the_left(values: list[float]) -> None:
    # The min-max formula (Robertson, Wright and Dykstra, 1988, theorem 1.4.4), slowly.
    n = len(values)
    slow = [
        max(min(float(np.mean(values[s : t + 1])) for t in range(i, n)) for s in range(i + 1))
        for i in range(n)
    ]
    assert isotonic_regression(np.array(values)) == pytest.approx(slow, abs=1e-12)


def test_the_strict_map_is_the_staircase_to_within_its_slope() -> None:
    generator = np.random.default_rng(0)
    scores = generator.uniform(size=2000)
    wins = (generator.uniform(size=2000) < 0.2 + 0.5 * scores).astype(np.float64)
    fitted = fit_isotonic(scores, wins)
    ends = [scores.min(), scores.max()]
    base_rate = (wins.sum() + 0.5) / 2001
    oracle = IsotonicRegression().fit(
        np.append(scores, ends), np.append(wins, [base_rate, base_rate])
    )
    assert fitted.apply(scores) == pytest.approx(oracle.predict(scores), abs=SLOPE)
    assert len(fitted.scores) < 200


@given(samples)
def test_order_is_kept_and_no_two_scores_become_one(rows: list[tuple[float, float]]) -> None:
    scores, wins = np.array(rows).T
    fitted = fit_isotonic(scores, wins)
    grid = np.unique(np.concatenate([scores, np.linspace(0, 1, 101)]))
    mapped = fitted.apply(grid)
    assert np.all(np.diff(mapped) >= 0)
    assert np.all(np.diff(mapped)[np.diff(grid) >= 1e-12] > 0)
    assert np.all((mapped >= 0) & (mapped <= 1))


def test_neighbouring_single_precision_scores_stay_apart_on_a_flat_step() -> None:
    wins = np.tile([1.0, 0.0], 500)  # no score says anything: one step, all flat
    fitted = fit_isotonic(np.linspace(0.3, 0.9, 1000), wins)
    start = np.float32(0.7)
    steps = start + np.arange(1000, dtype=np.float32) * np.spacing(start)
    scores = steps.astype(np.float64)
    assert len(np.unique(scores)) == len(np.unique(fitted.apply(scores))) == 1000


def test_one_lucky_prompt_at_the_end_is_no_certainty() -> None:
    # Ten losses, one win at the top. Base rate (1 + .5) / (11 + 1) = .125. At the top the win and
    # a made-up observation at the base rate: (1 + .125) / 2 = .5625, before the slope.
    fitted = fit_isotonic(np.linspace(0, 1, 11), np.array([0.0] * 10 + [1.0]))
    top = fitted.apply(np.array([1.0]))[0]
    assert top == pytest.approx((1 - SLOPE) * 0.5625 + SLOPE)
    assert fitted.apply(np.array([0.0]))[0] > 0


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=20),
    st.lists(st.one_of(st.floats(0, 1), st.just(math.nan)), min_size=2, max_size=20),
)
def test_a_score_maps_alike_alone_and_among_others_to_the_last_bit(
    rows: list[tuple[float, float]], asked: list[float]
) -> None:
    scores, targets = np.array(rows).T
    fitted = fit_isotonic(scores, targets)
    together = fitted.apply(np.array([*asked, *scores]))
    alone = [fitted.apply(np.array([score]))[0] for score in [*asked, *scores]]
    assert np.array_equal(together, alone, equal_nan=True)


def test_abstention_stays_abstention() -> None:
    fitted = fit_isotonic(np.array([0.2, 0.8]), np.array([0.0, 1.0]))
    mapped = fitted.apply(np.array([math.nan, 0.5]))
    assert np.isnan(mapped).tolist() == [True, False]


def test_only_ratios_of_weights_count() -> None:
    scores, wins = np.array([0.1, 0.5, 0.9]), np.array([0.0, 1.0, 0.0])
    weights = np.array([1.0, 2.0, 4.0])
    one, other = (fit_isotonic(scores, wins, weights=k * weights) for k in (1.0, 1000.0))
    assert one.probabilities == pytest.approx(other.probabilities)


@pytest.mark.parametrize(
    ("scores", "probabilities", "message"),
    [
        ([0, 1], [0.2], "one length"),
        ([0.1, 1], [0.2, 0.3], "from a score of 0"),
        ([0, 0.5, 0.5, 1], [0.1, 0.2, 0.3, 0.4], "rise strictly from"),
        ([0, 1], [0.3, 0.3], "probabilities of the knots must rise"),
        ([0, 1], [0.3, 1.2], r"lie in \[0, 1\]"),
        ([], [], "from a score of 0"),
    ],
)
def test_a_map_that_ties_or_turns_prompts_is_refused(
    scores: list[float], probabilities: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        IsotonicScaling(np.array(scores, dtype=float), np.array(probabilities, dtype=float))


@pytest.mark.parametrize(
    ("values", "weights", "message"),
    [
        ([1.0, math.nan], [1.0, 1.0], "finite"),
        ([1.0, 2.0], [1.0], "alike"),
        ([1.0], [0.0], "positive"),
    ],
)
def test_unusable_sequences_are_refused(
    values: list[float], weights: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        isotonic_regression(np.array(values), weights=np.array(weights))
