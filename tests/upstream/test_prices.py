"""What tokens cost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.upstream.prices import Price, cost_usd

counts = st.integers(min_value=0, max_value=10**9)


def test_cost_is_price_per_million_times_tokens() -> None:
    # 2,000 tokens in at 1.75 a million are .0035; 500 out at 14 are .007; together .0105.
    price = Price(input=1.75, output=14.0)
    assert cost_usd(price, n_input_tokens=2000, n_output_tokens=500) == pytest.approx(0.0105)


def test_a_million_tokens_each_way_cost_the_two_prices() -> None:
    price = Price(input=0.15, output=0.6)
    assert cost_usd(price, n_input_tokens=10**6, n_output_tokens=10**6) == pytest.approx(0.75)


def test_arrays_of_tokens_cost_one_by_one_and_unknown_tokens_an_unknown_amount() -> None:
    price = Price(input=3.0, output=15.0)
    n_input, n_output = np.array([10.0, np.nan, 7.0]), np.array([1.0, 2.0, 0.0])
    costs = cost_usd(price, n_input_tokens=n_input, n_output_tokens=n_output)
    assert np.array_equal(costs, [45e-6, np.nan, 21e-6], equal_nan=True)


@given(counts, counts)
def test_costs_of_two_answers_add_up(first: int, second: int) -> None:
    price = Price(input=3.0, output=15.0)
    parts = [cost_usd(price, n_input_tokens=n, n_output_tokens=n) for n in (first, second)]
    whole = cost_usd(price, n_input_tokens=first + second, n_output_tokens=first + second)
    assert sum(parts) == pytest.approx(whole)


def test_cached_tokens_of_the_prompt_have_their_own_price() -> None:
    # 1,000 of 3,000 input tokens were cached: (2,000 * 2 + 1,000 * 0.5 + 100 * 8) / 1e6.
    price = Price(input=2, output=8, cached_input=0.5)
    cost = cost_usd(price, n_input_tokens=3000, n_output_tokens=100, n_cached_input_tokens=1000)
    assert cost == pytest.approx(0.0053)


def test_cached_tokens_cost_what_others_cost_where_nobody_says_otherwise() -> None:
    price = Price(input=2, output=8)
    plain = cost_usd(price, n_input_tokens=3000, n_output_tokens=0)
    assert plain == cost_usd(
        price, n_input_tokens=3000, n_output_tokens=0, n_cached_input_tokens=1000
    )
