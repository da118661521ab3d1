"""The text of a request that a router scores."""

import json
from typing import Any

import msgspec


class _Message(msgspec.Struct, gc=False):
    role: str = ""
    content: msgspec.Raw = msgspec.Raw(b"null")


class _Part(msgspec.Struct, gc=False):
    type: str = ""
    text: str | None = None


_MESSAGES = msgspec.json.Decoder(list[_Message])
_CONTENT = msgspec.json.Decoder(str | list[_Part] | None)


def last_user_text(messages: msgspec.Raw) -> str | None:
    """Return the text of the last user message.

    Args:
        messages: The JSON of ``messages``, whatever it holds.

    Returns:
        The content if it is a string, the text parts joined by newlines if it has parts. None
        when there is no user message, or it has no text: images alone, blanks, or not readable.
    """
    try:
        for message in reversed(_MESSAGES.decode(messages)):
            if message.role == "user":
                content = _CONTENT.decode(message.content)
                text = content if isinstance(content, str) else _joined(content)
                return text if text and text.strip() else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _read_slowly(bytes(messages))
    return None


def _joined(parts: list[_Part] | None) -> str | None:
    texts = [part.text for part in parts or () if part.type == "text" and part.text]
    return "\n".join(texts) or None


def _read_slowly(messages: bytes) -> str | None:
    """Read lone surrogates, and whatever else msgspec refuses."""
    try:
        conversation = json.loads(messages)
    except (ValueError, RecursionError):
        return None
    if not isinstance(conversation, list):
        return None
    for message in reversed(conversation):
        if isinstance(message, dict) and message.get("role") == "user":
            text = _text_of(message.get("content"))
            return text if text and text.strip() else None
    return None


def _text_of(content: Any) -> str | None:  # noqa: ANN401 (whatever the client sent)
    if isinstance(content, str):
        return content or None
    if not isinstance(content, list):
        return None
    parts = [part for part in content if isinstance(part, dict) and part.get("type") == "text"]
    texts = [part["text"] for part in parts if isinstance(part.get("text"), str)]
    return "\n".join(text for text in texts if text) or None
