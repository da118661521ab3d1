"""The two ends of a long JSON string, unpacked by slices.

In one call, it would hold every other request up: the interpreter is not free meanwhile.
"""

import json
import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from routecast.gateway.elements import MAX_RUN_BYTES

_SLICE_BYTES = 1 << 15
_STRING = msgspec.json.Decoder(str)
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError)

_HEX = rb"[0-9a-fA-F]"
_HIGH = rb"\\u[dD][89abAB]" + _HEX * 2
_LOW = rb"\\u[dD][c-fC-F]" + _HEX * 2
_WHOLE = re.compile(  # no slice ends within an escape, or between the two of a surrogate pair
    rb'(?:[^"\\]++|\\[^u]|(?!' + _HIGH + rb")\\u" + _HEX * 4 + rb"|" + _HIGH
    + rb"(?:" + _LOW + rb"|(?!" + _LOW + rb")(?=[^\\]|\\[^u]|\\u" + _HEX * 4 + rb")))*+",
    re.DOTALL,
)  # fmt: skip


def read_string(string: bytes | msgspec.Raw, *, max_characters: int) -> str | None:
    """Return a string's text; of a long one the two ends.

    Args:
        string: JSON, with both quotation marks.
        max_characters: The first and the last half of so many are surely in the result, in their
            place, if there are more.

    Returns:
        None if it is no JSON string. Lone surrogates pass. What lies between the ends is not
        looked at.
    """
    try:
        if len(string) <= MAX_RUN_BYTES:
            return _decode(string)
        return _read_ends(bytes(string), max_characters // 2)
    except ValueError:
        return None


def join_ends(texts: Iterable[str], separator: str, *, max_characters: int) -> str:
    """Return the texts joined; of very many, those at the two ends.

    Args:
        texts: Each is kept or left out as a whole.
        separator: Stands between them.
        max_characters: As for ``read_string``.
    """
    half = max(max_characters // 2, 1)
    head: list[str] = []
    tail: deque[str] = deque()
    n_head = n_tail = 0
    for text in texts:
        if n_head < half:
            head.append(text)
            n_head += len(text)
        else:
            tail.append(text)
            n_tail += len(text)
            while n_tail - len(tail[0]) > half:
                n_tail -= len(tail.popleft())
    return separator.join([*head, *tail])


def _decode(string: bytes | msgspec.Raw) -> str:
    """Return a string's text.

    Raises:
        ValueError: If it is no JSON string.
    """
    try:
        return _STRING.decode(string)
    except _UNREADABLE:
        content = bytes(string)
    if not content.startswith(b'"'):
        raise ValueError("no string")
    return str(json.loads(content))  # it takes lone surrogates


def _read_ends(string: bytes, n_characters: int) -> str:
    slices = list(_slices(string))
    head: list[str] = []
    n_head, n_read = 0, 0
    while n_read < len(slices) and n_head < n_characters:
        head.append(_decode(b'"%b"' % string[slice(*slices[n_read])]))
        n_head += len(head[-1])
        n_read += 1
    tail: list[str] = []
    n_tail, n_left = 0, len(slices)
    while n_left > n_read and n_tail < n_characters:
        n_left -= 1
        tail.append(_decode(b'"%b"' % string[slice(*slices[n_left])]))
        n_tail += len(tail[-1])
    return "".join([*head, *reversed(tail)])


def _slices(string: bytes) -> Iterator[tuple[int, int]]:
    """Yield where the slices of a string begin and end, whole characters each.

    Raises:
        ValueError: If an escape sequence is none.
    """
    start, last = 1, len(string) - 1
    if last < start or string[:1] != b'"' or string[last:] != b'"':
        raise ValueError("no string")
    while start < last:
        end = min(start + _SLICE_BYTES, last)
        if string.find(b"\\", start, end) >= 0:
            found = _WHOLE.match(string, start, start + _SLICE_BYTES)
            end = start if found is None else found.end()
        while start < end <= last and string[end] & 0xC0 == 0x80:  # within a character
            end -= 1
        if end == start or end > last:
            raise ValueError("no string")
        yield start, end
        start = end
