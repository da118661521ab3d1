"""The text of a request that a router scores.

Each API keeps its turns somewhere else; here they become one list of turns, and the route's
settings say which of them are read. The usual request takes the quick reader, whatever that
refuses (lone surrogates, odd shapes) takes the slow one.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from routecast.gateway.body import Fields
from routecast.policy.route_settings import TextChoice
from routecast.upstream.apis import Api

_END_BYTES = 1 << 22  # at six bytes per escaped character more than scorer.MAX_CHARACTERS / 2
_SAFE = re.compile(rb"[ !#-.:-@G-Z_g-mo-qsv-z]")
_TEXT_PARTS = frozenset({"text", "input_text", "output_text"})
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Part(msgspec.Struct, gc=False):
    type: str = ""
    text: str | None = None


class _Turn(Protocol):
    """One turn of a conversation."""

    @property
    def role(self) -> str:
        """Who speaks: ``user``, ``assistant``, ``system``, ``tool`` and so on."""

    def parts(self) -> str | list[_Part] | None:
        """Return what was said."""


def _ends_of(content: msgspec.Raw) -> msgspec.Raw:
    """Return a huge string's two ends as one string, and anything else as it is.

    No router reads more, and to unpack the whole would keep every other thread waiting. The cuts
    are before characters that stand in no escape sequence and in no UTF-8 sequence.
    """
    view = memoryview(content)
    if len(view) <= 3 * _END_BYTES or bytes(view[:1]) != b'"':
        return content
    head = _SAFE.search(view, _END_BYTES, 2 * _END_BYTES)
    tail = _SAFE.search(view, len(view) - 2 * _END_BYTES, len(view) - _END_BYTES)
    if head is None or tail is None:
        return content
    return msgspec.Raw(bytes(view[: head.start()]) + bytes(view[tail.start() :]))


class _QuickTurn(msgspec.Struct, gc=False):
    role: str = ""
    content: msgspec.Raw = msgspec.Raw(b"null")

    def parts(self) -> str | list[_Part] | None:
        parts: str | list[_Part] | None = _CONTENT.decode(_ends_of(self.content))
        return parts


@dataclass(frozen=True)
class _SlowTurn:
    role: str
    content: Any

    def parts(self) -> str | list[_Part] | None:
        if not isinstance(self.content, list):
            return self.content if isinstance(self.content, str) else None
        return [_slow_part(part) for part in self.content if isinstance(part, dict)]


_TURNS = msgspec.json.Decoder(list[_QuickTurn])
_CONTENT = msgspec.json.Decoder(str | list[_Part] | None)


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
        user's message, although Anthropic's API calls it so.
    """
    try:
        text = _choose(_quick_turns(fields, api, everything=choice == "all_turns"), choice, sticky)
    except _UNREADABLE:
        text = _choose(_slow_turns(fields, api, everything=choice == "all_turns"), choice, sticky)
    return text if text and not text.isspace() else None


def _choose(turns: Sequence[_Turn], choice: TextChoice, sticky: bool) -> str | None:
    """Return the text of the turns that are read."""
    if sticky:
        return next(_texts(turn for turn in turns if turn.role == "user"), None)
    if choice == "last_user":
        return _last_user(turns)
    read = turns if choice == "all_turns" else [turn for turn in turns if turn.role == "user"]
    return "\n\n".join(_texts(iter(read))) or None


def _last_user(turns: Sequence[_Turn]) -> str | None:
    for turn in reversed(turns):
        if turn.role == "user":
            parts = turn.parts()
            if not isinstance(parts, list):
                return parts
            text = _joined(parts)
            if text is not None or all(part.type != "tool_result" for part in parts):
                return text
    return None


def _texts(turns: Iterator[_Turn]) -> Iterator[str]:
    """Yield the text of each turn that has one."""
    for turn in turns:
        parts = turn.parts()
        text = _joined(parts) if isinstance(parts, list) else parts
        if text and not text.isspace():
            yield text


def _joined(parts: list[_Part]) -> str | None:
    texts = [part.text for part in parts if part.type in _TEXT_PARTS and part.text]
    return "\n".join(texts) or None


def _quick_turns(fields: Fields, api: Api, *, everything: bool) -> Sequence[_Turn]:
    """Return the turns of a request, the system prompt first where everything is read."""
    if api is Api.CHAT:
        return _TURNS.decode(fields.messages)
    if api is Api.MESSAGES:
        turns = _TURNS.decode(fields.messages)
        return [_QuickTurn("system", fields.system), *turns] if everything else turns
    if api is Api.RESPONSES:
        is_string = bytes(memoryview(fields.input)[:1]) == b'"'
        turns = [_QuickTurn("user", fields.input)] if is_string else _TURNS.decode(fields.input)
        return [_QuickTurn("system", fields.instructions), *turns] if everything else turns
    return [_SlowTurn("user", _completion_prompt(msgspec.json.decode(fields.prompt)))]


def _slow_turns(fields: Fields, api: Api, *, everything: bool) -> Sequence[_Turn]:
    """Read lone surrogates, and whatever else msgspec refuses."""
    if api is Api.COMPLETIONS:
        return [_SlowTurn("user", _completion_prompt(_parse(fields.prompt)))]
    given = _parse(fields.input if api is Api.RESPONSES else fields.messages)
    if isinstance(given, str) and api is Api.RESPONSES:
        turns = [_SlowTurn("user", given)]
    else:
        turns = [
            _SlowTurn(turn.get("role") or "", turn.get("content"))
            for turn in (given if isinstance(given, list) else [])
            if isinstance(turn, dict)
        ]
    if everything and api is not Api.CHAT:
        system = fields.instructions if api is Api.RESPONSES else fields.system
        turns.insert(0, _SlowTurn("system", _parse(system)))
    return turns


def _completion_prompt(prompt: Any) -> str | None:  # noqa: ANN401 (whatever the client sent)
    """Return the prompt of a text completion; token ids are no text."""
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, list) and all(isinstance(text, str) for text in prompt):
        return "\n\n".join(prompt)
    return None


def _parse(value: msgspec.Raw) -> Any:  # noqa: ANN401 (whatever the client sent)
    try:
        return json.loads(bytes(value))
    except (ValueError, RecursionError):
        return None


def _slow_part(part: dict[str, Any]) -> _Part:
    kind, text = part.get("type"), part.get("text")
    return _Part(kind if isinstance(kind, str) else "", text if isinstance(text, str) else None)
