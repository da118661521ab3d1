"""What gets out of a gateway, and who gets in, over real sockets."""

import io
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import anthropic
import openai
import pytest

from routecast.gateway.log import log_as_json
from routecast.gateway.surfaces import SURFACES
from routecast.testing.faults import (
    BreakChunks,
    Enlarge,
    Fault,
    Gzip,
    HangAfterHead,
    HangUp,
    Refuse,
    StopMidStream,
)

if TYPE_CHECKING:
    from tests.gateway.conftest import Gateway

StartGateway = Callable[..., AbstractAsyncContextManager["Gateway"]]

CLIENT_KEY = "sk-client-secret"
UPSTREAM_KEYS = ("sk-upstream-secret", "sk-small-secret")
PROMPT = "a hard question about the treasure under the old oak"
QUESTION: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": PROMPT}]},
    "/v1/responses": {"input": PROMPT},
    "/v1/completions": {"prompt": PROMPT},
    "/v1/messages": {"max_tokens": 9, "messages": [{"role": "user", "content": PROMPT}]},
    "/v1/messages/count_tokens": {"messages": [{"role": "user", "content": PROMPT}]},
    "/v1/embeddings": {"input": PROMPT},
}
OTHERS = ["/v1/models", "/v1/route", "/healthz", "/readyz", "/metrics", "/", "/nowhere"]
FAULTS: list[Fault] = [
    Refuse(status=400), Refuse(status=401), Refuse(status=429, headers={"retry-after": "99"}),
    Refuse(status=500), Refuse(status=529), HangUp(), HangUp(reset=True), HangAfterHead(drop=True),
    StopMidStream(), StopMidStream(tail=b"data: {", reset=True), BreakChunks(), Gzip(),
    Enlarge(n_bytes=1 << 20),
]  # fmt: skip


def question(path: str, **fields: object) -> bytes:
    model = "embedder" if path == "/v1/embeddings" else "auto"
    return json.dumps({"model": model, **QUESTION[path], **fields}).encode()


def test_every_surface_is_asked_here() -> None:
    assert QUESTION.keys() == SURFACES.keys()


@pytest.fixture
async def keyed(
    starts_gateway: StartGateway, tmp_path: Path, anyio_backend: str
) -> AsyncIterator["Gateway"]:
    """A gateway that asks for one of two keys."""
    references = []
    for name, key in (("one", "sk-other-secret"), ("two", CLIENT_KEY)):
        path = tmp_path / name
        path.write_text(key)
        references.append(f"file:{path}")
    settings = f"client_keys = {json.dumps(references)}\ncors_origins = ['https://app.example']"
    async with starts_gateway(server_settings=settings) as running:
        yield running


@pytest.mark.anyio
async def test_with_keys_nothing_but_health_answers_without_one(keyed: "Gateway") -> None:
    refused: dict[str, Any] = {}
    for path in [*QUESTION, *OTHERS]:
        for method in ("POST", "GET", "PUT"):
            async with keyed.http.request(method, keyed.address + path, data=b"{}") as answer:
                refused[f"{method} {path}"] = answer.status
    opened = {call for call, status in refused.items() if status != 401}
    assert opened == {f"{m} {p}" for m in ("POST", "GET", "PUT") for p in ("/healthz", "/readyz")}
    assert refused["GET /healthz"] == refused["GET /readyz"] == 200
    assert keyed.big.n_requests + keyed.small.n_requests == 0


@pytest.mark.anyio
async def test_the_official_clients_show_their_keys_and_hear_when_it_is_wrong(
    keyed: "Gateway",
) -> None:
    messages: Any = [{"role": "user", "content": PROMPT}]
    async with keyed.client() as client:
        await client.chat.completions.create(model="auto", messages=messages)
    url = f"{keyed.address}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key="sk-wrong", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError) as refused:
            await client.chat.completions.create(model="auto", messages=messages)
    assert refused.value.code == "invalid_api_key"
    assert "sk-wrong" not in str(refused.value)
    async with anthropic.AsyncAnthropic(
        base_url=keyed.address, api_key="sk-wrong", max_retries=0
    ) as wrong:
        with pytest.raises(anthropic.AuthenticationError):
            await wrong.messages.create(model="auto", messages=messages, max_tokens=9)
    assert keyed.big.n_requests == 1


@pytest.mark.anyio
async def test_a_configured_page_may_ask_with_a_key_and_reads_refusals_too(
    keyed: "Gateway",
) -> None:
    origin = {"origin": "https://app.example"}
    asked = {**origin, "access-control-request-method": "POST"}
    async with keyed.http.options(keyed.chat_url, headers=asked) as preflight:
        assert preflight.status == 200
    for key, status in ((CLIENT_KEY, 200), ("sk-wrong", 401)):
        headers = {**origin, "authorization": f"Bearer {key}"}
        body = question("/v1/chat/completions")
        async with keyed.http.post(keyed.chat_url, data=body, headers=headers) as answer:
            assert answer.status == status
            assert answer.headers["access-control-allow-origin"] == "https://app.example"


@pytest.mark.anyio
@pytest.mark.parametrize("path", [*QUESTION, *OTHERS])
@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "127.0.0.1.evil.example"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
    ids=str,
)
async def test_without_keys_no_web_page_gets_anything_out_of_any_endpoint(
    full_gateway: "Gateway", path: str, headers: dict[str, str]
) -> None:
    body = question(path) if path in QUESTION else b"{}"
    for method in ("POST", "GET", "OPTIONS", "DELETE"):
        url = full_gateway.address + path
        async with full_gateway.http.request(method, url, data=body, headers=headers) as answer:
            assert answer.status == 403
            assert not [name for name in answer.headers if name.lower().startswith("access-")]
    assert full_gateway.big.n_requests + full_gateway.small.n_requests == 0


@pytest.mark.anyio
@pytest.mark.parametrize("path", QUESTION)
async def test_a_client_s_secrets_never_go_upstream_and_all_else_does(
    full_gateway: "Gateway", path: str
) -> None:
    secret = {
        "authorization": f"Bearer {CLIENT_KEY}",
        "x-api-key": CLIENT_KEY,
        "api-key": CLIENT_KEY,
        "x-goog-api-key": CLIENT_KEY,
        "cookie": f"session={CLIENT_KEY}",
        "proxy-authorization": CLIENT_KEY,
    }
    passed = {
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "a,b",
        "openai-organization": "org-1",
        "x-request-id": "job-7",
        "traceparent": "00-1-2-3",
    }
    url = full_gateway.address + path
    async with full_gateway.http.post(
        url, data=question(path), headers={**secret, **passed}
    ) as answer:
        assert answer.status == 200
    (seen,) = [*full_gateway.big.requests, *full_gateway.small.requests]
    headers = dict(seen.headers)
    assert CLIENT_KEY not in repr(seen.headers)
    assert {name: headers.get(name) for name in passed} == passed
    assert not [name for name in headers if name.startswith("x-routecast-")]


@pytest.fixture
async def patient_gateway(
    starts_full_gateway: StartGateway, anyio_backend: str
) -> AsyncIterator["Gateway"]:
    """A gateway whose breakers never open, so that every fault is met."""
    async with starts_full_gateway(route_settings="[server]\nbreaker_failures = 1000") as running:
        yield running


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", list(QUESTION)[:4])
async def test_no_fault_lets_out_a_prompt_or_a_key(
    patient_gateway: "Gateway", path: str, stream: bool
) -> None:
    gateway = patient_gateway
    log = io.StringIO()
    said = b""
    headers = {"authorization": f"Bearer {CLIENT_KEY}", "accept-encoding": "gzip"}
    with log_as_json("info", log):
        for fault in FAULTS:
            gateway.big.misbehave(fault)
            said += await everything_said(gateway, path, question(path, stream=stream), headers)
        for body in (b"{", b"[]", question(path, model=PROMPT), question(path, model=[PROMPT])):
            said += await everything_said(gateway, path, body, headers)
        gateway.router.fails = True
        said += await everything_said(gateway, path, question(path), headers)
        gateway.router.fails = False
        logging.getLogger("asyncio").error("lost\n%s", PROMPT)
    for page in ("/metrics", "/v1/models"):
        async with gateway.http.get(gateway.address + page) as answer:
            said += await answer.read()
    lines = log.getvalue()
    assert len(lines.splitlines()) >= len(FAULTS) + 5
    assert [json.loads(line) for line in lines.splitlines()]
    for secret in (*UPSTREAM_KEYS, CLIENT_KEY):
        assert secret not in lines
        assert secret.encode() not in said
    assert PROMPT not in lines
    assert PROMPT[:100].encode() not in said.replace(repr(PROMPT).encode(), b"")  # a 404 quotes it


async def everything_said(
    gateway: "Gateway", path: str, body: bytes, headers: dict[str, str]
) -> bytes:
    """Status, headers and body of an answer, as far as it comes."""
    said = b""
    try:
        async with gateway.http.post(gateway.address + path, data=body, headers=headers) as answer:
            said += repr((answer.status, answer.raw_headers)).encode()
            async for chunk in answer.content.iter_any():
                said += chunk
    except aiohttp.ClientError as error:
        said += repr(error).encode()
    return said


@pytest.mark.anyio
async def test_a_log_line_has_the_ids_that_the_client_was_told(full_gateway: "Gateway") -> None:
    log = io.StringIO()
    url = f"{full_gateway.address}/v1/chat/completions"
    with log_as_json("info", log):
        for request_id in ("job-7", "not usable"):
            headers = {"x-request-id": request_id}
            async with full_gateway.http.post(
                url, data=question("/v1/chat/completions"), headers=headers
            ) as answer:
                told = answer.headers
                await answer.read()
    first, second = (json.loads(line) for line in log.getvalue().splitlines())
    assert first["request_id"] == "job-7"
    assert second["request_id"] == told["x-request-id"] != "not usable"
    assert second["decision_id"] == told["x-routecast-decision"]
    assert (second["model"], second["reason"]) == ("big", told["x-routecast-reason"])


PRICED = 'price = { input = 1000000.0, output = 100.0 }\nask_usage = true\napis = ["chat"]\n'


@pytest.mark.anyio
async def test_tokens_and_dollars_are_those_that_the_upstream_counted(
    starts_full_gateway: StartGateway,
) -> None:
    path = "/v1/chat/completions"
    async with starts_full_gateway(big_settings=PRICED, small_settings=PRICED) as gateway:
        answers = []
        for body in (question(path), question(path, stream=True)):
            async with gateway.http.post(gateway.address + path, data=body) as answer:
                answers.append(await answer.read())
        async with gateway.http.get(f"{gateway.address}/metrics") as page:
            text = await page.text()
    usage = json.loads(answers[0])["usage"]
    assert b'"usage"' not in answers[1]
    assert b"include_usage" in gateway.big.requests[1].body
    samples = dict(
        line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("routecast_")
    )
    tokens = 'routecast_tokens_total{kind="%s",model="big"}'
    # The same question twice, once streamed: twice the tokens, 1 $ each in and 0.0001 $ each out.
    assert float(samples[tokens % "input"]) == 2 * usage["prompt_tokens"]
    assert float(samples[tokens % "output"]) == 2 * usage["completion_tokens"]
    dollars = 2 * (usage["prompt_tokens"] + usage["completion_tokens"] / 1e4)
    assert float(samples['routecast_cost_usd_total{model="big"}']) == pytest.approx(dollars)
    decided = 'routecast_decisions_total{choice="strong",reason="reaches_threshold",route="auto"}'
    assert float(samples[decided]) == 2
    assert float(samples['routecast_win_probability_count{route="auto"}']) == 2
    assert float(samples['routecast_breaker_state{model="big"}']) == 0
