"""routecast.toml: what may stand in it, and a message for whatever may not.

The descriptions here and in ``model_settings`` and ``route_settings`` are the reference that users
read. Reading the file and the secrets is the caller's: nothing here touches disk, network or
environment.
"""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from routecast.policy.model_settings import ModelSettings
from routecast.policy.route_settings import RouteSettings
from routecast.policy.table import Name, SecretReference, Table

DEFAULT_PORT = 6060
"""The port of ``routellm``'s server, so that its clients find this one unchanged."""


def _check_origin(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or value != f"{parts.scheme}://{parts.netloc}":
        raise ValueError("accepted: an origin such as https://app.example.com, no path, no '*'")
    return value.lower()


class ServerSettings(Table):
    """How the gateway listens, who may call it, and how patient it is with upstreams in all."""

    host: str = Field(default="127.0.0.1", min_length=1)
    """The address to listen on. Any but loopback needs client_keys, or serve's --insecure."""

    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535)
    """The port; 0 takes any free one."""

    client_keys: tuple[SecretReference, ...] = Field(default=(), strict=False)
    """Where the keys are that clients must send, as env:NAME or file:PATH; no key is asked for if
    there are none."""

    tls_certificate: str | None = Field(default=None, min_length=1)
    """A PEM file with the certificate and its chain, for https; it needs tls_key."""

    tls_key: str | None = Field(default=None, min_length=1)
    """A PEM file with the certificate's private key."""

    cors_origins: tuple[Annotated[str, AfterValidator(_check_origin)], ...] = Field(
        default=(), strict=False
    )
    """Origins whose web pages may call the gateway from a browser, such as
    https://app.example.com; it needs client_keys."""

    max_body_mib: int = Field(default=32, ge=1, le=1024)
    """The largest request body, in MiB; a larger one is refused with status 413."""

    keep_alive_s: float = Field(default=15.0, gt=0)
    """Seconds of silence in a stream after which a comment is sent, so that nothing between closes
    the connection."""

    retry_budget: float = Field(default=0.2, ge=0, le=1)
    """The most retries as a share of requests, so that a failing upstream is not stormed; a few are
    always allowed."""

    breaker_failures: int = Field(default=5, ge=1)
    """Requests in a row that a model failed, after which it is left alone for a while."""

    breaker_open_s: float = Field(default=30.0, gt=0)
    """Seconds that a failing model is left alone before one request tries it again."""

    state_folder: str = Field(default=".routecast", min_length=1)
    """Where the gateway keeps what it must remember between workers and restarts: which model made
    which response. Relative folders begin at the settings file's own; it is made when a route
    serves the responses API."""

    log: Literal["warning", "info"] = "warning"
    """What is logged to stderr: warning for faults alone, info for one JSON line per request, never
    with a prompt."""

    @model_validator(mode="after")
    def _check_pairs(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key belong together; set both or neither")
        if self.cors_origins and not self.client_keys:
            raise ValueError("cors_origins needs client_keys: any web page could spend your money")
        return self


class Settings(Table):
    """All of routecast.toml."""

    models: dict[Name, ModelSettings] = Field(min_length=1)
    """The upstream models, one table each."""

    routes: dict[Name, RouteSettings] = Field(default={})
    """The routes between them, one table each."""

    server: ServerSettings = ServerSettings()
    """How the gateway listens, who may call it, and how patient it is."""
