"""Labels of who won, as the published sets of votes write them."""

from typing import TYPE_CHECKING

from routecast.data.reading import require_polars

if TYPE_CHECKING:
    import polars as pl

WINNER_OUTCOMES = {
    "model_a": 1.0,
    "model_b": 0.0,
    "tie": 0.5,
    "tie (bothbad)": 0.5,
    "both_bad": 0.5,
}
"""Outcome for model a per label of a ``winner`` column; two bad answers are a tie."""

WINNER_ACCEPTED = f"one of {list(WINNER_OUTCOMES)!r}"
WINNER_OR_NAME_ACCEPTED = f"{WINNER_ACCEPTED}, or the name of the row's model_a or model_b"


def outcomes_of_winners(winners: "pl.Series") -> "pl.Series":
    """Return the outcome of each label, null where it is none of `WINNER_OUTCOMES`."""
    polars = require_polars("reading comparisons")
    labels = winners.cast(polars.String, strict=False)
    outcomes: pl.Series = labels.replace_strict(
        WINNER_OUTCOMES, default=None, return_dtype=polars.Float64
    )
    return outcomes.alias("outcome")


def outcomes_of_winners_or_names(table: "pl.DataFrame") -> "pl.Series":
    """Return the outcome of each row, whose winner is a label or the name of one of its models.

    A label goes before a name: ``model_a`` is the first model whatever the models are called. Null
    where the winner is neither, and where a row names one model twice.
    """
    polars = require_polars("reading comparisons")
    winner, model_a, model_b = (
        table[name].cast(polars.String, strict=False) for name in ("winner", "model_a", "model_b")
    )
    by_name = (
        polars.when(winner == model_a, model_a != model_b)
        .then(1.0)
        .when(winner == model_b, model_a != model_b)
        .then(0.0)
    )
    return table.select(outcomes_of_winners(winner).fill_null(table.select(by_name).to_series()))[
        "outcome"
    ]
