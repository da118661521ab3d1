"""A stream that breaks or falls silent, as the official clients of each API see it."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import aiohttp
import anthropic
import openai
import pytest

from routecast.testing import BreakChunks, Fault, HangAfterHead, Pause, StopMidStream

if TYPE_CHECKING:
    from tests.gateway.conftest import Gateway

pytestmark = pytest.mark.anyio

LIVELY = "[server]\nkeep_alive_s = 0.1\nbreaker_failures = 1000"
MESSAGES: Any = [{"role": "user", "content": "a hard prompt"}]
BREAKS = pytest.mark.parametrize("fault", [StopMidStream(n_events=4), BreakChunks(n_events=4)])
SILENCES = pytest.mark.parametrize("fault", [HangAfterHead(duration_s=0.3), Pause(duration_s=0.3)])


@pytest.fixture(scope="module")
async def shared_lively(anyio_backend: str, starts_full_gateway: Any) -> AsyncIterator["Gateway"]:  # noqa: ANN401
    async with starts_full_gateway(route_settings=LIVELY) as running:
        yield running


@pytest.fixture
def lively(shared_lively: "Gateway") -> "Gateway":
    """A gateway with every API, which sends a comment after 0.1 s of silence."""
    shared_lively.big.reset()
    return shared_lively


def anthropic_client(gateway: "Gateway") -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=gateway.address, api_key="x", max_retries=0)


async def read_messages(client: anthropic.AsyncAnthropic, texts: list[str]) -> None:
    async with client.messages.stream(model="auto", max_tokens=100, messages=MESSAGES) as stream:
        async for text in stream.text_stream:
            texts.append(text)  # noqa: PERF401 (what came counts, even when the stream breaks)


async def read_completion(client: openai.AsyncOpenAI, texts: list[str]) -> None:
    stream = await client.completions.create(model="auto", prompt="hard", stream=True)
    async for chunk in stream:
        texts += [choice.text for choice in chunk.choices]


@BREAKS
async def test_anthropic_s_client_raises_an_api_error(lively: "Gateway", fault: Fault) -> None:
    texts: list[str] = []
    lively.big.misbehave(fault)
    async with anthropic_client(lively) as client:
        with pytest.raises(anthropic.APIStatusError, match="broke off") as caught:
            await read_messages(client, texts)
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["error"]["type"] == "api_error"
    assert texts


@BREAKS
async def test_openai_s_client_raises_when_a_completion_breaks(
    lively: "Gateway", fault: Fault
) -> None:
    texts: list[str] = []
    lively.big.misbehave(fault)
    async with lively.client() as client:
        with pytest.raises(openai.APIError, match="broke off"):
            await read_completion(client, texts)
    assert texts


@BREAKS
async def test_openai_s_client_gets_the_error_event_of_the_responses_api(
    lively: "Gateway", fault: Fault
) -> None:
    lively.big.misbehave(fault)
    async with lively.client() as client:
        stream = await client.responses.create(model="auto", input="hard", stream=True)
        events = [event async for event in stream]
    last = events[-1]
    assert last.type == "error"
    assert (last.code, last.sequence_number) == ("upstream_failed", len(events) - 1)
    assert "broke off" in last.message


@SILENCES
async def test_comments_disturb_no_client(lively: "Gateway", fault: Fault) -> None:
    lively.big.misbehave(fault, fault, fault)
    texts: list[str] = []
    async with anthropic_client(lively) as claude, lively.client() as gpt:
        await read_messages(claude, texts)
        await read_completion(gpt, texts)
        stream = await gpt.responses.create(model="auto", input="hard", stream=True)
        events = [event async for event in stream]
    assert "".join(texts) == 2 * "This is a simulated answer by big."
    assert events[-1].type == "response.completed"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("chat/completions", b'{"messages":[{"role":"user","content":"hard"}]'),
        ("completions", b'{"prompt":"hard"'),
        ("messages", b'{"max_tokens":9,"messages":[{"role":"user","content":"hard"}]'),
        ("responses", b'{"input":"hard"'),
    ],
)
async def test_each_api_s_stream_holds_comments_and_then_its_own_events(
    lively: "Gateway", path: str, body: bytes
) -> None:
    lively.big.misbehave(HangAfterHead(duration_s=0.25))
    url = f"{lively.address}/v1/{path}"
    body += b',"model":"auto","stream":true}'
    headers = {"anthropic-version": "2023-06-01"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(url, data=body, headers=headers) as answer,
    ):
        content = await answer.read()
    assert content.startswith(b": keep-alive\n\n: keep-alive\n\n")
    assert b"simulated" in content
