"""One request from its first byte to its end: limits, what is told, and what is added."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from io import BytesIO
from typing import TYPE_CHECKING, Any

import aiohttp
import anyio
import openai
import pytest

from routecast.gateway import app as app_module
from routecast.gateway.exchange import Ended, Served
from routecast.testing import Refuse, StopMidStream

if TYPE_CHECKING:
    from tests.gateway.conftest import Gateway, StartGateway

pytestmark = pytest.mark.anyio

HARD = b'{"model":"auto","messages":[{"role":"user","content":"hard"}]}'
MESSAGES: Any = [{"role": "user", "content": "a hard prompt"}]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Served]:
    """What the observers of the next gateway are told."""
    served: list[Served] = []
    monkeypatch.setattr(app_module, "RequestLog", lambda _: served.append)
    return served


async def post(gateway: "Gateway", path: str, body: bytes, **headers: str) -> tuple[int, bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with gateway.http.post(gateway.address + path, data=body, headers=named) as answer:
        return answer.status, await answer.read()


async def test_every_request_is_told_once_with_what_became_of_it(
    starts_full_gateway: "StartGateway", told: list[Served]
) -> None:
    async with starts_full_gateway() as gateway:
        path = "/v1/chat/completions"
        await post(gateway, path, HARD, x_request_id="mine")
        await post(gateway, path, HARD.replace(b"auto", b"nobody"))
        await post(gateway, path, HARD, host="evil.example")
        await post(gateway, path, b"no JSON")
        gateway.big.misbehave(Refuse(status=401))
        await post(gateway, path, HARD)
    good, unknown, foreign, broken, refused = told
    assert (good.request_id, good.surface.path, good.asked) == ("mine", path, "auto")
    assert (good.route, good.status, good.error_code) == ("auto", 200, None)
    assert good.decision is not None
    assert good.decision.model == "big"
    assert good.result is not None
    assert (good.result.model, good.result.ended) == ("big", Ended.COMPLETE)
    assert good.result.usage is not None
    assert (good.result.usage.input_tokens, good.result.usage.output_tokens) == (1, 9)
    assert 0 < good.own_s < 1
    assert (unknown.status, unknown.error_code, unknown.asked) == (404, "model_not_found", "nobody")
    assert (unknown.decision, unknown.result) == (None, None)
    assert (foreign.status, foreign.error_code) == (403, "host_refused")
    assert (broken.status, broken.error_code, broken.asked) == (400, "invalid_json", "")
    assert refused.status == 401
    assert len({served.decision_id for served in told}) == 5


async def test_a_client_that_leaves_is_told_of_as_499(
    starts_full_gateway: "StartGateway", told: list[Served]
) -> None:
    async with starts_full_gateway() as gateway:
        host, port = gateway.address.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, port)
        head = (
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 900\r\n\r\n"
        )
        writer.write(head + HARD)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        with anyio.fail_after(3):
            while not told:  # noqa: ASYNC110
                await anyio.sleep(0.01)
    assert [(served.status, served.asked) for served in told] == [(499, "")]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/route", "/v1/messages"])
@pytest.mark.parametrize("expects", [False, True])
async def test_a_413_arrives_although_the_client_goes_on_sending(
    full_gateway: "Gateway", path: str, expects: bool
) -> None:
    host, port = full_gateway.address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, port)
    length = 64 << 20
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n"
    head += "connection: close\r\n"  # without it the server itself goes on reading
    writer.write(head.encode() + (b"expect: 100-continue\r\n\r\n" if expects else b"\r\n"))
    piece = bytes(1 << 20)
    if not expects:
        for _ in range(64):
            writer.write(piece)
            await writer.drain()  # raises where the gateway has reset the connection
    with anyio.fail_after(10):
        status = await reader.readline()
        answer = await reader.readuntil(b"}}")
    assert status.startswith(b"HTTP/1.1 413")
    assert b"larger than" in answer
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    ("path", "header", "status"),
    [
        ("/v1/chat/completions", b"origin: https://evil.example", 403),
        ("/v1/route", b"origin: https://evil.example", 403),
        ("/v1/messages", b"content-encoding: gzip", 415),
        ("/nowhere", b"a: b", 404),
        ("/v1/models", b"a: b", 405),
    ],
)
async def test_a_refusal_arrives_before_the_body_is_read_and_is_no_reset(
    full_gateway: "Gateway", path: str, header: bytes, status: int
) -> None:
    host, port = full_gateway.address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, port)
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {16 << 20}\r\n"
    closing = b"\r\nconnection: close\r\n\r\n"  # without it the server itself goes on reading
    writer.write(head.encode() + header + closing)
    for _ in range(16):
        writer.write(bytes(1 << 20))
        await writer.drain()
    with anyio.fail_after(10):
        line = await reader.readline()
    assert line.startswith(b"HTTP/1.1 %d" % status)
    writer.close()
    await writer.wait_closed()


async def test_a_body_that_was_read_is_waited_for_no_longer(full_gateway: "Gateway") -> None:
    with anyio.fail_after(2):
        for body in (b"no JSON", b"{}", HARD.replace(b"auto", b"nobody")):
            for path in ("/v1/chat/completions", "/v1/route"):
                status, _ = await post(full_gateway, path, body)
                assert status in {400, 404}


async def test_the_official_client_sees_a_413(full_gateway: "Gateway") -> None:
    content = "x" * (40 << 20)
    async with full_gateway.client() as client:
        with pytest.raises(openai.APIStatusError) as caught:
            await client.chat.completions.create(
                model="auto", messages=[{"role": "user", "content": content}]
            )
    assert caught.value.status_code == 413


async def test_a_body_is_sent_on_byte_for_byte_in_every_api(full_gateway: "Gateway") -> None:
    for path, member in (
        ("/v1/chat/completions", b'"messages":[{"role":"user","content":"hard \\u0068"}]'),
        ("/v1/responses", b'"input" : "hard"'),
        ("/v1/completions", b'"prompt":\n["hard"]'),
        ("/v1/messages", b'"messages":[{"role":"user","content":"hard"}],"max_tokens":1'),
        ("/v1/messages/count_tokens", b'"messages":[{"role":"user","content":"hard"}]'),
    ):
        body = (
            b' { "x":{"model":"auto"},\t"n":1e400,"big":%b,"model" : "au\\u0074o",'
            b'%b,"pad":"%b"}\r\n' % (b"9" * 60, member, b"A" * 500_000)
        )
        headers = {"anthropic_version": "1"}
        status, _ = await post(full_gateway, path, body, **headers)
        assert status == 200, path
        assert full_gateway.big.requests[-1].path == path
        sent = body.replace(b'"au\\u0074o"', b'"upstream-big"')
        assert full_gateway.big.requests[-1].body == sent


async def test_ten_megabytes_of_responses_pass_whole(full_gateway: "Gateway") -> None:
    body = b'{"model":"auto","input":"hard","x":"' + b"A" * 10_000_000 + b'"}'
    url = full_gateway.address + "/v1/responses"
    async with full_gateway.http.post(url, data=BytesIO(body)) as answer:
        assert answer.status == 200
    assert full_gateway.big.requests[-1].body == body.replace(b'"auto"', b'"upstream-big"', 1)


STREAM = HARD[:-1] + b',"stream":true}'
ASKS = STREAM[:-1] + b',"stream_options":{"include_usage":true}}'


async def test_usage_is_asked_for_and_its_chunk_taken_out_again(
    starts_full_gateway: "StartGateway", told: list[Served]
) -> None:
    settings = 'apis = ["chat", "completions"]\nask_usage = true'
    async with starts_full_gateway(
        big_settings=settings, small_settings=settings.replace("true", "false")
    ) as gateway:
        path = "/v1/chat/completions"
        _, quiet = await post(gateway, path, STREAM, accept_encoding="gzip, br")
        sent = json.loads(gateway.big.requests[-1].body)
        assert sent["stream_options"] == {"include_usage": True}
        assert gateway.big.requests[-1].header("accept-encoding") == "identity"
        _, asked = await post(gateway, path, ASKS)
        assert gateway.big.requests[-1].body == ASKS.replace(b"auto", b"upstream-big")
        _, plain = await post(gateway, path, HARD)
        assert gateway.big.requests[-1].body == HARD.replace(b"auto", b"upstream-big")
        _, other = await post(gateway, path, STREAM.replace(b"auto", b"small"))
        assert b"stream_options" not in gateway.small.requests[-1].body
    assert b'"usage"' not in quiet
    assert quiet.endswith(b"data: [DONE]\n\n")
    assert b'"usage": {"prompt_tokens": 1' in asked
    assert json.loads(plain)["usage"]["prompt_tokens"] == 1
    assert b'"usage"' not in other
    usages = [served.result and served.result.usage for served in told]
    assert [usage and usage.output_tokens for usage in usages] == [9, 9, 9, None]


async def test_a_stand_in_is_named_and_the_decision_is_told_as_it_was(
    starts_full_gateway: "StartGateway", told: list[Served]
) -> None:
    async with starts_full_gateway(route_settings="") as gateway:
        gateway.big.misbehave(Refuse(status=500))
        status, _ = await post(gateway, "/v1/chat/completions", HARD)
        assert status == 500  # this route has no fallback
    async with starts_full_gateway(chain='["weak"]') as gateway:
        gateway.big.misbehave(Refuse(status=500))
        url = f"{gateway.address}/v1/chat/completions"
        async with gateway.http.post(url, data=HARD) as answer:
            assert (answer.status, (await answer.json())["model"]) == (200, "small")
            assert answer.headers["x-routecast-model"] == "small"
            assert answer.headers["x-routecast-reason"] == "fallback"
            assert answer.headers["x-routecast-win-probability"] == "0.9"
        gateway.big.misbehave(Refuse(status=500))
        forced = {"x-routecast-force": "strong"}
        async with gateway.http.post(url, data=HARD, headers=forced) as answer:
            assert answer.status == 500  # who is forced has no stand-in
    assert told[1].decision is not None
    assert told[1].decision.model == "big"
    assert told[1].result is not None
    assert told[1].result.model == "small"


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses", "/v1/chat/completions"])
async def test_a_stream_that_breaks_ends_in_the_api_s_own_words(
    full_gateway: "Gateway", path: str
) -> None:
    full_gateway.big.misbehave(StopMidStream(n_events=2))
    body = STREAM[:-1] + b',"input":"hard"}'
    _, content = await post(full_gateway, path, body, anthropic_version="1")
    *_, last, end = content.split(b"\n\n")
    assert end == b""
    name, _, written = last.rpartition(b"data: ")
    event = json.loads(written)
    if path == "/v1/chat/completions":
        assert (name, event["error"]["type"]) == (b"", "upstream_error")
    else:
        assert (name, event["type"]) == (b"event: error\n", "error")


async def test_the_answer_names_the_request_as_the_client_did(full_gateway: "Gateway") -> None:
    url = f"{full_gateway.address}/v1/chat/completions"
    for body, status in ((HARD, 200), (b"{}", 400)):
        async with full_gateway.http.post(
            url, data=body, headers={"x-request-id": "mine"}
        ) as answer:
            assert (answer.status, answer.headers["x-request-id"]) == (status, "mine")
    full_gateway.big.misbehave(Refuse(status=200, headers={"x-request-id": "theirs"}, body=b"{}"))
    async with full_gateway.http.post(url, data=HARD, headers={"x-request-id": "mine"}) as answer:
        assert answer.headers.getall("x-request-id") == ["theirs"]


async def test_readiness_falls_when_every_model_is_failing(
    starts_gateway: "StartGateway",
) -> None:
    async with starts_gateway(server_settings="breaker_failures = 1") as gateway:

        async def readiness() -> tuple[int, str]:
            async with gateway.http.get(f"{gateway.address}/readyz") as answer:
                return answer.status, (await answer.json())["status"]

        assert await readiness() == (200, "ready")
        gateway.big.misbehave(Refuse(status=500))
        await post(gateway, "/v1/chat/completions", HARD)
        assert await readiness() == (200, "ready")
        gateway.small.misbehave(Refuse(status=500))
        await post(gateway, "/v1/chat/completions", HARD.replace(b"hard", b"easy"))
        assert await readiness() == (503, "every model is failing")
        status, _ = await post(gateway, "/healthz", b"")
        assert status == 405


async def test_metrics_count_what_was_served(full_gateway: "Gateway") -> None:
    await post(full_gateway, "/v1/chat/completions", HARD)
    async with full_gateway.http.get(f"{full_gateway.address}/metrics") as answer:
        assert answer.headers["content-type"].startswith("text/plain")
        content = await answer.text()
    assert 'routecast_requests_total{api="chat"' in content
    assert 'model="big"' in content
    assert "sk-" not in content


async def test_an_upstream_s_own_cors_headers_do_not_pass(full_gateway: "Gateway") -> None:
    headers = {"access-control-allow-origin": "*"}
    full_gateway.big.misbehave(Refuse(status=200, headers=headers, body=b"{}"))
    url = f"{full_gateway.address}/v1/chat/completions"
    async with full_gateway.http.post(url, data=HARD) as answer:
        assert "access-control-allow-origin" not in answer.headers


async def test_no_log_line_holds_a_prompt_or_a_key(
    full_gateway: "Gateway", caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        for body in (HARD.replace(b"hard", b"my hard secret"), b'{"my secret'):
            await post(full_gateway, "/v1/chat/completions", body, authorization="Bearer sk-mine")
    ours = [repr(vars(record)) for record in caplog.records if record.name.startswith("routecast")]
    assert ours
    assert not any("secret" in line or "sk-" in line for line in ours)


async def chunks_of(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 1000):
        yield body[start : start + 1000]


async def test_a_body_in_chunks_is_a_body(full_gateway: "Gateway") -> None:
    timeout = aiohttp.ClientTimeout(total=5)
    url = f"{full_gateway.address}/v1/responses"
    body = b'{"input":"' + b"hard " * 2_000 + b'","model":"auto"}'
    async with full_gateway.http.post(url, data=chunks_of(body), timeout=timeout) as answer:
        assert (await answer.json())["model"] == "big"
