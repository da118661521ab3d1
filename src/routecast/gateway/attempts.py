"""Whom to ask, how often, and when to stop: retries, then the fallback chain.

All of it happens before the first byte has gone to the client. Nothing here knows HTTP: ``ask``
makes one try, and its outcome decides what comes next.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Generic, Protocol, TypeVar

from routecast.gateway.breaker import Breaker
from routecast.gateway.exchange import Attempt
from routecast.gateway.failures import Failure
from routecast.gateway.retry_budget import RetryBudget
from routecast.upstream.retry import RETRIED_STATUSES, RetryPolicy, backoff_delay_s

Answer = TypeVar("Answer")


class Verdict(Enum):
    """What to do after a try."""

    USE = auto()
    """Pass the answer on."""

    RETRY = auto()
    """The same model may succeed a moment later."""

    MOVE_ON = auto()
    """Another model may succeed; this one will not."""


@dataclass(slots=True)
class Tried(Generic[Answer]):
    """What came of one try.

    Attributes:
        answer: Whatever could be passed on, a refusal included; None when there was none.
        status: The answer's HTTP status, or None.
        failure: Why there was no answer, or None.
        first_byte_s: Seconds until the answer began, or None.
        retry_after_s: Seconds that the upstream asked us to wait, or None.
        may_retry: False where the upstream says that the same request will not succeed.
    """

    answer: Answer | None = None
    status: int | None = None
    failure: Failure | None = None
    first_byte_s: float | None = None
    retry_after_s: float | None = None
    may_retry: bool = True


class Candidate(Protocol):
    """What must be known of a model in order to ask it."""

    @property
    def name(self) -> str:
        """Its name in the settings."""

    @property
    def retry_policy(self) -> RetryPolicy:
        """How often and how patiently it is tried."""

    @property
    def breaker(self) -> Breaker:
        """Whether it is asked at all."""

    @property
    def budget(self) -> RetryBudget:
        """Whether there may be a retry."""


Model = TypeVar("Model", bound=Candidate)


@dataclass(slots=True)
class Outcome(Generic[Model, Answer]):
    """What came of all tries.

    Attributes:
        model: Who gave the answer; None when there is none.
        answer: What to pass on, a refusal included; None when nobody gave one.
        ticket: For the model's breaker, when the answer has come to its end; 0 for a refusal,
            which the breaker knows already.
        is_counted: Whether the breaker has counted a failure of this request already; it counts
            one at most, so that a request that no model can bear does not silence a model.
    """

    model: Model | None
    answer: Answer | None
    ticket: int
    is_counted: bool = False


def is_usable(status: int, *, fell_back: bool) -> bool:
    """Return whether an answer with this status is to be passed on without a further try.

    A refusal that no wait mends, such as 400 or 401, is the answer when the model that was
    decided for gives it: the client must hear it. From a fallback model it only means that the
    next one may do better.
    """
    if status in RETRIED_STATUSES:
        return False
    return status < 400 or not fell_back


def judge(tried: Tried[Answer], *, fell_back: bool) -> Verdict:
    """Decide what a try means."""
    status = tried.status
    if status is not None and is_usable(status, fell_back=fell_back):
        return Verdict.USE
    may_pass = tried.failure in _RETRIED_FAILURES or status in RETRIED_STATUSES
    return Verdict.RETRY if may_pass and tried.may_retry else Verdict.MOVE_ON


_RETRIED_FAILURES = frozenset({Failure.CONNECT, Failure.CONNECT_TIMEOUT, Failure.HUNG_UP})


def is_fault(tried: Tried[Answer]) -> bool:
    """Return whether a try counts against the model's health.

    Every failure and status 5xx does. 408 and 429 do not: they say that there were too many
    requests, not that the model is ill, and their ``Retry-After`` is worth more to a client than
    a closed door.
    """
    return tried.status is None or tried.status >= 500


async def ask_in_turn(
    models: Sequence[Model],
    ask: Callable[[Model, bool], Awaitable[Tried[Answer]]],
    *,
    failed: list[Attempt],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    draw_jitter: Callable[[], float] = random.random,
    is_last_resort: bool = False,
) -> Outcome[Model, Answer]:
    """Ask each model, with its retries, until one gives a usable answer.

    If all their breakers are open, they are asked all the same, the one that would close soonest
    first, but none while another such call to it is out.

    Args:
        models: The one that was decided for first, then the fallback chain; at least one.
        ask: Makes one try of a model; its second argument says whether it is a fallback.
        failed: Gets every try that gave nothing usable, as it happens, so that a caller who is
            cancelled has them too.
        sleep: Waits for so many seconds.
        draw_jitter: Draws from [0, 1).
        is_last_resort: Whether open breakers are passed by.

    Returns:
        The first usable answer. When nobody gave one, the last refusal of the first model that
        gave any (with two models, rather the strong one's 429 than the weak one's 404).
    """
    refusal: Outcome[Model, Answer] = Outcome(None, None, 0)
    for model in models:
        fell_back = model is not models[0]
        model.budget.earn()
        n_failures, is_counted = 0, False
        admit = model.breaker.admit_early if is_last_resort else model.breaker.admit
        while ticket := admit():
            began_s = time.perf_counter()
            tried = None
            try:
                tried = await ask(model, fell_back)
            finally:
                if tried is None:  # the client has left, which tells nothing about the model
                    model.breaker.release(ticket)
            verdict = judge(tried, fell_back=fell_back)
            if verdict is Verdict.USE:
                model.breaker.record_answer(ticket)
                return Outcome(model, tried.answer, ticket, is_counted)
            is_counted = _settle(model.breaker, ticket, tried, is_counted=is_counted)
            failed.append(_attempt(model.name, tried, time.perf_counter() - began_s))
            if tried.answer is not None and refusal.model in (None, model):
                refusal = Outcome(model, tried.answer, 0)
            n_failures += 1
            delay_s = _delay_s(model, tried, verdict, n_failures, draw_jitter)
            if delay_s is None:
                break
            await sleep(delay_s)
        if not (n_failures or is_last_resort):
            failed.append(_attempt(model.name, Tried(failure=Failure.CIRCUIT_OPEN), 0.0))
    if is_last_resort or any(attempt.failure != Failure.CIRCUIT_OPEN for attempt in failed):
        return refusal
    soonest = sorted(models, key=lambda model: model.breaker.wait_s)
    return await ask_in_turn(
        soonest, ask, failed=failed, sleep=sleep, draw_jitter=draw_jitter, is_last_resort=True
    )


def _settle(breaker: Breaker, ticket: int, tried: Tried[Answer], *, is_counted: bool) -> bool:
    """Tell the breaker of a try that was of no use; return whether the request is counted now."""
    if not is_fault(tried):
        breaker.record_success(ticket)
    elif is_counted:
        breaker.release(ticket)
    else:
        breaker.record_failure(ticket)
        return True
    return is_counted


def _attempt(name: str, tried: Tried[Answer], total_s: float) -> Attempt:
    return Attempt(
        model=name,
        status=tried.status,
        failure=tried.failure or Failure.REFUSED,
        first_byte_s=tried.first_byte_s,
        total_s=total_s,
    )


def _delay_s(
    model: Model,
    tried: Tried[Answer],
    verdict: Verdict,
    n_failures: int,
    draw_jitter: Callable[[], float],
) -> float | None:
    """Return how long to wait before the same model is tried again; None if it is not."""
    policy, wish_s = model.retry_policy, tried.retry_after_s
    if verdict is not Verdict.RETRY or n_failures >= policy.n_attempts:
        return None
    if wish_s is not None and wish_s > policy.max_retry_after_s:
        return None
    delay_s = backoff_delay_s(policy, n_failures, retry_after_s=wish_s, jitter=draw_jitter())
    if model.breaker.wait_s > delay_s or not model.budget.spend():
        return None
    return delay_s
