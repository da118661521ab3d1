"""The fake upstream is what it says: OpenAI-compatible, simulated, and misbehaving on command."""

import asyncio
import gzip
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import openai
import pytest

from routecast.testing import (
    BreakChunks,
    Dribble,
    Enlarge,
    FakeUpstream,
    Gzip,
    Hang,
    HangAfterHead,
    HangUp,
    Pause,
    Refuse,
    StopMidStream,
    serve_upstream,
)
from routecast.testing.embeddings import simulated_embedding

pytestmark = pytest.mark.anyio

Upstream = tuple[FakeUpstream, openai.AsyncOpenAI]
MESSAGES: Any = [{"role": "user", "content": "What is 2 + 2?"}]


@pytest.fixture
async def upstream(anyio_backend: str) -> AsyncIterator[Upstream]:
    fake = FakeUpstream("small")
    async with serve_upstream(fake) as url:
        client = openai.AsyncOpenAI(base_url=url, api_key="sk-test", max_retries=0)
        async with client:
            yield fake, client


async def test_it_answers_with_its_own_name_and_says_that_it_is_simulated(
    upstream: Upstream,
) -> None:
    _, client = upstream
    answer = await client.chat.completions.create(model="any", messages=MESSAGES)
    assert answer.model == "small"
    assert answer.choices[0].message.content == "This is a simulated answer by small."
    assert answer.choices[0].finish_reason == "stop"


async def test_usage_follows_the_stated_rule(upstream: Upstream) -> None:
    # 14 characters in are 4 tokens, 36 out are 9: four characters each, rounded up.
    _, client = upstream
    usage = (await client.chat.completions.create(model="any", messages=MESSAGES)).usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (4, 9, 13)


async def test_text_parts_count_and_images_do_not(upstream: Upstream) -> None:
    _, client = upstream
    parts = [
        {"type": "text", "text": "12345"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]
    messages: Any = [{"role": "user", "content": parts}, {"role": "assistant", "content": None}]
    answer = await client.chat.completions.create(model="any", messages=messages)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 2


@pytest.mark.parametrize("include_usage", [False, True])
async def test_a_stream_says_the_same_word_by_word(upstream: Upstream, include_usage: bool) -> None:
    _, client = upstream
    stream = await client.chat.completions.create(
        model="any", messages=MESSAGES, stream=True, stream_options={"include_usage": include_usage}
    )
    chunks = [chunk async for chunk in stream]
    texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert "".join(text or "" for text in texts) == "This is a simulated answer by small."
    assert [bool(chunk.usage) for chunk in chunks] == [False] * 9 + [True] * include_usage
    finished = chunks[8].choices[0].finish_reason
    assert finished == "stop"


async def test_it_lists_its_model(upstream: Upstream) -> None:
    _, client = upstream
    assert [model.id for model in (await client.models.list()).data] == ["small"]


async def test_it_remembers_requests_byte_by_byte(upstream: Upstream) -> None:
    fake, client = upstream
    body = b'{ "messages": [],\n "model":"any" }'
    async with aiohttp.ClientSession() as http:
        url = f"{client.base_url}chat/completions?x=1"
        async with http.post(url, data=body, headers={"X-Trace": "7"}) as answer:
            assert answer.status == 200
    (request,) = fake.requests
    assert (request.body, request.path) == (body, "/v1/chat/completions?x=1")
    assert request.header("x-trace") == "7"
    assert request.header("x-other") is None


async def test_it_remembers_no_more_than_it_was_told_to() -> None:
    fake = FakeUpstream("small", n_recorded=2)
    async with serve_upstream(fake) as url, aiohttp.ClientSession() as http:
        for i in range(3):
            async with http.post(f"{url}/chat/completions", json={"n": i}) as answer:
                assert answer.status == 200
    assert [json.loads(request.body)["n"] for request in fake.requests] == [1, 2]
    assert fake.n_requests == 3
    fake.reset()
    assert (len(fake.requests), fake.n_requests) == (0, 0)


async def test_it_takes_its_time() -> None:
    fake = FakeUpstream("small", latency_s=0.2)
    async with serve_upstream(fake) as url, openai.AsyncOpenAI(base_url=url, api_key="x") as client:
        began = time.perf_counter()
        await client.chat.completions.create(model="any", messages=MESSAGES)
    assert time.perf_counter() - began >= 0.2


@pytest.mark.parametrize("own", ["Four.", lambda request: f"Four{request['model']}"])
async def test_an_answer_of_one_s_own_is_given(own: str | Callable[[dict[str, Any]], str]) -> None:
    fake = FakeUpstream("small", answer=own)
    async with serve_upstream(fake) as url, openai.AsyncOpenAI(base_url=url, api_key="x") as client:
        answer = await client.chat.completions.create(model=".", messages=MESSAGES)
    assert answer.choices[0].message.content == "Four."


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000])
async def test_what_is_not_json_is_refused(upstream: Upstream, body: bytes) -> None:
    _, client = upstream
    url = f"{client.base_url}chat/completions"
    async with aiohttp.ClientSession() as http, http.post(url, data=body) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["type"] == "invalid_request_error"


async def test_unknown_paths_are_not_found(upstream: Upstream) -> None:
    _, client = upstream
    with pytest.raises(openai.NotFoundError):
        await client.moderations.create(input="text")


async def test_embeddings_are_decided_by_the_text(upstream: Upstream) -> None:
    _, client = upstream
    both = await client.embeddings.create(model="any", input=["one", "two"])
    alone = await client.embeddings.create(model="any", input="two")
    by_index = {entry.index: entry.embedding for entry in both.data}
    assert by_index[0] == pytest.approx(simulated_embedding("one"), abs=1e-6)  # sent in base64
    assert by_index[1] == pytest.approx(simulated_embedding("two"), abs=1e-6)
    assert alone.data[0].embedding == by_index[1]
    # 3 characters each, 4 to a token, rounded up: 6 / 4 is 2 tokens.
    assert (both.usage.prompt_tokens, both.usage.total_tokens) == (2, 2)


@pytest.mark.parametrize("given", ["", [], ["one", ""]])
async def test_empty_inputs_of_embeddings_are_refused(upstream: Upstream, given: list[str]) -> None:
    _, client = upstream
    with pytest.raises(openai.BadRequestError):
        await client.embeddings.create(model="any", input=given)


async def test_faults_come_in_order_and_then_it_behaves(upstream: Upstream) -> None:
    fake, client = upstream
    fake.misbehave(Refuse(status=429, headers={"Retry-After": "3"}), Refuse(status=500))
    with pytest.raises(openai.RateLimitError) as caught:
        await client.chat.completions.create(model="any", messages=MESSAGES)
    assert caught.value.response.headers["retry-after"] == "3"
    with pytest.raises(openai.InternalServerError):
        await client.chat.completions.create(model="any", messages=MESSAGES)
    answer = await client.chat.completions.create(model="any", messages=MESSAGES)
    assert answer.model == "small"


async def test_it_hangs_and_notices_that_the_client_has_left(upstream: Upstream) -> None:
    fake, client = upstream
    fake.misbehave(Hang(duration_s=30))
    with pytest.raises(openai.APITimeoutError):
        await client.with_options(timeout=0.1).chat.completions.create(
            model="any", messages=MESSAGES
        )
    async with asyncio.timeout(3):
        while fake.n_cancelled == 0:  # noqa: ASYNC110 (there is no event to wait for)
            await asyncio.sleep(0.01)


async def test_a_short_hang_ends_with_the_answer(upstream: Upstream) -> None:
    fake, client = upstream
    fake.misbehave(Hang(duration_s=0.1))
    answer = await client.chat.completions.create(model="any", messages=MESSAGES)
    assert answer.model == "small"


async def test_it_stops_in_mid_stream(upstream: Upstream) -> None:
    fake, client = upstream
    fake.misbehave(StopMidStream(n_events=2, tail=b"data: {"), StopMidStream())
    received = bytearray()

    async def receive(answer: aiohttp.ClientResponse) -> None:
        async for chunk in answer.content.iter_any():
            received.extend(chunk)

    async with aiohttp.ClientSession() as http:
        url = f"{client.base_url}chat/completions"
        async with http.post(url, json={"stream": True}) as answer:
            with pytest.raises(aiohttp.ClientPayloadError):
                await receive(answer)
        assert received.count(b"\n\n") == 2
        assert received.endswith(b"data: {")
        async with http.post(url, json={}) as answer:
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.read()


@pytest.mark.parametrize("stream", [False, True])
async def test_it_compresses_whether_asked_to_or_not(upstream: Upstream, stream: bool) -> None:
    fake, client = upstream
    fake.misbehave(Gzip())
    async with aiohttp.ClientSession(auto_decompress=False) as http:
        url = f"{client.base_url}chat/completions"
        async with http.post(url, json={"stream": stream}) as answer:
            assert answer.headers["content-encoding"] == "gzip"
            assert b"simulated" in gzip.decompress(await answer.read())


@pytest.mark.parametrize("reset", [False, True])
async def test_it_hangs_up_without_an_answer(upstream: Upstream, reset: bool) -> None:
    fake, client = upstream
    fake.misbehave(HangUp(reset=reset))
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientOSError if reset else aiohttp.ServerDisconnectedError):
            await http.post(f"{client.base_url}chat/completions", json={})


@pytest.mark.parametrize("stream", [False, True])
async def test_it_resets_the_connection_in_the_middle(upstream: Upstream, stream: bool) -> None:
    fake, client = upstream
    fake.misbehave(StopMidStream(reset=True))
    url = f"{client.base_url}chat/completions"
    async with (
        aiohttp.ClientSession() as http,
        http.post(url, json={"stream": stream}) as answer,
    ):
        with pytest.raises(aiohttp.ClientError):
            await answer.read()


@pytest.mark.parametrize("stream", [False, True])
async def test_it_breaks_the_chunked_encoding(upstream: Upstream, stream: bool) -> None:
    fake, client = upstream
    fake.misbehave(BreakChunks(n_events=1))
    body = json.dumps({"stream": stream}).encode()
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n")
    writer.write(b"content-length: %d\r\n\r\n" % len(body) + body)
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    await writer.wait_closed()
    head, _, chunks = answer.partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head.lower()
    assert chunks.endswith(b"\r\nthis is no chunk\r\n")


@pytest.mark.parametrize("stream", [False, True])
async def test_it_hangs_after_its_head(upstream: Upstream, stream: bool) -> None:
    fake, client = upstream
    fake.misbehave(HangAfterHead(duration_s=0.2), HangAfterHead(drop=True))
    url = f"{client.base_url}chat/completions"
    async with aiohttp.ClientSession() as http:
        async with http.post(url, json={"stream": stream}) as answer:
            began = time.perf_counter()
            assert b"simulated" in await answer.read()
            assert time.perf_counter() - began > 0.15
        async with http.post(url, json={"stream": stream}) as answer:
            assert answer.status == 200
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.read()


@pytest.mark.parametrize("stream", [False, True])
async def test_it_sends_byte_by_byte(upstream: Upstream, stream: bool) -> None:
    fake, client = upstream
    fake.misbehave(Dribble(delay_s=0.02, n_bytes=10))
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{client.base_url}chat/completions", json={"stream": stream}) as answer,
    ):
        pieces = [chunk async for chunk in answer.content.iter_any()]
    assert [len(piece) for piece in pieces[:9]] == [1] * 9  # the rest comes with the tenth
    assert b"simulated" in b"".join(pieces)


async def test_it_pauses_in_mid_stream_and_goes_on(upstream: Upstream) -> None:
    fake, client = upstream
    fake.misbehave(Pause(duration_s=0.2, n_events=3))
    stream = await client.chat.completions.create(model="any", messages=MESSAGES, stream=True)
    times = [time.perf_counter() async for _ in stream]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert gaps.index(max(gaps)) == 2
    assert max(gaps) > 0.15


@pytest.mark.parametrize("stream", [False, True])
async def test_it_sends_as_much_as_it_is_told_to(upstream: Upstream, stream: bool) -> None:
    fake, client = upstream
    fake.misbehave(Enlarge(n_bytes=10_000_000))
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{client.base_url}chat/completions", json={"stream": stream}) as answer,
    ):
        content = await answer.read()
    assert len(content) > 10_000_000
    assert content.count(b"simulated") >= 1
