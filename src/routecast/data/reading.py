"""What every reader of preference data returns, and how it loads polars."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Generic, TypeVar

from routecast.errors import MissingExtraError

TableT = TypeVar("TableT")
"""`Outcomes` or `Comparisons`."""


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """Rows of a source that a reader left out.

    Attributes:
        reason: Why, in a few words: ``on the decontamination list``.
        n_rows: How many rows, at least 1.
    """

    reason: str
    n_rows: int


@dataclass(frozen=True, kw_only=True)
class ReadResult(Generic[TableT]):
    """A table as read from a source, and what did not make it into the table.

    Attributes:
        table: Validated outcomes or comparisons.
        dropped: What was left out and why, one entry per reason; empty when nothing was.
    """

    table: TableT
    dropped: tuple[Dropped, ...] = ()


def dropped_from_counts(counts: Mapping[str, int]) -> tuple[Dropped, ...]:
    """Turn counts by reason into entries, in the order given; reasons with no row are left out."""
    return tuple(
        Dropped(reason=reason, n_rows=n_rows) for reason, n_rows in counts.items() if n_rows > 0
    )


def require_polars(feature: str) -> ModuleType:
    """Load polars, which the base install does not bring.

    Args:
        feature: What needs it, as the error names it: ``reading Parquet``.

    Returns:
        The module; a type checker sees nothing in it, so callers annotate what they take.

    Raises:
        MissingExtraError: If polars is not installed.
    """
    try:
        import polars as pl
    except ModuleNotFoundError as error:
        raise MissingExtraError(feature, "lab") from error
    return pl
