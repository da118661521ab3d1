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


def outcomes_of_winners(winners: "pl.Series") -> "pl.Series":
    """Return the outcome of each label, null where it is none of `WINNER_OUTCOMES`."""
    polars = require_polars("reading comparisons")
    labels = winners.cast(polars.String, strict=False)
    outcomes: pl.Series = labels.replace_strict(
        WINNER_OUTCOMES, default=None, return_dtype=polars.Float64
    )
    return outcomes.alias("outcome")
