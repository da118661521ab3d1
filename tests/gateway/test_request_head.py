"""The limit on a request's head, over real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from routecast.gateway.request_head import MAX_HEAD_BYTES
from routecast.gateway.server import bind, configure

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK"
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large"


async def count_bytes(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the number of bytes in the headers' values and in the body."""
    if scope["type"] == "lifespan":
        for step in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{step}.complete"})
        return
    n_body_bytes, more = 0, True
    while more:
        message = await receive()
        n_body_bytes += len(message.get("body", b""))
        more = message.get("more_body", False)
    n_value_bytes = sum(len(value) for _, value in scope["headers"])
    content = b"%d+%d;" % (n_value_bytes, n_body_bytes)
    headers = [(b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


@pytest.fixture(scope="module")
async def shared_port(anyio_backend: str) -> AsyncIterator[int]:
    """Where a server runs that is configured as the gateway is."""
    listener: socket.socket = bind(0)
    server = uvicorn.Server(configure(count_bytes))
    running = asyncio.create_task(server.serve(sockets=[listener]))
    yield listener.getsockname()[1]
    server.should_exit = True
    await running


@pytest.fixture
def port(shared_port: int) -> int:
    """The same for every test."""
    return shared_port


async def exchange(port: int, pieces: Sequence[bytes], *, pause_s: float = 0.0) -> bytes:
    """Send pieces until they end or the server does; return all that it answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = asyncio.create_task(reader.read())
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            if pause_s:
                await asyncio.sleep(pause_s)
            if answer.done():
                break
        return await asyncio.wait_for(answer, 10)
    finally:
        writer.close()


def request(*, headers: bytes = b"", rest: bytes = b"connection: close\r\n\r\n") -> bytes:
    return b"GET / HTTP/1.1\r\nhost: x\r\n" + headers + rest


@pytest.mark.parametrize("piece_bytes", [1 << 30, 40_000, 10_000])
async def test_a_head_just_under_the_limit_passes_however_it_comes(
    port: int, piece_bytes: int
) -> None:
    head = request(headers=b"y: " + b"v" * (MAX_HEAD_BYTES - 100) + b"\r\n")
    assert len(head) < MAX_HEAD_BYTES
    pieces = [head[i : i + piece_bytes] for i in range(0, len(head), piece_bytes)]
    answer = await exchange(port, pieces, pause_s=0.01)
    assert answer.startswith(OK)
    assert answer.endswith(b"\r\n\r\n%d+0;" % (len("x") + MAX_HEAD_BYTES - 100 + len("close")))


@pytest.mark.parametrize("piece_bytes", [1 << 30, 60_000, 10_000])
@pytest.mark.parametrize(
    "headers",
    [
        b"y: " + b"v" * MAX_HEAD_BYTES + b"\r\n",
        b"y: v\r\n" * (MAX_HEAD_BYTES // 6 + 1),
        b"y" * MAX_HEAD_BYTES + b": v\r\n",
    ],
    ids=["one value", "many headers", "one name"],
)
async def test_a_head_over_the_limit_is_a_431_and_the_end(
    port: int, headers: bytes, piece_bytes: int
) -> None:
    head = request(headers=headers, rest=b"\r\n")  # nothing asks for the connection's end
    pieces = [head[i : i + piece_bytes] for i in range(0, len(head), piece_bytes)]
    answer = await exchange(port, pieces, pause_s=0.005)
    assert answer.startswith(TOO_LARGE)
    assert b"connection: close" in answer
    assert answer.endswith(b"larger than 65536 bytes.")


async def test_a_path_over_the_limit_is_a_431(port: int) -> None:
    head = b"GET /" + b"p" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nhost: x\r\n\r\n"
    assert (await exchange(port, [head])).startswith(TOO_LARGE)


async def test_a_header_that_never_ends_is_answered_while_it_is_sent(port: int) -> None:
    pieces = [request(headers=b"y: ", rest=b""), *([b"v" * 100_000] * 600)]
    answer = await exchange(port, pieces)
    assert answer.startswith(TOO_LARGE)


async def test_large_bodies_and_requests_one_after_another_pass(port: int) -> None:
    post = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n" + b"b" * 1_000_000
    answer = await exchange(port, [post + post + request()])
    assert answer.count(OK) == 3
    assert answer.count(b"+1000000;") == 2


async def test_trailers_that_never_end_close_the_connection(port: int) -> None:
    head = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\nb\r\n0\r\ny: "
    try:
        answer = await exchange(port, [head, *([b"v" * 100_000] * 600)])
    except ConnectionError:  # it was still sending
        answer = b""
    assert OK not in answer


async def test_what_is_no_request_is_still_a_400(port: int) -> None:
    assert (await exchange(port, [b"\x16\x03\x01 hello\r\n\r\n"])).startswith(b"HTTP/1.1 400")
