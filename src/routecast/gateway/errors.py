"""Errors as clients of the OpenAI API expect them."""

import json

from routecast.errors import RequestError, RoutecastError, UpstreamError, UpstreamTimeoutError


def status_of(error: RoutecastError) -> int:
    """Return the HTTP status that tells a client about an error."""
    if isinstance(error, RequestError):
        return error.status
    if isinstance(error, UpstreamTimeoutError):
        return 504
    return 502 if isinstance(error, UpstreamError) else 500


def error_object(error: RoutecastError) -> bytes:
    """Return OpenAI's error object as JSON; it holds the message, and no secret is in one."""
    if isinstance(error, RequestError):
        kind, code = "invalid_request_error", error.code
    elif isinstance(error, UpstreamTimeoutError):
        kind, code = "upstream_error", "upstream_timeout"
    elif isinstance(error, UpstreamError):
        kind, code = "upstream_error", "upstream_failed"
    else:
        kind, code = "server_error", "internal_error"
    fields = {"message": str(error), "type": kind, "param": None, "code": code}
    return json.dumps({"error": fields}).encode()
