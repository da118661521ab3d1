"""The gateway as an ASGI app.

The surfaces run in raw ASGI, everything else in Starlette: on one core that is the difference
between 80% and 50% of a bare relay's requests per second.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from routecast.artifacts import LoadedRouter
from routecast.errors import RequestError
from routecast.gateway.breaker import Breaker
from routecast.gateway.conversations import (
    Conversations,
    FileConversations,
    MemoryConversations,
    conversations_file,
)
from routecast.gateway.deciding import Decider
from routecast.gateway.endpoint import Gateway, SurfaceEndpoint
from routecast.gateway.errors import send_error
from routecast.gateway.guard import Guard, allow_origins, build_guard
from routecast.gateway.intake import send_then_drain
from routecast.gateway.loading import resolve_client_keys, resolve_endpoints
from routecast.gateway.log import RequestLog
from routecast.gateway.metrics import GatewayMetrics
from routecast.gateway.plan import open_pool, prepare_upstream
from routecast.gateway.rest import build_rest
from routecast.gateway.routes import RouteTable, build_route_table
from routecast.gateway.scorer import build_scorer
from routecast.gateway.stopping import is_stop, stop_error
from routecast.gateway.surfaces import SURFACES, api_of_path
from routecast.policy.settings import ServerSettings, Settings
from routecast.upstream.apis import Api


def create_app(
    settings: Settings,
    routers: Mapping[str, LoadedRouter],
    *,
    environ: Mapping[str, str] | None = None,
) -> ASGIApp:
    """Build the gateway; what it remembers is kept in this process alone.

    Args:
        settings: Checked settings.
        routers: Every router that a route names, by that name.
        environ: Where ``env:NAME`` secrets are looked up; nothing is found there if None.

    Returns:
        An ASGI app. Its lifespan must be run: it opens and closes the upstream connections.

    Raises:
        ConfigError: If a secret is missing, or a router cannot answer a route's goal.
    """
    environ = environ or {}
    table = build_route_table(settings, routers, resolve_endpoints(settings, environ))
    guard = build_guard(settings.server, resolve_client_keys(settings.server, environ))
    return build_app(table, settings.server, guard)


def build_app(
    table: RouteTable, settings: ServerSettings, guard: Guard, *, folder: Path | None = None
) -> ASGIApp:
    """Build the gateway from what clients may ask for.

    Args:
        table: Routes and models.
        settings: Limits.
        guard: Who may ask.
        folder: Where the settings' relative folders begin; None keeps what is remembered in this
            process alone.

    Raises:
        ConfigError: If a model's base URL is not a URL, or the state folder cannot be written.
    """
    upstreams = {
        name: prepare_upstream(endpoint, settings) for name, endpoint in table.endpoints.items()
    }
    routers = {route.router_name: route.router for route in table.routes.values()}
    metrics = GatewayMetrics(
        table,
        breaker_states={
            name: _breaker_state(upstream.breaker) for name, upstream in upstreams.items()
        },
    )
    prices = {
        name: endpoint.price
        for name, endpoint in table.endpoints.items()
        if endpoint.price is not None
    }
    gateway = Gateway(
        guard=guard,
        decider=Decider(
            table=table,
            scorers={name: build_scorer(router, name=name) for name, router in routers.items()},
            conversations=_open_conversations(table, settings, folder),
        ),
        upstreams=upstreams,
        settings=settings,
        observers=(metrics, RequestLog(prices)),
    )
    return allow_origins(_route_paths(gateway, metrics), settings.cors_origins)


def _breaker_state(breaker: Breaker) -> Callable[[], str]:
    return lambda: breaker.state


def _open_conversations(
    table: RouteTable, settings: ServerSettings, folder: Path | None
) -> Conversations:
    """Return what remembers responses: a file only where a route may need it."""
    if folder is None or not any(Api.RESPONSES in route.apis for route in table.routes.values()):
        return MemoryConversations()
    return FileConversations(conversations_file(settings, folder))


def _route_paths(gateway: Gateway, metrics: GatewayMetrics) -> ASGIApp:
    """Return the app: each path to its endpoint, whatever happens."""
    endpoints = {path: SurfaceEndpoint(surface, gateway) for path, surface in SURFACES.items()}

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[dict[str, Any]]:
        async with open_pool() as pool:
            try:
                yield {"pool": pool}
            finally:
                gateway.decider.conversations.close()

    rest = build_rest(gateway, metrics, lifespan)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await rest(scope, receive, send)
            return
        endpoint = endpoints.get(scope["path"])
        if endpoint is not None and scope["method"] == "POST":
            await endpoint(scope, receive, send)
            return
        try:
            gateway.guard.check(scope["path"], scope["headers"])
            await rest(scope, receive, send)
        except RequestError as error:
            api = api_of_path(scope["path"])
            await send_error(send_then_drain(send, receive), error, api=api)
        except asyncio.CancelledError as error:
            if not is_stop(error):
                raise
            await send_error(send, stop_error(), api=api_of_path(scope["path"]))

    return app
