"""Connections to upstreams, kept open between requests."""

import asyncio
import socket
import ssl
from collections import defaultdict
from functools import cached_property, partial
from typing import Final, NamedTuple

from aiohappyeyeballs import start_connection

from routecast.gateway.connection import Connection

KEEP_S: Final = 15.0
"""How long a connection without a request is kept: less than servers commonly keep it, so that a
request does not meet one that is just being closed."""

_SWEEPS_PER_KEEP: Final = 8  # what is kept too long is found an eighth too late at most

_NEXT_ADDRESS_S: Final = 0.25  # RFC 8305, section 5: of a name's addresses, when to try another


class Origin(NamedTuple):
    """Where connections go.

    Attributes:
        host: A name or an address.
        port: Of TCP.
        is_tls: Whether TLS is spoken.
    """

    host: str
    port: int
    is_tls: bool


class ConnectionPool:
    """Opens connections and keeps those that have nothing to do, the last used at hand."""

    def __init__(self) -> None:
        """Begin with none."""
        self._idle: defaultdict[Origin, list[Connection]] = defaultdict(list)
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False

    @property
    def n_idle(self) -> int:
        """Connections that have nothing to do."""
        return sum(len(connections) for connections in self._idle.values())

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])
        return context

    async def connect(self, origin: Origin, *, within_s: float) -> Connection:
        """Return a connection that carries no request.

        Args:
            origin: Where to.
            within_s: How long a new one may take to stand, TLS included.

        Raises:
            TimeoutError: If it took longer.
            ssl.SSLError: If the other side's certificate or TLS is not acceptable.
            OSError: If it cannot be reached.
        """
        idle = self._idle[origin]
        while idle:
            connection = idle.pop()
            if connection.is_usable:
                return connection
        async with asyncio.timeout(within_s):
            return await self._open(origin)

    async def _open(self, origin: Origin) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            addresses = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
        except UnicodeError as error:  # a label of the name is empty or too long
            raise OSError(f"{origin.host!r} is no name of a host: {error}") from None
        wire = await start_connection(addresses, happy_eyeballs_delay=_NEXT_ADDRESS_S)
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        _, connection = await loop.create_connection(
            partial(Connection, partial(self._keep, origin)),
            sock=wire,
            ssl=self._tls if origin.is_tls else None,
            server_hostname=origin.host.rstrip(".") if origin.is_tls else None,
        )
        return connection

    def _keep(self, origin: Origin, connection: Connection) -> None:
        if self._is_closed:
            connection.abort()
            return
        self._idle[origin].append(connection)
        if self._timer is None:
            self._sweep_later()

    def _sweep_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(KEEP_S / _SWEEPS_PER_KEEP, self._sweep)

    def _sweep(self) -> None:
        """Close what has had nothing to do for long, and come again if anything is left."""
        oldest_s = asyncio.get_running_loop().time() - KEEP_S
        self._timer = None
        for origin, connections in self._idle.items():
            for connection in connections:
                if connection.idle_since_s <= oldest_s:
                    connection.abort()
            self._idle[origin] = [kept for kept in connections if kept.is_usable]
        if self.n_idle:
            self._sweep_later()

    async def close(self) -> None:
        """Close what has nothing to do, and whatever comes back from now on."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        for connections in self._idle.values():
            for connection in connections:
                connection.abort()
        self._idle.clear()
        await asyncio.sleep(0)  # the loop closes their sockets
