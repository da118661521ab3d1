"""The top-level members of a JSON object, exactly where they stand in its bytes.

For bodies that the fast path of ``routecast.gateway.body`` cannot be sure about: duplicate or
escaped keys, text that msgspec refuses, nesting that no recursive parser survives. There is no
recursion here, and the time is linear in the number of bytes.
"""

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_FLAT = rb'(?:[^"\[\]{}]++|' + _STRING + rb")*+"
_SPACE = rb"[ \t\n\r]*+"

_OPENING = re.compile(_SPACE + rb"\{" + _SPACE + rb"(\}" + _SPACE + rb")?")
_KEY = re.compile(rb"(" + _STRING + rb")" + _SPACE + rb":" + _SPACE, re.DOTALL)
_SCALAR = re.compile(_STRING + rb"|[-+.0-9A-Za-z]++", re.DOTALL)
_AFTER = re.compile(_SPACE + rb"(?:(,)" + _SPACE + rb"|\}" + _SPACE + rb")")
_TO_BRACKET = re.compile(
    rb'(?:[^"\[\]{}]++|' + _STRING + rb"|\[" + _FLAT + rb"\]|\{" + _FLAT + rb"\})*+", re.DOTALL
)
_CLOSING = {ord("{"): ord("}"), ord("["): ord("]")}


@dataclass(frozen=True, slots=True)
class Member:
    """One key of the object and where its value stands: ``body[start:end]``."""

    key: str
    start: int
    end: int


def top_level_members(body: bytes, names: Collection[str]) -> list[Member]:
    """Return the object's members whose key is one of ``names`` in any case of letters.

    In order, duplicates included, keys unescaped. Values are checked for balanced brackets and
    closed strings only; what else may be wrong inside them is for the upstream to say.

    Args:
        body: UTF-8 JSON.
        names: In lower case.

    Raises:
        ValueError: If ``body`` is not one JSON object.
    """
    return [
        Member(key, start, end)
        for raw, start, end in _members(body)
        if (key := _unescape(raw)).lower() in names
    ]


def _members(body: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield each member's key as written, and where its value begins and ends."""
    opening = _OPENING.match(body)
    if opening is None:
        raise ValueError("'{' was expected at its beginning")
    position = opening.end()
    if opening[1] is None:  # not the empty object
        more = True
        while more:
            key = _KEY.match(body, position)
            if key is None:
                raise ValueError(f"a key and ':' were expected at byte {position}")
            end = _value_end(body, key.end())
            yield key[1], key.end(), end
            after = _AFTER.match(body, end)
            if after is None:
                raise ValueError(f"',' or '}}' was expected at byte {end}")
            position = after.end()
            more = after[1] is not None
    if position != len(body):
        raise ValueError(f"the object ends before byte {position}, and more follows")


def _unescape(key: bytes) -> str:
    """Return a key's text; plain ones are not worth a parser."""
    if b"\\" in key:
        text = json.loads(key)
        return text if isinstance(text, str) else ""
    return key[1:-1].decode("utf-8", "replace")


def _value_end(body: bytes, start: int) -> int:
    """Return the position after the value that begins at ``start``."""
    if body[start : start + 1] not in (b"{", b"["):
        scalar = _SCALAR.match(body, start)
        if scalar is None:
            raise ValueError(f"a value was expected at byte {start}")
        return scalar.end()
    expected = bytearray()
    position = start
    while True:
        bracket = body[position] if position < len(body) else 0
        if bracket in _CLOSING:
            expected.append(_CLOSING[bracket])
        elif not expected or bracket != expected.pop():
            raise ValueError(f"a bracket or string is not closed at byte {position}")
        position += 1
        if not expected:
            return position
        run = _TO_BRACKET.match(body, position)
        position = run.end() if run else position
