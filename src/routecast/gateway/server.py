"""The gateway as a process: a socket, and a server until it is told to stop."""

import asyncio
import errno
import gc
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from routecast.errors import ConfigError
from routecast.gateway.client_connection import ClientConnection
from routecast.gateway.stopping import STOPPING
from routecast.gateway.tls import TlsFiles

LOOPBACK = "127.0.0.1"
_KEEP_ALIVE_S = 75  # longer than clients keep idle connections, so that they close them first
_SWITCH_S = 0.001  # how long a thread beside the event loop keeps it waiting; Python's is 0.005
_SHUTDOWN_S = 10
_LAST_WORDS_S = 1  # for clients to take the error that ends their answers
_LOOK_EVERY_S = 0.05
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


def serve(
    app: ASGIApp,
    listener: socket.socket,
    *,
    tls: TlsFiles | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve an app until Ctrl-C or SIGTERM; open answers get a few seconds to finish.

    Those that do not are told why they end: event streams by an error event, and who has nothing
    yet by an error. A second Ctrl-C does so at once.

    Args:
        app: The gateway, everything loaded.
        listener: From ``bind``; closed at the end.
        tls: Speak TLS with these; plain HTTP if None.
        tell: Shows people a line while the end waits for open answers.
    """
    config = configure(app, tls=tls)
    config.load()
    server = _Server(config, tell)
    gc.collect()
    gc.freeze()  # what start-up made lives as long as the process: never look at it again
    sys.setswitchinterval(_SWITCH_S)
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
        http=ClientConnection,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="on",
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_SHUTDOWN_S + 3 * _LAST_WORDS_S,  # we are to be first
        ssl_certfile=None if tls is None else str(tls.certificate),
        ssl_keyfile=None if tls is None else str(tls.key),
    )


class _Server(uvicorn.Server):
    """Uvicorn's, but people are told what its end waits for, and clients why answers end."""

    def __init__(self, config: uvicorn.Config, tell: Callable[[str], None]) -> None:
        super().__init__(config)
        self._tell = tell
        self._is_hurried = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end at the first signal, and hurry at another Ctrl-C."""
        if self.should_exit and sig == signal.SIGINT:
            self._is_hurried = True
        else:
            super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End, with what is open."""
        ending = asyncio.create_task(self._end_open_answers())
        await super().shutdown(sockets)
        await ending

    async def _end_open_answers(self) -> None:
        tasks, connections = self.server_state.tasks, self.server_state.connections
        await asyncio.sleep(2 * _LOOK_EVERY_S)  # most need no longer
        if tasks:
            answers = "an open answer" if len(tasks) == 1 else f"{len(tasks)} open answers"
            self._tell(f"waiting up to {_SHUTDOWN_S} s for {answers}; Ctrl-C again to stop at once")
        await _wait_until(lambda: not tasks or self._is_hurried, at_most_s=_SHUTDOWN_S)
        for task in tuple(tasks):
            task.cancel(STOPPING)
        await _wait_until(lambda: not (tasks or connections), at_most_s=_LAST_WORDS_S)
        for connection in tuple(connections):
            connection.transport.abort()


async def _wait_until(is_over: Callable[[], bool], *, at_most_s: float) -> None:
    ends_s = monotonic() + at_most_s
    while not is_over() and monotonic() < ends_s:  # noqa: ASYNC110 (uvicorn's sets tell nobody)
        await asyncio.sleep(_LOOK_EVERY_S)


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
