"""Server-sent events, cut where they end.

A stream that breaks can only be closed with a proper error event if nothing half-sent stands
before it. So the unfinished event at the end of a chunk waits for the next chunk.
"""

import re
from typing import Final, Protocol

from routecast.gateway.exchange import Usage
from routecast.upstream.apis import Api

KEEP_ALIVE: Final = b": keep-alive\n\n"
"""A comment: it means nothing to a client, and shows what stands between that the stream lives."""

_MAX_HELD = 1 << 16
_LAST_EVENTS = {
    Api.CHAT: re.compile(rb'\[DONE\]|"finish_reason"\s*:\s*"'),
    Api.COMPLETIONS: re.compile(rb'\[DONE\]|"finish_reason"\s*:\s*"'),
    Api.RESPONSES: re.compile(rb"response\.(?:completed|failed|incomplete)|event: ?error"),
    Api.MESSAGES: re.compile(rb"message_stop|event: ?error"),
}
_SEQUENCE_NUMBER = re.compile(rb'"sequence_number"\s*:\s*(\d{1,18})')


class Tap(Protocol):
    """Sees an answer's bytes on their way to the client, and may take whole events out."""

    @property
    def usage(self) -> Usage | None:
        """The tokens that it has read of; None where it has read none."""

    def feed(self, chunk: bytes) -> bytes:
        """Take what comes next and return what goes on.

        Of a stream of events, a chunk is whole events as long as none is over 64 KiB; of any other
        answer, whatever has come. It must be quick, and must not raise.
        """

    def finish(self) -> bytes:
        """Return what was held back, at the proper end of an answer."""


def has_ended(api: Api, events: bytes) -> bool:
    """Return whether the last events of a stream are an end, by the API's own rules."""
    pattern = _LAST_EVENTS.get(api)
    return pattern is None or pattern.search(events) is not None


def next_sequence_number(events: bytes) -> int:
    """Return the number after the last one in the given events; 0 if they are not numbered."""
    numbers = _SEQUENCE_NUMBER.findall(events)
    return int(numbers[-1]) + 1 if numbers else 0


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
