"""Which model a request asks for, and the same bytes with another model in its place.

The rule: the upstream body equals the sent body byte for byte outside the value of the top-level
``model``. So the body is never parsed and written again; the value is cut out and replaced.
"""

import json
import re
from contextlib import suppress
from typing import Final

import msgspec

from routecast.errors import RequestError
from routecast.gateway.toplevel import find_members

_KEY = b'"model"'
_MAX_FAST_BYTES = 1 << 18  # one call that reads more would keep every other thread waiting
_MAX_MODELS = 1_000
_VALUE = re.compile(rb'"model"[ \t\n\r]*+:[ \t\n\r]*+("(?:[^"\\]++|\\.)*+")', re.DOTALL)

NULL: Final = msgspec.Raw(b"null")
"""What stands for a field that is not there."""


class Fields(msgspec.Struct, frozen=True, gc=False):
    """The top-level fields of any API that the gateway looks at: the model, and JSON for the rest.

    ``null`` where a field is not there; of several with one name the last, as JSON parsers do.
    """

    model: str
    messages: msgspec.Raw = NULL
    system: msgspec.Raw = NULL
    input: msgspec.Raw = NULL
    instructions: msgspec.Raw = NULL
    prompt: msgspec.Raw = NULL
    stream: msgspec.Raw = NULL
    tools: msgspec.Raw = NULL
    functions: msgspec.Raw = NULL
    response_format: msgspec.Raw = NULL
    text: msgspec.Raw = NULL
    output_format: msgspec.Raw = NULL
    output_config: msgspec.Raw = NULL
    max_tokens: msgspec.Raw = NULL
    max_completion_tokens: msgspec.Raw = NULL
    max_output_tokens: msgspec.Raw = NULL
    previous_response_id: msgspec.Raw = NULL
    conversation: msgspec.Raw = NULL


class RequestBody(msgspec.Struct, frozen=True, gc=False):
    """What the gateway reads of a request body.

    Attributes:
        content: The body as sent.
        fields: What it looks at.
        spans: Where the values of the top-level ``model`` stand, in order.
    """

    content: bytes
    fields: Fields
    spans: tuple[tuple[int, int], ...]

    @property
    def model(self) -> str:
        """The model that the client asks for."""
        return self.fields.model

    @property
    def is_stream(self) -> bool:
        """Whether the answer is asked for as server-sent events."""
        return bytes(self.fields.stream) == b"true"

    def with_model(self, model_json: bytes) -> bytes:
        """Return the body with each value of the top-level ``model`` replaced."""
        pieces = []
        position = 0
        for start, end in self.spans:
            pieces += [self.content[position:start], model_json]
            position = end
        pieces.append(self.content[position:])
        return b"".join(pieces)


_FIELDS = msgspec.json.Decoder(Fields)


def read_request_body(content: bytes) -> RequestBody:
    """Read a request body.

    Raises:
        RequestError: If it is no JSON object, its ``model`` is missing, no string or of more than
            262,144 bytes, or it names more than 1,000 models.
    """
    fast = _read_fast(content) if len(content) <= _MAX_FAST_BYTES else None
    return fast or _read_exactly(content)


def _read_fast(content: bytes) -> RequestBody | None:
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
        fields = _FIELDS.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return RequestBody(content, fields, (found.span(1),))


def _read_exactly(content: bytes) -> RequestBody:
    """Read any body, by looking at each top-level member."""
    known: dict[str, msgspec.Raw] = {}
    spans: list[tuple[int, int]] = []
    lookalike = None
    view = memoryview(content)
    try:
        for member in find_members(content, Fields.__struct_fields__):
            if member.key in Fields.__struct_fields__:
                known[member.key] = msgspec.Raw(view[member.start : member.end])
            if member.key == "model" and len(spans) < _MAX_MODELS:
                spans.append((member.start, member.end))
            elif member.key.lower() == "model":
                lookalike = member.key
    except ValueError as error:
        raise RequestError(
            f"the request body is not a JSON object: {error}", code="invalid_json"
        ) from None
    if lookalike is not None:
        _refuse_lookalike(lookalike)
    if "model" not in known:
        raise RequestError("the request names no 'model'; add one", code="missing_model")
    model = _model_name(known.pop("model"))
    return RequestBody(content, Fields(model, **known), tuple(spans))


def _refuse_lookalike(key: str) -> None:
    """Refuse ``Model`` and the like: parsers that ignore case would take it for the model."""
    if key == "model":
        raise RequestError(
            f"the request names more than {_MAX_MODELS} models; name one", code="invalid_model"
        )
    raise RequestError(f"unknown field {key!r}; write it 'model'", code="misspelt_model")


def _model_name(value: msgspec.Raw) -> str:
    name = None
    if len(value) <= _MAX_FAST_BYTES:
        with suppress(ValueError):
            name = json.loads(bytes(value))
    if not isinstance(name, str):
        raise RequestError(
            f"'model' must be a string of at most {_MAX_FAST_BYTES} bytes", code="invalid_model"
        )
    return name
