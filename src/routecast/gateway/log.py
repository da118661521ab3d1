"""The gateway's log: JSON lines, written beside the event loop, never with a prompt or a key.

A thread writes them, so that a slow terminal or a full pipe holds up no request; when it cannot
keep up, lines are dropped and counted. Messages of other libraries are cut to their first line,
and exceptions to their kind and place, since their texts may quote what was sent.
"""

import json
import logging
import queue
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from logging.handlers import QueueHandler, QueueListener
from typing import Any, Literal, TextIO

from routecast.gateway.cost import cost_of
from routecast.gateway.exchange import Attempt, Ended, Served
from routecast.gateway.failures import describe_trouble
from routecast.gateway.request_id import CURRENT_IDS
from routecast.upstream.prices import Price

_REQUESTS = logging.getLogger("routecast.requests")
_FAILED = frozenset({Ended.BROKE_OFF, Ended.FAILED})
_MAX_WAITING = 10_000
_MAX_FOREIGN_CHARACTERS = 200


class JsonFormatter(logging.Formatter):
    """One JSON object per record: ``time``, ``level``, ``logger``, ``message``, further fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message_of(record),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            frames = traceback.extract_tb(record.exc_info[2])
            line["at"] = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else None
        return json.dumps(line)


def _message_of(record: logging.LogRecord) -> str:
    message = record.getMessage()
    if record.name.partition(".")[0] == "routecast":
        return message
    return message.partition("\n")[0][:_MAX_FOREIGN_CHARACTERS]


_UNFINISHED = "ASGI callable returned without completing response."


def _tells_something_new(record: logging.LogRecord) -> bool:
    """Leave out uvicorn's word on an answer that broke off: ours names the model and the request.

    An answer that cannot be ended properly is left unfinished, so that the client sees it broken.
    """
    is_echo = record.name == "uvicorn.error" and record.msg == _UNFINISHED
    return not (is_echo and CURRENT_IDS.get() is not None)


class _Handover(QueueHandler):
    """Gives records to the writing thread as they are, and drops them when it lags behind."""

    queue: "queue.Queue[logging.LogRecord]"
    n_dropped = 0

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Note whose request it is, which the writing thread could not tell any more."""
        ids = CURRENT_IDS.get()
        if ids is not None:
            named = dict(zip(("request_id", "decision_id"), ids, strict=True))
            record.fields = {**named, **getattr(record, "fields", {})}
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        if self.n_dropped:
            record.fields = {**getattr(record, "fields", {}), "n_dropped_before": self.n_dropped}
        try:
            self.queue.put_nowait(record)
            self.n_dropped = 0
        except queue.Full:
            self.n_dropped += 1


@contextmanager
def log_as_json(level: Literal["warning", "info"], stream: TextIO) -> Iterator[None]:
    """Send every log record of this process to a stream as JSON lines, until the block ends.

    Args:
        level: ``warning`` for faults alone, ``info`` for one line per request too.
        stream: Usually stderr.
    """
    root, ours = logging.getLogger(), logging.getLogger("routecast")
    before = root.handlers, root.level, ours.level
    writer = logging.StreamHandler(stream)
    writer.setFormatter(JsonFormatter())
    waiting: queue.Queue[logging.LogRecord] = queue.Queue(_MAX_WAITING)
    listener = QueueListener(waiting, writer)
    listener.start()
    try:
        handover = _Handover(waiting)
        handover.addFilter(_tells_something_new)
        root.handlers = [handover]
        root.setLevel(logging.WARNING)
        ours.setLevel(level.upper())
        yield
    finally:
        root.handlers = before[0]
        root.setLevel(before[1])
        ours.setLevel(before[2])
        with suppress(queue.Full):  # then the stream is blocked; what waits for it is lost
            listener.stop()


@dataclass(frozen=True)
class RequestLog:
    """Logs one line per request; an ``Observer``.

    Its level is ``warning`` where a model failed the request or another had to stand in, else
    ``info``.

    Attributes:
        prices: By model, for the line's ``cost_usd``.
    """

    prices: Mapping[str, Price]

    def __call__(self, served: Served) -> None:
        """Log what became of a request."""
        trouble = find_trouble(served)
        level = logging.INFO if trouble is None else logging.WARNING
        if _REQUESTS.isEnabledFor(level):
            fields = describe_served(served, cost_usd=cost_of(served.result, self.prices))
            _REQUESTS.log(level, "%s", trouble or "request", extra={"fields": fields})


def find_trouble(served: Served) -> str | None:
    """Return in words how upstreams failed a request, None if none did or a retry mended it."""
    result, decision = served.result, served.decision
    if result is None or decision is None:
        return None
    is_error = result.status is not None and result.status >= 400
    is_replaced = result.model is not None and result.model != decision.model
    if is_error or is_replaced or result.ended in _FAILED:
        return describe_trouble(result)
    return None


def describe_served(served: Served, *, cost_usd: float | None) -> dict[str, Any]:
    """Return what is known about a request, for one line of JSON; what is not known is left out.

    The model that the client asked for is there only where it exists: otherwise it is free text.
    """
    decision, result = served.decision, served.result
    fields: dict[str, Any] = {
        "request_id": served.request_id,
        "decision_id": served.decision_id,
        "path": served.surface.path,
        "status": served.status,
        "error_code": served.error_code,
        "own_ms": _ms(served.own_s),
    }
    if decision is not None:
        fields |= {
            "asked": served.asked,
            "route": served.route,
            "decision": decision.model,
            "reason": decision.reason,
            "win_probability": decision.win_probability,
            "threshold": decision.threshold,
        }
    if result is not None:
        fields |= {
            "model": result.model,
            "ended": result.ended,
            "first_byte_ms": _ms(result.first_byte_s),
            "total_ms": _ms(result.total_s),
            "attempts": [_describe_attempt(attempt) for attempt in result.attempts],
            "cost_usd": cost_usd,
        }
        if result.usage is not None:
            fields |= {
                "input_tokens": result.usage.input_tokens,
                "output_tokens": result.usage.output_tokens,
                "cached_input_tokens": result.usage.cached_input_tokens,
            }
    return {name: field for name, field in fields.items() if field is not None}


def _describe_attempt(attempt: Attempt) -> dict[str, Any]:
    fields = {
        "model": attempt.model,
        "status": attempt.status,
        "failure": attempt.failure,
        "first_byte_ms": _ms(attempt.first_byte_s),
        "total_ms": _ms(attempt.total_s),
    }
    return {name: field for name, field in fields.items() if field is not None}


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 3)
