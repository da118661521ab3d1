"""What the relay needs to know of a request: whom to ask, in which order, and what to send."""

import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import msgspec
from yarl import URL

from routecast.errors import ConfigError
from routecast.gateway.breaker import Breaker, BreakerState
from routecast.gateway.echoes import secret_of
from routecast.gateway.events import Tap
from routecast.gateway.headers import RawHeaders
from routecast.gateway.pool import ConnectionPool, Origin
from routecast.gateway.retry_budget import RetryBudget
from routecast.gateway.surfaces import SURFACES, Surface
from routecast.policy.settings import ServerSettings
from routecast.upstream.apis import Api
from routecast.upstream.endpoint import Endpoint
from routecast.upstream.retry import RetryPolicy

_LOGGER = logging.getLogger("routecast.gateway")

BASE_DELAY_S = 0.5
"""The longest wait before the first retry; half of it at least."""

MAX_DELAY_S = 8.0
"""Where the doubling of waits ends."""

MAX_RETRY_AFTER_S = 10.0
"""The longest ``Retry-After`` that a request waits for, its client with it; an upstream that asks
for more is not retried, and its refusal passes with that header if no other model answers."""


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """An endpoint with everything about calls that does not change between them.

    Attributes:
        endpoint: Where the model is.
        name: Its name in the settings.
        model_json: Its own name for the model, as a JSON string.
        secret: What must never come back from it; None where it has no key.
        origin: Where it is.
        host: What its ``Host`` header says.
        paths: On that host, by ``Surface.upstream_path``.
        key_headers: What identifies us to it, by API.
        retry_policy: How often and how patiently it is tried.
        breaker: Whether it is asked at all.
        budget: Whether there may be a retry.
    """

    endpoint: Endpoint
    name: str
    model_json: bytes
    secret: bytes | None
    origin: Origin
    host: bytes
    paths: Mapping[str, bytes]
    key_headers: Mapping[Api, RawHeaders]
    retry_policy: RetryPolicy
    breaker: Breaker
    budget: RetryBudget


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it goes upstream, to whomever it goes.

    Attributes:
        candidates: The model that was decided for, then the fallback chain; none twice.
        surface: What the client called.
        query: The query string of the client's request.
        body_for: Returns the body with the upstream's own name for the model.
        headers_for: Returns the headers with the upstream's own key, without ``Host`` and the
            body's length.
        taps_for: Returns who sees the answer on its way, for an upstream and the headers of an
            answer with status 200; None where nobody does, which costs nothing.
    """

    candidates: tuple[Upstream, ...]
    surface: Surface
    query: bytes
    body_for: Callable[[Upstream], bytes]
    headers_for: Callable[[Upstream], RawHeaders]
    taps_for: Callable[[Upstream, RawHeaders], tuple[Tap, ...]] | None = None


def prepare_upstream(endpoint: Endpoint, server: ServerSettings) -> Upstream:
    """Make an endpoint ready for calls.

    Args:
        endpoint: A configured model.
        server: What holds for every model: breaker and retry budget.

    Raises:
        ConfigError: If its base URL is not a URL.
    """
    try:
        url = URL(endpoint.url("/"))
    except ValueError as error:
        raise ConfigError(f"models.{endpoint.name}.base_url is not a URL: {error}") from None
    host, port, named = url.raw_host, url.port, url.host_port_subcomponent
    if host is None or port is None or named is None:
        raise ConfigError(f"models.{endpoint.name}.base_url {endpoint.base_url!r} names no host")
    return Upstream(
        endpoint=endpoint,
        name=endpoint.name,
        model_json=json.dumps(endpoint.model).encode(),
        secret=secret_of(endpoint.api_key),
        origin=Origin(host, port, is_tls=url.scheme == "https"),
        host=named.encode(),
        paths={
            surface.upstream_path: (url.raw_path.rstrip("/") + surface.upstream_path).encode()
            for surface in SURFACES.values()
        },
        key_headers={
            api: [(name.lower().encode(), value.encode()) for name, value in headers.items()]
            for api, headers in ((api, endpoint.headers(api)) for api in endpoint.apis)
        },
        retry_policy=RetryPolicy(
            n_attempts=endpoint.n_retries + 1,
            base_delay_s=BASE_DELAY_S,
            max_delay_s=MAX_DELAY_S,
            max_retry_after_s=MAX_RETRY_AFTER_S,
        ),
        breaker=Breaker(
            n_failures=server.breaker_failures,
            open_s=server.breaker_open_s,
            tell=partial(_log_breaker, endpoint.name, server.breaker_open_s),
        ),
        budget=RetryBudget(server.retry_budget),
    )


def _log_breaker(model: str, open_s: float, state: BreakerState) -> None:
    """Log that a model is left alone from now on, or no longer."""
    fields = {"model": model, "breaker": str(state)}
    if state is BreakerState.OPEN:
        message = "model %r has failed too often and is left alone for %g s"
        _LOGGER.warning(message, model, open_s, extra={"fields": fields})
    else:
        _LOGGER.warning("model %r answers again", model, extra={"fields": fields})


@asynccontextmanager
async def open_pool() -> AsyncIterator[ConnectionPool]:
    """Open the pool of upstream connections, and close it at the end."""
    pool = ConnectionPool()
    try:
        yield pool
    finally:
        await pool.close()
