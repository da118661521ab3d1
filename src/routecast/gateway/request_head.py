"""A limit on the head of a request, which uvicorn's fast parser does not have.

Without it a caller without a key could fill the memory: a head is kept whole before anybody reads
it.
"""

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MAX_HEAD_BYTES: Final = 1 << 16
"""Of the request's path and headers together, or of the trailers after its body."""

_REFUSAL_BODY: Final = b"The request's head is larger than %d bytes." % MAX_HEAD_BYTES
_REFUSAL: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
    % (len(_REFUSAL_BODY), _REFUSAL_BODY)
)
_LINGER_S: Final = 1.0


class _HeadTooLargeError(Exception):
    """Stops the parser."""


class LimitedHeadProtocol(HttpToolsProtocol):
    """Serves a connection; too large a head is answered with status 431, and the connection closed.

    A head that comes in pieces is refused as soon as the pieces after its first one, of 256 KiB at
    most, pass ``MAX_HEAD_BYTES``; no larger one reaches the app however it comes. The same goes
    for trailers, but while an answer is on its way the connection is closed without another.
    """

    _n_waiting_bytes = 0  # in pieces after the one in which the head began or the body ended
    _n_piece_bytes = 0
    _n_first_bytes = 0  # of the piece in which the head began, other requests included
    _is_refused = False

    def data_received(self, data: bytes) -> None:
        """Take in what came; nothing more after a refusal."""
        if self._is_refused:
            return
        self._n_piece_bytes = len(data)
        self._n_waiting_bytes += len(data)
        super().data_received(data)
        if self._n_waiting_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse()

    def on_message_begin(self) -> None:
        """Begin to count."""
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
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take in a piece of the body."""
        self._n_waiting_bytes = 0
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser has refused, or was stopped at."""
        if self._is_refused:
            self._n_waiting_bytes = 0
            self._refuse()
        else:
            super().send_400_response(msg)

    def _refuse(self) -> None:
        """Answer, and close once the client has had the time to read it.

        To close while it still sends would reset the connection, and the answer be lost.
        """
        self._is_refused = True
        if self._is_answering():
            self.transport.close()
            return
        self.transport.write(_REFUSAL)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        asyncio.get_running_loop().call_later(_LINGER_S, self.transport.close)

    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = getattr(self, "cycle", None)  # None before the first
        return cycle is not None and not cycle.response_complete
