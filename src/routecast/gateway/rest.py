"""Everything that is not the hot path: models, a decision without a call, health, metrics."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from os import urandom
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as Path
from starlette.types import Receive, Scope, Send

from routecast.errors import RequestError, RoutecastError
from routecast.gateway.body import RequestBody, read_request_body
from routecast.gateway.breaker import BreakerState
from routecast.gateway.endpoint import Gateway
from routecast.gateway.errors import error_body, status_of
from routecast.gateway.headers import decision_headers
from routecast.gateway.intake import read_body, send_then_drain
from routecast.gateway.large_bodies import in_thread_if_large
from routecast.gateway.metrics import CONTENT_TYPE, GatewayMetrics
from routecast.gateway.routes import RouteTable
from routecast.gateway.surfaces import SURFACES, Surface, api_of_path
from routecast.upstream.apis import Api

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[Mapping[str, Any]]]

_GET = ("GET", "HEAD")
_OTHER_PATHS: Mapping[str, tuple[str, ...]] = {
    "/v1/models": _GET,
    "/v1/route": ("POST",),
    "/healthz": _GET,
    "/readyz": _GET,
    "/metrics": _GET,
}
_SURFACE_PATHS: Mapping[Api, str] = {
    api: next(path for path, surface in SURFACES.items() if surface.api is api)
    for api in Api
    if api is not Api.EMBEDDINGS
}


def build_rest(gateway: Gateway, metrics: GatewayMetrics, lifespan: Lifespan) -> Starlette:
    """Return the app for all paths but the surfaces, and for these with a wrong method."""
    table = gateway.decider.table

    async def list_models(request: Request) -> Response:
        return JSONResponse(_describe_models(table, request))

    async def describe_model(request: Request) -> Response:
        name = request.path_params["name"]
        found = [model for model in _describe_models(table, request)["data"] if model["id"] == name]
        if not found:
            raise RequestError(
                f"unknown model {name[:100]!r}; GET /v1/models lists those that exist",
                status=404,
                code="model_not_found",
            )
        return JSONResponse(found[0])

    async def answer_health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def answer_readiness(_: Request) -> Response:
        breakers = [upstream.breaker.state for upstream in gateway.upstreams.values()]
        if all(state is BreakerState.OPEN for state in breakers):
            return JSONResponse({"status": "every model is failing"}, 503)
        return JSONResponse({"status": "ready"})

    async def show_metrics(_: Request) -> Response:
        return Response(metrics.render(), headers={"content-type": CONTENT_TYPE})

    async def decide_only(request: Request) -> Response:
        return await _decide_only(gateway, request)

    app = Starlette(
        routes=[
            Path("/v1/models", list_models),
            Path("/v1/models/{name:path}", describe_model),
            Path("/v1/route", decide_only, methods=["POST"]),
            Path("/healthz", answer_health),
            Path("/readyz", answer_readiness),
            Path("/metrics", show_metrics),
        ],
        exception_handlers={HTTPException: _refuse_path, RoutecastError: _refuse},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # a path that does not exist is a 404
    return app


class _Refusal(Response):
    """An error in OpenAI's shape, which waits for a client that is still sending."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().__call__(scope, receive, send_then_drain(send, receive))


async def _refuse(_: Request, error: Exception) -> Response:
    if not isinstance(error, RoutecastError):
        raise error
    body, status = error_body(error, Api.CHAT), status_of(error)
    kind = _Refusal if status == 413 else Response
    return kind(body, status, media_type="application/json")


async def _refuse_path(request: Request, error: Exception) -> Response:
    """Say which paths and methods there are, in the shape of the path's API."""
    path = request.url.path
    surface = SURFACES.get(path)
    allowed = ("POST",) if surface else _OTHER_PATHS.get(path, _GET)
    if surface is not None or (isinstance(error, HTTPException) and error.status_code == 405):
        refusal = RequestError(
            f"{request.method} is not accepted at {path!r}; send {' or '.join(allowed)}",
            status=405,
            code="method_not_allowed",
        )
        headers = {"allow": ", ".join(allowed)}
    else:
        posts = [*SURFACES, *(p for p, methods in _OTHER_PATHS.items() if "POST" in methods)]
        gets = [p for p, methods in _OTHER_PATHS.items() if "GET" in methods]
        refusal = RequestError(
            f"no such endpoint: {request.method} {path!r}; there are POST {', '.join(posts)} and "
            f"GET {', '.join(gets)}",
            status=404,
            code="no_such_endpoint",
        )
        headers = {}
    return _Refusal(
        error_body(refusal, api_of_path(path)),
        refusal.status,
        headers,
        media_type="application/json",
    )


def _describe_models(table: RouteTable, request: Request) -> dict[str, Any]:
    """Describe what clients may ask for, in OpenAI's shape, or Anthropic's for its clients."""
    apis = table.apis
    if "anthropic-version" in request.headers:
        models = [
            {
                "type": "model",
                "id": name,
                "display_name": name,
                "created_at": "1970-01-01T00:00:00Z",
            }
            for name in apis
        ]
        ends = {"first_id": models[0]["id"], "last_id": models[-1]["id"]}
        return {"data": models, "has_more": False, **ends}
    return {
        "object": "list",
        "data": [
            {
                "id": name,
                "object": "model",
                "created": 0,
                "owned_by": "routecast",
                "apis": sorted(spoken),
            }
            for name, spoken in apis.items()
        ],
    }


async def _decide_only(gateway: Gateway, request: Request) -> Response:
    """Answer ``POST /v1/route``: what would become of a request, and nothing is called."""
    headers = request.scope["headers"]
    max_bytes = gateway.settings.max_body_mib << 20
    content = await read_body(headers, request.receive, max_bytes=max_bytes)
    if content is None:
        return Response()
    body = await in_thread_if_large(len(content), read_request_body, content)
    surface = _surface_of(body, gateway.decider.table, request.query_params.get("api"))
    decided = await gateway.decider.decide(surface, body, headers)
    decision = decided.decision
    identity = urandom(12).hex()
    document = {
        "decision": identity,
        "route": decided.route,
        "model": decision.model,
        "win_probability": decision.win_probability,
        "threshold": decision.threshold,
        "reason": decision.reason,
        "candidates": list(decided.candidates),
    }
    response = JSONResponse(document)
    response.raw_headers += decision_headers(decision, identity)
    return response


def _surface_of(body: RequestBody, table: RouteTable, api: str | None) -> Surface:
    """Return the surface that the body is for: the one named, or the one whose fields it has.

    Raises:
        RequestError: If the named API is none that routes have, or the model that the body names
            does not speak the one that is meant.
    """
    meant = _api_of(body, table, api)
    spoken = table.apis.get(body.model)
    if spoken is not None and meant not in spoken:
        able = [str(known) for known in _SURFACE_PATHS if known in spoken]
        advice = "send the body of one of these" if able else "name a route or another model"
        raise RequestError(
            f"model {body.model[:100]!r} has apis {[str(known) for known in sorted(spoken)]!r}, "
            f"and the request is one of {str(meant)!r}; {advice}",
            code="model_not_served_here",
        )
    return SURFACES[_SURFACE_PATHS[meant]]


def _api_of(body: RequestBody, table: RouteTable, api: str | None) -> Api:
    routable = [*_SURFACE_PATHS]
    if api is not None:
        if api not in routable:
            raise RequestError(
                f"api {api[:100]!r} is none that a route has; choose one of "
                f"{[str(known) for known in routable]!r}",
                code="unknown_api",
            )
        return Api(api)
    fields = body.fields
    if fields.input != _NULL:
        return Api.RESPONSES
    if fields.prompt != _NULL:
        return Api.COMPLETIONS
    spoken = table.apis.get(body.model, frozenset())
    return Api.MESSAGES if Api.MESSAGES in spoken and Api.CHAT not in spoken else Api.CHAT


_NULL = msgspec.Raw(b"null")
