"""Types of CSV columns: a text becomes a number only where nothing is lost by it."""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, TypeVar

from routecast.data.reading import require_polars

if TYPE_CHECKING:
    import polars as pl

FrameT = TypeVar("FrameT", "pl.DataFrame", "pl.LazyFrame")

_TEXTS = frozenset({"prompt", "messages", "model", "model_a", "model_b", "source"})
_TEXT_PREFIX = "answer|"


class TextKind(IntEnum):
    """What all texts of a column can be read as; the larger of two holds both."""

    NOTHING = 0
    INTEGER = 1
    NUMBER = 2
    TRUTH = 3
    TEXT = 4


_PATTERNS = {
    TextKind.INTEGER: r"^(?:0|-?[1-9][0-9]{0,17})$",
    TextKind.NUMBER: r"^-?(?:0|[1-9][0-9]{0,16})(?:\.(?:[0-9]*[1-9]|0))?(?:[eE][+-]?[0-9]{1,2})?$",
    TextKind.TRUTH: r"^(?:[Tt]rue|[Ff]alse)$",
}


def kinds_of(table: "pl.DataFrame") -> dict[str, TextKind]:
    """Return the kind of each column of texts; the contract's own texts stay texts."""
    polars = require_polars("reading CSV")
    return {
        column.name: _kind_of(column)
        for column in table.iter_columns()
        if column.dtype in (polars.String, polars.Null)
    }


def join_kinds(parts: Iterable[Mapping[str, TextKind]]) -> dict[str, TextKind]:
    """Return the kind that fits a column in all parts of a table."""
    joined: dict[str, TextKind] = {}
    for part in parts:
        for name, kind in part.items():
            joined[name] = _join(joined.get(name, TextKind.NOTHING), kind)
    return joined


def with_kinds(table: FrameT, kinds: Mapping[str, TextKind]) -> FrameT:
    """Return a table, lazy or not, with its texts read as what they are.

    Args:
        table: All columns of texts named in ``kinds`` are as CSV has them.
        kinds: Kinds by column; other columns stay as they are.
    """
    polars = require_polars("reading CSV")
    types = {TextKind.INTEGER: polars.Int64, TextKind.NUMBER: polars.Float64}
    columns = []
    for name, dtype in table.collect_schema().items():
        kind = kinds.get(name, TextKind.TEXT) if dtype == polars.String else TextKind.TEXT
        if kind in types:
            columns.append(polars.col(name).cast(types[kind]))
        elif kind == TextKind.TRUTH:
            columns.append(polars.col(name).str.to_lowercase() == "true")
    return table.with_columns(columns)


def _kind_of(column: "pl.Series") -> TextKind:
    texts = column.drop_nulls()
    if column.name in _TEXTS or column.name.startswith(_TEXT_PREFIX):
        return TextKind.TEXT
    if texts.is_empty():
        return TextKind.NOTHING
    for kind, pattern in _PATTERNS.items():
        if texts.head(1).str.contains(pattern).all() and texts.str.contains(pattern).all():
            return kind
    return TextKind.TEXT


def _join(one: TextKind, other: TextKind) -> TextKind:
    larger = max(one, other)
    if larger == TextKind.TRUTH and min(one, other) in (TextKind.INTEGER, TextKind.NUMBER):
        return TextKind.TEXT
    return larger
