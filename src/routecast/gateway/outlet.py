"""One answer on its way to the client: its head once, its body as it comes, and a proper end."""

import time
from collections.abc import Sequence

from starlette.types import Send

from routecast.gateway.events import KEEP_ALIVE, EventCutter, Tap
from routecast.gateway.exchange import Usage
from routecast.gateway.headers import RawHeaders
from routecast.gateway.keep_alive import KeepAlive


class Outlet:
    """Passes an answer on; nothing goes to the client before there is something of its body.

    Attributes:
        status: The answer's HTTP status.
        begun_s: When the head went to the client, by ``time.perf_counter``; None before that.
        is_event_stream: Whether events and comments may be put between the body's own events.
        is_complete: Whether the client has been sent the proper end.
        last_sent: The last events of a stream, empty for any other answer.
    """

    __slots__ = (
        "_cutter",
        "_headers",
        "_is_writing",
        "_keep_alive",
        "_send",
        "_taps",
        "begun_s",
        "is_complete",
        "is_event_stream",
        "last_sent",
        "status",
    )

    def __init__(
        self,
        send: Send,
        *,
        status: int,
        headers: RawHeaders,
        is_event_stream: bool,
        taps: Sequence[Tap] = (),
        keep_alive_s: float,
    ) -> None:
        """Prepare to send, and begin to count the silence of a stream.

        Args:
            send: The client's side of ASGI.
            status: Of the answer.
            headers: Of the answer.
            is_event_stream: See above.
            taps: Who sees the body on its way.
            keep_alive_s: Seconds of silence in a stream until a comment is sent.
        """
        self.status = status
        self.begun_s: float | None = None
        self.is_event_stream = is_event_stream
        self.is_complete = False
        self.last_sent = b""
        self._send = send
        self._headers = headers
        self._taps = taps
        self._cutter = EventCutter() if is_event_stream else None
        self._is_writing = False
        self._keep_alive = (
            KeepAlive(self._beat, interval_s=keep_alive_s) if is_event_stream else None
        )

    @property
    def usage(self) -> Usage | None:
        """The tokens that a tap has read of."""
        return next((tap.usage for tap in self._taps if tap.usage is not None), None)

    async def pass_on(self, chunk: bytes) -> None:
        """Send some of the answer, as fast as the client takes it."""
        if self._cutter is not None:
            chunk = self._cutter.feed(chunk)
        for tap in self._taps:
            chunk = tap.feed(chunk)
        if chunk:
            await self._write(chunk, more=True)

    async def finish(self, chunk: bytes) -> None:
        """Send the last of the answer, and its end."""
        if self._cutter is not None:
            chunk = self._cutter.feed(chunk) + self._cutter.flush()
        for tap in self._taps:
            chunk = tap.feed(chunk) + tap.finish()
        await self._write(chunk, more=False)

    async def break_off(self, event: bytes) -> None:
        """Tell the client that the answer is incomplete.

        Between two events, that is an error event and the end of the stream. Anywhere else nothing
        can be said any more: the answer is left without its end, and the server drops the
        connection.
        """
        if self._cutter is not None and not self._cutter.inside_event:
            await self._write(event, more=False)

    def close(self) -> None:
        """Send nothing more by itself."""
        if self._keep_alive is not None:
            self._keep_alive.stop()

    async def _write(self, chunk: bytes, *, more: bool) -> None:
        keep_alive = self._keep_alive
        if keep_alive is None:
            await self._send_body(chunk, more=more)
            return
        if keep_alive.is_beating:
            await keep_alive.settle()
        if chunk:
            self.last_sent = chunk
        self._is_writing = True
        await self._send_body(chunk, more=more)
        self._is_writing = False
        keep_alive.note()

    async def _send_body(self, chunk: bytes, *, more: bool) -> None:
        if self.begun_s is None:
            self.begun_s = time.perf_counter()
            start = {"type": "http.response.start", "status": self.status}
            await self._send({**start, "headers": self._headers})
        await self._send({"type": "http.response.body", "body": chunk, "more_body": more})
        self.is_complete = not more

    async def _beat(self) -> None:
        """Send a comment, unless the client is slow or the stream stands inside an event."""
        is_inside = self._cutter is None or self._cutter.inside_event
        if not (is_inside or self._is_writing or self.is_complete):
            await self._send_body(KEEP_ALIVE, more=True)
