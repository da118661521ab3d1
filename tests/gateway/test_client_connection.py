"""A client's connection: what is written together leaves together, and who leaves is noticed."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, cast

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from routecast.gateway.client_connection import ClientConnection, GatheringTransport
from routecast.gateway.leaving import watch_client
from routecast.testing import serve_on_loopback

pytestmark = pytest.mark.anyio


class Wire(asyncio.Transport):
    """Remembers what happens to it, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[bytes | str] = []

    def write(self, data: Any) -> None:  # noqa: ANN401 (as asyncio has it)
        self.events.append(bytes(data))

    def write_eof(self) -> None:
        self.events.append("eof")

    def close(self) -> None:
        self.events.append("closed")

    def can_write_eof(self) -> bool:
        return True


async def test_what_is_written_in_one_turn_is_sent_in_one_piece() -> None:
    wire = Wire()
    transport = GatheringTransport(wire)
    transport.write(b"head")
    transport.write(b"body")
    assert wire.events == []
    await asyncio.sleep(0)
    assert wire.events == [b"headbody"]
    transport.write(b"chunk")
    await asyncio.sleep(0)
    assert wire.events == [b"headbody", b"chunk"]


async def test_what_is_large_is_not_held_back_and_overtakes_nothing() -> None:
    wire = Wire()
    transport = GatheringTransport(wire)
    transport.write(b"head")
    transport.write(b"a" * (1 << 17))
    assert wire.events == [b"head" + b"a" * (1 << 17)]
    transport.write(b"b")
    await asyncio.sleep(0)
    assert wire.events[1:] == [b"b"]


async def test_an_end_comes_after_what_was_written_before_it() -> None:
    wire = Wire()
    transport = GatheringTransport(wire)
    transport.write(b"a")
    transport.write_eof()
    transport.write(b"b")
    transport.close()
    await asyncio.sleep(0)
    assert wire.events == [b"a", "eof", b"b", "closed"]
    assert transport.can_write_eof()  # the rest is the transport's own


class Watched:
    """An app that answers when it is told to, and notes who leaves before."""

    def __init__(self, *, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self.n_left = 0
        self.answers = asyncio.Event()
        self.has_extension: bool | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError("no lifespan")
        self.has_extension = bool(scope.get("extensions"))
        await receive()
        await asyncio.sleep(self.delay_s)
        end_watch = watch_client(scope, receive, self.note)
        await self.answers.wait()
        end_watch()
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})

    def note(self) -> None:
        self.n_left += 1
        self.answers.set()


async def connect(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = address.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
    await asyncio.sleep(0.02)
    return reader, writer


SERVERS: dict[str, Callable[[ASGIApp], AbstractAsyncContextManager[str]]] = {
    "ours": partial(serve_on_loopback, http=ClientConnection),
    "any": serve_on_loopback,
}


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("delay_s", [0.0, 0.05])
async def test_a_client_that_leaves_is_noticed_once_also_before_anybody_watched(
    server: str, delay_s: float
) -> None:
    app = Watched(delay_s=delay_s)
    async with SERVERS[server](app) as address:
        _, writer = await connect(address)
        writer.close()
        await asyncio.sleep(0.1)
        assert app.n_left == 1
        assert app.has_extension or server == "any"


@pytest.mark.parametrize("server", SERVERS)
async def test_a_client_that_has_its_answer_has_not_left(server: str) -> None:
    app = Watched()
    async with SERVERS[server](app) as address:
        for _ in range(2):
            reader, writer = await connect(address)
            app.answers.set()
            await reader.readuntil(b"ok")
            app.answers.clear()
            writer.close()
            await asyncio.sleep(0.02)
        assert app.n_left == 0


async def test_a_connection_keeps_nothing_of_a_watch_that_ended() -> None:
    connection = cast(Any, ClientConnection.__new__(ClientConnection))
    left: list[int] = []
    end = connection.watch(lambda: left.append(1))
    end()
    assert connection._leave is None
    connection._is_lost = True
    connection.watch(lambda: left.append(2))
    assert left == [2]
