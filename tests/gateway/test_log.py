"""The gateway's log."""

import io
import json
import logging
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from logging.handlers import QueueHandler
from typing import Any, Literal

import pytest

from routecast.gateway import log as log_module
from routecast.gateway.exchange import Attempt, Ended, RelayResult, Served, Usage
from routecast.gateway.log import RequestLog, describe_served, log_as_json
from routecast.gateway.surfaces import SURFACES
from routecast.policy.decide import Decision, Reason
from routecast.upstream.prices import Price

PROMPT = "tell nobody that the treasure lies under the old oak"
ATTEMPT = Attempt(model="big", status=200, failure=None, first_byte_s=0.2, total_s=1.5)
SERVED = Served(
    request_id="request-1",
    decision_id="decision-1",
    surface=SURFACES["/v1/chat/completions"],
    asked="auto",
    route="auto",
    decision=Decision("big", 0.75, 0.5, Reason.REACHES_THRESHOLD),
    result=RelayResult(
        model="big",
        status=200,
        attempts=(ATTEMPT,),
        usage=Usage(input_tokens=1000, output_tokens=100, cached_input_tokens=None),
        ended=Ended.COMPLETE,
        first_byte_s=0.21,
        total_s=1.6,
    ),
    status=200,
    own_s=0.0004321,
    error_code=None,
)


class Log:
    """Logs from ``start`` on, until the lines are read."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self._running = ExitStack()

    def start(self, level: Literal["warning", "info"] = "info") -> None:
        self._running.enter_context(log_as_json(level, self.stream))

    def lines(self) -> list[dict[str, Any]]:
        self._running.close()
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def log() -> Iterator[Log]:
    """A log to start."""
    made = Log()
    yield made
    made.lines()


def test_a_request_is_one_line_with_its_ids(log: Log) -> None:
    log.start()
    RequestLog({"big": Price(input=2.0, output=10.0)})(SERVED)
    (line,) = log.lines()
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info",
        "logger": "routecast.requests",
        "message": "request",
        "request_id": "request-1",
        "decision_id": "decision-1",
        "path": "/v1/chat/completions",
        "status": 200,
        "own_ms": 0.432,
        "asked": "auto",
        "route": "auto",
        "decision": "big",
        "reason": "reaches_threshold",
        "win_probability": 0.75,
        "threshold": 0.5,
        "model": "big",
        "ended": "complete",
        "first_byte_ms": 210.0,
        "total_ms": 1600.0,
        "attempts": [{"model": "big", "status": 200, "first_byte_ms": 200.0, "total_ms": 1500.0}],
        "cost_usd": 0.003,  # (1000 * 2 + 100 * 10) / 1e6
        "input_tokens": 1000,
        "output_tokens": 100,
    }


def test_at_level_warning_requests_are_not_logged(log: Log) -> None:
    log.start("warning")
    RequestLog({})(SERVED)
    logging.getLogger("routecast.gateway").warning("model %r broke off", "big")
    (line,) = log.lines()
    assert line["message"] == "model 'big' broke off"


def test_a_model_that_does_not_exist_is_not_repeated() -> None:
    refused = Served(
        request_id="request-1",
        decision_id="decision-1",
        surface=SURFACES["/v1/chat/completions"],
        asked=PROMPT,
        route=None,
        decision=None,
        result=None,
        status=404,
        own_s=0.001,
        error_code="model_not_found",
    )
    fields = describe_served(refused, cost_usd=None)
    assert fields["error_code"] == "model_not_found"
    assert PROMPT not in json.dumps(fields)


@pytest.mark.parametrize("name", ["routecast.gateway", "asyncio", "uvicorn.error"])
def test_an_exception_s_text_is_never_logged(log: Log, name: str) -> None:
    log.start()
    try:
        raise ValueError(PROMPT)
    except ValueError:
        logging.getLogger(name).exception("it failed")
    (line,) = log.lines()
    assert (line["message"], line["error"]) == ("it failed", "ValueError")
    assert "test_log.py:" in line["at"]
    assert PROMPT not in log.stream.getvalue()


def test_what_asyncio_adds_about_a_lost_exception_is_left_out(log: Log) -> None:
    log.start()
    text = f"Task exception was never retrieved\nfuture: <Task exception=ValueError('{PROMPT}')>"
    logging.getLogger("asyncio").error(text)
    (line,) = log.lines()
    assert line["message"] == "Task exception was never retrieved"


def test_a_line_is_one_line_whatever_it_says(log: Log) -> None:
    log.start()
    logging.getLogger("routecast.gateway").warning("a\nb\u2028c")
    assert [line["message"] for line in log.lines()] == ["a\nb\u2028c"]


def test_a_stream_that_blocks_holds_nobody_up_and_lost_lines_are_counted(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "_MAX_WAITING", 3)
    blocked, release = threading.Event(), threading.Event()

    class Slow(io.StringIO):
        def write(self, text: str) -> int:
            blocked.set()
            release.wait(10)
            return super().write(text)

    log.stream = Slow()
    log.start()
    logger = logging.getLogger("routecast.gateway")
    logger.warning("first")
    assert blocked.wait(10)  # the writer holds the first line
    for _ in range(10):
        logger.warning("more")  # three wait, seven are lost
    release.set()
    (handler,) = logging.getLogger().handlers
    assert isinstance(handler, QueueHandler)
    assert isinstance(handler.queue, queue.Queue)
    while not handler.queue.empty():
        time.sleep(0.001)
    logger.warning("last")
    lines = log.lines()
    assert [line["message"] for line in lines] == ["first", "more", "more", "more", "last"]
    assert lines[-1]["n_dropped_before"] == 7


def test_afterwards_logging_is_as_it_was(log: Log) -> None:
    root = logging.getLogger()
    before = list(root.handlers), root.level, logging.getLogger("routecast").level
    log.start()
    assert list(root.handlers) != before[0]
    log.lines()
    assert (list(root.handlers), root.level, logging.getLogger("routecast").level) == before
