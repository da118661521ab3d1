"""What a request holds that not every model takes, read from its body."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from routecast.gateway.body import Fields, RequestBody
from routecast.policy.gates import Needs
from routecast.upstream.apis import Api

TOKENS_PER_FILE = 1_500
"""What an image, a sound or a document inside the request is counted as."""

_IMAGE_TYPES = frozenset({b'"image_url"', b'"input_image"', b'"image"'})
_NULL = msgspec.Raw(b"null")
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_ENCODED = re.compile(rb'"(?:data:[^",]{0,100},)?[A-Za-z0-9+/=_-]{2048}')
_MAX_MATCH_BYTES = 2_200
_SLICE_BYTES = 1 << 17  # one search through a large body would keep every other thread waiting


def read_needs(body: RequestBody, api: Api) -> Needs:
    """Return what a request needs of a model.

    The size of the text is that of the whole body, JSON and all, but for strings of base64: each
    of these counts as ``TOKENS_PER_FILE`` instead. A ``null`` or empty list of tools needs nothing.
    """
    fields, content = body.fields, body.content
    encoded = list(_encoded_lengths(content))
    turns = fields.input if api is Api.RESPONSES else fields.messages
    return Needs(
        tools=_holds_items(fields.tools) or _holds_items(fields.functions),
        images=_holds_image(turns),
        json_schema=_has_schema(fields, api),
        n_text_bytes=len(content) - sum(encoded),
        n_other_tokens=len(encoded) * TOKENS_PER_FILE + _answer_tokens(fields),
    )


def _encoded_lengths(content: bytes) -> Iterator[int]:
    """Yield the length of each JSON string that begins with 2,048 characters of base64."""
    position = 0
    while position < len(content):
        slice_end = position + _SLICE_BYTES
        found = _ENCODED.search(content, position, slice_end + _MAX_MATCH_BYTES)
        if found is None:
            position = slice_end
        else:
            end = content.find(b'"', found.end())
            position = len(content) if end < 0 else end + 1
            yield position - found.start()


def _parse(value: msgspec.Raw) -> Any:  # noqa: ANN401 (whatever the client sent)
    try:
        return msgspec.json.decode(value)
    except _UNREADABLE:
        return None


def _holds_items(value: msgspec.Raw) -> bool:
    parsed = _parse(value)
    return isinstance(parsed, list) and bool(parsed)


class _Item(msgspec.Struct, gc=False):
    """A turn, or a part of one; what a tool returned may hold parts again."""

    type: msgspec.Raw = _NULL
    content: msgspec.Raw = _NULL
    output: msgspec.Raw = _NULL


_ITEMS = msgspec.json.Decoder(list[_Item])


def _holds_image(turns: msgspec.Raw) -> bool:
    """Return whether the content of any turn, results of tools included, has an image."""
    waiting = [turns]
    while waiting:
        items = waiting.pop()
        if bytes(memoryview(items)[:1]) != b"[":
            continue
        try:
            parts = _ITEMS.decode(items)
        except _UNREADABLE:
            continue
        if any(bytes(part.type) in _IMAGE_TYPES for part in parts):
            return True
        waiting += [raw for part in parts for raw in (part.content, part.output)]
    return False


def _has_schema(fields: Fields, api: Api) -> bool:
    if api is Api.CHAT:
        return _is_schema(_parse(fields.response_format))
    if api is Api.RESPONSES:
        return _is_schema(_format_of(fields.text))
    if api is Api.MESSAGES:
        return _is_schema(_format_of(fields.output_config)) or _is_schema(
            _parse(fields.output_format)
        )
    return False


def _format_of(value: msgspec.Raw) -> Any:  # noqa: ANN401 (whatever the client sent)
    parsed = _parse(value)
    return parsed.get("format") if isinstance(parsed, dict) else None


def _is_schema(form: Any) -> bool:  # noqa: ANN401 (whatever the client sent)
    return isinstance(form, dict) and form.get("type") == "json_schema"


def _answer_tokens(fields: Fields) -> int:
    """Return the largest number of tokens that the answer is asked to have; 0 if nobody said."""
    limits = (fields.max_tokens, fields.max_completion_tokens, fields.max_output_tokens)
    given = [_parse(limit) for limit in limits]
    return max((n for n in given if isinstance(n, int) and 0 < n < 1 << 40), default=0)
