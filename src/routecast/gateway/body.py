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
_SLICE_BYTES = 1 << 20
_VALUE = re.compile(rb'"model"[ \t\n\r]*+:[ \t\n\r]*+("(?:[^"\\]++|\\.)*+")', re.DOTALL)


_NULL = msgspec.Raw(b"null")


class Fields(msgspec.Struct, frozen=True, gc=False):
    """The top-level fields of any API that the gateway looks at: the model, and JSON for the rest.

    ``null`` where a field is not there; of several with one name the last, as JSON parsers do.
    """

    model: str
    messages: msgspec.Raw = _NULL
    system: msgspec.Raw = _NULL
    input: msgspec.Raw = _NULL
    instructions: msgspec.Raw = _NULL
    prompt: msgspec.Raw = _NULL
    stream: msgspec.Raw = _NULL
    tools: msgspec.Raw = _NULL
    functions: msgspec.Raw = _NULL
    response_format: msgspec.Raw = _NULL
    text: msgspec.Raw = _NULL
    output_format: msgspec.Raw = _NULL
    output_config: msgspec.Raw = _NULL
    max_tokens: msgspec.Raw = _NULL
    max_completion_tokens: msgspec.Raw = _NULL
    max_output_tokens: msgspec.Raw = _NULL
    previous_response_id: msgspec.Raw = _NULL
    conversation: msgspec.Raw = _NULL


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
        RequestError: If it is no JSON object, or its ``model`` is missing or no string.
    """
    return _read_fast(content) or _read_exactly(content)


def _read_fast(content: bytes) -> RequestBody | None:
    """Read a body in which only one key can be meant by ``model``; None if unsure.

    If msgspec has found a top-level ``model``, and no escape could spell a letter of it, then the
    key stands there as ``"model"``. If that occurs only once, in any case of letters, this is it.
    """
    if not _has_one_key(content):
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


def _has_one_key(content: bytes) -> bool:
    """Return whether ``"model"`` is there once, in any case, and no escape could spell it.

    It goes by slices: one search through a large body would keep every other thread waiting.
    """
    n_keys = 0
    for start in range(0, len(content), _SLICE_BYTES):
        folded = content[start : start + _SLICE_BYTES + len(_KEY) - 1].lower()
        n_keys += folded.count(_KEY)
        if n_keys > 1 or b"\\u006" in folded or b"\\u004" in folded:
            return False
    return n_keys == 1


def _read_exactly(content: bytes) -> RequestBody:
    """Read any body, by looking at each top-level member."""
    try:
        members = top_level_members(content, Fields.__struct_fields__)
    except ValueError as error:
        raise RequestError(
            f"the request body is not a JSON object: {error}", code="invalid_json"
        ) from None
    _refuse_lookalikes(members)
    values = {member.key: content[member.start : member.end] for member in members}
    known = {name: values[name] for name in Fields.__struct_fields__ if name in values}
    if "model" not in known:
        raise RequestError("the request names no 'model'; add one", code="missing_model")
    model = _model_name(known.pop("model"))
    fields = Fields(model, **{name: msgspec.Raw(value) for name, value in known.items()})
    spans = tuple((member.start, member.end) for member in members if member.key == "model")
    return RequestBody(content, fields, spans)


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
