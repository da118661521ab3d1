"""Tables written batch by batch, as Parquet, JSONL or CSV, whole or not at all."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from routecast.data.batches import ROWS_PER_BATCH, Batch, as_json, batch_of_rows, in_batches
from routecast.data.csv_types import TextKind, join_kinds, kinds_of, with_kinds
from routecast.data.durable import held_workspace
from routecast.data.files import FileFormat, disk_faults_told, file_format, whole_file
from routecast.data.limits import FILE_RULES, RUN_BY_SPREADSHEETS, safe_for_spreadsheets
from routecast.data.outcomes import ANSWER
from routecast.data.prompts import PromptRow
from routecast.data.reading import require_polars

if TYPE_CHECKING:
    import polars as pl

_BYTES_PER_GROUP = 2**25
_ROWS_PER_GROUP = (ROWS_PER_BATCH, 2**18)
"""Fewest and most rows of a group in Parquet: writing holds several groups at once."""


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A batch that waits on disk."""

    path: Path
    n_rows: int
    n_bytes: int
    json_columns: frozenset[str]
    kinds: Mapping[str, TextKind] = field(default_factory=dict)


class TableWriter:
    """Takes batches, whatever their columns; a column that a batch lacks is null there."""

    def __init__(self, folder: Path) -> None:
        """Keep batches in a folder until all columns and their types are known."""
        self._folder = folder
        self._parts: list[_Part] = []

    def add(self, batch: Batch, *, is_typed: bool = True) -> None:
        """Add rows.

        Args:
            batch: The rows.
            is_typed: False where texts may stand for numbers: in batches read from CSV.
        """
        path = self._folder / f"{len(self._parts)}.parquet"
        batch.table.write_parquet(path, compression="lz4", statistics=False)
        kinds = {} if is_typed else kinds_of(batch.table)
        part = _Part(
            path=path,
            n_rows=len(batch),
            n_bytes=int(batch.table.estimated_size()),
            json_columns=batch.json_columns,
            kinds=kinds,
        )
        self._parts.append(part)

    def finish(self, file: BinaryIO, format_: FileFormat) -> None:
        """Write all rows to a file, in the order they came."""
        kinds = join_kinds(part.kinds for part in self._parts)
        {"parquet": _write_parquet, "csv": _write_csv, "jsonl": _write_jsonl}[format_](
            self._parts, kinds, file
        )


@contextmanager
def table_writer(path: str | Path) -> Iterator[TableWriter]:
    """Open a file for a table; it appears when the block ends well, and else not at all.

    Rows wait in the file's own folder meanwhile, compressed, so that memory holds one batch. In
    JSONL, columns of answers are left out of the rows that have none; in CSV, lists and objects are
    JSON, and null and the empty text are both empty.

    Args:
        path: Parquet, JSONL or CSV, told by the ending.

    Raises:
        DataError: If the ending is not accepted or the file cannot be written.
        MissingExtraError: If polars is not installed.
    """
    format_ = file_format(path)
    require_polars("writing tables")
    with whole_file(path) as file, held_workspace(path) as work:  # the file waits there too
        parts = work / "parts"
        parts.mkdir()
        writer = TableWriter(parts)
        with disk_faults_told(path):
            yield writer
            writer.finish(file, format_)


def write_table(table: "pl.DataFrame", path: str | Path) -> None:
    """Write a table at once; see `table_writer`."""
    with table_writer(path) as writer:
        writer.add(Batch(table=table, lines=np.arange(1, table.height + 1)))


def write_rows(rows: Iterable[PromptRow], path: str | Path, *, is_typed: bool) -> None:
    """Write rows with all their columns as they were read; see `table_writer`.

    Args:
        rows: Of a file of prompts, comparisons or outcomes.
        path: Parquet, JSONL or CSV, told by the ending.
        is_typed: False where texts may stand for numbers: in rows read from CSV.
    """
    with table_writer(path) as writer:
        for batch in in_batches((row.line, row.columns) for row in rows):
            writer.add(batch_of_rows(batch), is_typed=is_typed)


def _write_parquet(parts: Sequence[_Part], kinds: Mapping[str, TextKind], file: BinaryIO) -> None:
    polars = require_polars("writing Parquet")
    tables = [with_kinds(polars.scan_parquet(part.path), kinds) for part in parts]
    merged = polars.concat(tables, how="diagonal_relaxed") if tables else polars.LazyFrame()
    bytes_per_row = 1 + sum(part.n_bytes for part in parts) // max(1, sum(p.n_rows for p in parts))
    fewest, most = _ROWS_PER_GROUP
    n_rows = min(max(_BYTES_PER_GROUP // bytes_per_row, fewest), most)
    merged.sink_parquet(file, row_group_size=n_rows)


def _write_csv(parts: Sequence[_Part], kinds: Mapping[str, TextKind], file: BinaryIO) -> None:
    polars = require_polars("writing CSV")
    tables = [with_kinds(polars.scan_parquet(part.path), kinds) for part in parts]
    columns = dict.fromkeys(name for table in tables for name in table.collect_schema().names())
    for position, lazy in enumerate(tables):
        table = lazy.collect()
        table = table.with_columns(
            polars.lit(None).alias(name) for name in columns if name not in table.columns
        ).select(list(columns))
        nested = [name for name, dtype in table.schema.items() if dtype.is_nested()]
        table = _plain(table).with_columns(_as_json_texts(table[name]) for name in nested)
        if FILE_RULES.get().spreadsheet_safe:
            table = _spreadsheet_safe(table)
        table.write_csv(file, include_header=position == 0)


def _write_jsonl(parts: Sequence[_Part], kinds: Mapping[str, TextKind], file: BinaryIO) -> None:
    polars = require_polars("writing JSONL")
    for part in parts:
        table = with_kinds(polars.scan_parquet(part.path), kinds).collect()
        for rows in _plain(table).iter_slices(ROWS_PER_BATCH):
            file.writelines(
                as_json(_json_row(row, part.json_columns)).encode() + b"\n"
                for row in rows.iter_rows(named=True)
            )


def _json_row(row: Mapping[str, Any], json_columns: frozenset[str]) -> dict[str, Any]:
    return {
        name: json.loads(value) if name in json_columns and value is not None else value
        for name, value in row.items()
        if value is not None or not name.startswith(ANSWER)
    }


def _plain(table: "pl.DataFrame") -> "pl.DataFrame":
    """Write times in ISO 8601, and numbers that are none as null."""
    polars = require_polars("writing tables")
    selectors = polars.selectors
    return table.with_columns(
        selectors.float().fill_nan(None),
        (selectors.datetime() | selectors.date() | selectors.time()).dt.to_string("iso:strict"),
    )


def _spreadsheet_safe(table: "pl.DataFrame") -> "pl.DataFrame":
    """Put an apostrophe before texts and names that a spreadsheet would run."""
    polars = require_polars("writing CSV")
    texts = polars.selectors.string()
    runs = texts.str.contains(RUN_BY_SPREADSHEETS.pattern)
    safe: pl.DataFrame = table.with_columns(
        polars.when(runs).then("'" + texts).otherwise(texts).name.keep()
    )
    return safe.rename(safe_for_spreadsheets)


def _as_json_texts(column: "pl.Series") -> "pl.Series":
    polars = require_polars("writing CSV")
    texts = [None if value is None else as_json(value) for value in column.to_list()]
    encoded: pl.Series = polars.Series(column.name, texts, dtype=polars.String)
    return encoded
