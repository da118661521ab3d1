"""One client's connection, as uvicorn serves it; what belongs together leaves together.

Uvicorn writes an answer's head and its body one after the other. Each write wakes the client's
side, and to be woken twice costs more than all else that is done for a short answer.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

from routecast.gateway.leaving import EXTENSION
from routecast.gateway.read_buffer import SharedReads
from routecast.gateway.request_head import LimitedHeadProtocol

_MAX_HELD_BYTES: Final = 1 << 16


class GatheringTransport:
    """Sends what is written in one turn of the event loop in one piece.

    All else is the transport's own. What is written is held back until the loop's next turn at the
    longest, so an event of a stream is not late; nothing large is held at all.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        """Write to ``transport``."""
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._held: list[bytes] = []
        self._is_awaited = False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (whatever the transport has)
        """Return what the transport itself has."""
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send soon."""
        self._held.append(data)
        if len(data) > _MAX_HELD_BYTES:
            self.flush()
        elif not self._is_awaited:
            self._is_awaited = True
            self._loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._is_awaited = False
        self.flush()

    def flush(self) -> None:
        """Send what is held back."""
        held = self._held
        if held:
            self._held = []
            self._transport.write(held[0] if len(held) == 1 else b"".join(held))

    def write_eof(self) -> None:
        """Send what is held back, and that nothing follows."""
        self.flush()
        self._transport.write_eof()

    def close(self) -> None:
        """Send what is held back, and close."""
        self.flush()
        self._transport.close()


class ClientConnection(LimitedHeadProtocol, SharedReads):
    """Serves a connection, and tells who serves a request on it when the client leaves."""

    _leave: Callable[[], None] | None = None
    _is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin (asyncio)."""
        self._gathering = GatheringTransport(cast(asyncio.Transport, transport))
        self._extensions: dict[str, dict[object, object]] = {EXTENSION: {"watch": self.watch}}
        super().connection_made(cast(asyncio.Transport, self._gathering))

    def connection_lost(self, exc: Exception | None) -> None:
        """End (asyncio)."""
        super().connection_lost(exc)
        self._is_lost = True
        self._extensions.clear()
        if self._leave is not None:
            self._leave()

    def on_message_begin(self) -> None:
        """Begin a request (uvicorn)."""
        super().on_message_begin()
        self.scope["extensions"] = self._extensions

    def on_response_complete(self) -> None:
        """Send an answer as soon as it is whole (uvicorn)."""
        self._gathering.flush()
        super().on_response_complete()

    def watch(self, leave: Callable[[], None]) -> Callable[[], None]:
        """Call ``leave`` when the client leaves, at once if it has; return what ends the watch."""
        if self._is_lost:
            leave()
        else:
            self._leave = leave
        return self._end_watch

    def _end_watch(self) -> None:
        self._leave = None
