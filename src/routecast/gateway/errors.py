"""Errors as the clients of each API expect them: as an answer, and as an event in mid-stream.

OpenAI's shape is also that of every path which belongs to no API.
"""

import json
import math
from typing import Any

from starlette.types import Send

from routecast.errors import (
    RequestError,
    RoutecastError,
    UpstreamError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from routecast.gateway.headers import RawHeaders
from routecast.upstream.apis import Api

_ANTHROPIC_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def status_of(error: RoutecastError) -> int:
    """Return the HTTP status that tells a client about an error."""
    if isinstance(error, RequestError):
        return error.status
    if isinstance(error, UpstreamTimeoutError):
        return 504
    if isinstance(error, UpstreamUnavailableError):
        return 503
    return 502 if isinstance(error, UpstreamError) else 500


def code_of(error: RoutecastError) -> str:
    """Return the short machine-readable reason of an error."""
    if isinstance(error, RequestError):
        return error.code
    if isinstance(error, UpstreamTimeoutError):
        return "upstream_timeout"
    if isinstance(error, UpstreamUnavailableError):
        return "upstream_unavailable"
    return "upstream_failed" if isinstance(error, UpstreamError) else "internal_error"


def error_object(error: RoutecastError) -> bytes:
    """Return OpenAI's error object as JSON; it holds the message, and no secret is in one."""
    return _json({"error": _openai_fields(error)})


def error_body(error: RoutecastError, api: Api) -> bytes:
    """Return the body of an answer that is an error, in an API's shape."""
    return _anthropic_object(error) if api is Api.MESSAGES else error_object(error)


def error_event(error: RoutecastError, api: Api, *, sequence_number: int = 0) -> bytes:
    """Return the server-sent event that ends a broken stream, in an API's shape.

    Args:
        error: What happened.
        api: Whose clients read it.
        sequence_number: The event's number, where the API counts its events (responses).
    """
    if api is Api.MESSAGES:
        return b"event: error\ndata: " + _anthropic_object(error) + b"\n\n"
    if api is not Api.RESPONSES:
        return b"data: " + error_object(error) + b"\n\n"
    fields = {"code": code_of(error), "message": str(error), "param": None}
    event = _json({"type": "error", **fields, "sequence_number": sequence_number})
    return b"event: error\ndata: " + event + b"\n\n"


async def send_error(
    send: Send, error: RoutecastError, *, api: Api = Api.CHAT, headers: RawHeaders | None = None
) -> None:
    """Answer a request with an error.

    Args:
        send: Nothing has been sent to it.
        error: What happened.
        api: Whose clients read it.
        headers: Further headers of the answer.
    """
    body = error_body(error, api)
    own = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    if status_of(error) == 401:
        own.append((b"www-authenticate", b"Bearer"))
    if isinstance(error, UpstreamUnavailableError):
        own.append((b"retry-after", str(max(1, math.ceil(error.retry_after_s))).encode()))
    start = {"type": "http.response.start", "status": status_of(error)}
    await send({**start, "headers": own + (headers or [])})
    await send({"type": "http.response.body", "body": body})


def _openai_fields(error: RoutecastError) -> dict[str, str | None]:
    kind = "server_error"
    if isinstance(error, RequestError):
        kind = "invalid_request_error"
    elif isinstance(error, UpstreamError):
        kind = "upstream_error"
    return {"message": str(error), "type": kind, "param": None, "code": code_of(error)}


def _anthropic_object(error: RoutecastError) -> bytes:
    status = status_of(error)
    default = "invalid_request_error" if status < 500 else "api_error"
    kind = _ANTHROPIC_TYPES.get(status, default)
    return _json({"type": "error", "error": {"type": kind, "message": str(error)}})


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()
