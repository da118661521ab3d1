"""The record that a relay leaves of each request, and the few lines of its own that it needs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import aiohttp
import anyio
import pytest
from starlette.types import Receive, Scope, Send

from routecast.gateway import plan as plan_module
from routecast.gateway.breaker import BreakerState
from routecast.gateway.events import Tap
from routecast.gateway.exchange import Ended, RelayResult, Usage
from routecast.gateway.headers import RawHeaders
from routecast.gateway.leaving import watch_client
from routecast.gateway.plan import Plan, Upstream, open_pool, prepare_upstream
from routecast.gateway.pool import ConnectionPool
from routecast.gateway.relay import relay
from routecast.gateway.surfaces import SURFACES
from routecast.policy.settings import ServerSettings
from routecast.testing import (
    FakeUpstream,
    Hang,
    HangAfterHead,
    HangUp,
    Refuse,
    StopMidStream,
    serve_on_loopback,
    serve_upstream,
)
from routecast.upstream.endpoint import Endpoint, Timeouts

pytestmark = pytest.mark.anyio

PLAIN = b'{"model":"any","messages":[]}'
STREAM = b'{"model":"any","messages":[],"stream":true}'
Taps = Callable[[Upstream, RawHeaders], tuple[Tap, ...]]


@dataclass
class Relayed:
    """An app that is nothing but a relay, and what became of its requests."""

    big: FakeUpstream
    small: FakeUpstream
    pool: ConnectionPool
    urls: Mapping[str, str]
    upstreams: tuple[Upstream, ...] = ()
    address: str = ""
    body: bytes = PLAIN
    taps_for: Taps | None = None
    results: list[RelayResult] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError("no lifespan")
        await receive()
        result = await relay(
            self.pool,
            Plan(
                candidates=self.upstreams,
                surface=SURFACES["/v1/chat/completions"],
                query=b"",
                body_for=lambda _: self.body,
                headers_for=lambda upstream: [(b"x-for", upstream.name.encode())],
                taps_for=self.taps_for,
            ),
            answer_headers=lambda name, fell_back: [(b"x-by", f"{name} {fell_back}".encode())],
            keep_alive_s=0.1,
            watch=partial(watch_client, scope, receive),
            send=send,
        )
        self.results.append(result)

    async def ask(self) -> RelayResult:
        """Ask as a client would, take what comes, and return the record."""
        async with aiohttp.ClientSession() as http:
            try:
                async with http.post(self.address) as answer:
                    await answer.read()
            except aiohttp.ClientPayloadError:
                pass  # the record says it too
        with anyio.fail_after(3):
            while not self.results:  # noqa: ASYNC110
                await anyio.sleep(0.005)
        return self.results.pop()


def upstreams_at(urls: Mapping[str, str]) -> tuple[Upstream, ...]:
    """Two models that know nothing of past failures."""
    server = ServerSettings(breaker_failures=3, breaker_open_s=30.0, retry_budget=1.0)
    timeouts = Timeouts(first_byte_s=0.3, between_chunks_s=0.3, total_s=5.0)
    return tuple(
        prepare_upstream(
            Endpoint(name=name, model=name, base_url=url, n_retries=1, timeouts=timeouts), server
        )
        for name, url in urls.items()
    )


@pytest.fixture(scope="module")
async def shared(anyio_backend: str) -> AsyncIterator[Relayed]:
    big, small = FakeUpstream("big"), FakeUpstream("small")
    async with (
        serve_upstream(big) as big_url,
        serve_upstream(small) as small_url,
        open_pool() as pool,
    ):
        relayed = Relayed(big, small, pool, {"big": big_url, "small": small_url})
        async with serve_on_loopback(relayed) as relayed.address:
            yield relayed


@pytest.fixture
def relayed(shared: Relayed, monkeypatch: pytest.MonkeyPatch) -> Relayed:
    """A relay that remembers nothing."""
    monkeypatch.setattr(plan_module, "BASE_DELAY_S", 0.01)
    shared.big.reset()
    shared.small.reset()
    shared.body, shared.taps_for = PLAIN, None
    shared.results.clear()
    shared.upstreams = upstreams_at(shared.urls)
    return shared


def summary(result: RelayResult) -> list[tuple[str, int | None, str | None]]:
    return [(attempt.model, attempt.status, attempt.failure) for attempt in result.attempts]


async def test_a_whole_answer(relayed: Relayed) -> None:
    result = await relayed.ask()
    assert (result.model, result.status, result.ended) == ("big", 200, Ended.COMPLETE)
    assert result.error_code is None
    assert summary(result) == [("big", 200, None)]
    (attempt,) = result.attempts
    assert attempt.first_byte_s is not None
    assert result.first_byte_s is not None
    assert 0 < attempt.first_byte_s <= attempt.total_s <= result.total_s < 3
    assert attempt.first_byte_s <= result.first_byte_s <= result.total_s
    assert result.usage is None


async def test_retries_and_a_fallback(relayed: Relayed) -> None:
    relayed.big.misbehave(Refuse(status=503), HangUp())
    result = await relayed.ask()
    assert summary(result) == [
        ("big", 503, "refused"), ("big", None, "hung_up"), ("small", 200, None),
    ]  # fmt: skip
    assert (result.model, result.ended) == ("small", Ended.COMPLETE)
    assert relayed.small.requests[-1].header("x-for") == "small"


async def test_a_refusal_that_passes(relayed: Relayed) -> None:
    relayed.big.misbehave(Refuse(status=400))
    result = await relayed.ask()
    assert (result.model, result.status, result.ended) == ("big", 400, Ended.COMPLETE)
    assert summary(result) == [("big", 400, None)]


async def test_the_best_refusal_of_all_is_no_further_try(relayed: Relayed) -> None:
    relayed.big.misbehave(Refuse(status=429), Refuse(status=429))
    relayed.small.misbehave(Refuse(status=401))
    result = await relayed.ask()
    assert (result.model, result.status, result.ended) == ("big", 429, Ended.COMPLETE)
    assert summary(result) == [
        ("big", 429, "refused"), ("big", 429, "refused"), ("small", 401, "refused"),
    ]  # fmt: skip


async def test_nobody_answers(relayed: Relayed) -> None:
    relayed.big.misbehave(Hang(duration_s=30))
    relayed.small.misbehave(Hang(duration_s=30))
    result = await relayed.ask()
    assert (result.model, result.status, result.ended) == (None, 504, Ended.FAILED)
    assert result.error_code == "upstream_timeout"
    assert summary(result) == [
        ("big", None, "first_byte_timeout"), ("small", None, "first_byte_timeout"),
    ]  # fmt: skip
    assert result.first_byte_s is None


@pytest.mark.parametrize(("hang_s", "failure"), [(0.0, "broke_off"), (30.0, "silent")])
@pytest.mark.parametrize("body", [PLAIN, STREAM])
async def test_an_answer_that_breaks_off(
    relayed: Relayed, body: bytes, hang_s: float, failure: str
) -> None:
    relayed.body = body
    relayed.big.misbehave(StopMidStream(hang_s=hang_s))
    result = await relayed.ask()
    assert (result.model, result.status, result.ended) == ("big", 200, Ended.BROKE_OFF)
    assert summary(result) == [("big", 200, failure)]


async def test_a_stream_that_is_silent_from_the_start_after_a_comment(relayed: Relayed) -> None:
    relayed.body = STREAM
    relayed.big.misbehave(HangAfterHead(duration_s=30))
    result = await relayed.ask()
    assert (result.model, result.status, result.ended) == ("big", 200, Ended.BROKE_OFF)
    assert summary(result) == [("big", 200, "silent")]


@pytest.mark.parametrize(
    ("body", "fault", "status", "attempt"),
    [
        (PLAIN, Hang(duration_s=0.25), None, ("big", None, "client_left")),
        (STREAM, StopMidStream(hang_s=0.25), 200, ("big", 200, "client_left")),
    ],
)
async def test_a_client_that_leaves(
    relayed: Relayed,
    body: bytes,
    fault: Hang | StopMidStream,
    status: int | None,
    attempt: tuple[str, int | None, str],
) -> None:
    relayed.body = body
    relayed.big.misbehave(fault)
    async with aiohttp.ClientSession() as http:
        timeout = aiohttp.ClientTimeout(total=0.1)
        with pytest.raises(TimeoutError):
            async with http.post(relayed.address, timeout=timeout) as answer:
                await answer.read()
    await asyncio.sleep(0.05)
    (result,) = relayed.results
    assert (result.status, result.ended) == (status, Ended.CLIENT_LEFT)
    assert summary(result) == [attempt]
    assert relayed.big.n_cancelled == 1
    assert relayed.upstreams[0].breaker.state is BreakerState.CLOSED


async def test_a_client_that_leaves_between_two_tries_leaves_no_try_behind(
    relayed: Relayed,
) -> None:
    relayed.big.misbehave(Refuse(status=429, headers={"retry-after": "5"}))
    async with aiohttp.ClientSession() as http:
        with pytest.raises(TimeoutError):
            await http.post(relayed.address, timeout=aiohttp.ClientTimeout(total=0.1))
    await asyncio.sleep(0.05)
    (result,) = relayed.results
    assert (result.model, result.ended) == (None, Ended.CLIENT_LEFT)
    assert summary(result) == [("big", 429, "refused")]


async def test_a_model_that_is_left_alone_is_recorded_as_such(relayed: Relayed) -> None:
    breaker = relayed.upstreams[0].breaker
    for _ in range(3):
        breaker.record_failure(breaker.admit())
    result = await relayed.ask()
    assert summary(result) == [("big", None, "circuit_open"), ("small", 200, None)]


@dataclass
class CountingTap:
    """Counts what passes."""

    n_bytes: int = 0
    usage: Usage | None = None

    def feed(self, chunk: bytes) -> bytes:
        self.n_bytes += len(chunk)
        return chunk

    def finish(self) -> bytes:
        self.usage = Usage(input_tokens=self.n_bytes, output_tokens=0, cached_input_tokens=None)
        return b""


async def test_taps_are_made_for_good_answers_only_and_tell_the_usage(relayed: Relayed) -> None:
    asked: list[tuple[str, bool]] = []

    def taps_for(upstream: Upstream, headers: RawHeaders) -> tuple[Tap, ...]:
        asked.append((upstream.name, b"content-type" in dict(headers)))
        return (CountingTap(),)

    relayed.taps_for = taps_for
    relayed.big.misbehave(Refuse(status=404))
    assert (await relayed.ask()).usage is None
    assert asked == []
    usage = (await relayed.ask()).usage
    assert usage is not None
    assert usage.input_tokens > 100
    assert asked == [("big", True)]


async def test_connections_are_used_again(relayed: Relayed) -> None:
    for relayed.body in (PLAIN, STREAM) * 5:
        assert (await relayed.ask()).ended is Ended.COMPLETE
    assert 1 <= relayed.pool.n_idle < relayed.big.n_requests == 10
