"""What is to be judged: prompts, the answers and references that came with them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from routecast.data.files import file_format
from routecast.data.outcomes import ANSWER
from routecast.data.prompts import iter_prompts
from routecast.data.rows import shorten, without_lone_surrogates
from routecast.errors import DataError
from routecast.upstream.chat import Message


@dataclass(frozen=True, kw_only=True)
class Item:
    """One prompt.

    Attributes:
        prompt: What a router would see: the text of the last user message.
        messages: What is sent to the models.
        request: What the judge is shown: the whole conversation as text.
        answers: Text by model, for the models whose answers came with the prompt.
        reference: An answer known to be right, or None.
        kept: The row's other columns, as they were.
    """

    prompt: str
    messages: tuple[Message, ...]
    request: str
    answers: Mapping[str, str] = field(default_factory=dict)
    reference: str | None = None
    kept: Mapping[str, Any] = field(default_factory=dict)


def read_items(
    path: str | Path, *, models: tuple[str, str], reference_column: str | None = None
) -> list[Item]:
    """Read prompts, and whatever answers of two models stand beside them.

    Lone surrogates become U+FFFD: no upstream takes them.

    Args:
        path: JSONL, CSV or Parquet with a column ``prompt`` or ``messages``, optionally
            ``answer|NAME`` for each of ``models``. An answer that is null, or in CSV empty, is to
            be generated.
        models: Names of the strong and of the weak model.
        reference_column: Column with answers known to be right; null where there is none.

    Raises:
        DataError: If the file cannot be read or is empty, or for the first row with a value that
            is not accepted; the message names file, line and column.
    """
    name = Path(path).name
    empty = "" if file_format(path) == "csv" else None
    items = []
    for row in iter_prompts(path):
        columns = {key: None if value == empty else value for key, value in row.columns.items()}
        where = f"{name}, line {row.line}"
        items.append(_item(columns, models, reference_column, where=where))
    if not items:
        raise DataError(f"{name} holds no rows; give at least one prompt")
    if reference_column is not None and all(item.reference is None for item in items):
        raise DataError(
            f"no row of {name} has a value in column {reference_column!r}; name the column "
            "with the reference answers, or leave --reference-column out"
        )
    return items


def _item(
    columns: dict[str, Any], models: tuple[str, str], reference_column: str | None, *, where: str
) -> Item:
    texts = {
        column: _text(columns[column], f"{where}, column {column!r}")
        for column in (*(ANSWER + model for model in models), reference_column)
        if column is not None and columns.get(column) is not None
    }
    messages = _messages(columns, where)
    taken = {"prompt", "messages", *texts}
    return Item(
        prompt=messages[-1]["content"],
        messages=messages,
        request=_as_text(messages),
        answers={model: texts[ANSWER + model] for model in models if ANSWER + model in texts},
        reference=texts.get(reference_column or ""),
        kept={name: value for name, value in columns.items() if name not in taken},
    )


def _messages(columns: dict[str, Any], where: str) -> tuple[Message, ...]:
    """Return the conversation of a row; each content is text, the last is the user's."""
    if columns.get("prompt") is not None:
        content = _text(columns["prompt"], f"{where}, column 'prompt'")
        return ({"role": "user", "content": content},)
    written = columns["messages"]
    *earlier, last = json.loads(written) if isinstance(written, str) else written
    where = f"{where}, column 'messages'"
    return (
        *(_message(message, where) for message in earlier),
        _message(last, where, must_be="user"),
    )


def _message(message: dict[str, Any], where: str, *, must_be: str | None = None) -> Message:
    role = message.get("role")
    if not isinstance(role, str) or must_be not in (None, role):
        wanted = f"the role {must_be!r} for the last message" if must_be else "role and content"
        raise DataError(f"{where}: a message of role {shorten(role)}; accepted is {wanted}")
    content = message.get("content")
    if isinstance(content, list):
        content = "\n".join(_part(part, where) for part in content)
    return {"role": role, "content": _text(content, where)}


def _part(part: object, where: str) -> str:
    text = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None
    if not isinstance(text, str):
        raise DataError(f"{where}: a part that is no text; accepted are parts of type 'text'")
    return text


def _text(value: object, where: str) -> str:
    """Return a text that says something; the message about another value shows no text."""
    if isinstance(value, str) and value.strip():
        return without_lone_surrogates(value)
    shown = "an empty text" if isinstance(value, str) else shorten(value)
    raise DataError(f"{where}: {shown}; accepted is text")


def _as_text(messages: tuple[Message, ...]) -> str:
    """Return one prompt as it is, and a conversation with the speaker before each turn."""
    if len(messages) == 1:
        return str(messages[0]["content"])
    return "\n\n".join(f"[{message['role']}]\n{message['content']}" for message in messages)
