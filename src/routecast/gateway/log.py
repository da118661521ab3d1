"""The gateway's log: JSON lines, written beside the event loop, never with a prompt or a key.

When its stream cannot keep up, lines are dropped and counted. Messages of other libraries are cut
to their first line, and exceptions to their kind and place, since their texts may quote what was
sent.
"""

import json
import logging
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from time import time
from typing import Any, Literal, TextIO

import msgspec

from routecast.gateway.cost import cost_of
from routecast.gateway.exchange import Attempt, Ended, Served
from routecast.gateway.failures import describe_trouble
from routecast.gateway.line_writer import LineWriter
from routecast.gateway.request_id import CURRENT_IDS
from routecast.upstream.prices import Price

_LOGGER = logging.getLogger("routecast.gateway")
_REQUESTS = logging.getLogger("routecast.requests")
_FAILED = frozenset({Ended.BROKE_OFF, Ended.FAILED})
_MAX_FOREIGN_CHARACTERS = 200
_ENCODER = msgspec.json.Encoder(enc_hook=str)


class JsonFormatter(logging.Formatter):
    """One JSON object per record: ``time``, ``level``, ``logger``, ``message``, further fields.

    The fields are those of the record, and whose request it is.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, in ASCII, without its end."""
        line: dict[str, Any] = {
            "time": _time_text(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message_of(record),
        }
        ids = CURRENT_IDS.get()
        if ids is not None:
            line["request_id"], line["decision_id"] = ids
        line.update(getattr(record, "fields", ()))
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            frames = traceback.extract_tb(record.exc_info[2])
            line["at"] = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else None
        return _encode(line)


def _time_text(at_s: float) -> str:
    second = int(at_s)
    return f"{_second_text(second)}.{int((at_s - second) * 1e3):03d}+00:00"


@lru_cache(maxsize=1)  # most lines are of the same second as the one before
def _second_text(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _encode(line: object) -> str:
    try:
        encoded = _ENCODER.encode(line)
    except UnicodeEncodeError:  # half a surrogate pair, as the name of a file may hold
        return json.dumps(msgspec.to_builtins(line, enc_hook=str))
    return encoded.decode() if encoded.isascii() else json.dumps(msgspec.json.decode(encoded))


def _message_of(record: logging.LogRecord) -> str:
    try:
        message = record.getMessage()
    except (TypeError, ValueError, KeyError):  # its arguments do not fit; that breaks no request
        message = str(record.msg)
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


class _LineHandler(logging.Handler):
    """Gives lines to the writing thread, and tells of those that it could not take."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self._writer = writer
        self._n_lost = 0
        self.setFormatter(JsonFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        self.write(self.format(record))

    def write(self, line: str) -> None:
        """Take a line that is JSON already."""
        if not self._writer.add(line):
            self._n_lost += 1
        elif self._n_lost:
            n_lost, self._n_lost = self._n_lost, 0
            message = f"{n_lost} lines before this one were lost: nobody read the log in time"
            _LOGGER.warning(message, extra={"fields": {"n_lost": n_lost}})


@contextmanager
def log_as_json(level: Literal["warning", "info"], stream: TextIO) -> Iterator[None]:
    """Send every log record of this process to a stream as JSON lines, until the block ends.

    Args:
        level: ``warning`` for faults alone, ``info`` for one line per request too.
        stream: Usually stderr.
    """
    root, ours = logging.getLogger(), logging.getLogger("routecast")
    before = root.handlers, root.level, ours.level
    writer = LineWriter(stream)
    try:
        handler = _LineHandler(writer)
        handler.addFilter(_tells_something_new)
        root.handlers = [handler]
        root.setLevel(logging.WARNING)
        ours.setLevel(level.upper())
        yield
    finally:
        root.handlers = before[0]
        root.setLevel(before[1])
        ours.setLevel(before[2])
        writer.close()


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
        if not _REQUESTS.isEnabledFor(level):
            return
        line = describe_served(served, cost_usd=cost_of(served.result, self.prices))
        message, handlers = trouble or "request", logging.root.handlers
        if handlers and isinstance(handlers[0], _LineHandler):
            # A record of it would take as long as all that is known of the request.
            line.time, line.level = _time_text(time()), "info" if trouble is None else "warning"
            line.logger, line.message = _REQUESTS.name, message
            handlers[0].write(_encode(line))
        else:
            fields = msgspec.to_builtins(line)
            _REQUESTS.log(level, "%s", message, extra={"fields": fields})


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


class AttemptLine(msgspec.Struct, omit_defaults=True, gc=False):
    """One try, in a line of the log."""

    model: str
    status: int | None = None
    failure: str | None = None
    first_byte_ms: float | None = None
    total_ms: float | None = None


class RequestLine(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One request, as a line of the log; what is not known is left out."""

    time: str | None = None
    level: str | None = None
    logger: str | None = None
    message: str | None = None
    request_id: str
    decision_id: str
    path: str
    status: int
    error_code: str | None = None
    own_ms: float | None
    asked: str | None = None
    route: str | None = None
    decision: str | None = None
    reason: str | None = None
    win_probability: float | None = None
    threshold: float | None = None
    model: str | None = None
    ended: str | None = None
    first_byte_ms: float | None = None
    total_ms: float | None = None
    attempts: list[AttemptLine] | None = None
    cost_usd: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None


def describe_served(served: Served, *, cost_usd: float | None) -> RequestLine:
    """Return what is known about a request.

    The model that the client asked for is there only where it exists: otherwise it is free text.
    """
    decision, result = served.decision, served.result
    line = RequestLine(
        request_id=served.request_id,
        decision_id=served.decision_id,
        path=served.surface.path,
        status=served.status,
        error_code=served.error_code,
        own_ms=_ms(served.own_s),
    )
    if decision is not None:
        line.asked, line.route = served.asked, served.route
        line.decision, line.reason = decision.model, decision.reason
        line.win_probability, line.threshold = decision.win_probability, decision.threshold
    if result is not None:
        line.model, line.ended, line.cost_usd = result.model, result.ended, cost_usd
        line.first_byte_ms, line.total_ms = _ms(result.first_byte_s), _ms(result.total_s)
        line.attempts = [_describe_attempt(attempt) for attempt in result.attempts]
        usage = result.usage
        if usage is not None:
            line.input_tokens, line.output_tokens = usage.input_tokens, usage.output_tokens
            line.cached_input_tokens = usage.cached_input_tokens
    return line


def _describe_attempt(attempt: Attempt) -> AttemptLine:
    return AttemptLine(
        attempt.model,
        attempt.status,
        attempt.failure,
        _ms(attempt.first_byte_s),
        _ms(attempt.total_s),
    )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else int(seconds * 1e6 + 0.5) / 1e3  # a third of round's time
