"""Our own files: comparisons, outcomes or prompts, in the columns that their contracts name."""

from pathlib import Path

from routecast.data.batches import Batch
from routecast.data.comparisons import Comparisons
from routecast.data.outcomes import QUALITY, Outcomes
from routecast.data.readers.context import Kind, Reading, ReadOptions
from routecast.data.readers.registry import guess_format, has_winners
from routecast.data.readers.whole import read_comparisons_as, read_outcomes_as
from routecast.data.readers.winner_column import with_outcomes
from routecast.data.reading import ReadResult, require_polars
from routecast.data.sources import open_file
from routecast.errors import DataError


def native_kind(columns: tuple[str, ...]) -> Kind | None:
    """Return the contract that a table with these columns follows, None where it follows none.

    Prompts with a ``winner`` in place of ``outcome`` are comparisons too.
    """
    if {"model_a", "model_b", "outcome"}.issubset(columns):
        return "comparisons"
    if any(name.startswith(QUALITY) for name in columns):
        return "outcomes"
    if has_winners(frozenset(columns)):
        return "comparisons"
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
    kind = native_kind(open_file(path).columns)
    if kind == "outcomes":
        return read_outcomes(path, quality_range=quality_range, answers=answers, skip_bad=skip_bad)
    return read_comparisons(path, answers=answers, skip_bad=skip_bad)


def read_comparisons(
    path: str | Path, *, answers: bool = False, skip_bad: bool = False
) -> ReadResult[Comparisons]:
    """Read a file of comparisons, as `read_native` does, without the answers unless asked for.

    Raises:
        DataError: If the file is no such file (the message says how to convert it, where it can
            be), cannot be read, or a value is not accepted.
        MissingExtraError: If polars is not installed.
    """
    _refuse_other_formats(path, "comparisons")
    options = ReadOptions(answers=answers)
    return read_comparisons_as("native", path, options=options, skip_bad=skip_bad)


def read_outcomes(
    path: str | Path,
    *,
    quality_range: tuple[float, float] = (0.0, 1.0),
    answers: bool = False,
    skip_bad: bool = False,
) -> ReadResult[Outcomes]:
    """Read a file of outcomes, as `read_native` does, without the answers unless asked for.

    Comparisons that have qualities beside them, as a grading judge writes, are outcomes too.

    Raises:
        DataError: If the file is no such file (the message says how to convert it, where it can
            be), cannot be read, or a value is not accepted.
        MissingExtraError: If polars is not installed.
    """
    _refuse_other_formats(path, "outcomes")
    options = ReadOptions(answers=answers, quality_range=quality_range)
    return read_outcomes_as("native", path, options=options, skip_bad=skip_bad)


def _refuse_other_formats(path: str | Path, wanted: Kind) -> None:
    """Say what to do with a file that does not follow our contract, or follows the other one."""
    columns = open_file(path).columns
    has_qualities = any(name.startswith(QUALITY) for name in columns)
    name, known = Path(path).name, guess_format(columns)
    follows = known is None or known.name == "native" or "outcome" in columns or has_qualities
    if follows and (native_kind(columns) == wanted or (wanted == "outcomes" and has_qualities)):
        return
    if known is not None and known.name != "native":
        raise DataError(
            f"{name} is in format {known.name!r}; convert it first: "
            f"routecast data import {name} --output FILE"
        )
    if native_kind(columns) == "comparisons":
        raise DataError(
            f"{name} holds comparisons without qualities: `routecast train` takes it as "
            "--comparisons; outcomes have a column 'quality|MODEL' for each model"
        )
    raise DataError(
        f"{name} has the columns {list(columns[:12])!r}; comparisons have 'model_a', 'model_b' and "
        "'outcome' (or 'prompt' and 'winner'), outcomes have 'quality|MODEL'"
    )


def native_batch(batch: Batch, reading: Reading) -> Batch:
    """Return the rows as they are, but for the label source where one is given.

    Where a file has ``winner`` and no ``outcome``, the outcome is the winner's.
    """
    columns = reading.source.columns
    if native_kind(columns) == "comparisons" and "outcome" not in columns:
        batch = with_outcomes(batch, reading, or_names=True)
    label_source = reading.options.label_source
    if label_source is None:
        return batch
    polars = require_polars("reading tables")
    return batch.with_table(
        batch.table.with_columns(polars.lit(label_source).alias("source")), decoded=["source"]
    )
