"""Whether an upstream answers, and knows the model."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from routecast.gateway.probe import Probe, probe_upstream
from routecast.testing import FakeUpstream, serve_upstream
from routecast.testing.asgi import answer_lifespan, read_body, send_answer
from routecast.upstream.apis import Api
from routecast.upstream.endpoint import Endpoint

KEY = "sk-upstream-secret"


def upstream(
    status: int, body: bytes = b"", seen: list[Mapping[str, Any]] | None = None
) -> ASGIApp:
    """An upstream with one answer to everything; ``seen`` takes what it was asked."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send)
            return
        content = await read_body(receive)
        if seen is not None:
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            asked = json.loads(content) if content else None
            seen.append({"path": scope["path"], "headers": headers, "body": asked})
        await send_answer(send, body, status=status, headers={"content-type": "application/json"})

    return app


async def probe(
    app: ASGIApp,
    *,
    model: str = "gpt-5.2",
    api_key: str | None = KEY,
    apis: frozenset[Api] = frozenset({Api.CHAT}),
    asks: Api | None = None,
) -> Probe:
    async with serve_upstream(app) as url:
        endpoint = Endpoint(name="big", model=model, base_url=url, api_key=api_key, apis=apis)
        found = await probe_upstream(endpoint, asks=asks, timeout_s=5)
    assert KEY not in repr(found)
    return found


def listing(*names: str) -> bytes:
    return json.dumps({"data": [{"id": name} for name in names]}).encode()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("model", "listed"),
    [
        ("gpt-5.2", "gpt-5.2"),
        ("llama3.2", "llama3.2:latest"),
        ("claude-sonnet-4-5", "claude-sonnet-4-5-20250929"),
    ],
)
async def test_a_model_that_is_listed_is_well(model: str, listed: str) -> None:
    found = await probe(upstream(200, listing("other", listed)), model=model)
    assert found.fix is None
    assert f"lists {model!r}" in found.message


@pytest.mark.anyio
async def test_a_model_that_is_not_listed_is_a_warning_with_the_nearest_names() -> None:
    found = await probe(upstream(200, listing("gpt-5.2-mini", "whisper")), model="gpt-52")
    assert not found.is_fault
    assert "['gpt-5.2-mini'" in found.message
    assert "models.big.model" in (found.fix or "")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "api_key", "is_fault", "message", "fix"),
    [
        (401, KEY, True, "refuses the key", "put a valid key where models.big.api_key points"),
        (403, None, True, "asks for a key", 'set models.big.api_key = "env:NAME"'),
        (404, KEY, False, "has no list of models", "ends with the version, such as /v1"),
        (301, KEY, False, "has no list of models", "ends with the version"),
        (429, KEY, False, "out of quota or too busy", "the account's limits"),
        (503, KEY, True, "fails (status 503)", "status page"),
    ],
)
async def test_each_status_has_its_own_fix(
    status: int, api_key: str | None, is_fault: bool, message: str, fix: str
) -> None:
    found = await probe(upstream(status, b'{"error": "sk-upstream-secret"}'), api_key=api_key)
    assert found.is_fault is is_fault
    assert message in found.message
    assert fix in (found.fix or "")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b"{}", b'{"data": 3}', b'{"data": [{}]}', b"\xff"]
)
async def test_something_else_than_a_list_is_a_warning(body: bytes) -> None:
    found = await probe(upstream(200, body))
    assert (found.is_fault, "something else than a list" in found.message) == (False, True)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("api", "path", "key_header"),
    [
        (Api.CHAT, "/v1/chat/completions", "authorization"),
        (Api.RESPONSES, "/v1/responses", "authorization"),
        (Api.MESSAGES, "/v1/messages", "x-api-key"),
        (Api.COMPLETIONS, "/v1/completions", "authorization"),
        (Api.EMBEDDINGS, "/v1/embeddings", "authorization"),
    ],
)
async def test_asking_sends_one_short_request_of_the_api_that_is_asked_for(
    api: Api, path: str, key_header: str
) -> None:
    seen: list[Mapping[str, Any]] = []
    found = await probe(upstream(200, b"{}", seen), apis=frozenset(Api), asks=api)
    assert (found.fix, found.message.endswith("answered as 'gpt-5.2'")) == (None, True)
    (asked,) = seen
    assert (asked["path"], asked["body"]["model"]) == (path, "gpt-5.2")
    assert KEY in asked["headers"][key_header]
    assert ("anthropic-version" in asked["headers"]) is (api is Api.MESSAGES)


@pytest.mark.anyio
async def test_a_request_that_is_refused_is_a_fault() -> None:
    found = await probe(upstream(400), asks=Api.CHAT)
    assert found.is_fault
    assert "whether it has model 'gpt-5.2' and speaks 'chat', as models.big.apis" in (
        found.fix or ""
    )


@pytest.mark.anyio
async def test_the_fake_upstream_is_well() -> None:
    fake = FakeUpstream("simulated")
    assert (await probe(fake, model="simulated")).fix is None
    assert (await probe(fake, model="simulated", asks=Api.CHAT)).fix is None


@pytest.mark.anyio
async def test_an_upstream_that_is_silent_or_absent_is_a_fault() -> None:
    async def hang(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send)
        else:
            await asyncio.sleep(1)

    async with serve_upstream(hang) as url:
        endpoint = Endpoint(name="big", model="m", base_url=url)
        silent = await probe_upstream(endpoint, asks=None, timeout_s=0.1)
    assert (silent.is_fault, "did not answer within 0.1 s" in silent.message) == (True, True)
    absent = await probe_upstream(endpoint, asks=None, timeout_s=5)
    assert (absent.is_fault, "nobody listens at" in absent.message) == (True, True)
    assert "models.big.base_url" in (absent.fix or "")


@pytest.mark.anyio
async def test_plain_http_asked_for_tls_is_a_fault_about_the_address() -> None:
    async with serve_upstream(upstream(200)) as url:
        endpoint = Endpoint(name="big", model="m", base_url=url.replace("http:", "https:"))
        found = await probe_upstream(endpoint, asks=None, timeout_s=5)
    assert found.is_fault
    assert "models.big.base_url" in (found.fix or "")
