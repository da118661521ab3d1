"""Checks of single columns, shared by the two tables; messages name row, column and value."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from routecast.data.reading import require_polars
from routecast.data.rows import shorten
from routecast.errors import DataError
from routecast.types import FloatArray, IntArray

if TYPE_CHECKING:
    import polars as pl

_FEATURE = "outcomes and comparisons"
_COMPLAINT = "{where}, column {column!r}: {value}; accepted is {accepted}"
_TRUTHS = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True, kw_only=True, eq=False)
class Fault:
    """Values that a contract does not accept, all in one column and for one reason.

    Attributes:
        column: Name of the column.
        bad: Which rows, shape (n_rows,), truth values without null.
        reason: Why, in a few words, for counts.
        accepted: What is accepted instead, in words, for the message.
        complaint: Template of the message.
    """

    column: str
    bad: "pl.Series"
    reason: str
    accepted: str
    complaint: str = _COMPLAINT


def require_column(table: "pl.DataFrame", column: str, *, source: str, holds: str) -> None:
    """Refuse a table without a column.

    Args:
        table: The table as read.
        column: Name of the column.
        source: What the message calls the table.
        holds: What the column holds, for the message.

    Raises:
        DataError: If there is no such column.
    """
    if column not in table.columns:
        raise DataError(
            f"{source} has no column {column!r} among {table.columns[:12]!r}; rename the column "
            f"that holds {holds} to {column!r}"
        )


def text_faults(column: "pl.Series") -> list[Fault]:
    """Return what keeps a column from being text in every row; categories are text."""
    missing = column.is_null()
    is_text = holds_texts(column)
    wrong = missing & False if is_text else ~missing
    name = column.name
    accepted = "text"
    if name == "prompt":
        accepted = "text; of a list of messages, give the text of the user's last one"
    return [
        Fault(column=name, bad=missing, reason=f"no {name}", accepted="text"),
        Fault(column=name, bad=wrong, reason=f"{name} is not text", accepted=accepted),
    ]


def holds_texts(column: "pl.Series") -> bool:
    """Tell whether a column is of texts, or of categories, which are texts too."""
    polars = require_polars(_FEATURE)
    return column.dtype in (polars.String, polars.Categorical, polars.Enum)


def as_texts(table: "pl.DataFrame", names: Sequence[str]) -> "pl.DataFrame":
    """Return a table whose columns of categories, among those named, are columns of texts."""
    return table.with_columns(table[name].cast(str) for name in names if holds_texts(table[name]))


def numbers_of(column: "pl.Series") -> "pl.Series":
    """Return a column in double precision; what is no number becomes null.

    Truth values count as 1 and 0, also as the texts that CSV has for them; so do numbers as text.
    """
    polars = require_polars(_FEATURE)
    numbers: pl.Series
    if column.dtype.is_numeric() or column.dtype in (polars.Boolean, polars.Null):
        numbers = column.cast(polars.Float64)
    elif column.dtype == polars.String:
        texts = column.str.strip_chars()
        truths = texts.str.to_lowercase().replace_strict(
            _TRUTHS, default=None, return_dtype=polars.Float64
        )
        numbers = texts.cast(polars.Float64, strict=False).fill_null(truths)
    else:
        numbers = polars.Series([None] * len(column), dtype=polars.Float64)
    return numbers.alias(column.name)


def number_faults(
    column: "pl.Series",
    numbers: "pl.Series",
    *,
    low: float,
    high: float,
    accepted: str,
    null_allowed: bool = True,
) -> list[Fault]:
    """Return what keeps a column from being numbers in a range.

    Args:
        column: The values as read.
        numbers: The same as `numbers_of` returns them.
        low: Smallest number accepted.
        high: Largest number accepted; infinity for no limit. NaN and infinity never are.
        accepted: What is accepted, in words.
        null_allowed: Whether null stands for unknown.
    """
    name, missing = column.name, column.is_null()
    unreadable = numbers.is_null() & ~missing
    outside = ~(numbers.is_finite() & (numbers >= low) & (numbers <= high)).fill_null(value=True)
    found = [
        Fault(column=name, bad=unreadable, reason=f"{name} is not a number", accepted=accepted),
        Fault(column=name, bad=outside, reason=f"{name} is out of range", accepted=accepted),
    ]
    if not null_allowed:
        found.append(Fault(column=name, bad=missing, reason=f"no {name}", accepted=accepted))
    return found


def refuse_faults(
    table: "pl.DataFrame",
    faults: Iterable[Fault],
    *,
    source: str,
    lines: Sequence[int] | IntArray | None = None,
    unit: str = "row",
    origins: Mapping[str, str] | None = None,
) -> None:
    """Refuse a table by the first row that has a fault.

    Args:
        table: The values as read, for the message.
        faults: What was found.
        source: What the message calls the table.
        lines: Number of each row in its file; counted from 1 when None.
        unit: What is numbered: ``row`` or ``line``.
        origins: What columns are called in the file, where they were renamed.

    Raises:
        DataError: Naming row, column, value and what is accepted; nothing is raised without bad
            rows.
    """
    firsts = [(_first(fault.bad), fault) for fault in faults if fault.bad.any()]
    if not firsts:
        return
    position, fault = min(firsts, key=lambda first: first[0])
    number = position + 1 if lines is None else lines[position]
    raise DataError(
        fault.complaint.format(
            where=f"{source}, {unit} {number}",
            column=(origins or {}).get(fault.column, fault.column),
            value=shorten(table[fault.column][position]),
            accepted=fault.accepted,
        )
    )


def rows_without_faults(
    faults: Iterable[Fault], n_rows: int
) -> "tuple[np.typing.NDArray[np.bool_], Counter[str]]":
    """Return which rows no fault concerns, and the others counted by reason.

    A row with several faults counts under the first.
    """
    good = np.ones(n_rows, dtype=np.bool_)
    reasons: Counter[str] = Counter()
    for fault in faults:
        bad = fault.bad.to_numpy() & good
        reasons[fault.reason] += int(bad.sum())
        good &= ~bad
    return good, +reasons


def floats_of(column: "pl.Series") -> FloatArray:
    """Copy a column of numbers into a new array; null becomes NaN."""
    values: FloatArray = np.array(column.cast(float).fill_null(float("nan")), dtype=np.float64)
    return values


def _first(mask: "pl.Series") -> int:
    """Return the position of the first True, there being one."""
    return int(mask.arg_max() or 0)
