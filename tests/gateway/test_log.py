"""The gateway's log."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import pytest

from routecast.gateway import line_writer
from routecast.gateway.exchange import Attempt, Ended, RelayResult, Served, Usage
from routecast.gateway.log import RequestLog, describe_served, log_as_json
from routecast.gateway.request_id import CURRENT_IDS
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


@pytest.mark.parametrize(
    ("message", "arguments", "expected"),
    [
        ("%d tokens", ("many",), "%d tokens"),
        ("%s and %s", ("one",), "%s and %s"),
        ("%(n)d tokens", ({"m": 1},), "%(n)d tokens"),
        ("no file %s", ("a\udcff",), "no file a\udcff"),
    ],
)
def test_a_message_that_cannot_be_written_as_it_is_fails_nobody(
    log: Log, message: str, arguments: tuple[object, ...], expected: str
) -> None:
    log.start()
    logging.getLogger("foreign").warning(message, *arguments)
    logging.getLogger("foreign").warning("the next", extra={"fields": {"at": Path("a\udcff")}})
    first, second = log.lines()
    assert (first["message"], second["message"]) == (expected, "the next")
    assert second["at"] == "a\udcff"


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
    line = describe_served(refused, cost_usd=None)
    assert line.error_code == "model_not_found"
    assert PROMPT not in repr(line)


def test_elsewhere_a_request_is_a_record_with_fields(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="routecast.requests"):
        RequestLog({})(SERVED)
    (record,) = caplog.records
    fields = record.__dict__["fields"]
    assert (record.getMessage(), fields["model"], fields["own_ms"]) == ("request", "big", 0.432)
    assert "time" not in fields
    assert "cost_usd" not in fields


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
    assert log.stream.getvalue().isascii()  # whatever the terminal's encoding


def test_lines_that_cannot_be_taken_are_counted(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_writer, "MAX_WAITING", 3)
    monkeypatch.setattr(line_writer, "GATHERING_S", 30.0)
    log.start()
    logger = logging.getLogger("routecast.gateway")
    for _ in range(10):
        logger.warning("more")  # three wait, seven are lost
    monkeypatch.setattr(line_writer, "MAX_WAITING", 5)
    logger.warning("last")
    lines = log.lines()
    assert [line["message"] for line in lines[:4]] == ["more", "more", "more", "last"]
    assert lines[4]["n_lost"] == 7
    assert lines[4]["message"].startswith("7 lines before this one were lost")


def test_a_line_names_the_request_that_it_is_of(log: Log) -> None:
    log.start()
    logger = logging.getLogger("routecast.gateway")
    token = CURRENT_IDS.set(("request-1", "decision-1"))
    logger.warning("within")
    CURRENT_IDS.reset(token)
    logger.warning("outside")
    within, outside = log.lines()
    assert (within["request_id"], within["decision_id"]) == ("request-1", "decision-1")
    assert "request_id" not in outside


def test_afterwards_logging_is_as_it_was(log: Log) -> None:
    root = logging.getLogger()
    before = list(root.handlers), root.level, logging.getLogger("routecast").level
    log.start()
    assert list(root.handlers) != before[0]
    log.lines()
    assert (list(root.handlers), root.level, logging.getLogger("routecast").level) == before
