"""How many tokens an answer used, read from its bytes as they pass.

No answer is kept for it: what is looked for is the member ``"usage"`` with an object that holds
token counts, wherever it stands, in plain answers and in streams of every API alike. Inside a
JSON string its quotes are escaped, so text never looks like it. A tool call's arguments may, where
an API sends them as an object; every API that does so ends with the true one, and the last counts.
"""

import json
import re
import zlib
from collections.abc import Mapping
from typing import Any

from routecast.gateway.exchange import Usage

_KEY = b'"usage"'
_MEMBER = re.compile(_KEY + rb"[ \t\r\n]*+(?::[ \t\r\n]*+(\{)?)?")
_MAX_OBJECT_BYTES = 1 << 13
_MAX_COUNT = 1 << 53
_DECODED_AT_ONCE = 1 << 16
_MAX_DECODED_BYTES = 1 << 23  # of one chunk: what unpacks to more is not worth the event loop
_READABLE = frozenset({"gzip", "x-gzip", "deflate", "identity"})
_DECODER = json.JSONDecoder()


class UsageReader:
    """A tap that passes everything on and remembers the last usage it saw."""

    def __init__(self, encoding: bytes = b"identity") -> None:
        """Begin at the start of an answer.

        Args:
            encoding: Its ``content-encoding``. Of gzip and deflate a copy is decoded; anything
                else that is not ``identity`` is not read, and there is no usage then.
        """
        self._counts: dict[str, int] = {}
        self._held = b""
        self._is_readable = encoding.decode("latin-1").strip().lower() in _READABLE
        is_plain = encoding.strip().lower() == b"identity"
        # 32 + 15: a gzip or zlib header tells which of the two it is
        self._unpacker = None if is_plain else zlib.decompressobj(32 + zlib.MAX_WBITS)

    @property
    def usage(self) -> Usage | None:
        """What the answer said so far; None if it said nothing."""
        return _to_usage(self._counts) if self._counts else None

    def feed(self, chunk: bytes) -> bytes:
        """Look at the next bytes of the answer, as sent; return them unchanged."""
        if self._unpacker is None:
            self._look(chunk)
        elif self._is_readable:
            self._look_inside(self._unpacker, chunk)
        return chunk

    def finish(self) -> bytes:
        """End the answer; nothing was held back."""
        return b""

    def _look_inside(self, unpacker: "zlib._Decompress", packed: bytes) -> None:
        n_bytes = 0
        try:
            while packed and n_bytes < _MAX_DECODED_BYTES:
                plain = unpacker.decompress(packed, _DECODED_AT_ONCE)
                self._look(plain)
                n_bytes += len(plain)
                packed = unpacker.unconsumed_tail
        except zlib.error:
            self._is_readable = False
        if packed:
            self._is_readable = False

    def _look(self, chunk: bytes) -> None:
        window = self._held + chunk if self._held else chunk
        self._held = b""
        start = window.find(_KEY)
        while start >= 0:
            end = self._take_member(window, start)
            if end is None:
                self._held = window[start:]
                return
            start = window.find(_KEY, end)
        self._held = _begun_key(window)

    def _take_member(self, window: bytes, start: int) -> int | None:
        """Read the member that begins at ``start``.

        Returns:
            Where to look on; None if the member is not complete yet.
        """
        member = _MEMBER.match(window, start)
        if member is None:  # cannot be: the key stands there
            return start + len(_KEY)
        if member.end() == len(window) and member[1] is None:
            return None
        if member[1] is None:
            return member.end()
        begin = member.start(1)
        text = window[begin : begin + _MAX_OBJECT_BYTES].decode("utf-8", "replace")
        try:
            found, _ = _DECODER.raw_decode(text)
        except (ValueError, RecursionError):
            return None if len(window) - begin < _MAX_OBJECT_BYTES else member.end()
        self._take_counts(_read_counts(found))
        return member.end()

    def _take_counts(self, counts: dict[str, int]) -> None:
        """Keep what is new; Anthropic's streams count input and output in different events."""
        if "input" in counts and "output" in counts:
            self._counts = counts
        else:
            self._counts = self._counts | counts


def _begun_key(window: bytes) -> bytes:
    """Return the end of ``window`` if it may be the beginning of the key."""
    begin = window.rfind(b'"', -len(_KEY) + 1)
    return window[begin:] if begin >= 0 and _KEY.startswith(window[begin:]) else b""


def _read_counts(usage: Mapping[str, Any]) -> dict[str, int]:
    """Return the counts under one name each, whatever an API calls them."""
    counts = {
        "input": _count(usage, "prompt_tokens"),
        "output": _count(usage, "completion_tokens", "output_tokens"),
        "cached": _count(usage, "cache_read_input_tokens"),
    }
    if counts["input"] is None and (fresh := _count(usage, "input_tokens")) is not None:
        # Anthropic leaves what its cache read or wrote out of input_tokens; OpenAI does not.
        written = _count(usage, "cache_creation_input_tokens")
        counts["input"] = fresh + (written or 0) + (counts["cached"] or 0)
    for name in ("prompt_tokens_details", "input_tokens_details"):
        details = usage.get(name)
        if isinstance(details, Mapping):
            counts["cached"] = _count(details, "cached_tokens")
    if counts["output"] is None and "total_tokens" in usage and counts["input"] is not None:
        counts["output"] = 0  # embeddings
    return {name: count for name, count in counts.items() if count is not None}


def _count(usage: Mapping[str, Any], *names: str) -> int | None:
    """Return the first of these members that is a count."""
    for name in names:
        count = usage.get(name)
        if type(count) is int and 0 <= count < _MAX_COUNT:
            return count
    return None


def _to_usage(counts: Mapping[str, int]) -> Usage:
    return Usage(
        input_tokens=counts.get("input", 0),
        output_tokens=counts.get("output", 0),
        cached_input_tokens=counts.get("cached"),
    )


def readable_encodings(accepted: str) -> str:
    """Return the part of an ``Accept-Encoding`` whose answers ``UsageReader`` can read.

    For models whose usage must be read, such as those with a price.

    Args:
        accepted: What the client sent.

    Returns:
        The same list without other codings, ``identity`` if nothing is left.
    """
    kept = [
        coding.strip()
        for coding in accepted.split(",")
        if coding.partition(";")[0].strip().lower() in _READABLE
    ]
    return ", ".join(kept) or "identity"
