"""Connections that are kept between requests, over real sockets."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from routecast.gateway import pool as pool_module
from routecast.gateway.connection import Connection
from routecast.gateway.plan import open_pool
from routecast.gateway.pool import ConnectionPool, Origin

pytestmark = pytest.mark.anyio

TLS = Path(__file__).parent / "tls"
HEAD = b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n"


@asynccontextmanager
async def server(*, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[Origin, list[int]]]:
    """Answer every request with "ok"; yields where, and the connections that were made."""
    made: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.append(len(made))
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
    try:
        port = listening.sockets[0].getsockname()[1]
        yield Origin("127.0.0.1", port, is_tls=tls is not None), made
    finally:
        listening.close()
        await asyncio.sleep(0.01)


async def ask(pool: ConnectionPool, origin: Origin) -> Connection:
    """Send a request and read its answer."""
    connection = await pool.connect(origin, within_s=5.0)
    ends_s = asyncio.get_running_loop().time() + 5.0
    answer = await connection.ask(HEAD, b"", first_byte_s=5.0, ends_s=ends_s)
    assert await answer.read(within_s=5.0) == b"ok"
    return connection


async def test_connections_are_used_again_the_last_one_first() -> None:
    async with server() as (origin, made), open_pool() as pool:
        first, second = [await pool.connect(origin, within_s=5.0) for _ in range(2)]
        ends_s = asyncio.get_running_loop().time() + 5.0
        for connection in (first, second):
            await connection.ask(HEAD, b"", first_byte_s=5.0, ends_s=ends_s)
        assert pool.n_idle == 2
        assert [await ask(pool, origin) for _ in range(3)] == [second] * 3
        assert len(made) == 2
        assert pool.n_idle == 2


async def test_another_origin_gets_connections_of_its_own() -> None:
    async with server() as (one, _), server() as (other, made), open_pool() as pool:
        assert await ask(pool, one) is not await ask(pool, other)
        assert len(made) == 1


async def test_one_that_was_closed_is_not_used_again() -> None:
    async with server() as (origin, made), open_pool() as pool:
        connection = await ask(pool, origin)
        connection.abort()
        assert await ask(pool, origin) is not connection
        assert len(made) == 2


async def test_what_had_nothing_to_do_for_long_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "KEEP_S", 0.05)
    async with server() as (origin, _), open_pool() as pool:
        connection = await ask(pool, origin)
        was_usable = []
        for wait_s in (0.02, 0.2):
            await asyncio.sleep(wait_s)
            was_usable.append(connection.is_usable)
        assert was_usable == [True, False]
        assert pool.n_idle == 0
        assert pool._timer is None


async def test_none_is_kept_much_longer_than_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "KEEP_S", 0.4)
    async with server() as (origin, _), open_pool() as pool:
        first, second = [await pool.connect(origin, within_s=5.0) for _ in range(2)]
        loop = asyncio.get_running_loop()
        for connection, wait_s in ((first, 0.15), (second, 0.5)):
            await connection.ask(HEAD, b"", first_byte_s=5.0, ends_s=loop.time() + 5.0)
            await asyncio.sleep(wait_s)
        assert not second.is_usable  # 0.1 s late; at a sweep every 0.4 s it would last to 0.8


async def test_a_closed_pool_keeps_nothing() -> None:
    async with server() as (origin, _):
        async with open_pool() as pool:
            idle = await ask(pool, origin)
            busy = await pool.connect(origin, within_s=5.0)
            assert busy is idle
            late = await pool.connect(origin, within_s=5.0)
            await ask(pool, origin)
        ends_s = asyncio.get_running_loop().time() + 5.0
        await late.ask(HEAD, b"", first_byte_s=5.0, ends_s=ends_s)
        assert pool.n_idle == 0
        assert not late.is_usable
        busy.abort()


async def test_tls_is_spoken_with_those_that_somebody_vouches_for() -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(TLS / "certificate.pem", TLS / "key.pem")
    async with server(tls=tls) as (origin, _), open_pool() as pool:
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
            await pool.connect(origin, within_s=5.0)
        pool._tls.load_verify_locations(TLS / "certificate.pem")
        await ask(pool, origin)


async def test_the_dot_that_ends_a_full_name_is_none_of_tls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    look_up = loop.getaddrinfo

    async def look_up_here(_: str, port: int, *, type: socket.SocketKind) -> object:  # noqa: A002 (its name)
        return await look_up("127.0.0.1", port, type=type)

    monkeypatch.setattr(loop, "getaddrinfo", look_up_here)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(TLS / "certificate.pem", TLS / "key.pem")
    async with server(tls=tls) as (origin, _), open_pool() as pool:
        pool._tls.load_verify_locations(TLS / "certificate.pem")
        await ask(pool, origin._replace(host="localhost."))  # the certificate is for localhost


async def test_what_cannot_be_reached_is_an_os_error() -> None:
    async with server() as (gone, _):
        pass
    async with open_pool() as pool:
        with pytest.raises(ConnectionRefusedError):
            await pool.connect(gone, within_s=5.0)
        with pytest.raises(OSError, match=r"'a\.\.b' is no name of a host"):
            await pool.connect(Origin("a..b", 80, is_tls=False), within_s=5.0)


async def test_a_connection_that_does_not_stand_in_time_is_given_up() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with open_pool() as pool:
        with pytest.raises(TimeoutError):  # TLS is begun, and never answered
            await pool.connect(Origin("127.0.0.1", port, is_tls=True), within_s=0.05)
        await asyncio.sleep(0.01)
    silent.close()
