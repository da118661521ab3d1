"""One connection to an upstream, driven without a socket: what it sends, and what it makes of what
comes."""

import asyncio
from collections.abc import Coroutine
from itertools import pairwise
from typing import Any

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.gateway.connection import (
    MAX_ANSWER_HEAD_BYTES,
    MAX_BUFFERED_BYTES,
    Connection,
    UpstreamAnswer,
)

pytestmark = pytest.mark.anyio

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\n"
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\nx-a: 2\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n6;name=value\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n"
)
UNTIL_CLOSED = b"HTTP/1.1 200 OK\r\n\r\nhello"


class Wire(asyncio.Transport):
    """Remembers what a connection does to it."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.is_aborted = False
        self.is_paused = False

    def write(self, data: Any) -> None:  # noqa: ANN401 (as asyncio has it)
        self.sent.append(bytes(data))

    def is_closing(self) -> bool:
        return self.is_aborted

    def abort(self) -> None:
        self.is_aborted = True

    def has_paused(self) -> bool:
        return self.is_paused

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False


class Line:
    """A connection over a wire, and who has been told that it is free."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.released: list[Connection] = []
        self.connection = Connection(self.released.append)
        self.connection.connection_made(self.wire)

    def ask(
        self, body: bytes = b"{}", *, first_byte_s: float = 5.0, total_s: float = 5.0
    ) -> Coroutine[Any, Any, UpstreamAnswer]:
        ends_s = asyncio.get_running_loop().time() + total_s
        return self.connection.ask(HEAD, body, first_byte_s=first_byte_s, ends_s=ends_s)

    async def answer(self, *pieces: bytes, body: bytes = b"{}") -> UpstreamAnswer:
        """Ask, and let these pieces come."""
        asked = asyncio.ensure_future(self.ask(body))
        await asyncio.sleep(0)
        for piece in pieces:
            self.connection.data_received(piece)
        return await asked


async def read_all(answer: UpstreamAnswer) -> bytes:
    parts = []
    while part := await answer.read(within_s=5.0):
        parts.append(part)
    return b"".join(parts)


async def test_a_request_goes_out_in_one_piece_and_its_answer_comes_back() -> None:
    line = Line()
    answer = await line.answer(PLAIN)
    assert line.wire.sent == [HEAD + b"{}"]
    assert answer.status == 200
    assert answer.headers == [(b"content-length", b"5"), (b"x-a", b"1"), (b"x-a", b"2")]
    seen = [(answer.is_over, await answer.read(within_s=1.0)) for _ in range(2)]
    assert seen == [(False, b"hello"), (True, b"")]


async def test_a_connection_is_free_when_its_answer_is_whole_and_carries_the_next() -> None:
    line = Line()
    for n_answers, content in enumerate((PLAIN, CHUNKED, PLAIN), start=1):
        answer = await line.answer(content)
        assert (await read_all(answer)).startswith(b"hello")
        assert line.released == [line.connection] * n_answers
        assert line.connection.is_usable
    assert not line.wire.is_closing()


def pieces_of(content: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(content), *(cut % len(content) for cut in cuts)})
    return [content[begin:end] for begin, end in pairwise(places)]


def by_h11(content: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """The same answer, read by another parser."""
    reader = h11.Connection(h11.CLIENT)
    reader.send(h11.Request(method="POST", target="/", headers=[("host", "h")]))
    reader.send(h11.EndOfMessage())
    reader.receive_data(content)
    status, headers, body = 0, [], b""
    while not isinstance(event := reader.next_event(), h11.EndOfMessage):
        if isinstance(event, h11.Response):
            status, headers = event.status_code, list(event.headers)
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
    return status, headers, body


@given(
    content=st.sampled_from([PLAIN, CHUNKED]),
    interim=st.sampled_from([b"", b"HTTP/1.1 100 Go\r\n\r\n", b"HTTP/1.1 103 X\r\na: b\r\n\r\n"]),
    cuts=st.lists(st.integers(0, 500), max_size=8),
)  # fmt: skip
def test_how_an_answer_is_cut_on_its_way_makes_no_difference(
    content: bytes, interim: bytes, cuts: list[int]
) -> None:
    async def receive() -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        answer = await Line().answer(*pieces_of(interim + content, cuts))
        return answer.status, answer.headers, await read_all(answer)

    assert asyncio.run(receive()) == by_h11(content)


async def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    line = Line()
    answer = await line.answer(UNTIL_CLOSED)
    assert not answer.has_end
    assert await answer.read(within_s=1.0) == b"hello"
    line.connection.connection_lost(None)
    assert await answer.read(within_s=1.0) == b""
    assert answer.is_over
    assert line.released == []


@pytest.mark.parametrize("content", [PLAIN[:-1], CHUNKED[:-20]])
@pytest.mark.parametrize("error", [None, ConnectionResetError()])
async def test_an_answer_with_a_length_does_not(content: bytes, error: Exception | None) -> None:
    line = Line()
    answer = await line.answer(content)
    assert answer.has_end
    line.connection.connection_lost(error)
    assert (await answer.read(within_s=1.0)).startswith(b"hel")
    with pytest.raises(ConnectionResetError):
        await answer.read(within_s=1.0)


@pytest.mark.parametrize("coding", [b"identity", b"chunked, gzip"])
async def test_a_coding_that_is_no_chunks_ends_with_the_connection_too(coding: bytes) -> None:
    line = Line()
    answer = await line.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: %b\r\n\r\nhello" % coding)
    assert not answer.has_end
    line.connection.connection_lost(None)
    assert await read_all(answer) == b"hello"


async def test_chunks_in_any_spelling_have_an_end() -> None:
    for coding in (b"Chunked", b"gzip, CHUNKED"):
        answer = await Line().answer(CHUNKED.replace(b" chunked", b" " + coding))
        assert answer.has_end
        assert await read_all(answer) == b"hello world"


async def test_a_reset_is_no_end_of_an_answer_without_a_length() -> None:
    line = Line()
    answer = await line.answer(UNTIL_CLOSED)
    line.connection.connection_lost(ConnectionResetError())
    assert await answer.read(within_s=1.0) == b"hello"
    with pytest.raises(ConnectionResetError):
        await answer.read(within_s=1.0)


async def test_a_malformed_chunk_wakes_the_reader_at_once() -> None:
    line = Line()
    answer = await line.answer(CHUNKED[:57])
    assert await answer.read(within_s=5.0) == b"hello"
    reading = asyncio.ensure_future(answer.read(within_s=5.0))
    await asyncio.sleep(0)
    line.connection.data_received(b"no length\r\n")
    with pytest.raises(ConnectionAbortedError):
        await reading
    assert line.wire.is_closing()


@pytest.mark.parametrize(
    "content",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n\x00",
        PLAIN.replace(b"200 OK", b"000 OK"),
        PLAIN.replace(b"200 OK", b"999 Request Denied"),
        b"HTTP/1.1 200 OK\r\nx-large: " + b"a" * MAX_ANSWER_HEAD_BYTES,
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * (MAX_ANSWER_HEAD_BYTES // 6),
    ],
)
async def test_what_is_no_answer_ends_the_connection(content: bytes) -> None:
    line = Line()
    with pytest.raises(ConnectionAbortedError):
        await line.answer(content)
    assert line.wire.is_closing()
    assert not line.connection.is_usable


async def test_a_connection_that_ends_before_the_head_is_an_error() -> None:
    line = Line()
    asked = asyncio.ensure_future(line.ask())
    await asyncio.sleep(0)
    line.connection.connection_lost(None)
    with pytest.raises(ConnectionResetError, match="hung up"):
        await asked
    with pytest.raises(ConnectionResetError):  # nothing is sent on it any more
        await Line.ask(line)


async def test_an_upstream_that_wants_to_close_is_let() -> None:
    line = Line()
    answer = await line.answer(PLAIN.replace(b"X-A: 1", b"Connection: close"))
    assert line.released == []
    assert line.wire.is_closing()
    assert await read_all(answer) == b"hello"


async def test_what_nobody_asked_for_ends_a_connection_that_has_nothing_to_do() -> None:
    line = Line()
    answer = await line.answer(PLAIN + PLAIN)
    assert line.wire.is_closing()
    assert not line.connection.is_usable
    assert await read_all(answer) == b"hello"


async def test_an_answer_that_is_given_up_ends_its_connection_unless_it_is_whole() -> None:
    line = Line()
    (await line.answer(PLAIN)).close()
    assert not line.wire.is_closing()
    (await line.answer(CHUNKED[:-10])).close()
    assert line.wire.is_closing()


async def test_a_caller_that_is_cancelled_ends_the_connection() -> None:
    line = Line()
    asked = asyncio.ensure_future(line.ask())
    await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert line.wire.is_closing()


async def test_a_caller_that_is_cancelled_as_the_head_comes_ends_the_connection() -> None:
    line = Line()
    asked = asyncio.ensure_future(line.ask())
    await asyncio.sleep(0)
    line.connection.data_received(CHUNKED[:60])
    asked.cancel()  # before it has been told of the head
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert line.wire.is_closing()


async def test_a_caller_that_is_cancelled_as_all_comes_leaves_the_connection_to_others() -> None:
    line = Line()
    asked = asyncio.ensure_future(line.ask())
    await asyncio.sleep(0)
    line.connection.data_received(PLAIN)
    asked.cancel()
    other = asyncio.ensure_future(line.ask())
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert not line.wire.is_closing()
    line.connection.data_received(PLAIN)
    assert await read_all(await other) == b"hello"


async def test_a_head_that_does_not_come_in_time_is_an_error() -> None:
    line = Line()
    with pytest.raises(TimeoutError):
        await line.ask(first_byte_s=0.05)
    assert line.wire.is_closing()


async def test_silence_counts_from_the_last_byte_and_the_total_from_the_first() -> None:
    line = Line()
    asked = asyncio.ensure_future(line.ask(total_s=400.0))
    await asyncio.sleep(0)
    line.connection.data_received(CHUNKED[:47])
    answer = await asked
    loop = asyncio.get_running_loop()
    for i in range(3):
        loop.call_later(0.06 * (i + 1), line.connection.data_received, b"1\r\na\r\n")
    assert [await answer.read(within_s=15.0) for _ in range(3)] == [b"a"] * 3
    with pytest.raises(TimeoutError):
        await answer.read(within_s=0.05)

    line = Line()
    asked = asyncio.ensure_future(line.ask(total_s=0.1))
    await asyncio.sleep(0)
    line.connection.data_received(CHUNKED[:47])
    answer = await asked
    reading = asyncio.ensure_future(answer.read(within_s=3_600.0))
    done, _ = await asyncio.wait({reading}, timeout=30)
    assert done
    with pytest.raises(TimeoutError):  # of total_s
        reading.result()


async def test_one_timer_serves_the_requests_of_a_connection() -> None:
    line = Line()
    timers = set()
    for _ in range(3):
        await read_all(await line.answer(PLAIN))
        timers.add(line.connection._timer)
    assert len(timers) == 1
    line.connection.abort()


async def test_more_than_its_reader_takes_is_left_to_the_upstream() -> None:
    line = Line()
    n_bytes = MAX_BUFFERED_BYTES + 10
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % n_bytes
    answer = await line.answer(head, b"a" * MAX_BUFFERED_BYTES)
    assert not line.wire.has_paused()
    line.connection.data_received(b"a")
    assert line.wire.has_paused()
    assert len(await answer.read(within_s=1.0)) == MAX_BUFFERED_BYTES + 1
    assert not line.wire.has_paused()
    line.connection.data_received(b"a" * 9)
    assert await read_all(answer) == b"a" * 9
    assert line.released == [line.connection]


async def test_a_connection_whose_last_answer_came_at_once_reads_on() -> None:
    line = Line()
    n_bytes = MAX_BUFFERED_BYTES + 10
    answer = await line.answer(
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % n_bytes + b"a" * n_bytes
    )
    assert not line.wire.has_paused()
    assert len(await read_all(answer)) == n_bytes


async def test_a_large_body_goes_as_fast_as_it_is_taken() -> None:
    line = Line()
    body = bytes(range(256)) * (1 << 12)  # 1 MiB
    asked = asyncio.ensure_future(line.ask(body))
    await asyncio.sleep(0)
    line.connection.pause_writing()
    await asyncio.sleep(0.02)
    n_sent = len(b"".join(line.wire.sent))
    assert n_sent < len(body) / 2
    line.connection.resume_writing()
    await asyncio.sleep(0.02)
    assert b"".join(line.wire.sent) == HEAD + body
    line.connection.data_received(PLAIN)
    assert await read_all(await asked) == b"hello"
    assert line.released == [line.connection]


async def test_an_answer_before_the_end_of_a_large_body_ends_the_sending() -> None:
    line = Line()
    asked = asyncio.ensure_future(line.ask(b"a" * (1 << 20)))
    await asyncio.sleep(0)
    line.connection.pause_writing()
    await asyncio.sleep(0)
    line.connection.data_received(PLAIN.replace(b"200 OK", b"413 Too Large"))
    answer = await asked
    assert answer.status == 413
    assert await read_all(answer) == b"hello"
    assert len(b"".join(line.wire.sent)) < 1 << 20
    assert line.released == []
    assert line.wire.is_closing()


@pytest.mark.parametrize("is_paused", [False, True])
async def test_an_answer_that_begins_before_the_end_of_a_large_body_gets_the_rest(
    is_paused: bool,
) -> None:
    line = Line()
    body = b"a" * (1 << 20)
    asked = asyncio.ensure_future(line.ask(body))
    await asyncio.sleep(0)
    if is_paused:
        line.connection.pause_writing()
    line.connection.data_received(CHUNKED[:60])
    await asyncio.sleep(0.01)
    line.connection.resume_writing()
    answer = await asked
    assert b"".join(line.wire.sent) == HEAD + body
    line.connection.data_received(CHUNKED[60:])
    assert await read_all(answer) == b"hello world"
    assert line.released == [line.connection]


@pytest.mark.parametrize("error", [None, ConnectionResetError()])
async def test_what_came_before_the_end_of_a_large_body_is_not_lost(
    error: Exception | None,
) -> None:
    line = Line()
    asked = asyncio.ensure_future(line.ask(b"a" * (1 << 20)))
    await asyncio.sleep(0)
    line.connection.pause_writing()
    line.connection.data_received(UNTIL_CLOSED)
    await asyncio.sleep(0.01)
    assert not asked.done()
    line.connection.connection_lost(error)
    answer = await asked
    assert await answer.read(within_s=1.0) == b"hello"
    assert answer.is_over == (error is None)
