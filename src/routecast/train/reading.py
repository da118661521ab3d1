"""Reading what to learn from, in any format that ``data import`` reads."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from routecast.data.comparisons import Comparisons
from routecast.data.outcomes import QUALITY, Outcomes
from routecast.data.readers.context import Kind, ReadOptions
from routecast.data.readers.opening import is_benchmark, open_table
from routecast.data.readers.routellm_eval import read_routellm_eval
from routecast.data.readers.whole import whole_table
from routecast.data.reading import ReadResult
from routecast.data.tally import Tally
from routecast.errors import DataError

if TYPE_CHECKING:
    import polars as pl


def read_comparisons(where: str | Path, *, skip_bad: bool = False) -> ReadResult[Comparisons]:
    """Read comparisons, whatever their layout.

    Args:
        where: A file, or ``hf:OWNER/NAME``.
        skip_bad: Leave bad rows out and count them, instead of stopping at the first.

    Raises:
        DataError: If it cannot be read, holds no comparisons or no prompts, or at the first bad
            row.
        MissingExtraError: If polars is not installed.
    """
    if is_benchmark(where, None):
        raise DataError(f"{str(where)!r} is a folder; name a file of comparisons")
    table, name, tally = _read(where, "comparisons", ReadOptions(), skip_bad=skip_bad)
    comparisons = Comparisons(table=table, source=name)
    if not comparisons.has_prompts:
        raise DataError(f"{name} has no column 'prompt'; a router learns from the prompts' texts")
    return ReadResult(table=comparisons, dropped=tally.dropped())


def read_outcomes(
    where: str | Path,
    *,
    quality_range: tuple[float, float] = (0.0, 1.0),
    skip_bad: bool = False,
) -> ReadResult[Outcomes]:
    """Read outcomes, whatever their layout.

    Args:
        where: A file, ``hf:OWNER/NAME``, or the folder of one of RouteLLM's benchmarks.
        quality_range: Lowest and highest quality that the scale knows; a benchmark has its own.
        skip_bad: Leave bad rows out and count them, instead of stopping at the first.

    Raises:
        DataError: If it cannot be read, holds no outcomes, or at the first bad row.
        MissingExtraError: If polars is not installed.
    """
    if is_benchmark(where, None):
        return read_routellm_eval(where)
    options = ReadOptions(quality_range=quality_range)
    table, name, tally = _read(where, "outcomes", options, skip_bad=skip_bad)
    outcomes = Outcomes(table=table, quality_range=quality_range, source=name)
    return ReadResult(table=outcomes, dropped=tally.dropped())


def read_excluded(where: str | Path) -> list[str]:
    """Read prompts that training must not see.

    Args:
        where: A file of prompts, comparisons or outcomes in any layout, or the folder of one of
            RouteLLM's benchmarks, whose questions count even if its authors' list leaves them out.

    Raises:
        DataError: If it cannot be read.
        MissingExtraError: If polars is needed and not installed.
    """
    if is_benchmark(where, None):
        return read_routellm_eval(where, decontaminate=False).table.prompts
    table, _, _ = _read(where, None, ReadOptions(min_prompt_chars=1), skip_bad=False)
    prompts: list[str] = table["prompt"].to_list()
    return prompts


def _read(
    where: str | Path, wanted: Kind | None, options: ReadOptions, *, skip_bad: bool
) -> tuple["pl.DataFrame", str, Tally]:
    """Return the rows in the contract's columns, the source's name, and what was left out."""
    opened = open_table(where)
    columns = opened.source.columns
    kind = opened.kind
    if wanted == "outcomes" and any(name.startswith(QUALITY) for name in columns):
        kind = "outcomes"  # comparisons with grades beside them are both
    if wanted is not None and kind != wanted:
        raise _wrong_kind(opened.source.name, kind, wanted)
    if "answers" in opened.table_format.options:
        options = replace(options, answers=False)
    tally = Tally(skip_bad=skip_bad)
    reading, batches = replace(opened, kind=kind).read(options, tally)
    return whole_table(batches, reading), opened.source.name, tally


def _wrong_kind(name: str, kind: Kind, wanted: Kind) -> DataError:
    if kind == "prompts":
        return DataError(
            f"{name} holds prompts without labels; {wanted} have "
            + (
                "the columns 'model_a', 'model_b' and 'outcome'"
                if wanted == "comparisons"
                else "a column 'quality|MODEL' for each model"
            )
        )
    return DataError(f"{name} holds {kind}, not {wanted}; give it with --{kind}")
