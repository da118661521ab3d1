"""Any ASGI app on a loopback port, inside the event loop that is already running."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from routecast.testing.delivery import TRANSPORT


class _Server(uvicorn.Server):
    """A server that says when it is ready, and leaves Ctrl-C to the program around it."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _OpenProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """HTTP that gives its app the connection itself, so that the app can break it."""

    app: ASGIApp

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        app = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            extensions = {**scope.get("extensions", {}), TRANSPORT: transport}
            await app({**scope, "extensions": extensions}, receive, send)

        self.app = with_transport


@asynccontextmanager
async def serve_on_loopback(
    app: ASGIApp, *, port: int = 0, http: type[asyncio.Protocol] = _OpenProtocol
) -> AsyncIterator[str]:
    """Serve an app on 127.0.0.1 until the block ends.

    Args:
        app: Any ASGI app; its lifespan is run if it has one.
        port: 0 takes any free port.
        http: How connections are served; the default lets the app break them.

    Yields:
        The address, for example ``http://127.0.0.1:54321``.
    """
    listener = socket.create_server(("127.0.0.1", port))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio leaves it off here
    config = uvicorn.Config(
        app,
        http=http,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        ws="none",
        timeout_keep_alive=75,  # clients close idle connections first, or they would meet a race
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        ready = asyncio.create_task(server.ready.wait())
        await asyncio.wait({ready, running}, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            ready.cancel()
            raise RuntimeError("the app's lifespan failed before it could serve; see the log")
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await running


@asynccontextmanager
async def serve_upstream(upstream: ASGIApp) -> AsyncIterator[str]:
    """Serve a fake upstream until the block ends.

    Yields:
        Its base URL, for example ``http://127.0.0.1:54321/v1``.
    """
    async with serve_on_loopback(upstream) as address:
        yield f"{address}/v1"
