"""Reading a source: batch by batch for what is large, or whole into a validated table."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from routecast.data.batches import Batch
from routecast.data.comparisons import Comparisons
from routecast.data.outcomes import ANSWER, Outcomes
from routecast.data.readers.context import Kind, Reading, ReadOptions
from routecast.data.readers.contract import settle_batch
from routecast.data.readers.registry import TableFormat, find_format, load_transform
from routecast.data.reading import ReadResult, require_polars
from routecast.data.sources import Keep, open_file
from routecast.data.tally import Tally
from routecast.errors import DataError

if TYPE_CHECKING:
    import polars as pl


def read_batches(table_format: TableFormat, kind: Kind, reading: Reading) -> Iterator[Batch]:
    """Read a source into its contract, batch by batch.

    Args:
        table_format: How the source is laid out.
        kind: The contract, one that the format has.
        reading: The source, the options, and the tally that is kept.

    Yields:
        Good rows in order, checked; a batch may be empty.

    Raises:
        DataError: If the source cannot be read, or at the first bad row unless they are skipped.
    """
    transform = load_transform(table_format)
    min_prompt_chars = reading.options.min_prompt_chars
    if min_prompt_chars is None:
        min_prompt_chars = table_format.min_prompt_chars
    for batch in reading.source.batches(
        reading.tally, keep=_columns_to_read(table_format, reading)
    ):
        yield settle_batch(
            transform(batch, reading), reading, kind, min_prompt_chars=min_prompt_chars
        )


def _columns_to_read(table_format: TableFormat, reading: Reading) -> Keep | None:
    """Leave what is not needed on the disk, where columns are still called as they will be."""
    if table_format.name != "native":
        return None
    if reading.options.answers:
        return reading.keep
    needed = reading.keep or (lambda _: True)
    return lambda name: needed(name) and not name.startswith(ANSWER)


def read_comparisons_as(
    name: str, path: str | Path, *, options: ReadOptions, skip_bad: bool
) -> ReadResult[Comparisons]:
    """Read a whole file of comparisons in the named format.

    Raises:
        DataError: If the file cannot be read, has no row to use, or at the first bad row.
    """
    reading = _reading(path, options, skip_bad=skip_bad)
    table = whole_table(read_batches(find_format(name), "comparisons", reading), reading)
    comparisons = Comparisons(table=table, source=reading.source.name)
    return ReadResult(table=comparisons, dropped=reading.tally.dropped())


def read_outcomes_as(
    name: str, path: str | Path, *, options: ReadOptions, skip_bad: bool
) -> ReadResult[Outcomes]:
    """Read a whole file of outcomes in the named format.

    Raises:
        DataError: If the file cannot be read, has no row to use, or at the first bad row.
    """
    reading = _reading(path, options, skip_bad=skip_bad)
    table = whole_table(read_batches(find_format(name), "outcomes", reading), reading)
    outcomes = Outcomes(
        table=table, quality_range=options.quality_range, source=reading.source.name
    )
    return ReadResult(table=outcomes, dropped=reading.tally.dropped())


def whole_table(batches: Iterator[Batch], reading: Reading) -> "pl.DataFrame":
    """Put batches together; the texts of CSV become numbers where nothing is lost by it.

    Raises:
        DataError: If no row is left.
    """
    from routecast.data.csv_types import kinds_of, with_kinds

    polars = require_polars("reading tables")
    tables = [batch.table for batch in batches if len(batch)]
    if not tables:
        raise nothing_left(reading)
    table: pl.DataFrame = polars.concat(tables, how="diagonal_relaxed")
    return table if reading.source.is_typed else with_kinds(table, kinds_of(table))


def nothing_left(reading: Reading) -> DataError:
    """Return the error for a source that had no row to use, with the reasons."""
    reasons = [f"{entry.reason}: {entry.n_rows}" for entry in reading.tally.dropped()]
    why = f"; left out were {', '.join(reasons)}" if reasons else ""
    return DataError(
        f"{reading.source.name} holds no row that can be used, of {reading.tally.n_rows}{why}"
    )


def _reading(path: str | Path, options: ReadOptions, *, skip_bad: bool) -> Reading:
    return Reading(source=open_file(path), options=options, tally=Tally(skip_bad=skip_bad))
