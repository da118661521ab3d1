"""Limits on what a request's head may be and on how long a request may stall.

Uvicorn's fast parser has neither. A head is kept whole before anybody reads it, so that a caller
without a key could fill the memory; and who sends half a request and then nothing would hold a
connection for ever.
"""

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from routecast.gateway.intake import STALLED

MAX_HEAD_BYTES: Final = 1 << 16
"""Of the request's path and headers together, or of the trailers after its body."""

STALL_S: Final = 30.0
"""For the whole head, and between two pieces of the body: a slow upload may take its time."""


def _refusal(status: bytes, text: bytes) -> bytes:
    return (
        b"HTTP/1.1 %b\r\ncontent-type: text/plain; charset=utf-8\r\n"
        b"content-length: %d\r\nconnection: close\r\n\r\n%b" % (status, len(text), text)
    )


_TOO_LARGE: Final = _refusal(
    b"431 Request Header Fields Too Large",
    b"The request's head is larger than %d bytes." % MAX_HEAD_BYTES,
)
_TOO_LATE: Final = _refusal(b"408 Request Timeout", b"The request's head did not come in time.")
_LINGER_S: Final = 1.0


class _HeadTooLargeError(Exception):
    """Stops the parser."""


class LimitedHeadProtocol(HttpToolsProtocol):
    """Serves a connection; too large a head is answered with status 431, and the connection closed.

    A head that comes in pieces is refused as soon as the pieces after its first one, of 64 KiB at
    most, pass ``MAX_HEAD_BYTES``; no larger one reaches the app however it comes. The same goes
    for trailers, but while an answer is on its way the connection is closed without another.

    A head that is not complete after ``stall_s`` is a 408; a body of which nothing came for so
    long ends in ``intake.STALLED``, which the app answers. A connection on which no request
    begins is closed. The time that we do not read in is not the client's. There is one timer per
    connection, and none is set for a request that comes in one piece.

    Attributes:
        stall_s: Seconds.
    """

    stall_s = STALL_S
    cycle: RequestResponseCycle | None  # type: ignore[assignment]  # None before the first request

    _n_waiting_bytes = 0  # in pieces after the one in which the head began or the body ended
    _n_piece_bytes = 0
    _n_first_bytes = 0  # of the piece in which the head began, other requests included
    _is_refused = False
    _is_in_head = False
    _alarm: asyncio.TimerHandle | None = None
    _since_s = 0.0  # the last progress, by the loop's clock

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._await_more()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in what came; nothing more after a refusal."""
        if self._is_refused:
            return
        self._n_piece_bytes = len(data)
        self._n_waiting_bytes += len(data)
        super().data_received(data)
        if self._n_waiting_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(_TOO_LARGE)
        cycle = self.cycle
        if cycle is None or cycle.more_body or cycle.response_complete:
            self._await_more()
        elif self._alarm is not None:
            self._stop_waiting()

    def on_message_begin(self) -> None:
        """Begin to count."""
        self._is_in_head = True
        self._n_waiting_bytes = 0
        self._n_first_bytes = self._n_piece_bytes
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Let the head pass, or not."""
        if self._n_first_bytes + self._n_waiting_bytes > MAX_HEAD_BYTES:
            lines = sum(len(name) + len(value) + len(": \r\n") for name, value in self.headers)
            if len(self.url) + lines > MAX_HEAD_BYTES:
                self._is_refused = True
                raise _HeadTooLargeError
        self._n_waiting_bytes = 0
        self._is_in_head = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take in a piece of the body."""
        self._n_waiting_bytes = 0
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser has refused, or was stopped at."""
        if self._is_refused:
            self._n_waiting_bytes = 0
            self._refuse(_TOO_LARGE)
        else:
            super().send_400_response(msg)

    def _await_more(self) -> None:
        """Note when a request that is not complete has come on, and look after it later."""
        if self._alarm is None:
            self._since_s = self.loop.time()
            self._alarm = self.loop.call_later(self.stall_s, self._check_progress)
        elif self.cycle is not None and self.cycle.more_body:
            self._since_s = self.loop.time()

    def _stop_waiting(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _check_progress(self) -> None:
        """Wait on if something has come, else give the request up."""
        self._alarm = None
        now_s = self.loop.time()
        if self.flow.read_paused:
            self._since_s = now_s
        left_s = self._since_s + self.stall_s - now_s
        if left_s > 0:
            self._alarm = self.loop.call_later(left_s, self._check_progress)
        elif not self.transport.is_closing():
            self._give_up()

    def _give_up(self) -> None:
        cycle = self.cycle
        if self._is_in_head:
            self._refuse(_TOO_LATE)
        elif cycle is None or cycle.response_complete or cycle.more_body is STALLED:
            self.transport.close()
        else:
            cycle.keep_alive = False
            cycle.more_body = STALLED
            cycle.message_event.set()
            self._await_more()  # should the app not care

    def _refuse(self, answer: bytes) -> None:
        """Answer, and close once the client has had the time to read it.

        To close while it still sends would reset the connection, and the answer be lost.
        """
        self._is_refused = True
        if self._is_answering():
            self.transport.close()
            return
        self.transport.write(answer)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        asyncio.get_running_loop().call_later(_LINGER_S, self.transport.close)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete
