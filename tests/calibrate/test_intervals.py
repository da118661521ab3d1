"""Intervals for shares, means and ratios."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from routecast.calibrate.intervals import (
    chosen_share_figure,
    given_share_figure,
    mean_figure,
    ratio_figure,
)


def weights(n_strong: int, n: int) -> np.ndarray:
    return np.repeat([1.0, 0.0], [n_strong, n - n_strong])


def test_a_chosen_share_is_beta_distributed() -> None:
    # The 125th highest of 500 scores: Beta(.25 * 501, .75 * 501), the exact law of the share of
    # traffic above an order statistic.
    figure = chosen_share_figure(weights(125, 500), 0.25)
    expected = beta.ppf([0.025, 0.975], 0.25 * 501, 0.75 * 501)
    assert [figure.low, figure.high] == pytest.approx(expected, abs=1e-9)
    assert figure.value == 0.25


def test_the_interval_covers_uniform_traffic_in_95_of_100_samples() -> None:
    rng = np.random.default_rng(0)
    figure = chosen_share_figure(weights(30, 100), 0.3)
    samples = np.sort(rng.uniform(size=(20_000, 100)), axis=1)
    share = 1 - (samples[:, 69] + samples[:, 70]) / 2  # between the 30th and the 31st highest
    covered = np.mean((figure.low <= share) & (share <= figure.high))
    assert covered == pytest.approx(0.95, abs=0.006)  # 4 standard errors


def test_a_split_tie_wavers_less_than_single_scores() -> None:
    # 1,000 prompts share one score and a hash sends 30% of them: nothing wavers.
    assert chosen_share_figure(np.full(1000, 0.3), 0.3).low == 0.3
    half_tied = np.repeat([1.0, 0.5, 0.0], [100, 400, 500])
    single = chosen_share_figure(weights(300, 1000), 0.3)
    tied = chosen_share_figure(half_tied, 0.3)
    # The variance is (mean of w^2 - .09) / n = (.2 - .09) / n, against .21 / n: the width shrinks
    # by the root of 11 / 21, which is .724.
    assert (tied.high - tied.low) / (single.high - single.low) == pytest.approx(0.724, abs=0.005)


def test_everything_and_nothing_are_sure() -> None:
    for share in (0.0, 1.0):
        figure = chosen_share_figure(np.full(10, share), share)
        assert (figure.low, figure.high) == (share, share)


def test_copies_in_groups_count_once() -> None:
    # Each of 200 prompts three times, as groups: the interval is that of 200 prompts.
    once = chosen_share_figure(weights(50, 200), 0.25)
    thrice = chosen_share_figure(
        np.repeat(weights(50, 200), 3), 0.25, groups=np.repeat(np.arange(200), 3)
    )
    assert [thrice.low, thrice.high] == pytest.approx([once.low, once.high], abs=1e-9)


def test_a_given_threshold_has_jeffreys_interval() -> None:
    # Brown, Cai and DasGupta (2001): 2 of 10 give [.044, .503].
    figure = given_share_figure(weights(2, 10))
    assert [round(figure.low, 3), round(figure.high, 3)] == [0.044, 0.503]
    nothing = given_share_figure(weights(0, 10))
    assert (nothing.low, nothing.value) == (0, 0)
    assert nothing.high == pytest.approx(beta.ppf(0.975, 0.5, 10.5))
    assert given_share_figure(weights(10, 10)).high == 1


def test_a_mean_has_its_normal_interval() -> None:
    # 1, 2, 3, 4: mean 2.5, variance 5/3, standard error sqrt(5/12) = .6455, times 1.96 = 1.2652.
    figure = mean_figure(np.array([1.0, 2.0, 3.0, 4.0]), scale=10)
    assert [figure.low, figure.value, figure.high] == pytest.approx([12.348, 25, 37.652], abs=1e-3)


def test_one_group_says_nothing_about_others() -> None:
    assert mean_figure(np.array([1.0, 2.0]), groups=np.zeros(2, dtype=np.int64)).high == math.inf


def test_a_ratio_to_itself_is_sure() -> None:
    values = np.array([0.2, 0.5, 0.9])
    figure = ratio_figure(0.8 * values, values)
    assert [figure.low, figure.value, figure.high] == pytest.approx([0.8, 0.8, 0.8])


def test_a_ratio_s_interval_agrees_with_the_bootstrap() -> None:
    rng = np.random.default_rng(1)
    strong = (rng.uniform(size=600) < 0.8).astype(np.float64)
    routed = np.where(rng.uniform(size=600) < 0.7, strong, 0.5)
    figure = ratio_figure(routed, strong)
    rows = rng.integers(600, size=(4000, 600))
    resampled = routed[rows].mean(axis=1) / strong[rows].mean(axis=1)
    assert [figure.low, figure.high] == pytest.approx(
        np.quantile(resampled, [0.025, 0.975]), abs=0.006
    )


@given(st.integers(100, 3000), st.floats(0.05, 0.95))
def test_four_times_the_sample_halves_the_interval(n: int, share: float) -> None:
    small, large = (chosen_share_figure(weights(round(share * m), m), share) for m in (n, 4 * n))
    assert (large.high - large.low) / (small.high - small.low) == pytest.approx(0.5, abs=0.03)
