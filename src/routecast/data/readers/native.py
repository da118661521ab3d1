"""Our own files: comparisons, outcomes or prompts, in the columns that their contracts name."""

from pathlib import Path

from routecast.data.batches import Batch
from routecast.data.comparisons import Comparisons
from routecast.data.outcomes import ANSWER, QUALITY, Outcomes
from routecast.data.readers.context import Kind, Reading, ReadOptions
from routecast.data.readers.whole import read_comparisons_as, read_outcomes_as
from routecast.data.reading import ReadResult, require_polars
from routecast.data.sources import open_file
from routecast.errors import DataError


def native_kind(columns: tuple[str, ...]) -> Kind | None:
    """Return the contract that a table with these columns follows, None where it follows none."""
    if {"model_a", "model_b", "outcome"}.issubset(columns):
        return "comparisons"
    if any(name.startswith(QUALITY) for name in columns):
        return "outcomes"
    return "prompts" if {"prompt", "messages"}.intersection(columns) else None


def read_native(
    path: str | Path,
    *,
    quality_range: tuple[float, float] = (0.0, 1.0),
    answers: bool = True,
    skip_bad: bool = False,
) -> ReadResult[Comparisons] | ReadResult[Outcomes]:
    """Read comparisons, or outcomes, as the columns tell.

    Args:
        path: Parquet, JSONL or CSV.
        quality_range: Lowest and highest quality that the scale knows; for outcomes.
        answers: Read the columns of answers too, which may be most of a file.
        skip_bad: Leave bad rows out and count them, instead of stopping at the first.

    Returns:
        The table with all other columns. Dropped are rows with a blank prompt.

    Raises:
        DataError: If the file cannot be read, follows neither contract, or a value is not accepted.
        MissingExtraError: If polars is not installed.
    """
    columns = open_file(path).columns
    if native_kind(columns) == "comparisons":
        return read_comparisons(path, answers=answers, skip_bad=skip_bad)
    if native_kind(columns) == "outcomes":
        return read_outcomes(path, quality_range=quality_range, answers=answers, skip_bad=skip_bad)
    raise DataError(
        f"{Path(path).name} has the columns {list(columns[:12])!r}; comparisons have 'model_a', "
        "'model_b' and 'outcome', outcomes have 'quality|MODEL'"
    )


def read_comparisons(
    path: str | Path, *, answers: bool = False, skip_bad: bool = False
) -> ReadResult[Comparisons]:
    """Read a file of comparisons; see `read_native`. Answers are left out unless asked for."""
    options = ReadOptions(answers=answers)
    return read_comparisons_as("native", path, options=options, skip_bad=skip_bad)


def read_outcomes(
    path: str | Path,
    *,
    quality_range: tuple[float, float] = (0.0, 1.0),
    answers: bool = False,
    skip_bad: bool = False,
) -> ReadResult[Outcomes]:
    """Read a file of outcomes; see `read_native`. Answers are left out unless asked for."""
    options = ReadOptions(answers=answers, quality_range=quality_range)
    return read_outcomes_as("native", path, options=options, skip_bad=skip_bad)


def native_batch(batch: Batch, reading: Reading) -> Batch:
    """Return the rows as they are, without answers where none are wanted."""
    table = batch.table
    if not reading.options.answers:
        table = table.select([name for name in table.columns if not name.startswith(ANSWER)])
    label_source = reading.options.label_source
    if label_source is not None:
        table = table.with_columns(
            require_polars("reading tables").lit(label_source).alias("source")
        )
    return batch.with_table(table)
