"""The top-level members of a JSON object, exactly where they stand in its bytes.

For bodies that the fast path of ``routecast.gateway.body`` cannot be sure about: duplicate or
escaped keys, text that msgspec refuses, deep nesting. There is no recursion here, the time is
linear in the number of bytes, and no search is so long that other threads wait for it.
"""

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from routecast.errors import RequestError

MAX_LEVELS: Final = 1_000
"""Brackets inside one another that a value may have; most parsers of JSON refuse more.

The innermost eight may pass uncounted.
"""

_SLICE_BYTES = 1 << 16  # a search holds the interpreter: of escapes alone, some 3 ms

_STRING = rb'"(?:[^"\\]++|\\.)*+"'


def _with_brackets(inner: bytes) -> bytes:
    """Return the pattern of what is plain, a string, or ``inner`` in brackets, repeated."""
    return rb'(?:[^"\[\]{}]++|' + _STRING + rb"|\[" + inner + rb"\]|\{" + inner + rb"\})*+"


_BLANKS = b" \t\n\r"
_SPACE = rb"[ \t\n\r]{0,64}+"  # more is passed by _pass_space

_KEY = re.compile(rb"(" + _STRING + rb")" + _SPACE + rb":" + _SPACE, re.DOTALL)
_SCALAR = re.compile(rb"[-+.0-9A-Za-z]++")
_AFTER = re.compile(_SPACE + rb"(?:(,)" + _SPACE + rb"|\}" + _SPACE + rb")")
_INSIDE = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_FLAT = re.compile(
    _with_brackets(_with_brackets(_with_brackets(rb'(?:[^"\[\]{}]++|' + _STRING + rb")*+"))),
    re.DOTALL,
)
_BRACKETS = re.compile(rb"[\[{]{1,%d}+|[\]}]++" % (MAX_LEVELS + 1))
_WHOLE = re.compile(rb'(?:[^"]++|' + _STRING + rb")*+", re.DOTALL)
_STRINGS = re.compile(_STRING, re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_MAX_BYTES_PER_CHARACTER = 12  # a surrogate pair, both escaped
_N_TURNS = 16
_FIRST_WINDOW_BYTES = 512
_LAST_WINDOW_BYTES = 64
_N_CANCELLED_LEVELS = 8

_CLOSING = bytes.maketrans(b"[{", b"]}")


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
        RequestError: With the code ``nested_too_deep`` if a value has more than ``MAX_LEVELS``
            levels; what follows them is not looked at.
    """
    return list(find_members(body, names))


def find_members(body: bytes, names: Collection[str]) -> Iterator[Member]:
    """Yield what ``top_level_members`` returns, as it is found; its errors come on the way."""
    max_bytes = _MAX_BYTES_PER_CHARACTER * max(map(len, names), default=0) + len(b'""')
    for raw, start, end in _members(body):
        if len(raw) <= max_bytes:
            key = _unescape(raw)
            if key.lower() in names:
                yield Member(key, start, end)


def read_members(body: bytes, names: Collection[str]) -> dict[str, msgspec.Raw]:
    """Return the object's members of exactly these names, of several with one name the last.

    None where it is no object. Arguments are those of ``top_level_members``.
    """
    try:
        return {
            member.key: msgspec.Raw(body[member.start : member.end])
            for member in find_members(body, names)
            if member.key in names
        }
    except (ValueError, RequestError):
        return {}


def _members(body: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield each member's key as written, and where its value begins and ends."""
    position = _pass_space(body, 0)
    if body[position : position + 1] != b"{":
        raise ValueError("'{' was expected at its beginning")
    position = _pass_space(body, position + 1)
    more = body[position : position + 1] != b"}"
    if not more:
        position += 1
    while more:
        key_end, start = _pass_key(body, position)
        end = _value_end(body, start)
        yield body[position:key_end], start, end
        after = _AFTER.match(body, end) or _AFTER.match(body, _pass_space(body, end))
        if after is None:
            raise ValueError(f"',' or '}}' was expected at byte {end}")
        position = after.end()
        more = after[1] is not None
        if body[position : position + 1].isspace():
            position = _pass_space(body, position)
    if _pass_space(body, position) != len(body):
        raise ValueError(f"the object ends before byte {position}, and more follows")


def _pass_space(body: bytes, position: int) -> int:
    """Return where the next byte stands that is no white space."""
    while piece := body[position : position + _SLICE_BYTES]:
        n_left = len(piece.lstrip(_BLANKS))
        position += len(piece) - n_left
        if n_left:
            break
    return position


def _pass_key(body: bytes, position: int) -> tuple[int, int]:
    """Return where a key ends, and where its value begins."""
    key = _KEY.match(body, position, position + _SLICE_BYTES)
    if key is not None and not body[key.end() : key.end() + 1].isspace():
        return key.end(1), key.end()
    is_string = body[position : position + 1] == b'"'
    end = _string_end(body, position) if is_string else position
    colon = _pass_space(body, end)
    if not is_string or body[colon : colon + 1] != b":":
        raise ValueError(f"a key and ':' were expected at byte {position}")
    return end, _pass_space(body, colon + 1)


def _unescape(key: bytes) -> str:
    """Return a key's text; plain ones are not worth a parser."""
    if b"\\" in key:
        text = json.loads(key)
        return text if isinstance(text, str) else ""
    return key[1:-1].decode("utf-8", "replace")


def _value_end(body: bytes, start: int) -> int:
    """Return the position after the value that begins at ``start``."""
    first = body[start : start + 1]
    if first == b'"':
        return _string_end(body, start)
    if first not in {b"{", b"["}:
        end = start
        while scalar := _SCALAR.match(body, end, end + _SLICE_BYTES):
            end = scalar.end()
        if end == start:
            raise ValueError(f"a value was expected at byte {start}")
        return end
    return _brackets_end(body, start, bytearray())


def _brackets_end(body: bytes, position: int, expected: bytearray, n_turns: int = 0) -> int:
    """Return the position after the brackets that are open; long values are left to windows."""
    while True:
        found = _BRACKETS.match(body, position)
        if found is None:
            raise ValueError(f"a bracket is not closed at byte {position}")
        position += _count_brackets(found[0], expected, position)
        if not expected:
            return position
        position = _next_bracket(body, position)
        n_turns += 1
        if n_turns == _N_TURNS:
            position = _pass_windows(body, position, expected)


def _pass_windows(body: bytes, position: int, expected: bytearray) -> int:
    """Pass over most of a long value, and return where one of its last brackets stands.

    The windows grow while the value goes on and are halved once it ends in one, so that their
    time is linear whatever the values' lengths. ``expected`` is kept up to date.
    """
    size, grows = _FIRST_WINDOW_BYTES, True
    while size >= _LAST_WINDOW_BYTES:
        found = _WHOLE.match(body, position, position + size)
        end = position if found is None else found.end()
        if end == position:
            if body[end : end + 1] != b'"':
                raise ValueError(f"a bracket is not closed at byte {position}")
            position = _string_end(body, position)
            continue
        rest = bytearray(expected)
        if _ends_within(_uncancelled(body[position:end]), rest, position):
            grows = False
        else:
            expected[:] = rest
            position = end
        size = min(size * 2, _SLICE_BYTES) if grows else size // 2
    return _next_bracket(body, position)


def _ends_within(brackets: bytes, expected: bytearray, position: int) -> bool:
    """Return whether these brackets close all that are open; ``expected`` is used up."""
    for run in _BRACKETS.findall(brackets):
        _count_brackets(run, expected, position)
        if not expected:
            return True
    return False


def _uncancelled(piece: bytes) -> bytes:
    """Return the brackets of whole strings and plain text, less the innermost pairs."""
    bare = _STRINGS.sub(b"", piece) if b'"' in piece else piece
    brackets = bare.translate(None, _NO_BRACKETS)
    for _ in range(_N_CANCELLED_LEVELS):
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    return brackets


def _count_brackets(run: bytes, expected: bytearray, position: int) -> int:
    """Note the brackets that open, or cross off those that close; return how many were used."""
    if run[0] in b"[{":
        expected += run.translate(_CLOSING)
        if len(expected) > MAX_LEVELS:
            raise RequestError(
                f"the request body has brackets inside one another, more than {MAX_LEVELS} levels "
                f"at byte {position}; nest less",
                code="nested_too_deep",
            )
        return len(run)
    n_closed = min(len(run), len(expected))
    if expected[: -n_closed - 1 : -1] != run[:n_closed]:
        raise ValueError(f"a bracket is closed by another kind at byte {position}")
    del expected[-n_closed:]
    return n_closed


def _next_bracket(body: bytes, position: int) -> int:
    """Return where the next bracket stands, but for those that open and close nearby."""
    while position < len(body) and body[position] not in b"[]{}":
        found = _FLAT.match(body, position, position + _SLICE_BYTES)
        end = position if found is None else found.end()
        position = _string_end(body, end) if body[end : end + 1] == b'"' else end
    return position


def _string_end(body: bytes, start: int) -> int:
    """Return the position after the string that begins at ``start``."""
    position = start + 1
    while True:
        limit = position + _SLICE_BYTES
        quote = body.find(b'"', position, limit)
        if body.find(b"\\", position, limit if quote < 0 else quote) < 0:
            end = min(limit, len(body)) if quote < 0 else quote
        else:
            found = _INSIDE.match(body, position, limit)
            end = position if found is None else found.end()
        if body[end : end + 1] == b'"':
            return end + 1
        if end - position < _SLICE_BYTES - 1:  # a backslash may be the last of a slice
            raise ValueError(f"a string is not closed at byte {start}")
        position = end
