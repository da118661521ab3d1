"""Ratings from a file: comparisons, which are rated here, or a leaderboard, which has them.

The columns tell the two apart. Prompts are not needed, and not read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from routecast.data.columns import Fault, number_faults, numbers_of, refuse_faults, text_faults
from routecast.data.comparisons import AGAINST_ITSELF, settle_comparisons
from routecast.data.ratings import RatedModel, rate_models
from routecast.data.reading import require_polars
from routecast.data.sources import open_file, read_table
from routecast.data.tiers import TierTable
from routecast.data.winners import WINNER_ACCEPTED, outcomes_of_winners
from routecast.data.writing import write_table
from routecast.errors import DataError

if TYPE_CHECKING:
    import polars as pl

WHOLE_BOARDS = ("overall", "full")
"""Categories that hold all of a leaderboard, taken when the caller names none."""

_INTERVALS = (("rating_low", "rating_high"), ("q025", "q975"), ("rating_q025", "rating_q975"))
_COMPARISON_COLUMNS = ("model_a", "model_b", "outcome", "winner", "weight")
_BOARD_COLUMNS = ("model", "rating", "category", *(name for pair in _INTERVALS for name in pair))
_ACCEPTED = (
    "comparisons have 'model_a', 'model_b' and 'outcome' or 'winner'; "
    "a leaderboard has 'model' and 'rating'"
)


@dataclass(frozen=True, kw_only=True)
class FileRatings:
    """Rated models and where they are from.

    Attributes:
        models: Each name once.
        source: What the file held.
        category: The category of the leaderboard; None where it has none, and for comparisons.
        n_self_comparisons: Rows left out because they compare a model with itself.
    """

    models: tuple[RatedModel, ...]
    source: Literal["comparisons", "leaderboard"]
    category: str | None = None
    n_self_comparisons: int = 0


def read_ratings(path: Path, *, category: str | None = None) -> FileRatings:
    """Read a Parquet, JSONL or CSV file and rate its models.

    Comparisons have the columns ``model_a``, ``model_b``, ``outcome`` in [0, 1] or ``winner`` (a
    key of `WINNER_OUTCOMES`; not read beside ``outcome``), and optionally ``weight``. A leaderboard
    has ``model``, ``rating``, and optionally ``category`` and a 95% interval (``q025``, ``q975``).
    Other columns are ignored.

    Args:
        path: The file, told by its ending.
        category: Which part of a leaderboard. When None: the only one there is, or the first of
            `WHOLE_BOARDS` that the file has.

    Raises:
        DataError: If the file, a column, a category or a value is not usable; a value is named by
            row, counted from 1 without the header.
        MissingExtraError: If polars is not installed.
    """
    table = read_table(path, columns=[*_COMPARISON_COLUMNS, *_BOARD_COLUMNS])
    columns = set(table.columns)
    if {"model_a", "model_b"} <= columns and columns & {"outcome", "winner"}:
        _refuse_category(category, f"{path.name} holds comparisons, which have none")
        return _rate_comparisons(table, path.name)
    if {"model", "rating"} <= columns:
        return _read_leaderboard(table, path.name, category)
    present = list(open_file(path).columns[:20])
    raise DataError(f"{path.name} has the columns {present!r}; {_ACCEPTED}")


def _refuse_category(category: str | None, reason: str) -> None:
    if category is not None:
        raise DataError(f"category {category!r} was asked for, but {reason}; leave --category out")


def _rate_comparisons(table: "pl.DataFrame", source: str) -> FileRatings:
    faults: list[Fault] = []
    if "outcome" not in table.columns:
        outcomes = outcomes_of_winners(table["winner"])
        faults.append(
            Fault(
                column="winner",
                bad=outcomes.is_null(),
                reason="unknown winner",
                accepted=WINNER_ACCEPTED,
            )
        )
        refuse_faults(table, faults, source=source)
        table = table.with_columns(outcomes)
    settled, faults_of_rows = settle_comparisons(table, source=source)
    faults = [fault for fault in faults_of_rows if fault.reason != AGAINST_ITSELF]
    refuse_faults(table, faults, source=source)
    n_self = sum(int(f.bad.sum()) for f in faults_of_rows if f.reason == AGAINST_ITSELF)
    models = rate_models(
        settled["model_a"].to_list(),
        settled["model_b"].to_list(),
        settled["outcome"].to_numpy(),
        weights=settled["weight"].to_numpy() if "weight" in settled.columns else None,
        source=source,
    )
    return FileRatings(models=models, source="comparisons", n_self_comparisons=n_self)


def _read_leaderboard(table: "pl.DataFrame", source: str, category: str | None) -> FileRatings:
    rows = np.arange(1, table.height + 1)
    if "category" in table.columns:
        category = _choose_category(table, source, category)
        chosen = (table["category"].cast(str) == category).fill_null(value=False)
        table, rows = table.filter(chosen), rows[chosen.to_numpy()]
    else:
        _refuse_category(category, f"{source} has no column 'category'")
    ratings = numbers_of(table["rating"])
    faults = [
        *text_faults(table["model"]),
        *number_faults(
            table["rating"],
            ratings,
            low=-np.inf,
            high=np.inf,
            accepted="a finite number",
            null_allowed=False,
        ),
    ]
    refuse_faults(table, faults, source=source, lines=rows)
    lows, highs = _intervals(table)
    models = [
        RatedModel(model=name, rating=rating, rating_low=low, rating_high=high)
        for name, rating, low, high in zip(
            table["model"].to_list(), ratings.to_list(), lows, highs, strict=True
        )
    ]
    return FileRatings(models=tuple(models), source="leaderboard", category=category)


def _choose_category(table: "pl.DataFrame", source: str, category: str | None) -> str:
    known = table["category"].drop_nulls().cast(str).unique().sort().to_list()
    whole = [name for name in WHOLE_BOARDS if name in known]
    if category in known:
        return str(category)
    if category is None and (len(known) == 1 or whole):
        return str(known[0] if len(known) == 1 else whole[0])
    wanted = "no category was named" if category is None else f"there is no category {category!r}"
    raise DataError(f"{wanted} for {source}; give --category with one of {known!r}")


def _intervals(table: "pl.DataFrame") -> tuple[Sequence[float | None], Sequence[float | None]]:
    for low, high in _INTERVALS:
        if {low, high} <= set(table.columns):
            lows, highs = (numbers_of(table[name]) for name in (low, high))
            return lows.fill_nan(None).to_list(), highs.fill_nan(None).to_list()
    return [None] * table.height, [None] * table.height


def write_tiers(table: TierTable, path: Path) -> None:
    """Write one row per model, strongest first, as Parquet, JSONL or CSV, told by the ending.

    The columns are those of `TierTable.rows`, so that `read_ratings` takes the file as a
    leaderboard. The file appears whole or not at all; one that is there is replaced.

    Raises:
        DataError: If the ending is none of the three, or the file cannot be written.
        MissingExtraError: If polars is not installed.
    """
    polars = require_polars("writing tiers")
    write_table(polars.DataFrame(table.rows(), infer_schema_length=None), path)
