"""Who may talk to a gateway that asks for no key: programs on this machine, and no web page.

A page in the user's browser can send requests to loopback, and a host name of an attacker's can
be made to resolve to it. So ``Host`` must name loopback, and a request that a browser sends for
another origin is refused.
"""

from collections.abc import Iterable
from functools import lru_cache

from routecast.errors import RequestError

_LOOPBACK = frozenset({b"127.0.0.1", b"localhost", b"[::1]"})


def check_caller(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Let a request of this machine's own programs pass.

    Args:
        headers: As ASGI gives them: names in lower case.

    Raises:
        RequestError: Status 403, if ``Host`` is missing or not loopback, or ``Origin`` is any
            other than this server's own.
    """
    host = origin = None
    for name, value in headers:
        if name == b"host":
            host = value if host is None else b""  # two hosts are no host
        elif name == b"origin":
            origin = value if origin is None else b""
    if host is None or not _is_loopback(host):
        raise RequestError(
            "this gateway serves its own machine only; address it as 127.0.0.1 or localhost",
            status=403,
            code="host_refused",
        )
    if origin is not None and origin.lower() != b"http://" + host.lower():
        raise RequestError(
            "this gateway does not serve web pages of another origin",
            status=403,
            code="origin_refused",
        )


@lru_cache(maxsize=64)
def _is_loopback(host: bytes) -> bool:
    """Return whether a ``Host`` value names loopback, with or without a port."""
    name, colon, port = host.rpartition(b":")
    if not colon or host.endswith(b"]"):
        name, port = host, b"0"
    return name.lower() in _LOOPBACK and port.isdigit()
