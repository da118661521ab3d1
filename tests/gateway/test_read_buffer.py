"""The buffer that connections share."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from routecast.gateway.client_connection import ClientConnection
from routecast.gateway.connection import Connection
from routecast.gateway.read_buffer import SharedReads

pytestmark = pytest.mark.anyio


class Taker(SharedReads):
    """Keeps what comes."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        self.taken.append(data)


async def test_connections_that_share_a_buffer_get_what_is_theirs() -> None:
    takers: list[Taker] = []

    def make() -> Taker:
        takers.append(Taker())
        return takers[-1]

    loop = asyncio.get_running_loop()
    server = await loop.create_server(make, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    writers = [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(3)]
    for turn in range(2):
        for i, writer in enumerate(writers):
            writer.write(b"%d-%d;" % (turn, i) * 30_000)
        await asyncio.gather(*(writer.drain() for writer in writers))
    for writer in writers:
        writer.close()
        await writer.wait_closed()
    await asyncio.sleep(0.05)
    server.close()
    received = sorted(b"".join(taker.taken) for taker in takers)
    assert received == [b"0-%d;" % i * 30_000 + b"1-%d;" % i * 30_000 for i in range(3)]
    assert max(len(piece) for taker in takers for piece in taker.taken) <= 1 << 16


def test_threads_do_not_share() -> None:
    with ThreadPoolExecutor(2) as pool:
        barrier = threading.Barrier(2)

        def address() -> int:
            barrier.wait()
            return id(Taker().get_buffer(0).obj)

        first, second = pool.submit(address), pool.submit(address)
        assert first.result() != second.result()


def test_both_sides_of_the_relay_read_so() -> None:
    assert issubclass(ClientConnection, asyncio.BufferedProtocol)
    assert issubclass(Connection, asyncio.BufferedProtocol)
