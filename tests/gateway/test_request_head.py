"""The limits on a request's head and on its stalling, over real sockets."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from routecast.gateway.app import create_app
from routecast.gateway.request_head import MAX_HEAD_BYTES
from routecast.gateway.server import bind, configure
from routecast.policy.parse import parse_settings

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


@asynccontextmanager
async def serve_app(app: ASGIApp, *, stall_s: float | None = None) -> AsyncIterator[int]:
    """Serve as the gateway does, perhaps with less patience; yields the port."""
    listener: socket.socket = bind(0)
    config = configure(app)
    if stall_s is not None:
        assert isinstance(config.http, type)
        config.http = type("Hasty", (config.http,), {"stall_s": stall_s})
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    yield listener.getsockname()[1]
    server.should_exit = True
    await running


@pytest.fixture(scope="module")
async def shared_port(anyio_backend: str) -> AsyncIterator[int]:
    """Where a server runs that is configured as the gateway is."""
    async with serve_app(count_bytes) as port:
        yield port


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
        answer.cancel()
        await asyncio.wait([answer])
        if not answer.cancelled():
            answer.exception()  # it was seen


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


STALL_S = 0.3
POST = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
MODEL_ONLY = """
[models.big]
model = "m"
base_url = "http://127.0.0.1:9/v1"
apis = ["chat", "messages"]
"""


@pytest.fixture(scope="module")
async def shared_hasty_port(anyio_backend: str) -> AsyncIterator[int]:
    async with serve_app(count_bytes, stall_s=STALL_S) as port:
        yield port


@pytest.fixture
def hasty_port(shared_hasty_port: int) -> int:
    """The port of a server that waits for 0.3 s."""
    return shared_hasty_port


@pytest.mark.parametrize(
    "head",
    [b"G", b"GET / HT", request(rest=b""), request(rest=b"y: v\r\n")],
    ids=["a letter", "a line", "headers", "all but the end"],
)
async def test_half_a_head_is_a_408_in_time(hasty_port: int, head: bytes) -> None:
    answer = await exchange(hasty_port, [head])
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert answer.endswith(b"\r\n\r\nThe request's head did not come in time.")


async def test_a_head_has_its_time_in_all_however_it_drips(hasty_port: int) -> None:
    head = request(headers=b"y: " + b"v" * 100 + b"\r\n")
    answer = await exchange(hasty_port, [bytes([byte]) for byte in head], pause_s=0.02)
    assert answer.startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("pieces", [[], [b"\r\n"], [b"\r\n"] * 8])
async def test_a_connection_on_which_no_request_begins_is_closed(
    hasty_port: int, pieces: Sequence[bytes]
) -> None:
    assert await exchange(hasty_port, pieces, pause_s=0.02) == b""


async def test_a_slow_body_passes_while_it_comes_on(hasty_port: int) -> None:
    head = POST + b"content-length: 10\r\n\r\n"
    began_s = time.perf_counter()
    answer = await exchange(hasty_port, [head, *[b"b"] * 10], pause_s=0.08)
    assert time.perf_counter() - began_s > 2 * STALL_S
    assert answer.startswith(OK)
    assert answer.endswith(b"+10;")


async def test_a_slow_answer_is_no_stall(starts_slow_answers: int) -> None:
    request_ = POST + b"content-length: 1\r\n\r\nb"
    for pieces in ([request_], [request_[:-1], b"b"], [request_[:30], request_[30:]]):
        answer = await exchange(starts_slow_answers, pieces, pause_s=0.05)
        assert answer.startswith(OK), pieces


@pytest.fixture(scope="module")
async def starts_slow_answers(anyio_backend: str) -> AsyncIterator[int]:
    """The port of a server that waits for 0.3 s, and whose answers take longer."""

    async def answer_late(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await asyncio.sleep(2.5 * STALL_S)
        await count_bytes(scope, receive, send)

    async with serve_app(answer_late, stall_s=STALL_S) as port:
        yield port


async def test_the_time_in_which_nobody_reads_is_not_the_client_s(
    starts_slow_answers: int,
) -> None:
    # Uvicorn stops reading at 64 KiB that the app has not taken; it takes none for 0.75 s.
    body = b"b" * 3_000_000
    head = POST + b"content-length: %d\r\n\r\n" % len(body)
    answer = await exchange(starts_slow_answers, [head + body])
    assert answer.endswith(b"+3000000;")


async def test_connections_may_idle_between_requests(hasty_port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", hasty_port)
    for _ in range(2):
        writer.write(request(rest=b"\r\n"))
        assert (await reader.readuntil(b";")).endswith(b"1+0;")
        await asyncio.sleep(2 * STALL_S)
    writer.close()


@pytest.fixture(scope="module")
async def gateway_port(anyio_backend: str) -> AsyncIterator[int]:
    """The port of a gateway that waits for 0.15 s."""
    app = create_app(parse_settings(MODEL_ONLY, source="test"), {})
    async with serve_app(app, stall_s=STALL_S / 2) as port:
        yield port


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        (b"/v1/chat/completions", b'{"error":{"message":"the rest'),
        (b"/v1/messages", b'{"type":"error","error":{"type":"invalid_request_error"'),
        (b"/v1/route", b'{"error":{"message":"the rest'),
    ],
)
@pytest.mark.parametrize("body", [b"", b'{"model":', b'{"model":"big"' + b" " * 300_000])
@pytest.mark.parametrize("length", [b"content-length: 400000", b"transfer-encoding: chunked"])
async def test_half_a_body_is_a_408_in_the_api_s_own_shape(
    gateway_port: int, path: bytes, shape: bytes, body: bytes, length: bytes
) -> None:
    if length.startswith(b"transfer") and body:
        body = b"%x\r\n%b" % (len(body), body)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway_port)
    writer.write(b"POST %b HTTP/1.1\r\nhost: 127.0.0.1\r\n%b\r\n\r\n" % (path, length) + body)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    content = await asyncio.wait_for(reader.readuntil(b"}}"), 5)
    writer.close()
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in head
    assert content.replace(b": ", b":").replace(b", ", b",").startswith(shape)
