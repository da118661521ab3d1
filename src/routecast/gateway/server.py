"""The gateway as a process: a socket, and a server until it is told to stop."""

import errno
import gc
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from routecast.errors import ConfigError
from routecast.gateway.request_head import LimitedHeadProtocol
from routecast.gateway.tls import TlsFiles

LOOPBACK = "127.0.0.1"
_KEEP_ALIVE_S = 75  # longer than clients keep idle connections, so that they close them first
_SHUTDOWN_S = 10
_REASONS = {
    errno.EADDRINUSE: "is in use",
    errno.EACCES: "needs more rights than we have",
    errno.EADDRNOTAVAIL: "is no address of this machine",
}


def bind(port: int, *, host: str = LOOPBACK) -> socket.socket:
    """Return a socket that listens.

    Args:
        port: 0 takes any free port.
        host: An address of this machine or a name for one; of several, the first is taken.

    Raises:
        ConfigError: If the port is in use or not ours to take, or the host is not this machine.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.create_server(address[:2], family=family)
    except socket.gaierror as error:
        raise ConfigError(
            f"host {host!r} cannot be resolved ({error.strerror}); give an address such as "
            "127.0.0.1, or 0.0.0.0 for every address of this machine"
        ) from None
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, f"cannot be bound: {error.strerror}")
        raise ConfigError(
            f"port {port!r} on {host} {reason}; choose another with --port, 0 for any free one, "
            "or another host with --host"
        ) from None
    # Connections inherit this. Asyncio only sets it on sockets made with an explicit protocol, and
    # without it an answer on a kept-alive connection waits 40 ms for the client's acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def address_of(listener: socket.socket, *, tls: TlsFiles | None = None) -> str:
    """Return where clients on this machine reach the socket, as ``scheme://host:port``."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host)  # noqa: S104 (not bound, replaced)
    scheme = "http" if tls is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def serve(app: ASGIApp, listener: socket.socket, *, tls: TlsFiles | None = None) -> None:
    """Serve an app until Ctrl-C or SIGTERM; open answers get a few seconds to finish.

    Args:
        app: The gateway, everything loaded.
        listener: From ``bind``; closed at the end.
        tls: Speak TLS with these; plain HTTP if None.
    """
    config = configure(app, tls=tls)
    config.load()
    server = uvicorn.Server(config)
    gc.collect()
    gc.freeze()  # what start-up made lives as long as the process: never look at it again
    with _signals_spent():
        server.run(sockets=[listener])


def configure(app: ASGIApp, *, tls: TlsFiles | None = None) -> uvicorn.Config:
    """Return how uvicorn serves the gateway.

    Args:
        app: The gateway, everything loaded.
        tls: Speak TLS with these; plain HTTP if None.
    """
    return uvicorn.Config(
        app,
        http=LimitedHeadProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="on",
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_SHUTDOWN_S,
        ssl_certfile=None if tls is None else str(tls.certificate),
        ssl_keyfile=None if tls is None else str(tls.key),
    )


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
