"""Rows of JSONL and CSV files, one by one, by the standard library alone."""

import codecs
import csv
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Self

from routecast.data.files import file_format, require_file
from routecast.data.limits import FILE_RULES, RAISE_LIMIT
from routecast.errors import DataError

_COMPRESSED = {b"\x1f\x8b": "gzip -dc", b"\x28\xb5\x2f\xfd": "zstd -dc"}
"""The command that unpacks a file, by its first bytes."""


class BadRowError(DataError):
    """One row that cannot be used; the rest of the file may still be.

    Attributes:
        reason: Why, in a few words, the same for all rows with this fault.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        """Keep the message beside the reason that it is counted under."""
        super().__init__(message)
        self.reason = reason


def shorten(value: object, limit: int = 60) -> str:
    """Return ``repr(value)`` cut to about ``limit`` characters, for a message."""
    shown = repr(value[:limit] if isinstance(value, str) else value)
    whole = len(shown) <= limit + 2 and (not isinstance(value, str) or len(value) <= limit)
    return shown if whole else shown[:limit] + "..."


def parse_json_object(line: bytes, *, where: str) -> dict[str, Any]:
    """Parse one line of JSONL.

    Lone surrogates are kept, escaped or as bytes. Numbers beyond double precision's
    range and ``NaN`` are refused: no JSON that we could write would hold them.

    Args:
        line: The line's bytes.
        where: File and line, for the message.

    Raises:
        BadRowError: If it is not UTF-8, not JSON, or not an object.
    """
    try:
        parsed = json.loads(
            line.decode("utf-8", "surrogatepass"),
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except (ValueError, RecursionError) as error:
        shown = shorten(line.decode("utf-8", "replace"))
        hint = ""
        if isinstance(error, UnicodeDecodeError):
            hint = f"; if it is in Latin-1: {_converted(Path(where.partition(',')[0]), 'LATIN1')}"
        raise BadRowError(
            f"{where}: {shown} ({_json_fault(error)}); accepted is one JSON object per line, "
            f"in UTF-8{hint}",
            reason="unreadable JSON",
        ) from error
    if not isinstance(parsed, dict):
        raise BadRowError(
            f"{where}: {shorten(parsed)}; accepted is one JSON object per line",
            reason="not a JSON object",
        )
    return parsed


def json_objects(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line number, from 1, and object of each line of a JSONL file; blank lines are passed.

    Raises:
        DataError: If the file is missing, or at its first line that is no JSON object.
    """
    path = require_file(path)
    with open_utf8(path) as lines:
        for number, line in numbered_lines(lines, name=path.name):
            if isinstance(line, BadRowError):
                raise line
            yield number, parse_json_object(line, where=f"{path.name}, line {number}")


def rows_or_faults(path: Path) -> Iterator[tuple[int, dict[str, Any] | BadRowError]]:
    """Yield number and values of each row of a JSONL or CSV file, or what is wrong with it.

    An empty field of a CSV file is null.

    Raises:
        DataError: If the file is missing, has another ending, or its CSV header is no good.
    """
    path = require_file(path)
    if file_format(path) == "csv":
        for number, fields in csv_rows(path):
            if isinstance(fields, BadRowError):
                yield number, fields
            else:
                yield number, {name: text or None for name, text in fields.items()}
        return
    with open_utf8(path) as lines:
        for number, line in numbered_lines(lines, name=path.name):
            if isinstance(line, BadRowError):
                yield number, line
                continue
            try:
                yield number, parse_json_object(line, where=f"{path.name}, line {number}")
            except BadRowError as error:
                yield number, error


def without_lone_surrogates(text: str) -> str:
    """Return text that UTF-8 can hold: halves that belong together joined, others U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def open_utf8(path: Path) -> BinaryIO:
    """Open a file of text for reading bytes, unless it is plain that it is not in UTF-8.

    Raises:
        DataError: If it is compressed, or begins with a mark or null byte as UTF-16 and UTF-32 do.
    """
    file = path.open("rb")
    head = file.read(4)
    for magic, unpack in _COMPRESSED.items():
        if head.startswith(magic):
            file.close()
            raise DataError(
                f"{path.name} is compressed; accepted is plain text: unpack it with "
                f"{unpack} < {path.name} > {path.stem}-plain{path.suffix}"
            )
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or 0 in head:
        file.close()
        raise DataError(
            f"{path.name} is in UTF-16, or another encoding of several bytes a character; accepted "
            f"is UTF-8: {_converted(path, 'UTF-16')}"
        )
    file.seek(0)
    return file


def _converted(path: Path, encoding: str) -> str:
    """Return the command that converts a file to UTF-8."""
    return f"iconv -f {encoding} -t UTF-8 {path.name} > {path.stem}-utf8{path.suffix}"


def numbered_lines(file: BinaryIO, *, name: str) -> Iterator[tuple[int, bytes | BadRowError]]:
    """Number lines from 1, leaving out blank ones and a byte-order mark at the start.

    A line beyond the limit of `FileRules` is passed over by pieces; what comes is its fault.
    """
    limit = FILE_RULES.get().max_row_bytes
    for number, line in enumerate(_bounded_lines(file, limit), start=1):
        if len(line) > limit:
            yield number, _too_long(name, number)
            continue
        stripped = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
        if stripped:
            yield number, stripped


def _bounded_lines(file: BinaryIO, limit: int) -> Iterator[bytes]:
    """Yield lines; of one that is too long the first bytes, one more than the limit."""
    while line := file.readline(limit + 1):
        yield line
        rest = line
        while len(rest) > limit and not rest.endswith(b"\n"):
            rest = file.readline(limit + 1)


def _too_long(name: str, number: int) -> BadRowError:
    limit = FILE_RULES.get().max_row_mib
    return BadRowError(
        f"{name}, line {number}: a row of more than {limit} MiB; {RAISE_LIMIT}",
        reason=f"more than {limit} MiB",
    )


def csv_rows(path: Path) -> Iterator[tuple[int, dict[str, str] | BadRowError]]:
    """Yield the line a row starts at, and the row or what is wrong with it.

    Lone surrogates are kept, in the bytes that Python calls ``surrogatepass``. Fields may be as
    long as a row; the csv module's limit is lifted for the whole interpreter.

    Raises:
        DataError: If the file has no header, names a column twice, or a row is too large.
    """
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    with open_utf8(path) as file:
        undecodable: list[int] = []
        lines = _DecodedLines(file, path.name, undecodable)
        reader = csv.reader(lines, strict=True)
        try:
            header = next(reader, [])
        except csv.Error as error:
            raise DataError(f"{path.name}, line 1: {error}; accepted is CSV in UTF-8") from error
        _refuse_other_separators(path, header)
        if not header or len(set(header)) != len(header):
            raise DataError(
                f"{path.name}, line 1: header {shorten(header)}; accepted is one name per "
                "column, each once"
            )
        while True:
            line = reader.line_num + 1
            lines.n_bytes = 0
            try:
                fields = next(reader, None)
            except csv.Error as error:
                yield line, _bad_csv(path, line, str(error))
                continue
            if fields is None:
                return
            if undecodable and undecodable[-1] >= line:
                hint = f"not UTF-8 (if it is in Latin-1: {_converted(path, 'LATIN1')})"
                yield line, _bad_csv(path, line, hint)
            elif len(fields) == len(header):
                yield line, dict(zip(header, fields, strict=True))
            elif fields:
                yield line, _bad_csv(path, line, f"{len(fields)} fields for {len(header)} columns")


def _refuse_other_separators(path: Path, header: list[str]) -> None:
    """Refuse a header that is one name, and several at another separator."""
    for separator in ";\t":
        if len(header) == 1 and separator in header[0]:
            raise DataError(
                f"{path.name}, line 1: header {shorten(header[0])} is separated by {separator!r}; "
                "accepted is CSV separated by ',': python -c \"import csv, sys; csv.writer("
                f'sys.stdout).writerows(csv.reader(sys.stdin, delimiter={separator!r}))" '
                f"< {path.name} > {path.stem}-comma{path.suffix}"
            )


class _DecodedLines:
    """Lines decoded one by one; the numbers of those that are not UTF-8 are noted.

    Attributes:
        n_bytes: Bytes of the row so far: a row goes on where a quoted field has line ends.
    """

    def __init__(self, file: BinaryIO, name: str, undecodable: list[int]) -> None:
        self.n_bytes = 0
        self._limit = FILE_RULES.get().max_row_bytes
        self._lines = enumerate(_bounded_lines(file, self._limit), start=1)
        self._name = name
        self._undecodable = undecodable

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        number, line = next(self._lines)
        self.n_bytes += len(line)
        if self.n_bytes > self._limit:
            raise _too_long(self._name, number)
        try:
            text = line.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            self._undecodable.append(number)
            text = line.decode("utf-8", "replace")
        return text.removeprefix("\ufeff") if number == 1 else text


def _bad_csv(path: Path, line: int, what: str) -> BadRowError:
    return BadRowError(
        f"{path.name}, line {line}: {what}; accepted is CSV with as many fields as the header",
        reason="unreadable CSV",
    )


def _json_fault(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos + 1}"
    if isinstance(error, UnicodeDecodeError):
        return f"{error.reason} at byte {error.start + 1}"
    return "nested too deep" if isinstance(error, RecursionError) else str(error)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits[:20]} is too large a number")
    return number
