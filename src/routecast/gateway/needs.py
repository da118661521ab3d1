"""What a request holds that not every model takes, read from its body."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from routecast.gateway.body import NULL, Fields, RequestBody
from routecast.gateway.elements import MAX_RUN_BYTES, Elements
from routecast.gateway.toplevel import read_members
from routecast.policy.gates import Needs
from routecast.upstream.apis import Api

TOKENS_PER_FILE = 1_500
"""What an image, a sound or a document inside the request is counted as."""

_IMAGE_TYPES = frozenset({b'"image_url"', b'"input_image"', b'"image"'})
_NOT_EMPTY = re.compile(rb"\[[ \t\n\r]*+[^\] \t\n\r]")
_MAX_SHORT_BYTES = 256
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


def _holds_items(value: msgspec.Raw) -> bool:
    return value is not NULL and _NOT_EMPTY.match(value) is not None


class _Item(msgspec.Struct, gc=False):
    """A turn, or a part of one; what a tool returned may hold parts again."""

    type: msgspec.Raw = NULL
    content: msgspec.Raw = NULL
    output: msgspec.Raw = NULL


_ITEMS = msgspec.json.Decoder(list[_Item])


def _holds_image(turns: msgspec.Raw) -> bool:
    """Return whether the content of any turn, results of tools included, has an image."""
    waiting = [turns]
    while waiting:
        items = waiting.pop()
        if bytes(memoryview(items)[:1]) != b"[":
            continue
        if len(items) <= MAX_RUN_BYTES:
            parts: Iterable[_Item] = _read_items(items)
        else:
            parts = Elements(bytes(items), _read_items, _read_large_item)
        for part in parts:
            if part.type is not NULL and bytes(part.type) in _IMAGE_TYPES:
                return True
            if part.content is not NULL:
                waiting.append(part.content)
            if part.output is not NULL:
                waiting.append(part.output)
    return False


def _read_items(run: bytes | msgspec.Raw) -> Sequence[_Item]:
    """Return the items; none where anything is no object, which no API takes for turns or parts."""
    try:
        items: list[_Item] = _ITEMS.decode(run)
    except _UNREADABLE:
        return ()
    return items


def _read_large_item(element: bytes) -> Sequence[_Item]:
    return [_Item(**read_members(element, _Item.__struct_fields__))]


class _Form(msgspec.Struct, gc=False):
    """A format of the answer, or what holds one."""

    type: msgspec.Raw = NULL
    format: msgspec.Raw = NULL


_FORM = msgspec.json.Decoder(_Form)


def _has_schema(fields: Fields, api: Api) -> bool:
    if api is Api.CHAT:
        return _is_schema(fields.response_format)
    if api is Api.RESPONSES:
        return _is_schema(_read_form(fields.text).format)
    if api is Api.MESSAGES:
        return _is_schema(_read_form(fields.output_config).format) or _is_schema(
            fields.output_format
        )
    return False


def _is_schema(form: msgspec.Raw) -> bool:
    return form is not NULL and _parse(_read_form(form).type) == "json_schema"


def _read_form(value: msgspec.Raw) -> _Form:
    """Return what says which format it is; nothing where there is no object."""
    if value is NULL:
        return _Form()
    if len(value) > MAX_RUN_BYTES:
        return _Form(**read_members(bytes(value), _Form.__struct_fields__))
    try:
        form: _Form = _FORM.decode(value)
    except _UNREADABLE:
        return _Form()
    return form


def _answer_tokens(fields: Fields) -> int:
    """Return the largest number of tokens that the answer is asked to have; 0 if nobody said."""
    limits = (fields.max_tokens, fields.max_completion_tokens, fields.max_output_tokens)
    given = [_parse(limit) for limit in limits if limit is not NULL]
    return max((n for n in given if isinstance(n, int) and 0 < n < 1 << 40), default=0)


def _parse(value: msgspec.Raw) -> Any:  # noqa: ANN401 (whatever the client sent)
    """Return a short value; None for what is longer than any number or name that we know."""
    if len(value) > _MAX_SHORT_BYTES:
        return None
    try:
        return msgspec.json.decode(value)
    except _UNREADABLE:
        return None
