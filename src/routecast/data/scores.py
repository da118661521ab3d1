"""Files of scores: the input rows plus ``win_probability``, whole or not at all."""

import csv
import io
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, BinaryIO

from routecast.data.files import disk_fault, disk_faults_told, file_format, whole_file
from routecast.data.limits import FILE_RULES, safe_for_spreadsheets
from routecast.data.prompts import PromptRow
from routecast.data.reading import require_polars
from routecast.data.rows import shorten
from routecast.errors import DataError
from routecast.types import FloatArray

STDOUT = "-"
WIN_PROBABILITY = "win_probability"
_Scored = Iterable[tuple[Sequence[PromptRow], FloatArray]]


def write_scores(path: str | Path, scored: _Scored) -> int:
    """Write rows with their win probabilities, batch by batch.

    The file appears at the end, whole; when anything fails on the way, the batches included, what
    stood there before still stands. A win probability that is not finite, where the router
    abstained, becomes null, in CSV an empty field. Lone surrogates are written as they were read.
    JSONL and CSV are streamed; Parquet is collected first.

    Args:
        path: JSONL, CSV or Parquet, told by the ending; ``-`` is JSONL on standard output, where
            each batch appears as it is scored.
        scored: Batches of rows, each with one win probability per row. A column that is already
            named ``win_probability`` is replaced. In CSV, values that are no text are written as
            JSON, null as nothing, and all rows need the first row's columns or some of them.

    Returns:
        The number of rows written.

    Raises:
        DataError: If the format is unknown, the file cannot be written, or it cannot hold a row.
        MissingExtraError: If the format is Parquet and polars is not installed.
    """
    if str(path) == STDOUT:
        return _write_jsonl(sys.stdout.buffer, _rows(scored))
    format_ = file_format(path)
    if format_ == "parquet":
        require_polars("writing Parquet")
        with whole_file(path) as file, disk_faults_told(path):
            return _write_parquet(file, _rows(scored))
    with whole_file(path) as file:
        return _WRITERS[format_](file, _rows(scored))


def _rows(scored: _Scored) -> Iterable[tuple[int, dict[str, Any]]]:
    """Yield line number and finished columns of each row."""
    for rows, win_probabilities in scored:
        for row, probability in zip(rows, win_probabilities.tolist(), strict=True):
            known = probability if math.isfinite(probability) else None
            yield row.line, {**row.columns, WIN_PROBABILITY: known}


def _write_jsonl(file: BinaryIO, rows: Iterable[tuple[int, dict[str, Any]]]) -> int:
    n_rows = 0
    for line, row in rows:
        file.write(_json_text(row, line=line).encode() + b"\n")
        n_rows += 1
    return n_rows


def _json_text(value: object, *, line: int) -> str:
    """Return JSON that UTF-8 can hold: readable, but escaped where there are lone surrogates."""
    try:
        text = _dumps(value)
    except TypeError as error:
        raise DataError(
            f"the row of line {line} holds a {error}; write Parquet, or leave that column out"
        ) from error
    return text if _is_encodable(text) else json.dumps(json.loads(text))


def _dumps(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)
    except ValueError:
        return json.dumps(_without_nan(value), ensure_ascii=False, default=_plain)


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _plain(value: object) -> str:
    """Write dates and times, which Parquet knows and JSON does not, in ISO 8601."""
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    raise TypeError(f"value {shorten(value)} of type {type(value).__name__}")


def _without_nan(value: object) -> object:
    """Replace numbers that JSON does not know by null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _without_nan(entry) for key, entry in value.items()}
    return [_without_nan(entry) for entry in value] if isinstance(value, list) else value


def _write_csv(file: BinaryIO, rows: Iterable[tuple[int, dict[str, Any]]]) -> int:
    text = io.TextIOWrapper(file, encoding="utf-8", errors="surrogatepass", newline="")
    writer: csv.DictWriter[str] | None = None
    safe = safe_for_spreadsheets if FILE_RULES.get().spreadsheet_safe else str
    n_rows = 0
    try:
        for line, row in rows:
            if writer is None:
                writer = csv.DictWriter(text, list(row), lineterminator="\n")
                writer.writerow({name: safe(name) for name in row})
            unknown = row.keys() - set(writer.fieldnames)
            if unknown:
                raise DataError(
                    f"the row of line {line} has columns that the first row has not: "
                    f"{sorted(unknown)!r}; write JSONL"
                )
            writer.writerow(
                {
                    key: safe(value) if isinstance(value, str) else _csv_field(value, line=line)
                    for key, value in row.items()
                }
            )
            n_rows += 1
        text.flush()
    finally:
        text.detach()
    return n_rows


def _csv_field(value: object, *, line: int) -> str:
    return "" if value is None else _json_text(value, line=line)


def _write_parquet(file: BinaryIO, rows: Iterable[tuple[int, dict[str, Any]]]) -> int:
    polars = require_polars("writing Parquet")
    collected = [row for _, row in rows]
    try:
        table = polars.DataFrame(collected, infer_schema_length=None)
        if collected:
            table = table.with_columns(polars.col(WIN_PROBABILITY).cast(polars.Float64))
        table.write_parquet(file)
    except (polars.exceptions.PolarsError, TypeError, ValueError) as error:
        if disk_fault(error) is not None:
            raise
        first_line = (str(error).splitlines() or [""])[0]
        raise DataError(f"Parquet cannot hold these rows: {first_line}; write JSONL") from error
    return len(collected)


_WRITERS = {"jsonl": _write_jsonl, "csv": _write_csv}
