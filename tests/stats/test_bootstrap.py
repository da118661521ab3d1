"""The bootstrap."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from routecast.stats import bootstrap
from routecast.stats.bootstrap import (
    CountArray,
    percentile_interval,
    pivotal_interval,
    resample_counts,
    two_sided_p_value,
)
from routecast.types import IntArray


def all_counts(
    n_rows: int, n_resamples: int, seed: int = 0, group_codes: IntArray | None = None
) -> CountArray:
    blocks = resample_counts(n_rows, n_resamples=n_resamples, seed=seed, group_codes=group_codes)
    return np.concatenate(list(blocks))


@settings(deadline=None)  # other work may share the machine
@given(st.integers(1, 30), st.integers(1, 20), st.integers(0, 5))
def test_each_resample_has_as_many_rows_as_the_sample(n_rows: int, n: int, seed: int) -> None:
    counts = all_counts(n_rows, n, seed)
    assert counts.shape == (n, n_rows)
    assert (counts >= 0).all()
    np.testing.assert_array_equal(counts.sum(axis=1), n_rows)


def test_counts_follow_the_multinomial_distribution() -> None:
    counts = all_counts(10, 20_000)
    # Each row: mean 1, variance 10 * 0.1 * 0.9 = 0.9; two rows: covariance -10 * 0.1 * 0.1 = -0.1
    covariance = np.cov(counts.T)
    expected = np.where(np.eye(10, dtype=bool), 0.9, -0.1)
    np.testing.assert_allclose(counts.mean(axis=0), 1.0, atol=0.04)
    np.testing.assert_allclose(covariance, expected, atol=0.05)


def test_equal_seeds_give_equal_counts_whatever_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = all_counts(50, 100, seed=7)
    monkeypatch.setattr(bootstrap, "_BLOCK_BYTES", 4 * 50 * 3)
    blocks = list(resample_counts(50, n_resamples=100, seed=7))
    assert max(map(len, blocks)) == 3
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
    assert not np.array_equal(all_counts(50, 100, seed=8), whole)


def test_groups_are_drawn_whole() -> None:
    groups = np.array([5, 2, 5, 9, 2, 5])
    counts = all_counts(6, 200, group_codes=groups)
    for group in (2, 5, 9):
        members = counts[:, groups == group]
        assert (members == members[:, :1]).all()
    # Three groups are drawn, of 2, 3 and 1 rows: the number of rows varies, from 3 to 9.
    n_drawn = counts[:, [0, 1, 3]].sum(axis=1)
    np.testing.assert_array_equal(n_drawn, 3)
    assert set(counts.sum(axis=1)) == {3, 4, 5, 6, 7, 8, 9}


def test_groups_of_one_row_are_as_no_groups() -> None:
    np.testing.assert_array_equal(all_counts(20, 30, group_codes=np.arange(20)), all_counts(20, 30))


@pytest.mark.parametrize(("n_rows", "n_resamples"), [(0, 10), (10, 0)])
def test_nothing_to_resample_is_refused(n_rows: int, n_resamples: int) -> None:
    with pytest.raises(ValueError, match="accepted is 1 or more"):
        all_counts(n_rows, n_resamples)


def test_group_codes_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="group codes"):
        all_counts(3, 1, group_codes=np.zeros(2, dtype=np.int64))


def test_the_interval_holds_the_middle_of_the_samples() -> None:
    # Of 0 ... 100, the quantiles at 0.025 and 0.975 are 2.5 and 97.5.
    interval = percentile_interval(np.arange(101.0)[::-1])
    assert (interval.low, interval.high) == pytest.approx((2.5, 97.5))
    assert (interval.level, interval.n_undefined) == (0.95, 0)


def test_undefined_samples_are_left_out_and_counted() -> None:
    interval = percentile_interval(np.array([np.nan, 1.0, 2.0, 3.0, np.nan]), level=0.5)
    assert (interval.low, interval.high, interval.n_undefined) == (1.5, 2.5, 2)
    nothing = percentile_interval(np.array([np.nan]))
    assert np.isnan([nothing.low, nothing.high]).all()


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_a_level_that_is_no_fraction_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="level"):
        percentile_interval(np.arange(3.0), level=level)


def test_the_interval_of_a_mean_agrees_with_scipys() -> None:
    values = np.random.default_rng(0).exponential(size=200)
    ours = percentile_interval(all_counts(200, 20_000) @ values / 200)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.03 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.03 * width)


def test_the_p_value_is_twice_the_smaller_tail() -> None:
    # Of 9 differences 2 are not above 0: 2 * (2 + 1) / (9 + 1) = 0.6.
    assert two_sided_p_value(np.array([-1.0, 0, 1, 2, 3, 4, 5, 6, 7])) == pytest.approx(0.6)
    assert two_sided_p_value(np.arange(1.0, 100.0)) == pytest.approx(2 / 100)
    assert two_sided_p_value(np.zeros(10)) == 1.0
    assert two_sided_p_value(np.array([np.nan, 1.0])) == 1.0
    assert np.isnan(two_sided_p_value(np.array([np.nan])))


@given(st.integers(0, 20))
def test_the_p_value_does_not_depend_on_the_sign(seed: int) -> None:
    samples = np.random.default_rng(seed).normal(0.5, 1.0, 200)
    assert two_sided_p_value(samples) == two_sided_p_value(-samples)


def test_the_p_value_of_a_mean_agrees_with_the_t_test() -> None:
    values = np.random.default_rng(1).normal(0.15, 1.0, 300)
    ours = two_sided_p_value(all_counts(300, 20_000) @ values / 300)
    assert ours == pytest.approx(stats.ttest_1samp(values, 0.0).pvalue, abs=0.01)


def test_an_end_at_infinity_is_infinite() -> None:
    interval = percentile_interval(np.array([1.0, 2.0, np.inf, np.inf]), level=0.5)
    assert (interval.low, interval.high) == (1.0, np.inf)


def test_a_pivotal_interval_is_turned_round_the_value_and_holds_it() -> None:
    samples = np.linspace(0.10, 0.20, 1001)  # 95%: .1025 to .1975
    turned = pivotal_interval(0.12, samples)
    # 2 * .12 - .1975 = .0425; 2 * .12 - .1025 = .1375
    assert (turned.low, turned.high) == pytest.approx((0.0425, 0.1375))
    below = pivotal_interval(0.08, samples)  # 2 * .08 - .1025 = .0575 is below the value
    assert (below.low, below.high) == pytest.approx((0.0, 0.08))
