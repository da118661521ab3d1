"""Which model a request asks for, and the same bytes with another model in its place.

The rule: the upstream body equals the sent body byte for byte outside the value of the top-level
``model``. So the body is never parsed and written again; the value is cut out and replaced.
"""

import json
import re

import msgspec

from routecast.errors import RequestError
from routecast.gateway.toplevel import Member, top_level_members

_KEY = b'"model"'
_VALUE = re.compile(rb'"model"[ \t\n\r]*+:[ \t\n\r]*+("(?:[^"\\]++|\\.)*+")', re.DOTALL)


class ChatBody(msgspec.Struct, frozen=True, gc=False):
    """What the gateway reads of a request body.

    Attributes:
        content: The body as sent.
        model: The model that the client asks for; of several, the last, as JSON parsers do.
        messages: The JSON of ``messages``, or ``null``.
        spans: Where the values of the top-level ``model`` stand, in order.
    """

    content: bytes
    model: str
    messages: msgspec.Raw
    spans: tuple[tuple[int, int], ...]

    def with_model(self, model_json: bytes) -> bytes:
        """Return the body with each value of the top-level ``model`` replaced."""
        pieces = []
        position = 0
        for start, end in self.spans:
            pieces += [self.content[position:start], model_json]
            position = end
        pieces.append(self.content[position:])
        return b"".join(pieces)


class _Envelope(msgspec.Struct, gc=False):
    model: str
    messages: msgspec.Raw = msgspec.Raw(b"null")


_ENVELOPE = msgspec.json.Decoder(_Envelope)


def read_chat_body(content: bytes) -> ChatBody:
    """Read a request body.

    Raises:
        RequestError: If it is no JSON object, or its ``model`` is missing or no string.
    """
    return _read_fast(content) or _read_exactly(content)


def _read_fast(content: bytes) -> ChatBody | None:
    """Read a body in which only one key can be meant by ``model``; None if unsure.

    If msgspec has found a top-level ``model``, and no escape could spell a letter of it, then the
    key stands there as ``"model"``. If that occurs only once, in any case of letters, this is it.
    """
    folded = content.lower()
    if folded.count(_KEY) != 1 or b"\\u006" in folded or b"\\u004" in folded:
        return None
    start = content.find(_KEY)
    found = _VALUE.match(content, start) if start > 0 else None
    if found is None:
        return None
    try:
        envelope = _ENVELOPE.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return ChatBody(content, envelope.model, envelope.messages, (found.span(1),))


def _read_exactly(content: bytes) -> ChatBody:
    """Read any body, by looking at each top-level member."""
    try:
        members = top_level_members(content, ("model", "messages"))
    except ValueError as error:
        raise RequestError(
            f"the request body is not a JSON object: {error}", code="invalid_json"
        ) from None
    models = [member for member in members if member.key == "model"]
    _refuse_lookalikes(members)
    if not models:
        raise RequestError("the request names no 'model'; add one", code="missing_model")
    last = models[-1]
    messages = [content[m.start : m.end] for m in members if m.key == "messages"]
    return ChatBody(
        content,
        _model_name(content[last.start : last.end]),
        msgspec.Raw(messages[-1] if messages else b"null"),
        tuple((member.start, member.end) for member in models),
    )


def _refuse_lookalikes(members: list[Member]) -> None:
    """Refuse ``Model`` and the like: parsers that ignore case would take it for the model."""
    for member in members:
        if member.key != "model" and member.key.lower() == "model":
            raise RequestError(
                f"unknown field {member.key!r}; write it 'model'", code="misspelt_model"
            )


def _model_name(value: bytes) -> str:
    try:
        name = json.loads(value)
    except ValueError:
        name = None
    if not isinstance(name, str):
        raise RequestError("'model' must be a string", code="invalid_model")
    return name
