"""A tap that reads which response, and which conversation, an answer belongs to."""

from collections.abc import Callable
from contextlib import suppress

import msgspec

from routecast.gateway.exchange import Usage
from routecast.gateway.unpacking import PACKED, Unpacker

_MAX_KEPT_BYTES = 1 << 22  # an answer that is larger is not remembered


class _Identified(msgspec.Struct, gc=False):
    id: str = ""


class _Response(msgspec.Struct, gc=False):
    id: str = ""
    conversation: _Identified | None = None


class _Event(msgspec.Struct, gc=False):
    response: _Response


_RESPONSE = msgspec.json.Decoder(_Response)
_EVENT = msgspec.json.Decoder(_Event)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class ResponseIdReader:
    """Reads the identifiers from a copy of an answer of ``/v1/responses``, plain or streamed.

    Attributes:
        usage: None: that is for other taps to say.
    """

    usage: Usage | None = None

    def __init__(
        self, found: Callable[[str], None], *, is_stream: bool, encoding: bytes = b"identity"
    ) -> None:
        """Begin at the start of an answer.

        Args:
            found: Called with each identifier, once.
            is_stream: Whether the answer is server-sent events: the first one tells all.
            encoding: Its ``content-encoding``; gzip and deflate are read, others are not.
        """
        self._found = found
        self._is_stream = is_stream
        self._unpacker = None
        self._kept: bytearray | None = bytearray()
        name = encoding.strip().lower()
        if name in PACKED:
            self._unpacker = Unpacker()
        elif name != b"identity":
            self._kept = None

    def feed(self, chunk: bytes) -> bytes:
        """Look at the next bytes of the answer; return them unchanged."""
        if self._kept is not None:
            self._keep(chunk)
        return chunk

    def finish(self) -> bytes:
        """Read a plain answer, now that it is whole; nothing was held back."""
        if self._kept is not None and not self._is_stream:
            with suppress(*_UNREADABLE):
                self._tell(_RESPONSE.decode(self._kept))
            self._kept = None
        return b""

    def _keep(self, chunk: bytes) -> None:
        kept = self._kept
        if kept is None:
            return
        is_whole = True
        if self._unpacker is None:
            kept += chunk
        else:
            kept += b"".join(self._unpacker.pieces(chunk, max_bytes=_MAX_KEPT_BYTES))
            is_whole = self._unpacker.is_whole
        is_told = self._is_stream and self._read_events(bytes(kept))
        if is_told or not is_whole or len(kept) > _MAX_KEPT_BYTES:
            self._kept = None

    def _read_events(self, events: bytes) -> bool:
        """Return whether an event has told which response this is."""
        for line in events.splitlines(keepends=True):
            if line.startswith(b"data:") and line.endswith((b"\n", b"\r")):
                try:
                    self._tell(_EVENT.decode(line[5:]).response)
                except _UNREADABLE:
                    continue
                return True
        return False

    def _tell(self, response: _Response) -> None:
        conversation = response.conversation
        for identity in (response.id, conversation.id if conversation else ""):
            if identity:
                self._found(identity)
