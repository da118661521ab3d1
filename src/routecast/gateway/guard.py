"""Who may talk to the gateway: holders of a key, or else programs on this machine alone.

A page in the user's browser can send requests to loopback, and a host name of an attacker's can
be made to resolve to it. So without keys ``Host`` must name loopback, and a request that a browser
sends for another origin is refused, on every endpoint: a web page must not be able to spend the
user's money. With keys a page is as foreign as any other client: it does not know one.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from routecast.errors import ConfigError, RequestError
from routecast.gateway.keys import ClientKeys, keep_client_keys, shown_keys
from routecast.policy.settings import ServerSettings

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
"""What whoever watches over the gateway may ask without a key; the answers say nothing else."""

_ANSWER_HEADERS = [
    "x-request-id",
    *(
        f"x-routecast-{name}"
        for name in ("decision", "model", "reason", "threshold", "win-probability")
    ),
]


@dataclass(frozen=True, kw_only=True)
class Guard:
    """What a request must show before anything else of it is read.

    Attributes:
        keys: One of these must be shown; None asks for none.
        any_host: Without keys, whether ``Host`` may be anything: only under ``--insecure``.
        scheme: Of this server's own origin, ``http`` or ``https``.
    """

    keys: ClientKeys | None = None
    any_host: bool = False
    scheme: str = "http"

    def check(self, path: str, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Let a request pass that has the right to.

        Args:
            path: The request's path.
            headers: As ASGI gives them: names in lower case.

        Raises:
            RequestError: Status 401 if a key is asked for and none of these is shown. Without
                keys, status 403 if ``Host`` is missing or not loopback, or if ``Origin`` is any
                other than this server's own.
        """
        if self.keys is None:
            self._check_neighbour(headers)
        elif path not in OPEN_PATHS:
            _check_key(self.keys, headers)

    def _check_neighbour(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        named = dict(headers)
        host, origin = named.get(b"host"), named.get(b"origin")
        if len(named) < len(headers):  # two hosts are no host, and two origins none of ours
            names = [name for name, _ in headers]
            host = host if names.count(b"host") == 1 else None
            origin = b"" if names.count(b"origin") > 1 else origin
        if host is None or not (self.any_host or _is_loopback(host)):
            raise RequestError(
                "this gateway asks for no key and so serves its own machine only; address it as "
                "127.0.0.1 or localhost, or set client_keys in [server]",
                status=403,
                code="host_refused",
            )
        own_origin = b"%s://%s" % (self.scheme.encode(), host.lower())
        if origin is not None and origin.lower() != own_origin:
            raise RequestError(
                "this gateway asks for no key and so serves no web page of another origin; set "
                "client_keys and cors_origins in [server]",
                status=403,
                code="origin_refused",
            )


def _check_key(keys: ClientKeys, headers: Sequence[tuple[bytes, bytes]]) -> None:
    shown = shown_keys(headers)
    if not shown:
        raise RequestError(
            "this gateway asks for a key; send one as 'Authorization: Bearer KEY' or 'x-api-key'",
            status=401,
            code="missing_api_key",
        )
    if all([keys.find(key) is None for key in shown]):  # noqa: C419 (no early end)
        raise RequestError(
            "the key is none of this gateway's; it accepts those that client_keys in [server] "
            "points at",
            status=401,
            code="invalid_api_key",
        )


@lru_cache(maxsize=64)
def _is_loopback(host: bytes) -> bool:
    """Return whether a ``Host`` value names loopback, with or without a port."""
    name, colon, port = host.rpartition(b":")
    if not colon or host.endswith(b"]"):
        name, port = host, b"0"
    bracketed = name.startswith(b"[") and name.endswith(b"]")
    if b":" in name and not bracketed:
        return False
    bare = name[1:-1] if bracketed else name
    return port.isdigit() and is_loopback_host(bare.decode("latin-1"))


def is_loopback_host(host: str) -> bool:
    """Return whether a host can only be this machine: ``localhost`` or a loopback address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_exposure(settings: ServerSettings, *, insecure: bool) -> None:
    """Refuse to listen beyond this machine without asking for a key.

    Args:
        settings: Where the gateway listens, and which keys it asks for.
        insecure: Whether the user accepts that whoever reaches the port may spend their money.

    Raises:
        ConfigError: If the gateway would be open to other machines.
    """
    if not (settings.client_keys or insecure or is_loopback_host(settings.host)):
        raise ConfigError(
            f"host {settings.host!r} is open to other machines, and whoever reaches it could "
            "spend your money; set client_keys in [server] (env:NAME or file:PATH), listen on "
            "127.0.0.1, or accept it with --insecure"
        )


def build_guard(
    settings: ServerSettings, client_keys: Sequence[str], *, insecure: bool = False
) -> Guard:
    """Return the guard that the settings ask for.

    Args:
        settings: Where the gateway listens, and how.
        client_keys: The secrets themselves that ``settings.client_keys`` points at.
        insecure: Whether the user accepts that whoever reaches the port may spend their money.

    Raises:
        ConfigError: If the gateway would be open to other machines, see ``check_exposure``.
    """
    check_exposure(settings, insecure=insecure)
    return Guard(
        keys=keep_client_keys(client_keys),
        any_host=insecure,
        scheme="https" if settings.tls_certificate else "http",
    )


def allow_origins(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """Let web pages of these origins read the app's answers; the app itself if there are none."""
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=list(origins),
        allow_methods=["GET", "POST"],
        allow_headers=["*"],
        expose_headers=_ANSWER_HEADERS,
    )
