"""Errors in the shape that each API's clients expect."""

import json
from typing import Any

import pytest

from routecast.errors import (
    ConfigError,
    RequestError,
    RoutecastError,
    UpstreamError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from routecast.gateway.errors import code_of, error_body, error_event, send_error, status_of
from routecast.upstream.apis import Api

pytestmark = pytest.mark.anyio

REFUSED = RequestError("no", status=404, code="model_not_found")
BROKEN = UpstreamError("broke off")
LATE = UpstreamTimeoutError("late")
NOBODY = UpstreamUnavailableError("nobody", retry_after_s=2.1)
OPENAI_APIS = [Api.CHAT, Api.RESPONSES, Api.COMPLETIONS, Api.EMBEDDINGS]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (REFUSED, 404, "model_not_found"),
        (BROKEN, 502, "upstream_failed"),
        (LATE, 504, "upstream_timeout"),
        (NOBODY, 503, "upstream_unavailable"),
        (ConfigError("x"), 500, "internal_error"),
    ],
)
def test_every_error_has_a_status_and_a_code(error: RoutecastError, status: int, code: str) -> None:
    assert (status_of(error), code_of(error)) == (status, code)


@pytest.mark.parametrize("api", OPENAI_APIS)
def test_openai_s_apis_have_openai_s_object(api: Api) -> None:
    # https://platform.openai.com/docs/guides/error-codes: message, type, param, code
    assert json.loads(error_body(REFUSED, api)) == {
        "error": {
            "message": "no", "type": "invalid_request_error", "param": None,
            "code": "model_not_found",
        }
    }  # fmt: skip


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        # https://docs.anthropic.com/en/api/errors: the types by their status
        (RequestError("no"), "invalid_request_error"),
        (RequestError("no", status=401), "authentication_error"),
        (RequestError("no", status=403), "permission_error"),
        (REFUSED, "not_found_error"),
        (RequestError("no", status=413), "request_too_large"),
        (RequestError("no", status=429), "rate_limit_error"),
        (RequestError("no", status=415), "invalid_request_error"),
        (BROKEN, "api_error"),
        (LATE, "timeout_error"),
        (NOBODY, "overloaded_error"),
    ],
)
def test_messages_have_anthropic_s_object(error: RoutecastError, kind: str) -> None:
    assert json.loads(error_body(error, Api.MESSAGES)) == {
        "type": "error",
        "error": {"type": kind, "message": str(error)},
    }


def fields_of(event: bytes) -> dict[str, Any]:
    """Read a server-sent event whose data are JSON."""
    assert event.endswith(b"\n\n")
    lines = event.decode().strip().split("\n")
    fields = dict(line.split(": ", 1) for line in lines)
    return {**fields, "data": json.loads(fields["data"])}


@pytest.mark.parametrize("api", [Api.CHAT, Api.COMPLETIONS])
def test_a_chat_stream_ends_with_the_object_alone(api: Api) -> None:
    event = fields_of(error_event(BROKEN, api))
    assert event == {"data": json.loads(error_body(BROKEN, api))}


def test_a_responses_stream_ends_with_an_error_event_that_is_counted() -> None:
    # https://platform.openai.com/docs/api-reference/responses-streaming/error
    event = fields_of(error_event(BROKEN, Api.RESPONSES, sequence_number=7))
    assert event == {
        "event": "error",
        "data": {
            "type": "error", "code": "upstream_failed", "message": "broke off", "param": None,
            "sequence_number": 7,
        },
    }  # fmt: skip


def test_a_messages_stream_ends_with_anthropic_s_error_event() -> None:
    # https://docs.anthropic.com/en/docs/build-with-claude/streaming#error-events
    event = fields_of(error_event(BROKEN, Api.MESSAGES))
    assert event == {"event": "error", "data": json.loads(error_body(BROKEN, Api.MESSAGES))}


async def test_an_error_is_sent_with_its_length_and_when_to_come_back() -> None:
    messages: list[Any] = []

    async def send(message: Any) -> None:  # noqa: ANN401
        messages.append(message)

    await send_error(send, NOBODY, api=Api.MESSAGES, headers=[(b"x-mine", b"1")])
    start, body = messages
    headers = dict(start["headers"])
    assert start["status"] == 503
    assert headers[b"retry-after"] == b"3"  # 2.1 s, and never too early
    assert (headers[b"x-mine"], headers[b"content-type"]) == (b"1", b"application/json")
    assert int(headers[b"content-length"]) == len(body["body"])
    assert body["body"] == error_body(NOBODY, Api.MESSAGES)
