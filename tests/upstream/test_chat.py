"""One chat completion, against an upstream that misbehaves."""

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from routecast.testing import (
    FakeUpstream,
    Fault,
    Gzip,
    Hang,
    Refuse,
    StopMidStream,
    serve_upstream,
)
from routecast.upstream import chat
from routecast.upstream.chat import (
    ChatReply,
    ChatRequest,
    ChatTimeouts,
    chat_body,
    open_session,
    read_reply,
    send_chat,
)
from routecast.upstream.dialect import Dialect
from routecast.upstream.endpoint import Endpoint
from routecast.upstream.retry import AttemptError

KEY = "sk-a-key-that-nobody-may-see"
REQUEST = ChatRequest(
    messages=({"role": "user", "content": "A prompt that nobody may log"},), max_output_tokens=50
)
TIMEOUTS = ChatTimeouts(connect_s=1.0, read_s=0.2, total_s=5.0)


def endpoint_at(base_url: str) -> Endpoint:
    return Endpoint(name="small", model="tiny-1", base_url=base_url, api_key=KEY)


@asynccontextmanager
async def upstream_with(*faults: Fault) -> AsyncIterator[tuple[FakeUpstream, Endpoint]]:
    upstream = FakeUpstream("tiny-1", answer="Four.")
    upstream.misbehave(*faults)
    async with serve_upstream(upstream) as base_url:
        yield upstream, endpoint_at(base_url)


async def ask(endpoint: Endpoint, request: ChatRequest = REQUEST) -> ChatReply:
    async with open_session() as session:
        return await send_chat(session, endpoint, request, timeouts=TIMEOUTS)


async def failure(fault: Fault) -> AttemptError:
    async with upstream_with(fault) as (_, endpoint):
        with pytest.raises(AttemptError) as caught:
            await ask(endpoint)
    assert KEY not in str(caught.value)
    assert "nobody may log" not in str(caught.value)
    return caught.value


def completion(**message: object) -> bytes:
    return json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()


@pytest.mark.anyio
async def test_a_reply_holds_text_and_tokens() -> None:
    async with upstream_with() as (upstream, endpoint):
        reply = await ask(endpoint)
    # one token per four characters, rounded up: 28 characters in, 5 out
    assert reply == ChatReply(
        text="Four.", finish_reason="stop", n_input_tokens=7, n_output_tokens=2
    )
    sent = upstream.requests[0]
    assert sent.path == "/v1/chat/completions"
    assert sent.header("authorization") == f"Bearer {KEY}"
    assert json.loads(sent.body) == {
        "model": "tiny-1",
        "messages": [{"role": "user", "content": "A prompt that nobody may log"}],
        "max_tokens": 50,
    }


@pytest.mark.anyio
async def test_a_compressed_reply_is_read() -> None:
    async with upstream_with(Gzip()) as (_, endpoint):
        assert (await ask(endpoint)).text == "Four."


def test_a_schema_and_a_temperature_are_asked_for_in_the_api_s_words() -> None:
    request = ChatRequest(
        messages=REQUEST.messages,
        max_output_tokens=9,
        temperature=0.0,
        json_schema={"type": "object"},
    )
    body = chat_body(endpoint_at("http://127.0.0.1:1/v1"), request)
    assert body["temperature"] == 0.0
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "reply", "strict": True, "schema": {"type": "object"}},
    }
    other = chat_body(
        endpoint_at("http://127.0.0.1:1/v1"),
        request,
        Dialect(output_limit="max_completion_tokens", takes_temperature=False),
    )
    assert other["max_completion_tokens"] == 9
    assert not {"max_tokens", "temperature"} & other.keys()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "is_transient"),
    [(408, True), (429, True), (500, True), (503, True), (529, True), (400, False), (401, False),
     (404, False), (302, False), (204, False)],
)  # fmt: skip
async def test_a_refusal_is_free_and_says_its_status(status: int, is_transient: bool) -> None:
    error = await failure(Refuse(status=status, body=b""))
    assert (error.status, error.is_transient, error.may_be_charged) == (status, is_transient, False)
    assert str(status) in str(error)


@pytest.mark.anyio
async def test_retry_after_is_handed_on() -> None:
    error = await failure(Refuse(status=429, headers={"Retry-After": "3"}))
    assert error.retry_after_s == 3.0


@pytest.mark.anyio
async def test_a_refusal_names_the_parameter_and_an_empty_account_is_not_waited_for() -> None:
    fault = {"message": "long text", "param": "max_tokens", "code": "unsupported_parameter"}
    error = await failure(Refuse(status=400, body=json.dumps({"error": fault}).encode()))
    assert error.parameter == "max_tokens"
    assert "unsupported_parameter" in str(error)
    assert "long text" not in str(error)
    quota = json.dumps({"error": {"code": "insufficient_quota"}}).encode()
    assert not (await failure(Refuse(status=429, body=quota))).is_transient


@pytest.mark.anyio
@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "not allowed to request logprobs of this", "param": None}},
        {"object": "error", "message": "logprobs is not supported", "type": "BadRequestError"},
        {"error": "this model has no logprobs"},
    ],
)
async def test_a_refusal_in_words_only_names_the_parameter_too(body: dict[str, object]) -> None:
    error = await failure(Refuse(status=400, body=json.dumps(body).encode()))
    assert error.parameter == "logprobs"
    assert "logprobs" not in str(error)


@pytest.mark.anyio
@pytest.mark.parametrize("word", [KEY, f"bad:{KEY}", "two words", 7, None, {"a": 1}])
async def test_only_plain_words_of_a_refusal_are_shown(word: object) -> None:
    body = json.dumps({"error": {"code": word, "param": word, "type": word}}).encode()
    error = await failure(Refuse(status=400, body=body))
    assert str(error) == "model 'small' answered status 400"
    assert error.parameter is None


@pytest.mark.anyio
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'"text"',
        b'{"choices": []}',
        b'{"choices": [{}]}',
        b'{"choices": [{"message": {"content": 7}}]}',
        b'{"choices": [{"message": "text"}]}',
        b'{"error": {"message": "overloaded"}}',
        b'{"choices": [{"message": {"content": "cut of',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
async def test_a_broken_body_may_have_been_charged_and_is_worth_another_try(body: bytes) -> None:
    error = await failure(Refuse(status=200, body=body))
    assert error.is_transient
    assert error.may_be_charged


@pytest.mark.anyio
@pytest.mark.parametrize("fault", [Hang(duration_s=5.0), StopMidStream(), StopMidStream(hang_s=5)])
async def test_silence_and_a_dropped_connection_may_have_been_charged(fault: Fault) -> None:
    error = await failure(fault)
    assert error.status is None
    assert error.is_transient
    assert error.may_be_charged


@pytest.mark.anyio
async def test_an_upstream_that_is_not_there_has_charged_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(AttemptError, match="cannot be reached") as caught:
        await ask(endpoint_at(f"http://127.0.0.1:{port}/v1"))
    assert caught.value.is_transient
    assert not caught.value.may_be_charged


@pytest.mark.anyio
async def test_an_endless_body_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "MAX_REPLY_BYTES", 1000)
    error = await failure(Refuse(status=200, body=b" " * 1001))
    assert not error.is_transient
    assert error.may_be_charged


def test_text_is_read_from_parts_and_a_refusal_of_the_model_is_empty() -> None:
    parts = [{"type": "text", "text": "one "}, {"type": "image"}, {"type": "text", "text": "two"}]
    assert read_reply(completion(content=parts), who="it").text == "one two"
    assert read_reply(completion(content=None, refusal="no"), who="it").text == ""


def test_tokens_that_are_no_counts_are_unknown() -> None:
    for wrong in (-1, 1.5, "7", True, None):
        body = json.loads(completion(content="x")) | {"usage": {"prompt_tokens": wrong}}
        assert read_reply(json.dumps(body).encode(), who="it").n_input_tokens is None


def test_lone_surrogates_in_an_answer_are_replaced() -> None:
    assert read_reply(completion(content="a\ud83db"), who="it").text == "a\ufffdb"
