"""What comes after the first byte: breaks, silences, sizes and comments, over real sockets."""

import asyncio
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import anyio
import pytest

from routecast.testing import (
    BreakChunks,
    Dribble,
    Enlarge,
    Fault,
    Gzip,
    Hang,
    HangAfterHead,
    Pause,
    StopMidStream,
)

if TYPE_CHECKING:
    from tests.gateway.conftest import AnsweringWith, Eventually, Gateway, StartGateway

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("short_waits")]

HARD = b'{"model":"auto","messages":[{"role":"user","content":"hard"}]}'
HARD_STREAM = HARD[:-1] + b',"stream":true}'
BOTH_FORMS = pytest.mark.parametrize("body", [HARD, HARD_STREAM], ids=["plain", "stream"])


@pytest.mark.parametrize(
    "fault",
    [StopMidStream(n_events=3), StopMidStream(n_events=3, reset=True), BreakChunks(n_events=3)],
)
async def test_after_the_first_byte_nobody_else_is_asked_and_the_stream_says_so(
    retrying: "Gateway", fault: Fault
) -> None:
    retrying.big.misbehave(fault)
    with anyio.fail_after(3):
        status, content, model = await retrying.ask(HARD_STREAM)
    assert (status, model, retrying.small.n_requests) == (200, "big", 0)
    *_, error, end = content.split(b"\n\n")
    assert json.loads(error.removeprefix(b"data: "))["error"]["code"] == "upstream_failed"
    assert (end, b"[DONE]" in content) == (b"", False)


@pytest.mark.parametrize("fault", [StopMidStream(), StopMidStream(reset=True), BreakChunks()])
async def test_a_plain_answer_that_breaks_is_no_whole_answer_to_the_client(
    retrying: "Gateway", fault: Fault
) -> None:
    retrying.big.misbehave(fault)
    with anyio.fail_after(3), pytest.raises(aiohttp.ClientPayloadError):
        await retrying.ask()
    assert retrying.small.n_requests == 0


def stream_until_close(events: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + events


async def test_a_stream_without_length_or_chunks_that_ends_early_says_so(
    starts_gateway: "StartGateway", answering_with: "AnsweringWith"
) -> None:
    events = b'data: {"choices": [{"delta": {"content": "half"}, "finish_reason": null}]}\n\n'
    async with (
        answering_with(stream_until_close(events)) as url,
        starts_gateway(big_url=url) as gateway,
    ):
        content = (await gateway.ask(HARD_STREAM))[1]
    assert content.startswith(events)
    assert b"upstream_failed" in content


@pytest.mark.parametrize("last", [b"[DONE]", b'{"choices": [{"finish_reason": "stop"}]}'])
async def test_a_stream_without_length_or_chunks_that_ends_well_passes_untouched(
    starts_gateway: "StartGateway", last: bytes, answering_with: "AnsweringWith"
) -> None:
    events = b'data: {"choices": []}\n\ndata: ' + last + b"\n\n"
    async with (
        answering_with(stream_until_close(events)) as url,
        starts_gateway(big_url=url) as gateway,
    ):
        assert (await gateway.ask(HARD_STREAM))[1] == events


async def test_a_stream_that_falls_silent_is_kept_alive_by_comments(
    lively: "Gateway",
) -> None:
    whole = (await lively.ask(HARD_STREAM))[1]
    lively.big.misbehave(Pause(duration_s=0.55, n_events=3))
    content = (await lively.ask(HARD_STREAM))[1]
    assert b": keep-alive" not in whole
    assert 3 <= content.count(b": keep-alive\n\n") <= 5
    events = content.replace(b": keep-alive\n\n", b"").split(b"\n\n")
    assert len(events) == len(whole.split(b"\n\n"))
    assert content.split(b"\n\n")[3] == b": keep-alive"  # between whole events


async def test_a_stream_that_has_not_begun_is_kept_alive_too_and_the_client_reads_on(
    lively: "Gateway",
) -> None:
    messages: Any = [{"role": "user", "content": "hard"}]
    lively.big.misbehave(HangAfterHead(duration_s=0.45), HangAfterHead(duration_s=0.45))
    content = (await lively.ask(HARD_STREAM))[1]
    assert content.startswith(b": keep-alive\n\n: keep-alive\n\n")
    async with lively.client() as client:
        stream = await client.chat.completions.create(model="auto", messages=messages, stream=True)
        texts = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert "".join(texts) == "This is a simulated answer by big."


async def test_a_stream_that_dies_after_a_comment_ends_with_an_error_event(
    lively: "Gateway",
) -> None:
    lively.big.misbehave(HangAfterHead(duration_s=0.25, drop=True))
    status, content, model = await lively.ask(HARD_STREAM)
    assert (status, model, lively.small.n_requests) == (200, "big", 0)
    *comments, error, end = content.split(b"\n\n")
    assert (set(comments), end) == ({b": keep-alive"}, b"")
    assert b"upstream_failed" in error


async def test_of_a_stream_that_was_given_up_nothing_is_heard_again(lively: "Gateway") -> None:
    # Given up after 0.05 s, it would send its comment at 0.1 s, into the answer of the other.
    lively.big.misbehave(HangAfterHead(duration_s=0.05, drop=True))
    lively.small.misbehave(Hang(duration_s=0.4))
    status, content, model = await lively.ask(HARD_STREAM)
    assert (status, model) == (200, "small")
    assert content.startswith(b"data: ")
    assert b"keep-alive" not in content


async def test_a_call_that_is_given_up_ends_before_the_next_is_made(
    retrying: "Gateway", eventually: "Eventually"
) -> None:
    retrying.big.misbehave(HangAfterHead(duration_s=30))
    retrying.small.misbehave(HangAfterHead(duration_s=0.25))
    asking = asyncio.create_task(retrying.ask(HARD_STREAM))
    await eventually(lambda: retrying.small.n_requests == 1)
    await asyncio.sleep(0.05)
    assert retrying.big.n_cancelled == 1
    assert not asking.done()
    assert (await asking)[2] == "small"


async def test_a_plain_answer_and_a_compressed_stream_get_no_comments(
    lively: "Gateway",
) -> None:
    lively.big.misbehave(HangAfterHead(duration_s=0.3), Gzip())
    assert json.loads((await lively.ask())[1])
    assert b"keep-alive" not in (await lively.ask(HARD_STREAM))[1]


@BOTH_FORMS
async def test_bytes_that_come_one_by_one_pass_without_delay(
    retrying: "Gateway", body: bytes
) -> None:
    retrying.big.misbehave(Dribble(delay_s=0.1, n_bytes=8))
    status, content, _ = await retrying.ask(body)
    assert status == 200
    assert b"simulated" in content


@BOTH_FORMS
async def test_ten_megabytes_pass(retrying: "Gateway", body: bytes) -> None:
    retrying.big.misbehave(Enlarge(n_bytes=10_000_000))
    content = (await retrying.ask(body))[1]
    assert len(content) > 10_000_000
    assert content.endswith(b"data: [DONE]\n\n" if body == HARD_STREAM else b" ")
