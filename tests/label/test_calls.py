"""Calls that cost money: never twice, never too many at once, never without a note."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from routecast.errors import UpstreamError
from routecast.label.budget import Ledger
from routecast.label.calls import (
    N_FAILURES_IN_A_ROW,
    PaidCalls,
    cost_at_most_usd,
    cost_of_reply_usd,
    request_key,
)
from routecast.label.journal import open_journal
from routecast.label.run import RunLimits
from routecast.label.settings import JudgeSettings
from routecast.testing import Hang, Refuse, StopMidStream
from routecast.upstream.chat import ChatReply, ChatRequest, open_session
from routecast.upstream.endpoint import Endpoint
from routecast.upstream.prices import Price
from routecast.upstream.retry import AttemptError

if TYPE_CHECKING:
    from tests.label.conftest import ScriptedModel

SettingsAt = Callable[..., JudgeSettings]
PRICED = Endpoint(
    name="m", model="m-1", base_url="http://127.0.0.1:1/v1", price=Price(input=2.0, output=8.0)
)


def question(text: str) -> ChatRequest:
    return ChatRequest(messages=({"role": "user", "content": text},), max_output_tokens=100)


@pytest.fixture
def line(
    models: "ScriptedModel", settings_at: SettingsAt, limits: RunLimits, tmp_path: Path
) -> Callable[..., Any]:
    """Opens calls to the models; yields them with the strong model's endpoint."""

    @asynccontextmanager
    async def opened(
        watch: Callable[[], None] = lambda: None,
    ) -> AsyncIterator[tuple[PaidCalls, Endpoint]]:
        async with models.served() as base_url, open_session() as session:
            with open_journal(tmp_path / "j", {}) as journal:
                calls = PaidCalls(
                    session,
                    journal=journal,
                    ledger=Ledger(spent_usd=journal.spent_usd),
                    n_at_once=limits.n_at_once,
                    timeouts=limits.timeouts,
                    retry=limits.retry,
                    watch=watch,
                )
                yield calls, settings_at(base_url).endpoints["strong"]

    return opened


def test_costs_by_hand() -> None:
    request = question("hi")
    # 10 tokens in at 2 USD and 5 out at 8 USD per million: 20 + 40 millionths
    reply = ChatReply(text="x", n_input_tokens=10, n_output_tokens=5)
    assert cost_of_reply_usd(PRICED, request, reply) == pytest.approx(60e-6)
    # at most: the bytes of [[{"role": "user", "content": "hi"}], null], 43, and a frame of 64
    at_most = cost_at_most_usd(PRICED, request)
    assert at_most == pytest.approx((2 * (43 + 64) + 8 * 100) / 1e6)
    # an upstream that counts nothing: that bound for the input, a token per byte for the output
    uncounted = cost_of_reply_usd(PRICED, request, ChatReply(text="four"))
    assert uncounted == pytest.approx((2 * (43 + 64) + 8 * 4) / 1e6)
    assert cost_at_most_usd(replace(PRICED, price=None), request) == 0.0
    assert cost_of_reply_usd(replace(PRICED, price=None), request, reply) == 0.0


def test_the_key_depends_on_model_role_and_request_and_not_on_the_address() -> None:
    key = request_key(PRICED, question("hi"), role="answer")
    moved = replace(PRICED, base_url="http://127.0.0.1:2/v1", api_key="k", price=None)
    assert request_key(moved, question("hi"), role="answer") == key
    others = {
        request_key(replace(PRICED, model="m-2"), question("hi"), role="answer"),
        request_key(replace(PRICED, name="n"), question("hi"), role="answer"),
        request_key(PRICED, question("ho"), role="answer"),
        request_key(PRICED, question("hi"), role="pairwise"),
        request_key(PRICED, replace(question("hi"), max_output_tokens=99), role="answer"),
        request_key(PRICED, replace(question("hi"), temperature=0.0), role="answer"),
        request_key(PRICED, replace(question("hi"), json_schema={}), role="answer"),
    }
    assert len(others | {key}) == 8


@pytest.mark.anyio
async def test_equal_requests_are_sent_once_whoever_asks_and_whenever(
    models: "ScriptedModel", line: Callable[..., Any]
) -> None:
    models.latency_s = 0.02
    async with line() as (calls, endpoint):
        same = (calls.ask(endpoint, question("x"), role="answer") for _ in range(10))
        replies = await asyncio.gather(*same)
        assert len(set(replies)) == 1
        assert (calls.counts.n_replies, calls.counts.n_from_journal) == (1, 9)
        spent_usd = calls.ledger.spent_usd
        assert spent_usd > 0
    async with line() as (calls, endpoint):
        assert await calls.ask(endpoint, question("x"), role="answer") == replies[0]
        assert calls.ledger.spent_usd == spent_usd
    assert len(models.bodies) == 1


@pytest.mark.anyio
async def test_no_more_calls_are_in_flight_than_allowed(
    models: "ScriptedModel", line: Callable[..., Any]
) -> None:
    models.latency_s = 0.02
    async with line() as (calls, endpoint):
        await asyncio.gather(
            *(calls.ask(endpoint, question(str(n)), role="answer") for n in range(30))
        )
    assert models.most_at_once == {"good-1": 4}


@pytest.mark.anyio
async def test_every_fault_that_passes_is_got_over(
    models: "ScriptedModel", line: Callable[..., Any], tmp_path: Path
) -> None:
    models.misbehave(Refuse(status=500), StopMidStream(), Refuse(status=200, body=b'{"choices": ['))
    async with line() as (calls, endpoint):
        reply = await calls.ask(endpoint, question("x"), role="answer")
        assert reply.text == "an answer of good-1 to: x"
        assert calls.counts.n_failed_attempts == 3
        bound_usd = cost_at_most_usd(endpoint, question("x"))
        cost_usd = cost_of_reply_usd(endpoint, question("x"), reply)
        # refused: free; dropped and broken: perhaps billed, so at their bound
        assert calls.ledger.spent_usd == pytest.approx(2 * bound_usd + cost_usd)
    async with line() as (calls, _):
        assert calls.ledger.spent_usd == pytest.approx(2 * bound_usd + cost_usd)
    kinds = [json.loads(each)["kind"] for each in (tmp_path / "j").read_text().splitlines()]
    assert kinds == ["header", "sent", "refused", "sent", "sent", "sent", "reply"]


@pytest.mark.anyio
async def test_retry_after_holds_all_calls_to_that_model(
    models: "ScriptedModel", line: Callable[..., Any]
) -> None:
    models.misbehave(Refuse(status=429, headers={"Retry-After": "0.5"}))
    loop = asyncio.get_running_loop()
    refused = asyncio.Event()
    async with line(watch=refused.set) as (calls, endpoint):
        started_s = loop.time()
        first = asyncio.create_task(calls.ask(endpoint, question("1"), role="answer"))
        await refused.wait()
        await calls.ask(endpoint, question("2"), role="answer")
        assert loop.time() - started_s >= 0.5
        await first
    assert len(models.bodies) == 3


@pytest.mark.anyio
async def test_a_hang_ends_at_the_timeout_and_is_tried_again(
    models: "ScriptedModel", line: Callable[..., Any]
) -> None:
    models.misbehave(Hang(duration_s=30))
    async with line() as (calls, endpoint):
        async with asyncio.timeout(5):
            await calls.ask(endpoint, question("x"), role="answer")
    assert len(models.bodies) == 2


@pytest.mark.anyio
async def test_a_failed_request_is_its_own_and_is_tried_again_by_the_next_run(
    models: "ScriptedModel", line: Callable[..., Any]
) -> None:
    models.misbehave(Refuse(status=400))
    async with line() as (calls, endpoint):
        with pytest.raises(AttemptError, match="'strong' answered status 400"):
            await calls.ask(endpoint, question("bad"), role="answer")
        await calls.ask(endpoint, question("good"), role="answer")
    async with line() as (calls, endpoint):
        await calls.ask(endpoint, question("bad"), role="answer")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "fault",
    [
        Refuse(status=401),
        Refuse(status=404),
        Refuse(status=307, headers={"location": "http://127.0.0.1:1/"}),
        Refuse(status=429, body=b'{"error": {"code": "insufficient_quota"}}'),
        Refuse(status=429, headers={"Retry-After": "86400"}),
    ],
    ids=["no key", "no model", "moved", "no money", "come back tomorrow"],
)
async def test_a_fault_of_every_call_stops_all_calls(
    models: "ScriptedModel", line: Callable[..., Any], fault: Refuse
) -> None:
    models.misbehave(fault)
    async with line() as (calls, endpoint):
        for _ in range(3):
            with pytest.raises(UpstreamError, match="run the same command again") as caught:
                await calls.ask(endpoint, question("x"), role="answer")
            assert not isinstance(caught.value, AttemptError)
            assert "sk-a-secret-key" not in str(caught.value)
        assert calls.ledger.spent_usd == 0.0
    assert len(models.bodies) == 1


@pytest.mark.anyio
async def test_many_failures_in_a_row_stop_all_calls(
    models: "ScriptedModel", line: Callable[..., Any]
) -> None:
    models.misbehave(*(Refuse(status=400) for _ in range(100)))
    async with line() as (calls, endpoint):
        for n in range(N_FAILURES_IN_A_ROW - 1):
            with pytest.raises(AttemptError):
                await calls.ask(endpoint, question(str(n)), role="answer")
        for n in range(3):
            with pytest.raises(UpstreamError, match="10 requests in a row failed"):
                await calls.ask(endpoint, question(f"more {n}"), role="answer")
    assert len(models.bodies) == N_FAILURES_IN_A_ROW


@pytest.mark.anyio
async def test_failures_with_an_answer_between_them_are_not_in_a_row(
    models: "ScriptedModel", line: Callable[..., Any]
) -> None:
    async with line() as (calls, endpoint):
        for stretch in ("first", "second"):
            models.misbehave(*(Refuse(status=400) for _ in range(N_FAILURES_IN_A_ROW - 1)))
            for n in range(N_FAILURES_IN_A_ROW - 1):
                with pytest.raises(AttemptError):
                    await calls.ask(endpoint, question(f"{stretch} {n}"), role="answer")
            await calls.ask(endpoint, question(f"{stretch}, answered"), role="answer")
        assert calls.halted is None


@pytest.mark.anyio
async def test_a_model_that_wants_other_field_names_is_asked_that_way_from_then_on(
    models: "ScriptedModel", line: Callable[..., Any]
) -> None:
    def refusal(parameter: str) -> Refuse:
        fault = {"error": {"param": parameter, "code": "unsupported_parameter"}}
        return Refuse(status=400, body=json.dumps(fault).encode())

    models.misbehave(refusal("max_tokens"), refusal("temperature"))
    async with line() as (calls, endpoint):
        for text in ("1", "2"):
            request = replace(question(text), temperature=0.0)
            await calls.ask(endpoint, request, role="answer")
    assert [
        ("max_tokens" in body, "max_completion_tokens" in body, "temperature" in body)
        for body in models.bodies
    ] == [(True, False, True), (False, True, True), (False, True, False), (False, True, False)]
