"""The beta distribution."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binom

from routecast.stats.beta import beta_cdf, beta_quantile

shapes = st.floats(0.1, 5000)


def test_closed_forms() -> None:
    # Beta(1, 1) is uniform; of Beta(2, 1) the distribution function is x^2; of Beta(1, 3) it is
    # 1 - (1 - x)^3 = 1 - .7^3 = .657 at .3.
    assert beta_cdf(0.3, 1, 1) == pytest.approx(0.3)
    assert beta_cdf(0.3, 2, 1) == pytest.approx(0.09)
    assert beta_cdf(0.3, 1, 3) == pytest.approx(0.657)
    assert beta_quantile(0.09, 2, 1) == pytest.approx(0.3)


def test_the_published_interval_of_brown_cai_and_dasgupta() -> None:
    # Their table of 95% Jeffreys intervals: n = 10, x = 2 gives [.044, .503].
    low, high = (beta_quantile(p, 2.5, 8.5) for p in (0.025, 0.975))
    assert [round(low, 3), round(high, 3)] == [0.044, 0.503]


def test_it_is_the_tail_of_a_binomial_sum() -> None:
    # P(Beta(k, n + 1 - k) <= x) = P(Bin(n, x) >= k).
    for k in range(1, 21):
        assert beta_cdf(0.37, k, 21 - k) == pytest.approx(binom.sf(k - 1, 20, 0.37), abs=1e-12)


@given(st.floats(0, 1), shapes, shapes)
def test_it_agrees_with_scipy(x: float, a: float, b: float) -> None:
    assert beta_cdf(x, a, b) == pytest.approx(beta.cdf(x, a, b), abs=1e-9)


@given(st.floats(0.001, 0.999), shapes, shapes)
def test_quantiles_agree_with_scipy(probability: float, a: float, b: float) -> None:
    expected = beta.ppf(probability, a, b)
    assert beta_quantile(probability, a, b) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(st.integers(0, 1024).map(lambda step: step / 1024), shapes, shapes)
def test_swapping_the_shapes_mirrors_it(x: float, a: float, b: float) -> None:
    assert beta_cdf(x, a, b) == pytest.approx(1 - beta_cdf(1 - x, b, a), abs=1e-9)


def test_the_ends_are_the_ends() -> None:
    assert (beta_cdf(0, 2, 3), beta_cdf(1, 2, 3)) == (0, 1)
    assert (beta_quantile(0, 2, 3), beta_quantile(1, 2, 3)) == (0, 1)


@pytest.mark.parametrize("arguments", [(-0.1, 1, 1), (0.5, 0, 1), (0.5, 1, float("nan"))])
def test_arguments_out_of_range_are_refused(arguments: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="accepted"):
        beta_cdf(*arguments)


def test_a_probability_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"probability 1.5"):
        beta_quantile(1.5, 1, 1)
