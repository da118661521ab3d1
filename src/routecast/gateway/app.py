"""The gateway as an ASGI app.

Chat completions run in raw ASGI, everything else in Starlette: on one core that is the difference
between 80% and 50% of a bare relay's requests per second.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as Path
from starlette.types import ASGIApp, Receive, Scope, Send

from routecast.artifacts import LoadedRouter
from routecast.errors import RequestError, RoutecastError
from routecast.gateway.chat import ChatEndpoint
from routecast.gateway.errors import error_object, status_of
from routecast.gateway.guard import check_caller
from routecast.gateway.loading import resolve_endpoints
from routecast.gateway.relay import open_session, prepare_upstream
from routecast.gateway.routes import RouteTable, build_route_table
from routecast.policy.settings import ServerSettings, Settings

CHAT_PATH = "/v1/chat/completions"
_ENDPOINTS = f"POST {CHAT_PATH}, GET /v1/models, GET /healthz"


def create_app(
    settings: Settings,
    routers: Mapping[str, LoadedRouter],
    *,
    environ: Mapping[str, str] | None = None,
) -> ASGIApp:
    """Build the gateway.

    Args:
        settings: Checked settings.
        routers: Every router that a route names, by that name.
        environ: Where ``env:NAME`` secrets are looked up; nothing is found there if None.

    Returns:
        An ASGI app. Its lifespan must be run: it opens and closes the upstream connections.

    Raises:
        ConfigError: If a secret is missing, or a router cannot answer a route's goal.
    """
    endpoints = resolve_endpoints(settings, environ or {})
    return build_app(build_route_table(settings, routers, endpoints), settings.server)


def build_app(table: RouteTable, settings: ServerSettings) -> ASGIApp:
    """Build the gateway from what clients may ask for.

    Raises:
        ConfigError: If a model's base URL is not a URL.
    """
    upstreams = {name: prepare_upstream(endpoint) for name, endpoint in table.endpoints.items()}
    chat = ChatEndpoint(table=table, upstreams=upstreams, settings=settings)
    rest = _build_rest(table)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await rest(scope, receive, send)
            return
        try:
            check_caller(scope["headers"])
            if scope["path"] == CHAT_PATH and scope["method"] == "POST":
                await chat(scope, receive, send)
            else:
                await rest(scope, receive, send)
        except RoutecastError as error:
            await _error_response(error, scope)(scope, receive, send)

    return app


def _error_response(error: RoutecastError, scope: Scope) -> Response:
    """The one place that turns our errors into OpenAI-shaped JSON."""
    response = Response(error_object(error), status_of(error), media_type="application/json")
    response.raw_headers += scope.get("routecast.headers", [])
    return response


def _build_rest(table: RouteTable) -> Starlette:
    """Build everything that is not the hot path, and the lifespan."""
    models = _list_models(table)

    async def list_models(_: Request) -> Response:
        return JSONResponse(models)

    async def answer_health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def refuse(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        refusal = RequestError(
            f"no such endpoint: {request.method} {request.url.path!r}; there are {_ENDPOINTS}",
            status=status,
            code="no_such_endpoint",
        )
        return _error_response(refusal, request.scope)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, aiohttp.ClientSession]]:
        async with open_session() as session:
            yield {"session": session}

    return Starlette(
        routes=[Path("/v1/models", list_models), Path("/healthz", answer_health)],
        exception_handlers={HTTPException: refuse},
        lifespan=lifespan,
    )


def _list_models(table: RouteTable) -> dict[str, Any]:
    """Describe what clients may ask for, in OpenAI's shape."""
    names = [*table.routes, *table.endpoints]
    return {
        "object": "list",
        "data": [
            {"id": name, "object": "model", "created": 0, "owned_by": "routecast"} for name in names
        ],
    }
