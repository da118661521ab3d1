"""Prices as options: ``IN,OUT``, in US dollars per million tokens."""

from math import isfinite
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from routecast.upstream.prices import Price

StrongPrice = Annotated[
    str | None,
    typer.Option(
        "--strong-price",
        metavar="IN,OUT",
        help="US dollars per million tokens of the strong model, where a file has tokens.",
    ),
]

WeakPrice = Annotated[
    str | None,
    typer.Option("--weak-price", metavar="IN,OUT", help="Likewise of the weak model."),
]


def read_price(written: str | None, flag: str) -> "Price | None":
    """Read the price of prompt and answer.

    Raises:
        typer.BadParameter: If it is not two finite numbers from 0; the message names the flag.
    """
    from routecast.upstream.prices import Price

    if written is None:
        return None
    try:
        into, out = (float(part) for part in written.split(","))
    except ValueError:
        into = out = -1.0
    if not (isfinite(into) and isfinite(out) and into >= 0 and out >= 0):
        raise typer.BadParameter(
            f"{written!r}; accepted are US dollars per million tokens of prompt and answer, such "
            "as 1.75,14",
            param_hint=flag,
        )
    return Price(input=into, output=out)
