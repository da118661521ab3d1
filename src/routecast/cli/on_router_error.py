"""The option that says who answers prompts that a router gives no score."""

from typing import Annotated, Literal

import typer

OnRouterErrorOption = Annotated[
    Literal["strong", "weak"],
    typer.Option(
        "--on-router-error",
        help="Which model answers prompts that the router gives no score, as in the route's "
        "settings: strong or weak. Every figure counts them so.",
    ),
]
