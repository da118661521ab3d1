"""How many tokens an answer used, read from its bytes as they pass.

No answer is kept for it: what is looked for is the member ``"usage"`` with an object that holds
token counts, wherever it stands, in plain answers and in streams of every API alike. Inside a
JSON string its quotes are escaped, so text never looks like it. A tool call's arguments may, where
an API sends them as an object; every API that does so ends with the true one, and the last counts.
"""

import re
from functools import lru_cache
from typing import Annotated

import msgspec

from routecast.gateway.exchange import Usage
from routecast.gateway.headers import RawHeaders
from routecast.gateway.unpacking import PACKED, Unpacker

_KEY = b'"usage"'
_MEMBER = re.compile(_KEY + rb"[ \t\r\n]*+(?::[ \t\r\n]*+(\{)?)?")
_MAX_OBJECT_BYTES = 1 << 13
_MAX_DECODED_BYTES = 1 << 23  # of one chunk: what unpacks to more is not worth the event loop
_READABLE = PACKED | {b"identity"}


def _nest(inner: bytes) -> bytes:
    """Return a pattern of an object whose values are strings, scalars, and what ``inner`` is."""
    return rb'\{(?:[^{}"]++|"(?:[^"\\]++|\\.)*+"|' + inner + rb")*+\}"


_OBJECT = re.compile(_nest(_nest(_nest(rb"(?!)"))), re.DOTALL)  # no API nests its usage deeper

_Count = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]


class _Details(msgspec.Struct, gc=False):
    cached_tokens: _Count | None = None


class _Counts(msgspec.Struct, gc=False):
    """The counts under the names of every API."""

    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None
    total_tokens: _Count | None = None
    input_tokens: _Count | None = None
    output_tokens: _Count | None = None
    cache_read_input_tokens: _Count | None = None
    cache_creation_input_tokens: _Count | None = None
    prompt_tokens_details: _Details | None = None
    input_tokens_details: _Details | None = None


_DECODER = msgspec.json.Decoder(_Counts)
_FIELDS = _Counts.__struct_fields__


class UsageReader:
    """A tap that passes everything on and remembers the last usage it saw."""

    def __init__(self, encoding: bytes = b"identity") -> None:
        """Begin at the start of an answer.

        Args:
            encoding: Its ``content-encoding``. Of gzip and deflate a copy is decoded; anything
                else that is not ``identity`` is not read, and there is no usage then.
        """
        self._counts: _Counts | None = None
        self._usage: Usage | None = None
        self._held = b""
        self._is_readable = encoding == b"identity" or encoding.strip().lower() in _READABLE
        self._unpacker = None if encoding == b"identity" else Unpacker()

    @property
    def usage(self) -> Usage | None:
        """What the answer said so far; None if it said nothing."""
        if self._usage is None and self._counts is not None:
            self._usage = _to_usage(self._counts)
        return self._usage

    def feed(self, chunk: bytes) -> bytes:
        """Look at the next bytes of the answer, as sent; return them unchanged."""
        if self._unpacker is None:
            self._look(chunk)
        elif self._is_readable:
            for plain in self._unpacker.pieces(chunk, max_bytes=_MAX_DECODED_BYTES):
                self._look(plain)
        return chunk

    def finish(self) -> bytes:
        """End the answer; nothing was held back."""
        return b""

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
        found = _OBJECT.match(window, begin, begin + _MAX_OBJECT_BYTES)
        if found is None:
            return None if len(window) - begin < _MAX_OBJECT_BYTES else member.end()
        try:
            self._take_counts(_DECODER.decode(found[0]))
        except (msgspec.DecodeError, UnicodeDecodeError):  # then it is about something else
            return member.end()
        return found.end()

    def _take_counts(self, counts: _Counts) -> None:
        """Keep what is new; Anthropic's streams count input and output in different events."""
        if not _is_whole(counts):
            before = self._counts or _Counts()
            for name in _FIELDS:
                if getattr(counts, name) is None:
                    setattr(counts, name, getattr(before, name))
            if counts == _Counts():  # it is about something else
                return
        self._counts, self._usage = counts, None


def _begun_key(window: bytes) -> bytes:
    """Return the end of ``window`` if it may be the beginning of the key."""
    begin = window.rfind(b'"', -len(_KEY) + 1)
    return window[begin:] if begin >= 0 and _KEY.startswith(window[begin:]) else b""


def _is_whole(counts: _Counts) -> bool:
    """Return whether this says how much went in and how much came out."""
    return (counts.prompt_tokens is not None and counts.completion_tokens is not None) or (
        counts.input_tokens is not None and counts.output_tokens is not None
    )


def _to_usage(counts: _Counts) -> Usage:
    """Return the counts under one name each, whatever an API calls them."""
    cached = counts.cache_read_input_tokens
    details = counts.prompt_tokens_details or counts.input_tokens_details
    if details is not None:
        cached = details.cached_tokens
    if counts.prompt_tokens is not None:
        return Usage(
            input_tokens=counts.prompt_tokens,
            output_tokens=counts.completion_tokens or 0,  # embeddings have none
            cached_input_tokens=cached,
        )
    # Anthropic leaves what its cache read or wrote out of input_tokens; OpenAI does not.
    apart = (counts.cache_read_input_tokens or 0) + (counts.cache_creation_input_tokens or 0)
    return Usage(
        input_tokens=(counts.input_tokens or 0) + apart,
        output_tokens=counts.output_tokens or 0,
        cached_input_tokens=cached,
    )


def limit_encodings(headers: RawHeaders, *, to_identity: bool = False) -> RawHeaders:
    """Return a request's headers with an ``Accept-Encoding`` whose answers can be read here.

    For models whose usage must be read, such as those with a price. Where the client sent none,
    there is none.

    Args:
        headers: What goes upstream.
        to_identity: Whether the answer must not be packed at all.
    """
    return [
        (name, b"identity" if to_identity else _readable_encodings(value))
        if name == b"accept-encoding"
        else (name, value)
        for name, value in headers
    ]


@lru_cache(maxsize=64)
def _readable_encodings(accepted: bytes) -> bytes:
    """Return the same list without other codings, ``identity`` if nothing is left."""
    kept = [
        coding.strip()
        for coding in accepted.split(b",")
        if coding.partition(b";")[0].strip().lower() in _READABLE
    ]
    return b", ".join(kept) or b"identity"
