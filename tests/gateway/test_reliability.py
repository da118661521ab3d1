"""Retries, the fallback chain, the breaker and keep-alive comments, over real sockets."""

import asyncio
import json
import socket
import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import anyio
import pytest

from routecast.gateway.attempts import ask_in_turn
from routecast.testing import (
    Dribble,
    Fault,
    Hang,
    HangAfterHead,
    HangUp,
    Pause,
    Refuse,
    StopMidStream,
)

if TYPE_CHECKING:
    from tests.gateway.conftest import AnsweringWith, Eventually, Gateway, StartGateway

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("short_waits")]

HARD = b'{"model":"auto","messages":[{"role":"user","content":"hard"}]}'
HARD_STREAM = HARD[:-1] + b',"stream":true}'
DIRECT = HARD.replace(b"auto", b"big")
BUSY = Refuse(status=503)
RETRIED = [408, 429, 500, 502, 503, 504, 529]
BOTH_FORMS = pytest.mark.parametrize("body", [HARD, HARD_STREAM], ids=["plain", "stream"])


@pytest.mark.parametrize("status", RETRIED)
async def test_a_status_that_may_pass_is_retried(retrying: "Gateway", status: int) -> None:
    retrying.big.misbehave(Refuse(status=status), Refuse(status=status))
    assert (await retrying.ask())[0::2] == (200, "big")
    assert (retrying.big.n_requests, retrying.small.n_requests) == (3, 0)
    # Each try is the same request, to the byte.
    assert len({request.body for request in retrying.big.requests}) == 1


@pytest.mark.parametrize("fault", [HangUp(), HangUp(reset=True), HangAfterHead(drop=True)])
@BOTH_FORMS
async def test_a_connection_that_ends_before_the_first_byte_is_retried(
    retrying: "Gateway", fault: Fault, body: bytes
) -> None:
    retrying.big.misbehave(fault)
    status, content, model = await retrying.ask(body)
    assert (status, model) == (200, "big")
    assert b"simulated" in content


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [({"retry-after": "1"}, 1.0), ({"retry-after": "1", "retry-after-ms": "300"}, 0.3)],
    ids=["seconds", "OpenAI's milliseconds"],
)
async def test_retry_after_is_honoured(
    retrying: "Gateway",
    headers: dict[str, str],
    wait_s: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits_s: list[float] = []

    async def note(delay_s: float) -> None:
        waits_s.append(delay_s)

    defaults = ask_in_turn.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "sleep", note)
    retrying.big.misbehave(Refuse(status=429, headers=headers))
    assert (await retrying.ask())[0] == 200
    assert waits_s == [pytest.approx(wait_s, rel=0.25)]  # the jitter is added


@pytest.mark.parametrize(
    "fault",
    [
        Refuse(status=429, headers={"retry-after": "60"}),
        Refuse(status=503, headers={"x-should-retry": "false"}),
        Refuse(status=429, body=b'{"error": {"code": "insufficient_quota"}}'),
    ],
)
async def test_where_a_retry_has_no_point_the_fallback_is_asked_at_once(
    retrying: "Gateway", fault: Fault
) -> None:
    retrying.big.misbehave(fault)
    assert (await retrying.ask())[0::2] == (200, "small")
    assert retrying.big.n_requests == 1


async def test_with_no_fallback_the_refusal_passes_untouched(
    retrying: "Gateway",
) -> None:
    refusal = Refuse(status=429, headers={"retry-after": "60", "x-mine": "1"}, body=b"no\n")
    retrying.big.misbehave(refusal)
    async with retrying.http.post(retrying.chat_url, data=DIRECT) as answer:
        assert (answer.status, await answer.read()) == (429, b"no\n")
        assert (answer.headers["retry-after"], answer.headers["x-mine"]) == ("60", "1")


@BOTH_FORMS
async def test_when_the_retries_are_spent_the_chain_is_asked(
    retrying: "Gateway", body: bytes
) -> None:
    retrying.big.misbehave(BUSY, BUSY, BUSY)
    status, content, model = await retrying.ask(body)
    assert (status, model) == (200, "small")
    assert b"by small" in content or b" small." in content
    assert (retrying.big.n_requests, retrying.small.n_requests) == (3, 1)
    assert b"upstream-small" in retrying.small.requests[-1].body
    assert retrying.small.requests[-1].header("authorization") is None  # big's key stays away


async def test_an_upstream_that_is_not_there_is_replaced(
    starts_gateway: "StartGateway", free_tcp_port: int
) -> None:
    url = f"http://127.0.0.1:{free_tcp_port}/v1"
    async with starts_gateway(retries=1, fallback=["weak"], big_url=url) as gateway:
        assert (await gateway.ask())[0::2] == (200, "small")


@BOTH_FORMS
async def test_an_upstream_that_hangs_is_left_in_time_and_replaced(
    retrying: "Gateway", body: bytes, eventually: "Eventually"
) -> None:
    for fault in (Hang(duration_s=30), HangAfterHead(duration_s=30)):
        retrying.big.misbehave(fault)
        assert (await retrying.ask(body))[0::2] == (200, "small")
    # A retry after a timeout would make the client wait twice; and the calls are cancelled.
    assert retrying.big.n_requests == 2
    await eventually(lambda: retrying.big.n_cancelled == 2)


@pytest.mark.parametrize("content", [b"220 smtp ready\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\nx"])
async def test_what_is_no_http_is_replaced(
    starts_gateway: "StartGateway", content: bytes, answering_with: "AnsweringWith"
) -> None:
    async with (
        answering_with(content) as url,
        starts_gateway(retries=1, fallback=["weak"], big_url=url) as gateway,
    ):
        assert (await gateway.ask())[0::2] == (200, "small")


async def test_an_upstream_whose_certificate_nobody_vouches_for_gets_no_request(
    starts_gateway: "StartGateway",
) -> None:
    folder = Path(__file__).parent / "tls"
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    n_requests = 0

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal n_requests
        n_requests += 1
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        async with starts_gateway(retries=2, big_url=url) as gateway:
            status, content, _ = await gateway.ask()
    error = json.loads(content)["error"]
    assert (status, n_requests) == (502, 0)
    assert error["message"] == "model 'big' has no acceptable certificate; try again"


async def test_broken_chunks_before_the_first_byte_are_replaced(
    starts_gateway: "StartGateway", answering_with: "AnsweringWith"
) -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    async with (
        answering_with(head + b"this is no chunk\r\n") as url,
        starts_gateway(fallback=["weak"], big_url=url) as gateway,
    ):
        with anyio.fail_after(3):
            assert (await gateway.ask())[0::2] == (200, "small")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
async def test_a_refusal_that_no_wait_mends_is_the_client_s(
    retrying: "Gateway", status: int
) -> None:
    retrying.big.misbehave(Refuse(status=status, body=b"your fault"))
    assert await retrying.ask() == (status, b"your fault", "big")
    assert (retrying.big.n_requests, retrying.small.n_requests) == (1, 0)


async def test_when_all_refuse_the_client_hears_the_model_that_was_decided_for(
    retrying: "Gateway",
) -> None:
    retrying.big.misbehave(*[Refuse(status=529, body=b"overloaded")] * 3)
    retrying.small.misbehave(Refuse(status=401, body=b"no key"))
    assert await retrying.ask() == (529, b"overloaded", "big")


async def test_when_nobody_answers_the_error_says_what_each_did(
    starts_gateway: "StartGateway", free_tcp_port: int
) -> None:
    url = f"http://127.0.0.1:{free_tcp_port}/v1"
    async with starts_gateway(retries=1, fallback=["weak"], big_url=url) as gateway:
        gateway.small.misbehave(HangUp(), HangUp(), HangUp())
        status, content, _ = await gateway.ask()
    assert status == 502
    assert json.loads(content)["error"] == {
        "message": "model 'big' could not be reached in 2 tries; model 'small' hung up before it "
        "answered in 3 tries; try again",
        "type": "upstream_error", "param": None, "code": "upstream_failed",
    }  # fmt: skip


async def test_a_direct_model_has_no_fallback(retrying: "Gateway") -> None:
    retrying.big.misbehave(BUSY, BUSY, BUSY)
    assert (await retrying.ask(DIRECT))[0::2] == (503, "big")
    assert retrying.small.n_requests == 0


async def test_without_a_budget_nothing_is_retried(starts_gateway: "StartGateway") -> None:
    settings = "retry_budget = 0.0"
    async with starts_gateway(retries=2, fallback=["weak"], server_settings=settings) as gateway:
        gateway.big.misbehave(BUSY)
        assert (await gateway.ask())[2] == "small"
        assert gateway.big.n_requests == 1


async def test_a_storm_spends_the_budget_and_no_more(starts_gateway: "StartGateway") -> None:
    # 60 requests, every one refused: 10 in reserve, 60 * 0.2 earned, a few per second of the test.
    settings = "breaker_failures = 1000"
    async with starts_gateway(retries=2, server_settings=settings) as gateway:
        gateway.big.misbehave(*[BUSY] * 1000)
        began_s = time.perf_counter()
        await asyncio.gather(*(gateway.ask() for _ in range(60)))
        took_s = time.perf_counter() - began_s  # the budget earns one retry a second
        assert 10 <= gateway.big.n_requests - 60 <= 22 + took_s


async def test_a_model_that_keeps_failing_is_left_alone_and_tried_again(
    starts_gateway: "StartGateway",
) -> None:
    settings = "breaker_failures = 2\nbreaker_open_s = 0.5"
    async with starts_gateway(fallback=["weak"], server_settings=settings) as gateway:
        gateway.big.misbehave(BUSY, BUSY, BUSY)
        for _ in range(5):
            assert (await gateway.ask())[2] == "small"
        assert gateway.big.n_requests == 2
        await asyncio.sleep(0.5)
        assert (await gateway.ask())[2] == "small"  # the probe fails: another pause
        assert (await gateway.ask())[2] == "small"
        assert gateway.big.n_requests == 3
        await asyncio.sleep(0.5)
        for _ in range(3):
            assert (await gateway.ask())[2] == "big"  # the probe succeeds: all may come
        assert gateway.big.n_requests == 6


async def test_streams_that_never_finish_open_the_breaker_too(
    starts_gateway: "StartGateway",
) -> None:
    settings = "breaker_failures = 2\nbreaker_open_s = 30"
    async with starts_gateway(fallback=["weak"], server_settings=settings) as gateway:
        gateway.big.misbehave(StopMidStream(), StopMidStream())
        for _ in range(2):
            assert b"broke off" in (await gateway.ask(HARD_STREAM))[1]
        assert (await gateway.ask(HARD_STREAM))[2] == "small"


async def test_when_all_are_left_alone_one_request_at_a_time_tries_and_the_others_are_told(
    starts_gateway: "StartGateway", eventually: "Eventually"
) -> None:
    settings = "breaker_failures = 1\nbreaker_open_s = 20"
    async with starts_gateway(server_settings=settings) as gateway:
        gateway.big.misbehave(BUSY, Hang(duration_s=0.3))
        assert (await gateway.ask())[0] == 503
        last_resort = asyncio.create_task(gateway.ask())
        await eventually(lambda: gateway.big.n_requests == 2)
        async with gateway.http.post(gateway.chat_url, data=HARD) as answer:
            error = (await answer.json())["error"]
            assert (answer.status, error["code"]) == (503, "upstream_unavailable")
            assert 18 <= int(answer.headers["retry-after"]) <= 20
            assert "x-routecast-model" not in answer.headers
        assert gateway.big.n_requests == 2
        assert (await last_resort)[0::2] == (200, "big")
        assert (await gateway.ask())[0::2] == (200, "big")  # its answer closed the breaker


async def test_bad_requests_that_no_model_bears_silence_nobody(
    starts_gateway: "StartGateway",
) -> None:
    # Each is refused three times by both models; with the default of 5 two of them opened both.
    settings = "retry_budget = 1.0"
    async with starts_gateway(retries=2, fallback=["weak"], server_settings=settings) as gateway:
        gateway.big.misbehave(*[Refuse(status=500)] * 9)
        gateway.small.misbehave(*[Refuse(status=500)] * 9)
        for _ in range(3):
            assert (await gateway.ask())[0] == 500
        assert (gateway.big.n_requests, gateway.small.n_requests) == (9, 9)
        assert (await gateway.ask())[0::2] == (200, "big")


@pytest.mark.parametrize("silence_s", [0.7, 0.2])
async def test_the_first_silence_of_a_stream_may_last_as_long_as_the_others(
    starts_gateway: "StartGateway", silence_s: float
) -> None:
    async with starts_gateway(
        first_byte_timeout_s=0.3, between_chunks_timeout_s=5.0 if silence_s > 0.3 else 0.1
    ) as gateway:
        gateway.big.misbehave(Pause(duration_s=silence_s, n_events=1))
        content = (await gateway.ask(HARD_STREAM))[1]
    assert (b"fell silent" in content, b"[DONE]" in content) == (silence_s < 0.3, silence_s > 0.3)


async def test_too_many_requests_open_no_breaker(starts_gateway: "StartGateway") -> None:
    async with starts_gateway(server_settings="breaker_failures = 1") as gateway:
        gateway.big.misbehave(*[Refuse(status=429)] * 3)
        for _ in range(3):
            assert (await gateway.ask())[0] == 429
        assert gateway.big.n_requests == 3


async def test_a_client_that_leaves_between_two_tries_ends_them(
    retrying: "Gateway",
) -> None:
    retrying.big.misbehave(Refuse(status=429, headers={"retry-after": "0.5"}))
    timeout = aiohttp.ClientTimeout(total=0.2)
    with pytest.raises(TimeoutError):
        await retrying.http.post(retrying.chat_url, data=HARD, timeout=timeout)
    await asyncio.sleep(0.8)
    assert (retrying.big.n_requests, retrying.small.n_requests) == (1, 0)


@BOTH_FORMS
async def test_an_answer_that_takes_longer_than_it_may_in_all_is_ended(
    starts_gateway: "StartGateway", body: bytes, eventually: "Eventually"
) -> None:
    async with starts_gateway(big_settings="total_timeout_s = 0.4") as gateway:
        gateway.big.misbehave(Dribble(delay_s=0.05, n_bytes=100_000))  # an hour and more
        if body == HARD_STREAM:
            assert b"model 'big' fell silent" in (await gateway.ask(body))[1]
        else:
            with pytest.raises(aiohttp.ClientPayloadError):
                await gateway.ask(body)
        await eventually(lambda: gateway.big.n_cancelled == 1)


async def test_an_upstream_that_accepts_no_connection_is_left_in_time(
    starts_gateway: "StartGateway",
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        place = listener.getsockname()
        waiting = []
        for _ in range(3):  # they fill the queue, and nobody empties it
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(place)
        url = f"http://127.0.0.1:{place[1]}/v1"
        async with starts_gateway(fallback=["weak"], big_url=url) as gateway:
            assert (await gateway.ask())[0::2] == (200, "small")  # after connect_timeout_s
        for connection in waiting:
            connection.close()


async def test_a_stand_in_s_answer_says_that_it_is_one(retrying: "Gateway") -> None:
    retrying.big.misbehave(Refuse(status=503, headers={"x-should-retry": "false"}))
    async with retrying.http.post(retrying.chat_url, data=HARD) as answer:
        named = {name: answer.headers[f"x-routecast-{name}"] for name in ("model", "reason")}
    assert named == {"model": "small", "reason": "fallback"}


async def test_a_late_router_costs_no_request_more_than_its_time(
    starts_gateway: "StartGateway",
) -> None:
    settings = 'router_timeout_ms = 50.0\non_router_error = "weak"'
    async with starts_gateway(route_settings=settings, is_heavy=True) as gateway:
        gateway.router.may_answer.clear()
        async with gateway.http.post(gateway.chat_url, data=HARD) as answer:
            assert answer.status == 200
            assert answer.headers["x-routecast-reason"] == "router_slow"
            assert answer.headers["x-routecast-model"] == "small"
        gateway.router.may_answer.set()  # the request was answered while the router was not done


async def test_a_heavy_router_scores_together_what_waits(
    starts_gateway: "StartGateway", eventually: "Eventually"
) -> None:
    settings = "router_timeout_ms = 5000.0"
    async with starts_gateway(route_settings=settings, is_heavy=True) as gateway:
        n_batches, n_prompts = gateway.router.n_batches, len(gateway.router.prompts)
        gateway.router.may_answer.clear()
        asked = [asyncio.create_task(gateway.ask()) for _ in range(30)]
        await eventually(lambda: gateway.router.n_batches == n_batches + 1)
        await asyncio.sleep(0.2)  # the rest arrives
        gateway.router.may_answer.set()
        assert {answer[0::2] for answer in await asyncio.gather(*asked)} == {(200, "big")}
        assert len(gateway.router.prompts) == n_prompts + 30
        assert gateway.router.n_batches < n_batches + 10  # one by one: 30


async def test_a_slow_upstream_holds_up_nobody_else(
    lively: "Gateway", eventually: "Eventually"
) -> None:
    lively.big.misbehave(*[Hang(duration_s=1.0)] * 20)
    slow = [asyncio.create_task(lively.ask()) for _ in range(20)]
    await eventually(lambda: lively.big.n_requests == 20)
    assert (await lively.ask(HARD.replace(b"hard", b"easy")))[2] == "small"
    assert not any(task.done() for task in slow)
    assert {status for status, _, _ in await asyncio.gather(*slow)} == {200}
