"""The text of a request that a router scores.

Each API keeps its turns somewhere else; here they become turns of one kind, and the route's
settings say which of them are read. What msgspec refuses (lone surrogates, odd shapes) is read
again with more patience; what is large is read by pieces (see ``routecast.gateway.elements``).
"""

import json
from collections.abc import Iterable, Iterator, Reversible, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

import msgspec

from routecast.gateway.body import NULL, Fields
from routecast.gateway.elements import MAX_RUN_BYTES, Elements
from routecast.gateway.long_strings import join_ends, read_string
from routecast.gateway.scorer import MAX_CHARACTERS
from routecast.gateway.toplevel import read_members
from routecast.policy.route_settings import TextChoice
from routecast.upstream.apis import Api

_TEXT_PARTS = frozenset({"text", "input_text", "output_text"})
_MAX_NAME_BYTES = 256
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Part(msgspec.Struct, gc=False):
    type: str = ""
    text: str | None = None


class _Turn(Protocol):
    """One turn of a conversation."""

    @property
    def role(self) -> str:
        """Who speaks: ``user``, ``assistant``, ``system``, ``tool`` and so on."""

    def parts(self) -> str | Iterable[_Part] | None:
        """Return what was said."""


class _QuickTurn(msgspec.Struct, gc=False):
    role: str = ""
    content: msgspec.Raw = NULL

    def parts(self) -> str | Iterable[_Part] | None:
        if len(self.content) > MAX_RUN_BYTES:
            return _long_content(bytes(self.content))
        try:
            parts: str | list[_Part] | None = _CONTENT.decode(self.content)
        except _UNREADABLE:
            return _SlowTurn(self.role, _parse(self.content)).parts()
        return parts


@dataclass(frozen=True)
class _SlowTurn:
    role: str
    content: Any

    def parts(self) -> str | Iterable[_Part] | None:
        if not isinstance(self.content, list):
            return self.content if isinstance(self.content, str) else None
        return [_slow_part(part) for part in self.content if isinstance(part, dict)]


_TURNS = msgspec.json.Decoder(list[_QuickTurn])
_CONTENT = msgspec.json.Decoder(str | list[_Part] | None)
_PARTS = msgspec.json.Decoder(list[_Part])
_STRINGS = msgspec.json.Decoder(list[str])


def text_to_score(
    fields: Fields, api: Api, *, choice: TextChoice = "last_user", sticky: bool = False
) -> str | None:
    """Return the text that a route reads.

    Args:
        fields: Of the request's body.
        api: Whose shape it has.
        choice: ``last_user`` reads the last user message, ``user_turns`` all of them, and
            ``all_turns`` the system prompt and every turn.
        sticky: Read the first user message with text instead, so that every request of a
            conversation is scored alike.

    Returns:
        A message's content if it is a string, its text parts joined by newlines if it has parts;
        several messages are joined by empty lines. None when nothing that is read has text:
        images alone, token ids, blanks, or what cannot be read. What a tool returned is not the
        user's message, although Anthropic's API calls it so. Of more than
        ``scorer.MAX_CHARACTERS`` the middle may be missing.
    """
    turns = _turns_of(fields, api)
    if sticky:
        text = next(_texts(_users(turns)), None)
    elif choice == "last_user":
        text = _last_user(turns)
    elif choice == "user_turns":
        text = _join(_texts(_users(turns)), "\n\n")
    else:
        text = _join(_texts(chain(_system_turns(fields, api), turns)), "\n\n")
    return text if text and not text.isspace() else None


def _last_user(turns: Reversible[_Turn]) -> str | None:
    for turn in reversed(turns):
        if turn.role == "user":
            parts = turn.parts()
            if parts is None or isinstance(parts, str):
                return parts
            text = _joined(parts)
            if text is not None or all(part.type != "tool_result" for part in parts):
                return text
    return None


def _users(turns: Iterable[_Turn]) -> Iterator[_Turn]:
    return (turn for turn in turns if turn.role == "user")


def _texts(turns: Iterable[_Turn]) -> Iterator[str]:
    """Yield the text of each turn that has one."""
    for turn in turns:
        parts = turn.parts()
        text = parts if parts is None or isinstance(parts, str) else _joined(parts)
        if text and not text.isspace():
            yield text


def _joined(parts: Iterable[_Part]) -> str | None:
    return _join((part.text for part in parts if part.type in _TEXT_PARTS and part.text), "\n")


def _join(texts: Iterable[str], separator: str) -> str | None:
    return join_ends(texts, separator, max_characters=MAX_CHARACTERS) or None


def _turns_of(fields: Fields, api: Api) -> Reversible[_Turn]:
    """Return the turns of a request, but for a system prompt that has a field of its own."""
    if api is Api.CHAT or api is Api.MESSAGES:
        return _read_messages(fields.messages)
    if api is Api.RESPONSES:
        is_string = bytes(memoryview(fields.input)[:1]) == b'"'
        return [_QuickTurn("user", fields.input)] if is_string else _read_messages(fields.input)
    return [_SlowTurn("user", _completion_prompt(fields.prompt))]


def _system_turns(fields: Fields, api: Api) -> Sequence[_Turn]:
    if api is Api.MESSAGES:
        return [_QuickTurn("system", fields.system)]
    return [_QuickTurn("system", fields.instructions)] if api is Api.RESPONSES else []


def _read_messages(messages: msgspec.Raw) -> Reversible[_Turn]:
    if len(messages) <= MAX_RUN_BYTES:
        return _read_turns(messages)
    content = bytes(messages)
    return Elements(content, _read_turns, _read_large_turn) if content[:1] == b"[" else []


def _read_turns(run: bytes | msgspec.Raw) -> Sequence[_Turn]:
    try:
        turns: list[_QuickTurn] = _TURNS.decode(run)
    except _UNREADABLE:
        given = _parse(run)
        return [
            _SlowTurn(turn.get("role") or "", turn.get("content"))
            for turn in (given if isinstance(given, list) else [])
            if isinstance(turn, dict)
        ]
    return turns


def _read_large_turn(element: bytes) -> Sequence[_Turn]:
    members = read_members(element, ("role", "content"))
    return [_QuickTurn(_short_string(members.get("role", NULL)), members.get("content", NULL))]


def _long_content(content: bytes) -> str | Iterable[_Part] | None:
    if content[:1] == b"[":
        return Elements(content, _read_parts, _read_large_part)
    return read_string(content, max_characters=MAX_CHARACTERS)


def _read_parts(run: bytes) -> Sequence[_Part]:
    try:
        parts: list[_Part] = _PARTS.decode(run)
    except _UNREADABLE:
        return [_slow_part(part) for part in _parse(run) or [] if isinstance(part, dict)]
    return parts


def _read_large_part(element: bytes) -> Sequence[_Part]:
    members = read_members(element, ("type", "text"))
    text = read_string(members.get("text", NULL), max_characters=MAX_CHARACTERS)
    return [_Part(_short_string(members.get("type", NULL)), text)]


def _short_string(string: msgspec.Raw) -> str:
    """Return a string's text; "" for what is none, or so long that it is no name that we know."""
    if len(string) > _MAX_NAME_BYTES:
        return ""
    return read_string(string, max_characters=MAX_CHARACTERS) or ""


def _completion_prompt(prompt: msgspec.Raw) -> str | None:
    """Return the prompt of a text completion; token ids are no text."""
    if len(prompt) <= MAX_RUN_BYTES:
        given = _parse(prompt)
        if isinstance(given, list) and all(isinstance(text, str) for text in given):
            return "\n\n".join(given)
        return given if isinstance(given, str) else None
    content = bytes(prompt)
    if content[:1] != b"[":
        return read_string(content, max_characters=MAX_CHARACTERS)
    try:
        return _join(Elements(content, _read_strings, _read_large_string), "\n\n")
    except _NoTextError:
        return None


class _NoTextError(Exception):
    """An element of a list of texts is none."""


def _read_strings(run: bytes) -> Sequence[str]:
    try:
        texts: list[str] = _STRINGS.decode(run)
    except _UNREADABLE:
        given = _parse(run)
        if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
            raise _NoTextError from None
        return given
    return texts


def _read_large_string(element: bytes) -> Sequence[str]:
    text = read_string(element, max_characters=MAX_CHARACTERS)
    if text is None:
        raise _NoTextError
    return [text]


def _parse(value: bytes | msgspec.Raw) -> Any:  # noqa: ANN401 (whatever the client sent)
    try:
        return json.loads(bytes(value))
    except (ValueError, RecursionError):
        return None


def _slow_part(part: dict[str, Any]) -> _Part:
    kind, text = part.get("type"), part.get("text")
    return _Part(kind if isinstance(kind, str) else "", text if isinstance(text, str) else None)
