"""Sources of rows: a file, read batch by batch, or whole, whatever its format."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from routecast.data.batches import ROWS_PER_BATCH, Batch, batch_of_rows, in_batches
from routecast.data.csv_types import FrameT, kinds_of, with_kinds
from routecast.data.files import (
    check_unpacked,
    file_format,
    require_file,
    scan_parquet,
    unreadable_file,
)
from routecast.data.limits import FILE_RULES, MIB, RAISE_LIMIT
from routecast.data.reading import require_polars
from routecast.data.rows import BadRowError, rows_or_faults, shorten
from routecast.data.tally import Tally
from routecast.errors import DataError

if TYPE_CHECKING:
    import polars as pl

RowOrFault = tuple[int, Mapping[str, Any] | BadRowError]

Keep = Callable[[str], bool]
"""Says of a column's name whether it is read."""

_PICKLES = (".pkl", ".pickle", ".joblib", ".dill")
_N_PEEKED = 100
_BYTES_PER_SLICE = 2**23
_ROWS_PER_SLICE = (ROWS_PER_BATCH, 2**16)
"""Fewest and most rows that are read from Parquet at once: it unpacks whole groups of rows."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A table that can be read from its start, again and again.

    Attributes:
        name: What error messages call it.
        columns: Its columns; of files without a header those of the first hundred rows.
        start: Starts to read; see `batches`.
        unit: What messages number: ``line`` or ``row``.
        is_typed: False for CSV, whose values are all texts.
        n_numbers: Largest number that a row can have, for progress; None where unknown.
    """

    name: str
    columns: tuple[str, ...]
    start: Callable[[Tally, Keep], Iterator[Batch]]
    unit: str = "row"
    is_typed: bool = True
    n_numbers: int | None = None

    def batches(self, tally: Tally, *, keep: Keep | None = None) -> Iterator[Batch]:
        """Read from the first row.

        Args:
            tally: Counts rows and bad rows, and says what becomes of these.
            keep: Which columns to read; all when None.

        Raises:
            DataError: If the source cannot be read, or at the first bad row unless they are
                skipped.
        """
        return self.start(tally, keep or (lambda _: True))


def open_file(path: str | Path) -> Source:
    """Open a Parquet, JSONL or CSV file, or a ``.json`` file that holds one list of objects.

    Raises:
        DataError: If the file is missing, of another kind, unreadable, or has no rows. A pickle is
            refused: loading one runs whatever it holds.
        MissingExtraError: If polars is not installed.
    """
    path = Path(path)
    require_polars("reading tables")
    if path.suffix.lower() in _PICKLES:
        raise DataError(
            f"{str(path)!r} is a pickle, and loading one runs whatever code it holds; convert it "
            'where that does no harm, then import the result: python -c "import pandas; '
            f"pandas.read_pickle({path.name!r}).to_json({path.stem + '.jsonl'!r}, "
            "orient='records', lines=True)\""
        )
    path = require_file(path)
    if path.suffix.lower() == ".json":
        return source_of_rows(path.name, lambda: _json_list(path))
    if file_format(path) == "parquet":
        return _open_parquet(path)
    return source_of_rows(
        path.name,
        lambda: rows_or_faults(path),
        unit="line",
        is_typed=file_format(path) != "csv",
        n_numbers=_count_lines(path),
    )


def source_of_rows(
    name: str,
    rows: Callable[[], Iterable[RowOrFault]],
    *,
    unit: str = "row",
    is_typed: bool = True,
    n_numbers: int | None = None,
) -> Source:
    """Make a source of rows that come one by one.

    Args:
        name: What error messages call it.
        rows: Starts from the first row each time it is called.
        unit: What messages number.
        is_typed: False where all values are texts.
        n_numbers: Largest number that a row can have; None where unknown.

    Raises:
        DataError: If none of the first rows can be read, or there are none.
    """
    peeked = list(islice(rows(), _N_PEEKED))
    good = [row for _, row in peeked if not isinstance(row, BadRowError)]
    if not good:
        for _, row in peeked:
            if isinstance(row, BadRowError):
                raise row
        raise DataError(f"{name} holds no rows")

    def start(tally: Tally, keep: Keep) -> Iterator[Batch]:
        for batch in in_batches(_good_rows(rows(), tally), weigh=_n_characters):
            names = {name for _, row in batch for name in row}
            if not all(map(keep, names)):
                batch = [(number, _only(row, keep)) for number, row in batch]  # noqa: PLW2901
            yield batch_of_rows(batch)

    return Source(
        name=name,
        columns=tuple(dict.fromkeys(column for row in good for column in row)),
        start=start,
        unit=unit,
        is_typed=is_typed,
        n_numbers=n_numbers,
    )


def _good_rows(rows: Iterable[RowOrFault], tally: Tally) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, row in rows:
        tally.n_rows += 1
        if isinstance(row, BadRowError):
            tally.refuse(row)
        else:
            yield number, row


def _n_characters(numbered: tuple[int, Mapping[str, Any]]) -> int:
    return sum(len(value) for value in numbered[1].values() if isinstance(value, str))


def _only(row: Mapping[str, Any], keep: Keep) -> dict[str, Any]:
    return {name: value for name, value in row.items() if keep(name)}


def _open_parquet(path: Path) -> Source:
    polars = require_polars("reading Parquet")
    try:
        lazy = scan_parquet(path)
        columns = tuple(lazy.collect_schema().names())
        n_rows = lazy.select(polars.len()).collect().item()
    except (polars.exceptions.PolarsError, OSError) as error:
        raise unreadable_file(path, error) from error

    fewest, most = _ROWS_PER_SLICE
    n_at_once = min(max(_BYTES_PER_SLICE * n_rows // path.stat().st_size, fewest), most)

    def start(tally: Tally, keep: Keep) -> Iterator[Batch]:
        wanted = lazy.select([name for name in columns if keep(name)])
        n_bytes = 0
        for first in range(0, n_rows, n_at_once):
            try:
                table: pl.DataFrame = wanted.slice(first, n_at_once).collect()
            except (polars.exceptions.PolarsError, OSError) as error:
                raise unreadable_file(path, error) from error
            n_bytes += int(table.estimated_size())
            check_unpacked(path, n_bytes)
            tally.n_rows += table.height
            yield Batch(table=table, lines=np.arange(first + 1, first + 1 + table.height))

    return Source(name=path.name, columns=columns, start=start, n_numbers=n_rows)


def _json_list(path: Path) -> Iterator[RowOrFault]:
    """Yield the objects of one list; the file is held whole."""
    limit = FILE_RULES.get().max_json_bytes
    if path.stat().st_size > limit:
        raise DataError(
            f"{str(path)!r} is one JSON value of {path.stat().st_size / MIB:,.0f} MiB, and such a "
            f"file is held whole; accepted are {limit / MIB:,.0f} MiB: write one object per line, "
            f"as .jsonl (jq -c '.[]'), or {RAISE_LIMIT}"
        )
    try:
        entries = json.loads(path.read_bytes().decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"cannot read {path.name!r}: {error}; accepted is JSON in UTF-8") from error
    if not isinstance(entries, list):
        raise DataError(f"{path.name}: {shorten(entries)}; accepted is one list of objects")
    for number, entry in enumerate(entries, start=1):
        yield (
            number,
            entry
            if isinstance(entry, dict)
            else BadRowError(
                f"{path.name}, row {number}: {shorten(entry)}; accepted is an object",
                reason="not a JSON object",
            ),
        )


def _count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return 1 + sum(part.count(b"\n") for part in iter(lambda: file.read(2**20), b""))


def read_table(path: str | Path, *, columns: Collection[str] | None = None) -> "pl.DataFrame":
    """Read a whole table.

    Lone surrogates become U+FFFD. Lists and objects in JSONL become JSON texts. A column of a CSV
    file becomes numbers or truth values where every text is one and is written in the usual way.

    Args:
        path: Parquet, JSONL or CSV, told by the ending.
        columns: Which columns to keep of those that the file has; all when None.

    Raises:
        DataError: If the file is missing, has another ending, or cannot be read; the message names
            the line where it can. JSONL and CSV need at least one row.
        MissingExtraError: If polars is not installed.
    """
    path = require_file(path)
    if file_format(path) == "parquet":
        return _read_parquet(path, columns)
    polars = require_polars("reading tables")
    source = open_file(path)
    tables = [_select(batch.table, columns) for batch in source.batches(Tally())]
    table: pl.DataFrame = polars.concat(tables, how="diagonal_relaxed")
    return table if source.is_typed else with_kinds(table, kinds_of(table))


def _read_parquet(path: Path, columns: Collection[str] | None) -> "pl.DataFrame":
    polars = require_polars("reading Parquet")
    try:
        table: pl.DataFrame = _select(scan_parquet(path), columns).collect()
    except (polars.exceptions.PolarsError, OSError) as error:
        raise unreadable_file(path, error) from error
    check_unpacked(path, int(table.estimated_size()))
    return table


def _select(table: FrameT, columns: Collection[str] | None) -> FrameT:
    names = table.collect_schema().names()
    return table.select([name for name in names if columns is None or name in columns])
