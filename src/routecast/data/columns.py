"""Checks of single columns, shared by the two tables; messages name row, column and value."""

from typing import TYPE_CHECKING

import numpy as np

from routecast.data.reading import require_polars
from routecast.errors import DataError
from routecast.types import FloatArray

if TYPE_CHECKING:
    import polars as pl


def check_texts(table: "pl.DataFrame", column: str, *, source: str) -> None:
    """Refuse a table whose column is missing, not text, or null somewhere.

    Args:
        table: The table as read.
        column: Name of the column.
        source: What the message calls the table.

    Raises:
        DataError: Naming the first bad row, counted from 1.
    """
    polars = require_polars("outcomes and comparisons")
    if column not in table.columns:
        raise DataError(
            f"{source} has no column {column!r} among {table.columns[:12]!r}; rename the column "
            f"that holds it to {column!r}"
        )
    texts = table[column]
    if texts.null_count():
        row = _first(texts.is_null())
        raise DataError(f"{source}, row {row}, column {column!r}: None; accepted is text")
    if texts.dtype != polars.String and len(texts):
        raise DataError(
            f"{source}, row 1, column {column!r}: {texts[0]!r} of type {texts.dtype}; "
            "accepted is text"
        )


def checked_numbers(
    column: "pl.Series",
    *,
    low: float,
    high: float,
    accepted: str,
    source: str,
    null_allowed: bool = True,
) -> "pl.Series":
    """Return a column of numbers in double precision, or refuse it by its first bad value.

    Args:
        column: Numbers, or truth values, which count as 1 and 0.
        low: Smallest number accepted.
        high: Largest number accepted; infinity for no limit. NaN and infinity never are.
        accepted: What is accepted, in words, for the message.
        source: What the message calls the table.
        null_allowed: Whether null stands for unknown.

    Raises:
        DataError: Naming the first bad row, counted from 1.
    """
    polars = require_polars("outcomes and comparisons")
    if not (column.dtype.is_numeric() or column.dtype in (polars.Boolean, polars.Null)):
        _refuse(column, column.is_not_null(), accepted=accepted, source=source)
    numbers = column.cast(polars.Float64)
    good = numbers.is_finite() & (numbers >= low) & (numbers <= high)
    bad = ~good.fill_null(null_allowed)
    if bad.any():
        _refuse(column, bad, accepted=accepted, source=source)
    return numbers


def floats_of(column: "pl.Series") -> FloatArray:
    """Copy a column of numbers into a new array; null becomes NaN."""
    values: FloatArray = np.array(column.cast(float).fill_null(float("nan")), dtype=np.float64)
    return values


def _first(mask: "pl.Series") -> int:
    """Return the row, counted from 1, of the first True."""
    return int(mask.arg_max() or 0) + 1


def _refuse(column: "pl.Series", bad: "pl.Series", *, accepted: str, source: str) -> None:
    row = _first(bad)
    value = column[row - 1] if len(column) else None
    raise DataError(
        f"{source}, row {row}, column {column.name!r}: {value!r}; accepted is {accepted}"
    )
