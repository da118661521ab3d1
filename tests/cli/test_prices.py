"""Prices as commands take them."""

import pytest
import typer

from routecast.cli.prices import read_price


def test_a_price_is_two_numbers_of_dollars() -> None:
    price = read_price("1.75,14", "--strong-price")
    assert price is not None
    assert (price.input, price.output) == (1.75, 14.0)
    assert read_price(None, "--strong-price") is None


@pytest.mark.parametrize("written", ["", "1", "1,2,3", "a,b", "-1,2", "nan,1", "1,inf"])
def test_other_prices_are_refused_with_what_is_accepted(written: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"accepted are US dollars .* such as 1\.75,14"):
        read_price(written, "--weak-price")
