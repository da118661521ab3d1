"""What happens between the gateway and an upstream that misbehaves, or a client that leaves."""

import asyncio
import gzip
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import aiohttp
import anyio
import openai
import pytest
from starlette.types import Receive, Scope, Send
from yarl import URL

from routecast.testing import FakeUpstream, Gzip, Hang, Refuse, StopMidStream, serve_upstream

if TYPE_CHECKING:
    from tests.gateway.conftest import AnsweringWith, Gateway, StartGateway

pytestmark = pytest.mark.anyio

HARD = b'{"model":"auto","messages":[{"role":"user","content":"hard"}]}'
HARD_STREAM = HARD[:-1] + b',"stream":true}'
MESSAGES: Any = [{"role": "user", "content": "a hard prompt"}]


async def stream_of(client: openai.AsyncOpenAI) -> AsyncIterator[str]:
    stream = await client.chat.completions.create(model="auto", messages=MESSAGES, stream=True)
    async for chunk in stream:
        yield chunk.choices[0].delta.content or ""


async def collect(stream: AsyncIterator[str], texts: list[str]) -> None:
    """Keep what came, even when the stream breaks."""
    async for text in stream:
        texts.append(text)  # noqa: PERF401


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait for something that must happen soon, and that no event announces."""
    with anyio.fail_after(3):
        while not condition():  # noqa: ASYNC110
            await anyio.sleep(0.01)


async def test_the_client_s_credentials_stay_here_and_the_upstream_s_key_goes(
    gateway: "Gateway",
) -> None:
    headers = {
        "authorization": "Bearer sk-client", "x-api-key": "sk-client", "cookie": "session=1",
        "x-routecast-force": "strong", "openai-organization": "org", "x-trace": "7",
        "connection": "x-hop", "x-hop": "1",
    }  # fmt: skip
    async with gateway.http.post(gateway.chat_url, data=HARD, headers=headers) as answer:
        assert answer.status == 200
    sent = dict(gateway.big.requests[-1].headers)
    assert sent["authorization"] == "Bearer sk-upstream-secret"
    assert (sent["openai-organization"], sent["x-trace"]) == ("org", "7")
    assert not {"x-api-key", "cookie", "x-routecast-force", "connection", "x-hop"} & sent.keys()
    assert "sk-client" not in str(sent)
    assert sent["host"] != gateway.address.removeprefix("http://")


async def test_a_model_without_a_key_gets_no_authorization(gateway: "Gateway") -> None:
    async with gateway.http.post(
        gateway.chat_url,
        data=HARD.replace(b"auto", b"small"),
        headers={"authorization": "Bearer x"},
    ) as answer:
        assert answer.status == 200
    assert gateway.small.requests[-1].header("authorization") is None


async def test_nothing_is_added_to_a_bare_request(gateway: "Gateway") -> None:
    host = gateway.address.removeprefix("http://")
    reader, writer = await asyncio.open_connection(*host.split(":"))
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\ncontent-length: {len(HARD)}\r\n"
    writer.write(head.encode() + b"\r\n" + HARD)
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()
    await writer.wait_closed()
    names = {name for name, _ in gateway.big.requests[-1].headers}
    assert names == {"host", "content-length", "authorization"}


async def test_the_query_string_passes(gateway: "Gateway") -> None:
    url = f"{gateway.chat_url}?api-version=2024-10-21&x=a%20b%2F"
    async with gateway.http.post(URL(url, encoded=True), data=HARD) as answer:
        assert answer.status == 200
    assert gateway.big.requests[-1].path == "/v1/chat/completions?api-version=2024-10-21&x=a%20b%2F"


@pytest.mark.parametrize("status", [307, 400, 401, 404, 429, 500, 503, 529])
async def test_the_upstream_s_own_refusals_pass_untouched(gateway: "Gateway", status: int) -> None:
    body = b'{"error": {"message": "upstream says no"}}\n'
    headers = {"retry-after": "7", "x-request-id": "abc", "location": "http://127.0.0.1:1/"}
    gateway.big.misbehave(Refuse(status=status, headers=headers, body=body))
    async with gateway.http.post(gateway.chat_url, data=HARD, allow_redirects=False) as answer:
        assert (answer.status, await answer.read()) == (status, body)
        assert {name: answer.headers[name] for name in headers} == headers
        assert answer.headers["x-routecast-model"] == "big"
    assert gateway.big.n_requests == 1


async def test_a_compressed_answer_passes_as_it_is(gateway: "Gateway") -> None:
    gateway.big.misbehave(Gzip(), Gzip())
    async with gateway.http.post(gateway.chat_url, data=HARD) as answer:
        content = await answer.read()
    assert answer.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(content))["model"] == "big"
    async with gateway.client() as client:
        texts = [text async for text in stream_of(client)]
    assert "".join(texts) == "This is a simulated answer by big."


async def test_cookies_of_an_upstream_reach_the_client_and_are_not_kept(
    starts_gateway: "StartGateway",
) -> None:
    fake = FakeUpstream("cookies")
    fake.misbehave(Refuse(status=200, headers={"set-cookie": "a=1"}, body=b"{}"))
    async with serve_upstream(fake) as url:
        named = url.replace("127.0.0.1", "localhost")  # cookie jars keep none for bare addresses
        async with starts_gateway(big_url=named) as gateway:
            for expected in ("a=1", None):
                async with gateway.http.post(gateway.chat_url, data=HARD) as answer:
                    assert answer.headers.get("set-cookie") == expected
    assert fake.n_requests == 2
    assert fake.requests[-1].header("cookie") is None


async def test_an_upstream_that_is_not_there_is_a_502_without_its_key_or_address(
    starts_gateway: "StartGateway",
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        async with (
            starts_gateway(big_url=f"http://127.0.0.1:{port}/v1") as gateway,
            gateway.http.post(gateway.chat_url, data=HARD) as answer,
        ):
            content = await answer.text()
    error = json.loads(content)["error"]
    assert (answer.status, error["type"], error["code"]) == (
        502,
        "upstream_error",
        "upstream_failed",
    )
    assert "model 'big' could not be reached" in error["message"]
    assert "x-routecast-model" not in answer.headers  # nobody answered
    assert answer.headers["x-routecast-reason"] == "reaches_threshold"
    assert "sk-" not in content
    assert str(port) not in content


async def test_an_upstream_that_hangs_up_before_it_answers_is_a_502(
    starts_gateway: "StartGateway",
) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        async with (
            starts_gateway(big_url=url) as gateway,
            gateway.http.post(gateway.chat_url, data=HARD) as answer,
        ):
            assert answer.status == 502


async def test_an_upstream_that_speaks_no_http_is_a_502(starts_gateway: "StartGateway") -> None:
    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 smtp ready\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        async with (
            starts_gateway(big_url=url) as gateway,
            gateway.http.post(gateway.chat_url, data=HARD) as answer,
        ):
            assert answer.status == 502


async def test_an_upstream_that_does_not_begin_in_time_is_a_504(
    starts_gateway: "StartGateway",
) -> None:
    async with starts_gateway(first_byte_timeout_s=0.2) as gateway:
        gateway.big.misbehave(Hang(duration_s=30))
        async with gateway.http.post(gateway.chat_url, data=HARD) as answer:
            error = (await answer.json())["error"]
        assert (answer.status, error["code"]) == (504, "upstream_timeout")
        await eventually(lambda: gateway.big.n_cancelled == 1)


async def test_the_official_client_takes_these_for_errors_that_it_may_retry(
    starts_gateway: "StartGateway",
) -> None:
    async with starts_gateway(first_byte_timeout_s=0.2) as gateway:
        gateway.big.misbehave(Hang(duration_s=30))
        async with gateway.client() as client:
            retrying = client.with_options(max_retries=1)
            answer = await retrying.chat.completions.create(model="auto", messages=MESSAGES)
    assert answer.model == "big"


@pytest.mark.parametrize("tail", [b"", b'data: {"choices": [{"ind', b"data"])
async def test_a_stream_that_breaks_ends_with_an_error_event_after_whole_events(
    gateway: "Gateway", tail: bytes
) -> None:
    gateway.big.misbehave(StopMidStream(n_events=3, tail=tail))
    async with gateway.http.post(gateway.chat_url, data=HARD_STREAM) as answer:
        content = await answer.read()
    *events, error, end = content.split(b"\n\n")
    assert (answer.status, len(events), end) == (200, 3, b"")
    assert json.loads(error.removeprefix(b"data: "))["error"]["code"] == "upstream_failed"
    assert b"[DONE]" not in content


async def test_a_stream_that_breaks_inside_a_huge_event_breaks_the_connection(
    gateway: "Gateway",
) -> None:
    # More than is held back has gone to the client, so no error event could stand on its own.
    gateway.big.misbehave(StopMidStream(n_events=1, tail=b"data: " + b"x" * 100_000))
    async with gateway.http.post(gateway.chat_url, data=HARD_STREAM) as answer:
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_the_official_client_raises_when_a_stream_breaks(gateway: "Gateway") -> None:
    gateway.big.misbehave(StopMidStream(n_events=3))
    texts: list[str] = []
    async with gateway.client() as client:
        with pytest.raises(openai.APIError, match="broke off in the middle of its answer"):
            await collect(stream_of(client), texts)
    assert "".join(texts) == "This is"


async def test_a_stream_that_falls_silent_is_ended_too(starts_gateway: "StartGateway") -> None:
    async with starts_gateway(between_chunks_timeout_s=0.2) as gateway:
        gateway.big.misbehave(StopMidStream(n_events=3, hang_s=30))
        async with gateway.client() as client:
            with anyio.fail_after(3), pytest.raises(openai.APIError, match="fell silent"):
                await collect(stream_of(client), [])
        await eventually(lambda: gateway.big.n_cancelled == 1)


async def test_a_plain_answer_that_breaks_breaks_the_connection(gateway: "Gateway") -> None:
    gateway.big.misbehave(StopMidStream())
    with pytest.raises(aiohttp.ClientPayloadError):
        async with gateway.http.post(gateway.chat_url, data=HARD) as answer:
            await answer.read()


async def test_a_broken_upstream_is_logged_without_key_or_prompt(
    gateway: "Gateway", caplog: pytest.LogCaptureFixture
) -> None:
    gateway.big.misbehave(StopMidStream())
    with caplog.at_level(logging.DEBUG):
        async with gateway.http.post(gateway.chat_url, data=HARD_STREAM) as answer:
            await answer.read()
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("routecast")]
    assert any("model 'big' broke off" in message for message in ours)
    assert not any("hard" in message or "sk-" in message for message in ours)


async def test_a_client_that_leaves_before_the_answer_cancels_the_upstream_call(
    gateway: "Gateway",
) -> None:
    gateway.big.misbehave(Hang(duration_s=30))
    with pytest.raises(TimeoutError):
        await gateway.http.post(
            gateway.chat_url, data=HARD, timeout=aiohttp.ClientTimeout(total=0.2)
        )
    await eventually(lambda: gateway.big.n_cancelled == 1)


async def test_a_client_that_leaves_in_mid_stream_cancels_the_upstream_call(
    gateway: "Gateway",
) -> None:
    gateway.big.misbehave(StopMidStream(n_events=3, hang_s=30))
    async with gateway.http.post(gateway.chat_url, data=HARD_STREAM) as answer:
        await answer.content.readany()
    answer.close()
    await eventually(lambda: gateway.big.n_cancelled == 1)


async def test_a_client_that_leaves_while_it_sends_reaches_no_upstream(gateway: "Gateway") -> None:
    host, port = gateway.address.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, port)
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n")
    writer.write(b"content-length: 1000\r\n\r\n" + HARD)
    await writer.drain()
    await anyio.sleep(0.05)
    writer.close()
    await writer.wait_closed()
    await anyio.sleep(0.05)
    assert gateway.big.n_requests == 0


async def test_many_requests_at_once_each_get_their_own_answer(gateway: "Gateway") -> None:
    async def ask(i: int) -> None:
        difficulty = "hard" if i % 2 else "easy"
        messages: Any = [{"role": "user", "content": f"a {difficulty} prompt"}]
        answer = await client.chat.completions.create(model="auto", messages=messages)
        assert answer.model == ("big" if i % 2 else "small")

    async with gateway.client() as client, anyio.create_task_group() as tasks:
        for i in range(60):
            tasks.start_soon(ask, i)
    assert gateway.big.n_requests == gateway.small.n_requests == 30


class Flood:
    """An upstream that sends as much as anybody takes."""

    def __init__(self, n_chunks: int, content_type: bytes) -> None:
        self.n_chunks = n_chunks
        self.n_sent = 0
        self.content_type = content_type

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError("no lifespan")
        await receive()
        headers = [(b"content-type", self.content_type)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        event = b"data: " + b"x" * 65_528 + b"\n\n"
        for _ in range(self.n_chunks):
            await send({"type": "http.response.body", "body": event, "more_body": True})
            self.n_sent += 1
        await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize("content_type", [b"text/event-stream", b"application/octet-stream"])
async def test_a_slow_client_slows_the_upstream_and_fills_no_memory(
    starts_gateway: "StartGateway", content_type: bytes
) -> None:
    flood = Flood(2000, content_type)  # 125 MiB
    async with serve_upstream(flood) as url, starts_gateway(big_url=url) as gateway:
        async with gateway.http.post(gateway.chat_url, data=HARD) as answer:
            await anyio.sleep(0.5)
            settled = flood.n_sent
            await anyio.sleep(0.3)
            # What has been sent lies in socket buffers: some MiB, and no more of it comes.
            assert flood.n_sent == settled < 500
            n_bytes = 0
            while chunk := await answer.content.readany():
                n_bytes += len(chunk)
        assert flood.n_sent == 2000
        assert n_bytes == 2000 * 65_536


async def test_ten_megabytes_of_answer_pass(gateway: "Gateway") -> None:
    content = bytes(range(256)) * 40_000
    gateway.big.misbehave(Refuse(status=200, body=content))
    async with gateway.http.post(gateway.chat_url, data=HARD) as answer:
        assert await answer.read() == content


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
async def test_a_status_without_a_body_is_passed_on_without_a_length(
    starts_gateway: "StartGateway", answering_with: "AnsweringWith", status: str
) -> None:
    head = f"HTTP/1.1 {status}\r\ncontent-length: 7\r\nx-a: 1\r\n\r\n".encode()
    async with answering_with(head) as url, starts_gateway(big_url=url) as gateway:
        async with gateway.http.post(gateway.chat_url, data=HARD) as answer:
            assert (answer.status, await answer.read()) == (int(status[:3]), b"")
        assert answer.headers["x-a"] == "1"
        async with gateway.http.post(
            gateway.chat_url, data=HARD.replace(b"hard", b"easy")
        ) as answer:
            assert answer.status == 200  # over the same connection
