"""The gateway as a process: a socket on loopback, and a server until it is told to stop."""

import errno
import gc
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from routecast.errors import ConfigError

LOOPBACK = "127.0.0.1"
_KEEP_ALIVE_S = 75  # longer than clients keep idle connections, so that they close them first
_SHUTDOWN_S = 10


def bind_loopback(port: int) -> socket.socket:
    """Return a socket that listens on 127.0.0.1.

    Args:
        port: 0 takes any free port.

    Raises:
        ConfigError: If the port is in use, or not ours to take.
    """
    try:
        listener = socket.create_server((LOOPBACK, port))
    except OSError as error:
        reasons = {errno.EADDRINUSE: "is in use", errno.EACCES: "needs more rights than we have"}
        reason = reasons.get(error.errno or 0, f"cannot be bound: {error.strerror}")
        raise ConfigError(
            f"port {port!r} on {LOOPBACK} {reason}; choose another with --port, 0 for any free one"
        ) from None
    # Connections inherit this. Asyncio only sets it on sockets made with an explicit protocol, and
    # without it an answer on a kept-alive connection waits 40 ms for the client's acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def serve(app: ASGIApp, listener: socket.socket) -> None:
    """Serve an app until Ctrl-C or SIGTERM; open answers get a few seconds to finish.

    Args:
        app: The gateway, everything loaded.
        listener: From ``bind_loopback``; closed at the end.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="on",
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_SHUTDOWN_S,
    )
    config.load()
    server = uvicorn.Server(config)
    gc.collect()
    gc.freeze()  # what start-up made lives as long as the process: never look at it again
    with _signals_spent():
        server.run(sockets=[listener])


@contextmanager
def _signals_spent() -> Iterator[None]:
    """Let the signals that ended the server end nothing else.

    Uvicorn raises them again after its shutdown, which would turn a clean end into an error.
    """
    handled = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: None) for number in handled}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
