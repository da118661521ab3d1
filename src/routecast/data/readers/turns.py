"""Turns of conversations, as the Arena's sets write them."""

import json
from collections.abc import Sequence
from typing import Any


def as_list(value: object) -> list[Any] | None:
    """Return a list, given as such or as JSON text; None where it is anything else."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, list) else None


def text_of(content: object) -> str | None:
    """Return the text of a message.

    Args:
        content: A text, or a list of typed parts, of which those of text are joined by line ends.

    Returns:
        The text; None where there is none: an image alone, or null.
    """
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    texts = [part.get("text") for part in content if isinstance(part, dict)]
    found = [text for text in texts if isinstance(text, str) and text]
    return "\n".join(found) if found else None


def is_conversation(value: Sequence[Any] | None) -> bool:
    """Tell whether a list is of messages, each with a role."""
    return value is not None and all(
        isinstance(message, dict) and isinstance(message.get("role"), str) for message in value
    )


def user_turns(messages: Sequence[Any]) -> list[int]:
    """Return the positions of the user's messages."""
    return [position for position, message in enumerate(messages) if message["role"] == "user"]


def answer_after(messages: Sequence[Any], position: int) -> str | None:
    """Return the text of the assistant's first message after a position, if there is one."""
    for message in messages[position + 1 :]:
        if message["role"] == "assistant":
            return text_of(message.get("content"))
        if message["role"] == "user":
            return None
    return None
