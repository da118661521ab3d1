"""One request's relay: what an upstream says goes to the client as it comes.

Retries and the fallback chain come before the first byte. After it, an upstream that dies gives
the client a proper error event, and a client that leaves ends the upstream's call.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import Send

from routecast.errors import RoutecastError
from routecast.gateway.attempts import (
    Outcome,
    Tried,
    ask_in_turn,
    is_usable,
)
from routecast.gateway.connection import UpstreamAnswer
from routecast.gateway.echoes import erase_secret
from routecast.gateway.errors import code_of, error_event, send_error, status_of
from routecast.gateway.events import Tap, has_ended, next_sequence_number
from routecast.gateway.exchange import Attempt, Ended, RelayResult
from routecast.gateway.failures import Failure, broken_answer_error, no_answer_error
from routecast.gateway.headers import MODEL_HEADER, RawHeaders, add_headers, client_headers
from routecast.gateway.leaving import Watch
from routecast.gateway.outlet import Outlet
from routecast.gateway.plan import Plan, Upstream
from routecast.gateway.pool import ConnectionPool
from routecast.gateway.stopping import is_stop, stop_error
from routecast.gateway.upstream_call import (
    may_retry,
    post,
    read_chunk,
    read_first_chunk,
    read_retry_after_s,
)

_LOGGER = logging.getLogger("routecast.gateway")

_WITHOUT_BODY = frozenset({204, 304})

AnswerHeaders = Callable[[str, bool], RawHeaders]
"""Returns what is added to an answer's headers: by the name of the model that answers, and whether
it is a fallback."""


async def relay(
    pool: ConnectionPool,
    plan: Plan,
    *,
    answer_headers: AnswerHeaders,
    keep_alive_s: float,
    watch: Watch,
    send: Send,
) -> RelayResult:
    """Send a request upstream and pass the answer on, until either side leaves.

    Args:
        pool: Connections to upstreams.
        plan: Whom to ask, and what to send.
        answer_headers: What is added to the answer's headers.
        keep_alive_s: Seconds of silence in a stream until a comment is sent.
        watch: Tells when the client leaves: then the call is cancelled at once.
        send: Takes the answer, as fast as the client takes it. Where no model answered, it gets
            an error in the API's own shape.

    Returns:
        What it came to; failures of upstreams are results, not errors.
    """
    exchange = _Exchange(pool, plan, answer_headers, keep_alive_s, send)
    worker = asyncio.current_task()
    has_left = False

    def leave() -> None:
        nonlocal has_left
        has_left = True
        if worker is not None:
            worker.cancel()

    end_watch = watch(leave)
    try:
        ended = await exchange.run()
    except asyncio.CancelledError as error:
        if worker is None or not (has_left or (is_stop(error) and exchange.has_begun)):
            raise
        worker.uncancel()
        if has_left:
            ended = exchange.leave()
        else:
            end_watch()  # a client that leaves now must not cancel its own last words
            ended = await exchange.stop()
    finally:
        end_watch()
        exchange.close()
    return exchange.result(ended)


@dataclass(slots=True)
class _Answer:
    """What an upstream answered, as far as its body has been read."""

    response: UpstreamAnswer
    chunk: bytes | Failure = b""
    first_byte_s: float | None = None
    outlet: Outlet | None = None  # a refusal gets none unless it is the best that there is

    @property
    def has_begun(self) -> bool:
        """Whether the client has been sent some of it."""
        return self.outlet is not None and self.outlet.begun_s is not None

    def close(self) -> None:
        """Send nothing more of it, and let go of the connection if it was not read to its end."""
        if self.outlet is not None:
            self.outlet.close()
        self.response.close()


class _Exchange:
    """What has become of one request so far."""

    __slots__ = (
        "_answer_headers",
        "_answers",
        "_asked",
        "_asked_s",
        "_attempts",
        "_began_s",
        "_error",
        "_keep_alive_s",
        "_outcome",
        "_plan",
        "_pool",
        "_send",
    )

    def __init__(
        self,
        pool: ConnectionPool,
        plan: Plan,
        answer_headers: AnswerHeaders,
        keep_alive_s: float,
        send: Send,
    ) -> None:
        self._pool = pool
        self._plan = plan
        self._answer_headers = answer_headers
        self._keep_alive_s = keep_alive_s
        self._send = send
        self._began_s = self._asked_s = time.perf_counter()
        self._attempts: list[Attempt] = []
        self._answers: list[_Answer] = []
        self._asked: Upstream | None = None  # from the call until its answer is over or given up
        self._outcome: Outcome[Upstream, _Answer] | None = None
        self._error: RoutecastError | None = None

    async def run(self) -> Ended:
        """Ask whom the plan names, and pass on what there is."""
        outcome = await ask_in_turn(self._plan.candidates, self._ask, failed=self._attempts)
        self._outcome = outcome
        upstream, answer = outcome.model, outcome.answer
        if upstream is None or answer is None:
            return await self._refuse()
        failure = await self._pass_on(upstream, answer)
        return self._settle(Ended.COMPLETE if failure is None else Ended.BROKE_OFF, failure)

    async def _ask(self, upstream: Upstream, fell_back: bool) -> Tried[_Answer]:
        """Make one try; it has succeeded when the first of a usable answer's body is there."""
        self._asked, self._asked_s = upstream, time.perf_counter()
        response = await post(self._pool, self._plan, upstream)
        if isinstance(response, Failure):
            self._asked = None
            return Tried(failure=response)
        answer = _Answer(response)
        self._answers.append(answer)
        if is_usable(response.status, fell_back=fell_back):
            answer.outlet = self._open_outlet(upstream, response)
        answer.chunk = chunk = await read_first_chunk(response, upstream)
        if isinstance(chunk, Failure) and not answer.has_begun:
            self._asked = None
            answer.close()
            return Tried(failure=chunk)
        answer.first_byte_s = time.perf_counter() - self._asked_s
        tried = Tried(answer, response.status, None, answer.first_byte_s)
        if answer.outlet is None and isinstance(chunk, bytes):
            self._asked = None
            tried.retry_after_s = read_retry_after_s(response.headers)
            tried.may_retry = may_retry(response.headers, chunk)
        return tried

    def _open_outlet(self, upstream: Upstream, response: UpstreamAnswer) -> Outlet:
        headers = client_headers(response.headers, secret=upstream.secret)
        is_event_stream = _is_plain_event_stream(headers)
        # A stream may get events of ours, so its length is not known; a status without a body has
        # none, whatever is said of it, and servers hold us to what we say.
        if is_event_stream or response.status in _WITHOUT_BODY:
            headers = [header for header in headers if header[0] != b"content-length"]
        taps: tuple[Tap, ...] = ()
        if response.status == 200 and self._plan.taps_for is not None:
            taps = self._plan.taps_for(upstream, headers)
        elif response.status >= 400 and upstream.secret is not None:
            headers, taps = erase_secret(headers, upstream.secret)
        fell_back = upstream is not self._plan.candidates[0]
        return Outlet(
            self._send,
            status=response.status,
            headers=add_headers(headers, self._answer_headers(upstream.name, fell_back)),
            is_event_stream=is_event_stream,
            taps=taps,
            keep_alive_s=self._keep_alive_s,
        )

    async def _pass_on(self, upstream: Upstream, answer: _Answer) -> Failure | None:
        """Send an answer to its end; return why it ended before, if it did."""
        response, chunk = answer.response, answer.chunk
        outlet = answer.outlet
        if outlet is None:
            outlet = answer.outlet = self._open_outlet(upstream, response)
        while not isinstance(chunk, Failure):
            if response.is_over:
                if not outlet.is_event_stream or self._has_ended(response, outlet, chunk):
                    await outlet.finish(chunk)
                    return None
                await outlet.pass_on(chunk)
                chunk = Failure.BROKE_OFF
            else:
                await outlet.pass_on(chunk)
                chunk = await read_chunk(response, upstream)
        failure = _in_mid_stream(chunk)
        number = next_sequence_number(outlet.last_sent)
        error = broken_answer_error(upstream.name, failure)
        await outlet.break_off(error_event(error, self._plan.surface.api, sequence_number=number))
        return failure

    def _has_ended(self, response: UpstreamAnswer, outlet: Outlet, chunk: bytes) -> bool:
        """Return whether a stream whose connection ended has ended itself."""
        api = self._plan.surface.api
        return response.has_end or has_ended(api, outlet.last_sent + chunk)

    async def _refuse(self) -> Ended:
        """Tell the client that nobody answered."""
        candidates = self._plan.candidates
        wait_s = min(upstream.breaker.wait_s for upstream in candidates)
        error = no_answer_error(self._attempts, retry_after_s=wait_s)
        self._error = error
        headers = self._answer_headers(candidates[0].name, False)
        own = [header for header in headers if header[0] != MODEL_HEADER]
        await send_error(self._send, error, api=self._plan.surface.api, headers=own)
        return Ended.FAILED

    @property
    def has_begun(self) -> bool:
        """Whether the client has been sent some of an answer."""
        return self._begun_outlet() is not None

    async def stop(self) -> Ended:
        """Tell the client that the gateway ends before its answer, where that can be said."""
        outlet = self._begun_outlet()
        if outlet is None or outlet.is_complete:
            return self._settle(Ended.COMPLETE, None)
        number = next_sequence_number(outlet.last_sent)
        event = error_event(stop_error(), self._plan.surface.api, sequence_number=number)
        await outlet.break_off(event)
        return self._settle(Ended.STOPPED, Failure.STOPPED)

    def leave(self) -> Ended:
        """Take note that the client has left; it may have done so after the last byte."""
        outlet = self._begun_outlet()
        if outlet is not None and outlet.is_complete:
            return self._settle(Ended.COMPLETE, None)
        _LOGGER.info("the client left; what was asked for it is cancelled")
        return self._settle(Ended.CLIENT_LEFT, Failure.CLIENT_LEFT)

    def _settle(self, ended: Ended, failure: Failure | None) -> Ended:
        """Record the try that was passed on, or cut off, and tell its model's breaker."""
        if self._asked is not None:
            self._attempts.append(self._last_attempt(self._asked.name, failure))
        if self._outcome is None or self._outcome.model is None:
            return ended
        breaker, ticket = self._outcome.model.breaker, self._outcome.ticket
        if ended is Ended.COMPLETE:
            breaker.record_success(ticket)
        elif ended is Ended.BROKE_OFF and not self._outcome.is_counted:
            breaker.record_failure(ticket)
        else:
            breaker.release(ticket)
        return ended

    def _last_attempt(self, model: str, failure: Failure | None) -> Attempt:
        answer = None if self._outcome is None else self._outcome.answer
        return Attempt(
            model=model,
            status=None if answer is None else answer.response.status,
            failure=failure,
            first_byte_s=None if answer is None else answer.first_byte_s,
            total_s=time.perf_counter() - self._asked_s,
        )

    def close(self) -> None:
        """Let go of every answer."""
        for answer in self._answers:
            answer.close()

    def result(self, ended: Ended) -> RelayResult:
        """Return the record of it all."""
        outlet = self._begun_outlet()
        model = None if self._outcome is None else self._outcome.model
        now_s = time.perf_counter()
        return RelayResult(
            model=None if model is None else model.name,
            status=self._status(outlet),
            error_code=None if self._error is None else code_of(self._error),
            attempts=tuple(self._attempts),
            usage=None if outlet is None else outlet.usage,
            ended=ended,
            first_byte_s=None if outlet is None else (outlet.begun_s or now_s) - self._began_s,
            total_s=now_s - self._began_s,
        )

    def _status(self, outlet: Outlet | None) -> int | None:
        if outlet is not None:
            return outlet.status
        return None if self._error is None else status_of(self._error)

    def _begun_outlet(self) -> Outlet | None:
        """Return what the client has been sent some of, None if it was nothing."""
        for answer in self._answers:
            if answer.has_begun:
                return answer.outlet
        return None


def _is_plain_event_stream(headers: RawHeaders) -> bool:
    """Return whether events of ours could stand between the answer's own."""
    is_event_stream = False
    for name, value in headers:
        if name == b"content-type":
            is_event_stream = value.lower().startswith(b"text/event-stream")
        elif name == b"content-encoding" and value != b"identity":
            return False
    return is_event_stream


def _in_mid_stream(failure: Failure) -> Failure:
    """Name a failure before the first byte as what it is to a client who got a comment."""
    if failure in (Failure.FIRST_BYTE_TIMEOUT, Failure.SILENT):
        return Failure.SILENT
    return Failure.BROKE_OFF
