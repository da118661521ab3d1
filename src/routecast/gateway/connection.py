"""One HTTP/1.1 connection to an upstream: a request out, its answer in, then the next.

This is all that a relay needs of an HTTP client, so that is all there is: bytes go out as they are
given, and an answer's come in as they are sent, unpacked from its chunks alone. No cookies, no
redirects, no decompression.
"""

import asyncio
import math
from collections.abc import Callable
from typing import Final, cast

import httptools

from routecast.gateway.headers import RawHeaders
from routecast.gateway.read_buffer import SharedReads

MAX_ANSWER_HEAD_BYTES: Final = 1 << 16
"""Of an answer's status line and headers together; more is no answer."""

MAX_BUFFERED_BYTES: Final = 1 << 17
"""Of an answer that its reader has not taken: more is left to the upstream's side."""

_MAX_BYTES_AT_ONCE: Final = 1 << 18  # larger bodies are written in pieces; the loop stays free


class UpstreamAnswer:
    """An answer, as far as it has come.

    Attributes:
        status: Its HTTP status; 0 before its head is there.
        headers: As sent, names in lower case.
    """

    __slots__ = (
        "_chunks",
        "_connection",
        "_error",
        "_is_received",
        "_n_buffered",
        "_waiter",
        "headers",
        "status",
    )

    def __init__(self, connection: "Connection") -> None:
        """Begin with nothing."""
        self.status = 0
        self.headers: RawHeaders = []
        self._connection = connection
        self._chunks: list[bytes] = []
        self._n_buffered = 0
        self._is_received = False
        self._error: OSError | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def is_over(self) -> bool:
        """Whether all of it has been read."""
        return self._is_received and not self._chunks

    @property
    def has_end(self) -> bool:
        """Whether its end can be told from a connection that was lost.

        Without a length and without chunks, it lasts until the connection closes, for whatever
        reason it does.
        """
        return any(
            name == b"content-length"
            or (name == b"transfer-encoding" and value.lower().endswith(b"chunked"))
            for name, value in self.headers
        )

    async def read(self, *, within_s: float) -> bytes:
        """Return what has come of the body since, at least a byte; nothing at the end.

        Args:
            within_s: Seconds of silence to bear.

        Raises:
            TimeoutError: If nothing came for so long, or not all of it in the time for everything.
            ConnectionError: If the connection ended before the answer, or what came is no HTTP.
        """
        while not (self._chunks or self._is_received):
            await self._connection.wait(self, within_s=within_s)
        chunks = self._chunks
        content = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self._n_buffered = 0
        self._connection.resume(self)
        return content

    def close(self) -> None:
        """Take no more of it; the connection ends too if there was more to come."""
        self._connection.give_up(self)

    def _check(self) -> None:
        if self._error is not None and not (self._chunks or self._is_received):
            raise self._error

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Connection(SharedReads):
    """Carries one request at a time.

    Attributes:
        idle_since_s: When its last answer was whole, by the loop's clock.
    """

    def __init__(self, release: Callable[["Connection"], None]) -> None:
        """Be ready for a transport.

        Args:
            release: Is told when an answer is whole and the connection can carry another request.
        """
        self.idle_since_s = 0.0
        self._release = release
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(  # as browsers are; real servers need it
            lenient_headers=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )
        self._transport: asyncio.Transport | None = None
        self._answer: UpstreamAnswer | None = None  # the one that is on its way
        self._headers: RawHeaders = []
        self._n_head_bytes = 0
        self._is_sent = True
        self._is_write_paused = False
        self._is_read_paused = False
        self._timer: asyncio.TimerHandle | None = None
        self._deadline_s = self._ends_s = math.inf

    @property
    def is_usable(self) -> bool:
        """Whether another request can be sent."""
        transport = self._transport
        return transport is not None and not transport.is_closing() and self._answer is None

    async def ask(
        self, head: bytes, body: bytes, *, first_byte_s: float, ends_s: float
    ) -> UpstreamAnswer:
        """Send a request and return its answer once its head is there.

        Args:
            head: The request line and the headers, with the length of the body, and a blank line.
            body: What follows.
            first_byte_s: How long the head may take once the request is sent.
            ends_s: When all of the answer must have come, by the loop's clock.

        Raises:
            TimeoutError: If the head did not come in time.
            ConnectionError: If the connection ended before, or what came is no HTTP.
        """
        self._answer = answer = UpstreamAnswer(self)
        self._n_head_bytes = 0
        self._ends_s = ends_s
        is_there = False
        try:
            if len(body) <= _MAX_BYTES_AT_ONCE:
                self._write(head + body)
            else:
                await self._write_in_turns(answer, head, body)
            while not answer.status:
                await self.wait(answer, within_s=first_byte_s)
            is_there = True
        finally:
            if not is_there:  # its caller may be cancelled just as the head comes
                self.give_up(answer)
        return answer

    def _write(self, content: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the connection has ended")
        self._transport.write(content)

    async def _write_in_turns(self, answer: UpstreamAnswer, head: bytes, body: bytes) -> None:
        """Write a large body piece by piece, as fast as it is taken, until it is answered.

        At once, it would be written as long as the upstream takes it, and nobody else would have a
        turn. A refusal that comes before its end does not want the rest; any other answer may.
        """
        self._is_sent = False
        self._write(head)
        for start in range(0, len(body), _MAX_BYTES_AT_ONCE):
            self._write(body[start : start + _MAX_BYTES_AT_ONCE])
            await asyncio.sleep(0)
            while self._is_write_paused and not self._is_refused(answer):
                await self.wait(answer, within_s=math.inf)
            if self._is_refused(answer):
                return
        self._is_sent = True

    def _is_refused(self, answer: UpstreamAnswer) -> bool:
        """Return whether the rest of a body would not be read: its answer is there, or an error."""
        has_ended = self._transport is None or self._transport.is_closing()
        return answer.status >= 400 or (answer.status > 0 and has_ended)

    async def wait(self, answer: UpstreamAnswer, *, within_s: float) -> None:
        """Wait until something happens to an answer.

        Raises:
            TimeoutError: If nothing does in time.
            ConnectionError: If the connection has ended before the answer.
        """
        answer._check()
        self._deadline_s = min(self._loop.time() + within_s, self._ends_s)
        self._set_timer()
        answer._waiter = self._loop.create_future()
        try:
            await answer._waiter
        finally:
            answer._waiter = None
        answer._check()

    def _set_timer(self) -> None:
        """See to it that a timer rings at the deadline or before: then it is set anew."""
        if self._timer is not None:
            if self._timer.when() <= self._deadline_s:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline_s, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._answer is None or self._answer._waiter is None:
            return
        if self._loop.time() < self._deadline_s:
            self._set_timer()
        else:
            self._fail(TimeoutError("the upstream is silent"))

    def resume(self, answer: UpstreamAnswer) -> None:
        """Go on reading, now that an answer's reader has taken what there was."""
        if self._is_read_paused and answer is self._answer and self._transport is not None:
            self._is_read_paused = False
            self._transport.resume_reading()

    def give_up(self, answer: UpstreamAnswer) -> None:
        """End the connection unless it has nothing to do with an answer any more."""
        if answer is self._answer:
            self.abort()

    def abort(self) -> None:
        """End the connection at once."""
        self._answer = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, error: OSError) -> None:
        """End the connection and tell the answer's reader why."""
        answer = self._answer
        self.abort()
        if answer is not None:
            answer._error = error
            answer._wake()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin (asyncio)."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Take in what came (asyncio)."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(ConnectionAbortedError("what the upstream sent is no HTTP"))
            return
        answer = self._answer
        if answer is not None and not answer.status:
            self._n_head_bytes += len(data)
            if self._n_head_bytes > MAX_ANSWER_HEAD_BYTES:
                self._fail(ConnectionAbortedError("the head of the answer is too large"))

    def connection_lost(self, exc: Exception | None) -> None:
        """End (asyncio)."""
        answer = self._answer
        if answer is not None and answer.status and exc is None and not answer.has_end:
            answer._is_received = True
            answer._wake()
        self._fail(ConnectionResetError("the upstream hung up"))

    def pause_writing(self) -> None:
        """Take note that the upstream takes no more for now (asyncio)."""
        self._is_write_paused = True

    def resume_writing(self) -> None:
        """Take note that the upstream takes more again (asyncio)."""
        self._is_write_paused = False
        if self._answer is not None:
            self._answer._wake()

    def on_message_begin(self) -> None:
        """An answer begins (httptools)."""
        self._headers = []
        if self._answer is None:
            self.abort()  # nobody asked

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header (httptools); what comes after the body is none."""
        answer = self._answer
        if answer is not None and not answer.status:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is there (httptools); of an interim answer it means nothing."""
        answer, status = self._answer, self._parser.get_status_code()
        if not 100 <= status < 600:  # RFC 9110, section 15; servers cannot pass it on
            self._fail(ConnectionAbortedError("the status is none of HTTP's"))
        elif answer is not None and status >= 200:
            answer.headers, answer.status = self._headers, status
            answer._wake()

    def on_body(self, body: bytes) -> None:
        """Some of the body is there (httptools)."""
        answer = self._answer
        if answer is None:
            return
        answer._chunks.append(body)
        answer._n_buffered += len(body)
        if answer._n_buffered > MAX_BUFFERED_BYTES and self._transport is not None:
            self._is_read_paused = True
            self._transport.pause_reading()
        answer._wake()

    def on_message_complete(self) -> None:
        """An answer is whole (httptools), or an interim one."""
        answer = self._answer
        if answer is None or not answer.status:
            return
        answer._is_received = True
        answer._wake()
        self.resume(answer)
        if self._is_sent and self._parser.should_keep_alive():
            self._answer = None
            self.idle_since_s = self._loop.time()
            self._release(self)
        else:
            self.abort()
