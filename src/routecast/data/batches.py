"""Rows in batches: what readers pass along, so that no large file is ever held whole."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from routecast.data.reading import require_polars
from routecast.data.rows import without_lone_surrogates
from routecast.types import IntArray

if TYPE_CHECKING:
    import polars as pl

ROWS_PER_BATCH = 4096
"""Enough that the work per batch does not count, few enough for rows of 100 kB."""

_WEIGHT_PER_BATCH = 2**27
_LARGEST_EXACT = 2**53
_Item = TypeVar("_Item")


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Some rows of a source, in order.

    Attributes:
        table: The rows, a polars DataFrame.
        lines: Number of each row in its file, for messages, shape (n_rows,).
        json_columns: Columns of ``table`` that hold values as JSON, because they have no one type:
            lists, objects, numbers among texts.
        origins: What columns that were renamed are called in the file.
    """

    table: "pl.DataFrame"
    lines: IntArray
    json_columns: frozenset[str] = frozenset()
    origins: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.lines)

    def keep(self, rows: npt.NDArray[np.bool_]) -> "Batch":
        """Return the rows where ``rows``, shape (n_rows,), is True."""
        if rows.all():
            return self
        polars = require_polars("reading tables")
        table = self.table.filter(polars.Series(rows))
        return replace(self, table=table, lines=self.lines[rows])

    def with_table(
        self,
        table: "pl.DataFrame",
        *,
        origins: Mapping[str, str] | None = None,
        decoded: Collection[str] = (),
    ) -> "Batch":
        """Return the same rows with other columns.

        Args:
            table: The new columns.
            origins: What those that were renamed are called in the file.
            decoded: Those that are no JSON any more.
        """
        return replace(
            self,
            table=table,
            json_columns=self.json_columns.intersection(table.columns).difference(decoded),
            origins=self.origins if origins is None else origins,
        )

    def rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield number and values of each row, those held as JSON decoded."""
        rows = self.table.iter_rows(named=True) if self.table.width else repeat({}, len(self))
        for number, row in zip(self.lines.tolist(), rows, strict=True):
            for name in self.json_columns:
                if row[name] is not None:
                    row[name] = json.loads(row[name])
            yield number, row


def batch_of_rows(numbered: Sequence[tuple[int, Mapping[str, Any]]]) -> Batch:
    """Put rows into a table; a column that a row does not have is null there.

    Lone surrogates become U+FFFD, since no file format but JSON holds them.
    """
    polars = require_polars("reading tables")
    columns, json_columns = [], set()
    for name, values in _values_by_column([row for _, row in numbered]).items():
        column, is_json = _column(name, values)
        columns.append(column)
        if is_json:
            json_columns.add(name)
    return Batch(
        table=polars.DataFrame(columns),
        lines=np.array([number for number, _ in numbered], dtype=np.int64),
        json_columns=frozenset(json_columns),
    )


def _values_by_column(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Turn rows into columns in order of first appearance; most rows may lack most columns."""
    columns: dict[str, list[Any]] = {}
    for position, row in enumerate(rows):
        for name, value in row.items():
            values = columns.get(name)
            if values is None:
                values = columns[name] = [None] * len(rows)
            values[position] = value
    return columns


def in_batches(
    items: Iterable[_Item],
    size: int = ROWS_PER_BATCH,
    *,
    weigh: Callable[[_Item], int] | None = None,
) -> Iterator[list[_Item]]:
    """Yield lists of ``size`` items, the last one shorter; nothing where there are no items.

    Args:
        items: Any.
        size: Most items of a list.
        weigh: Gives an item's weight, such as its bytes; a list ends early at 128 Mi of it.
    """
    batch: list[_Item] = []
    weight = 0
    for item in items:
        batch.append(item)
        weight += weigh(item) if weigh else 0
        if len(batch) == size or weight >= _WEIGHT_PER_BATCH:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch


def _column(name: str, values: Sequence[Any]) -> "tuple[pl.Series, bool]":
    """Return a column, and whether its values had to be written as JSON."""
    polars = require_polars("reading tables")
    types = set(map(type, values)) - {type(None)}
    if types <= {str}:
        try:
            return polars.Series(name, values, dtype=polars.String), False
        except UnicodeEncodeError:
            values = [None if text is None else without_lone_surrogates(text) for text in values]
            return polars.Series(name, values, dtype=polars.String), False
    if types == {int, float} and all(value is None or _is_exact(value) for value in values):
        return polars.Series(name, values, dtype=polars.Float64, strict=False), False
    if len(types) == 1 and not types & {list, dict}:
        return polars.Series(name, values), False
    texts = [None if value is None else as_json(value) for value in values]
    return polars.Series(name, texts, dtype=polars.String), True


def _is_exact(value: float) -> bool:
    """Tell whether double precision holds a number as it is."""
    return type(value) is float or abs(value) <= _LARGEST_EXACT


def as_json(value: object) -> str:
    """Write a value as JSON; what JSON has no word for, a date say, as its text."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if text.isascii() else without_lone_surrogates(text)
