"""Server-sent events, cut where they end.

A stream that breaks can only be closed with a proper error event if nothing half-sent stands
before it. So the unfinished event at the end of a chunk waits for the next chunk.
"""

_MAX_HELD = 1 << 16


class EventCutter:
    """Passes whole events on, and holds back the unfinished one; bytes are never changed."""

    def __init__(self) -> None:
        """Begin at the start of a stream."""
        self._held = b""
        self._inside_event = False

    @property
    def inside_event(self) -> bool:
        """Whether the client has been sent a part of an event, and not its end."""
        return self._inside_event

    def feed(self, chunk: bytes) -> bytes:
        """Return what may be sent now.

        An event over 64 KiB is not held back: it goes as it comes.
        """
        pending = self._held + chunk if self._held else chunk
        end = _end_of_last_event(pending)
        if len(pending) - end > _MAX_HELD:
            self._held, self._inside_event = b"", True
            return pending
        self._held = pending[end:]
        if end:
            self._inside_event = False
        return pending[:end]

    def flush(self) -> bytes:
        """Return what is held back, at the proper end of a stream."""
        held, self._held = self._held, b""
        return held


def _end_of_last_event(stream: bytes) -> int:
    """Return the position after the last blank line, 0 if there is none."""
    if stream.endswith(b"\n\n"):
        return len(stream)
    return max(stream.rfind(mark) + len(mark) if mark in stream else 0 for mark in _BLANK_LINES)


_BLANK_LINES = (b"\n\n", b"\r\n\r\n", b"\r\r")
