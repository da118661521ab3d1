"""What the log says at its default level when upstreams fail, over real sockets."""

import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from routecast.gateway import plan
from routecast.gateway.log import log_as_json
from routecast.testing import Fault, HangUp, Refuse, StopMidStream

if TYPE_CHECKING:
    from tests.gateway.conftest import StartGateway

pytestmark = pytest.mark.anyio

PROMPT = "a hard riddle about the old oak"
BODY = json.dumps({"model": "auto", "messages": [{"role": "user", "content": PROMPT}]}).encode()
IDS = {"x-request-id": "request-7"}


async def lines_of(
    starts_gateway: "StartGateway",
    faults: Sequence[Fault],
    *,
    n_requests: int = 1,
    **settings: Any,  # noqa: ANN401
) -> list[dict[str, Any]]:
    """Return what is logged while big misbehaves; every line is checked for ids and secrets."""
    stream, decision_ids = io.StringIO(), set()
    with log_as_json("warning", stream):
        async with starts_gateway(**settings) as gateway:
            gateway.big.misbehave(*faults)
            for _ in range(n_requests):
                try:
                    async with gateway.http.post(
                        gateway.chat_url, data=BODY, headers=IDS
                    ) as answer:
                        decision_ids.add(answer.headers["x-routecast-decision"])
                        await answer.read()
                except aiohttp.ClientPayloadError:
                    pass
    assert PROMPT not in stream.getvalue()
    assert "sk-" not in stream.getvalue()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert {line["request_id"] for line in lines} <= {"request-7"}
    assert {line["decision_id"] for line in lines} <= decision_ids
    assert {line["level"] for line in lines} <= {"warning"}
    return lines


async def test_a_good_answer_leaves_no_line(starts_gateway: "StartGateway") -> None:
    assert await lines_of(starts_gateway, []) == []


@pytest.mark.parametrize("status", [400, 401, 500])
async def test_a_refusal_is_one_line_with_its_model_and_status(
    starts_gateway: "StartGateway", status: int
) -> None:
    (line,) = await lines_of(starts_gateway, [Refuse(status=status)])
    assert (line["model"], line["status"]) == ("big", status)
    assert line["message"].startswith(f"model 'big' refused with status {status}")
    is_our_key = "refuses this gateway's key for it (models.big.api_key)" in line["message"]
    assert is_our_key == (status == 401)


async def test_retries_that_ran_out_and_the_stand_in_are_one_line(
    starts_gateway: "StartGateway", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "BASE_DELAY_S", 0.01)
    (line,) = await lines_of(starts_gateway, [Refuse(status=503)] * 2, retries=1, fallback=["weak"])
    assert line["message"] == (
        "model 'big' refused with status 503 in 2 tries; model 'small' answered instead"
    )
    assert [attempt.get("failure") for attempt in line["attempts"]] == ["refused", "refused", None]


async def test_a_retry_that_mends_it_leaves_no_line(
    starts_gateway: "StartGateway", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "BASE_DELAY_S", 0.01)
    assert await lines_of(starts_gateway, [Refuse(status=503)], retries=1) == []


async def test_a_breaker_that_opens_and_closes_is_a_line_each(
    starts_gateway: "StartGateway",
) -> None:
    lines = await lines_of(
        starts_gateway,
        [Refuse(status=500)],
        n_requests=3,
        server_settings="breaker_failures = 1\nbreaker_open_s = 20",
    )
    assert [(line["model"], line.get("breaker"), line.get("status")) for line in lines] == [
        ("big", "open", None),
        ("big", None, 500),
        ("big", "closed", None),  # the second request, as a last resort; the third is no news
    ]
    assert lines[0]["message"] == "model 'big' has failed too often and is left alone for 20 s"


async def test_a_try_that_failed_is_a_line_with_the_request_s_ids(
    starts_gateway: "StartGateway",
) -> None:
    attempt, request = await lines_of(starts_gateway, [HangUp()])
    assert (attempt["model"], attempt["failure"]) == ("big", "hung_up")
    assert (request["status"], request["ended"]) == (502, "failed")
    assert attempt["decision_id"] == request["decision_id"]


async def test_a_plain_answer_that_breaks_off_is_told_by_us_and_not_by_the_server(
    starts_gateway: "StartGateway",
) -> None:
    attempt, request = await lines_of(starts_gateway, [StopMidStream()])
    assert attempt["message"].startswith("model 'big' broke off in the middle of its answer")
    assert (request["logger"], request["ended"]) == ("routecast.requests", "broke_off")
