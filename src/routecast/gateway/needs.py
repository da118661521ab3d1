"""What a request holds that not every model takes, read from its body."""

import re
from typing import Any

import msgspec

from routecast.gateway.body import Fields, RequestBody
from routecast.policy.gates import Needs
from routecast.upstream.apis import Api

TOKENS_PER_FILE = 1_500
"""What an image, a sound or a document inside the request is counted as."""

_IMAGE_TYPES = frozenset({"image_url", "input_image", "image"})
_ENCODED = re.compile(rb'"(?:data:[^",]{0,100},)?[A-Za-z0-9+/=_-]{2048,}+"')
_NESTED = ("content", "output")


def read_needs(body: RequestBody, api: Api) -> Needs:
    """Return what a request needs of a model.

    The size of the text is that of the whole body, JSON and all, but for strings of base64: each
    of these counts as ``TOKENS_PER_FILE`` instead. A ``null`` or empty list of tools needs nothing.
    """
    fields, content = body.fields, body.content
    n_files = n_encoded_bytes = 0
    for found in _ENCODED.finditer(content):
        n_files += 1
        n_encoded_bytes += found.end() - found.start()
    turns = fields.input if api is Api.RESPONSES else fields.messages
    return Needs(
        tools=_holds_items(fields.tools) or _holds_items(fields.functions),
        images=b"image" in content and _holds_image(_parse(turns)),
        json_schema=_has_schema(fields, api),
        n_text_bytes=len(content) - n_encoded_bytes,
        n_other_tokens=n_files * TOKENS_PER_FILE + _answer_tokens(fields),
    )


def _parse(value: msgspec.Raw) -> Any:  # noqa: ANN401 (whatever the client sent)
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _holds_items(value: msgspec.Raw) -> bool:
    parsed = _parse(value)
    return isinstance(parsed, list) and bool(parsed)


def _holds_image(turns: Any) -> bool:  # noqa: ANN401
    """Return whether the content of any turn, results of tools included, has an image."""
    waiting = [turns]
    while waiting:
        items = waiting.pop()
        for item in items if isinstance(items, list) else ():
            if isinstance(item, dict):
                if item.get("type") in _IMAGE_TYPES:
                    return True
                waiting += [item.get(name) for name in _NESTED]
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


def _format_of(value: msgspec.Raw) -> Any:  # noqa: ANN401
    parsed = _parse(value)
    return parsed.get("format") if isinstance(parsed, dict) else None


def _is_schema(form: Any) -> bool:  # noqa: ANN401
    return isinstance(form, dict) and form.get("type") == "json_schema"


def _answer_tokens(fields: Fields) -> int:
    """Return the largest number of tokens that the answer is asked to have; 0 if nobody said."""
    limits = (fields.max_tokens, fields.max_completion_tokens, fields.max_output_tokens)
    given = [_parse(limit) for limit in limits]
    return max((n for n in given if isinstance(n, int) and 0 < n < 1 << 40), default=0)
