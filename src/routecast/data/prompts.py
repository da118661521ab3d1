"""Files of prompts, read row by row. JSONL and CSV need the standard library only.

A row holds ``prompt``, or OpenAI-style ``messages``, of which the text of the user's last message
is the prompt. Other columns are kept. Blank lines are passed over.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from routecast.data.files import file_format, require_file
from routecast.data.rows import (
    BadRowError,
    csv_rows,
    numbered_lines,
    open_utf8,
    parse_json_object,
    shorten,
)
from routecast.data.sources import read_table
from routecast.errors import DataError

STDIN = "-"
_BLANK = "accepted is text that is not blank"


@dataclass(frozen=True, kw_only=True)
class PromptRow:
    """One row of a file of prompts.

    Attributes:
        prompt: The text to score.
        columns: All of the row as read, the prompt's own column too.
        line: Line of the file that the row starts at, from 1; in Parquet the row, from 1.
    """

    prompt: str
    columns: Mapping[str, Any]
    line: int


def iter_prompts(
    path: str | Path,
    *,
    skip_bad: bool = False,
    dropped: Counter[str] | None = None,
) -> Iterator[PromptRow]:
    """Read a file of prompts, one row after the other.

    JSONL and CSV are streamed; Parquet is read whole. Lone surrogates are kept.

    Args:
        path: A file, its format told by the ending; ``-`` is JSONL from standard input.
        skip_bad: Leave bad rows out instead of stopping at the first.
        dropped: Counts the rows left out by reason, where given.

    Yields:
        The rows in order.

    Raises:
        DataError: If the file cannot be read, or at a bad row: unreadable, or its prompt missing,
            blank, or no text. The message names file, line, column, value and what is accepted.
        MissingExtraError: If the file is Parquet and polars is not installed.
    """
    name, rows = _open(path)
    for line, row in rows:
        try:
            if isinstance(row, BadRowError):
                raise row
            columns = (
                parse_json_object(row, where=f"{name}, line {line}")
                if isinstance(row, bytes)
                else row
            )
            yield PromptRow(
                prompt=_prompt_of(columns, where=f"{name}, line {line}"), columns=columns, line=line
            )
        except BadRowError as error:
            if not skip_bad:
                raise
            if dropped is not None:
                dropped[error.reason] += 1


_RawRow = bytes | Mapping[str, Any] | BadRowError


def _open(path: str | Path) -> tuple[str, Iterable[tuple[int, _RawRow]]]:
    """Return the file's name for messages, and its rows with their line numbers."""
    if str(path) == STDIN:
        if sys.stdin is None:
            raise DataError("there is no standard input to read; name a file")
        return "standard input", numbered_lines(sys.stdin.buffer, name="standard input")
    format_ = file_format(path)
    path = require_file(path)
    if format_ == "jsonl":
        return path.name, _jsonl_lines(path)
    if format_ == "csv":
        return path.name, csv_rows(path)
    return path.name, enumerate(read_table(path).iter_rows(named=True), start=1)


def _jsonl_lines(path: Path) -> Iterator[tuple[int, bytes | BadRowError]]:
    with open_utf8(path) as lines:
        yield from numbered_lines(lines, name=path.name)


def _prompt_of(columns: Mapping[str, Any], *, where: str) -> str:
    """Return the text to score, or say what is wrong with the row."""
    if "prompt" not in columns and "messages" not in columns:
        raise BadRowError(
            f"{where}, column 'prompt': missing; {_without_prompt(columns)}",
            reason="prompt missing",
        )
    prompt, column = columns.get("prompt"), "prompt"
    if prompt is None and columns.get("messages") is not None:
        prompt, column = _last_user_text(columns["messages"], where=where), "messages"
    where = f"{where}, column {column!r}"
    if prompt is None:
        raise BadRowError(f"{where}: missing; {_BLANK}", reason=f"{column} missing")
    if not isinstance(prompt, str):
        hint = "; a list of messages goes in the column 'messages'" if column == "prompt" else ""
        raise BadRowError(
            f"{where}: {shorten(prompt)}; {_BLANK}{hint}", reason=f"{column} not text"
        )
    if not prompt.strip():
        raise BadRowError(f"{where}: {shorten(prompt)}; {_BLANK}", reason=f"{column} blank")
    return prompt


def _without_prompt(columns: Mapping[str, Any]) -> str:
    """Say what to do with a row that has neither column."""
    from routecast.data.readers.registry import guess_format

    known = guess_format(tuple(columns))
    if known is not None and known.name != "native":
        return (
            f"this is the format {known.name!r}; convert the file first: routecast data import "
            "FILE --output prompts.jsonl"
        )
    return (
        f"of the columns {shorten(list(columns))}, rename the one that holds the text to 'prompt',"
        " or convert the file first: routecast data import FILE --output "
        "prompts.jsonl"
    )


def _last_user_text(messages: object, *, where: str) -> str | None:
    """Return the text of the user's last message; None where the user says nothing.

    CSV holds the messages as JSON. Of content in parts, the texts are joined by line ends.
    """
    fault = BadRowError(
        f"{where}, column 'messages': {shorten(messages)}; accepted is a list of messages with "
        "'role' and 'content'",
        reason="messages not readable",
    )
    if isinstance(messages, str):
        try:
            messages = json.loads(messages)
        except (ValueError, RecursionError) as error:
            raise fault from error
    if not isinstance(messages, list) or not all(isinstance(turn, dict) for turn in messages):
        raise fault
    for message in reversed(messages):
        if message.get("role") != "user":
            continue
        content = message.get("content")
        if not isinstance(content, list):
            return content if isinstance(content, str) else None
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        return "\n".join(text for text in texts if isinstance(text, str))
    return None
