"""Many first-token requests to one endpoint: some at a time, retried, the first fault ends all."""

import asyncio
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp

from routecast.errors import ConfigError, UpstreamError
from routecast.upstream.chat import ChatTimeouts, open_session
from routecast.upstream.dialect import Dialect, adapt_dialect
from routecast.upstream.endpoint import Endpoint
from routecast.upstream.first_token import (
    NO_LOGPROBS,
    FirstTokenRequest,
    TokenChance,
    send_first_token,
)
from routecast.upstream.retry import AttemptError, RetryPolicy, retry_attempts
from routecast.upstream.throttle import Throttle

T = TypeVar("T")

_ADVICE = (
    "; this router needs them: use a model and server that return log-probabilities (not a "
    "reasoning model; vLLM, llama.cpp's server, Ollama from 0.12.11, OpenAI's chat models)"
)


@dataclass(frozen=True, kw_only=True)
class Asking:
    """How patiently an endpoint is asked.

    Attributes:
        n_at_once: Requests under way at a time.
        timeouts: How long one attempt waits.
        retry: How often a failed one is repeated.
    """

    n_at_once: int
    timeouts: ChatTimeouts
    retry: RetryPolicy


def ask_all(
    endpoint: Endpoint, requests: Sequence[FirstTokenRequest], *, asking: Asking
) -> list[tuple[TokenChance, ...]]:
    """Ask for every request and wait, also where an event loop is running already.

    Returns:
        The answers, in order.

    Raises:
        ConfigError: If the model refuses log-probabilities or leaves them out.
        UpstreamError: If a request fails for good; requests under way are dropped.
    """
    return _run(_ask_all(endpoint, requests, asking))


async def _ask_all(
    endpoint: Endpoint, requests: Sequence[FirstTokenRequest], asking: Asking
) -> list[tuple[TokenChance, ...]]:
    queue = iter(enumerate(requests))
    answers: list[tuple[TokenChance, ...]] = [()] * len(requests)
    async with open_session() as session:
        line = _Line(session, endpoint, asking)

        async def work() -> None:
            for place, request in queue:
                answers[place] = await line.ask(request)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(asking.n_at_once, len(requests))):
                    group.create_task(work())
        except* UpstreamError as failures:
            raise _explained(_first(failures)) from None
    return answers


class _Line:
    """The way to one endpoint: what it understands, and when it wants a pause."""

    def __init__(self, session: aiohttp.ClientSession, endpoint: Endpoint, asking: Asking) -> None:
        self._session, self._endpoint, self._asking = session, endpoint, asking
        self._throttle = Throttle(asking.n_at_once)
        self._dialect = Dialect()

    async def ask(self, request: FirstTokenRequest) -> tuple[TokenChance, ...]:
        return await retry_attempts(lambda: self._attempt(request), policy=self._asking.retry)

    async def _attempt(self, request: FirstTokenRequest) -> tuple[TokenChance, ...]:
        """Try once; a refusal of a field that not every server knows does not count."""
        while True:
            dialect = self._dialect
            try:
                async with self._throttle.slot():
                    return await send_first_token(
                        self._session,
                        self._endpoint,
                        request,
                        timeouts=self._asking.timeouts,
                        dialect=dialect,
                    )
            except AttemptError as error:
                wish_s = error.retry_after_s
                if wish_s is not None and wish_s <= self._asking.retry.max_retry_after_s:
                    self._throttle.pause(wish_s)
                adapted = adapt_dialect(dialect, error.parameter)
                if adapted is None:
                    raise
                if self._dialect == dialect:
                    self._dialect = adapted


def _first(failures: BaseExceptionGroup[UpstreamError]) -> UpstreamError:
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def _explained(error: UpstreamError) -> UpstreamError | ConfigError:
    """Say what a refusal of log-probabilities means."""
    if not isinstance(error, AttemptError):
        return error
    if error.parameter == "top_logprobs":
        return ConfigError(
            f"{error}: it refuses 'top_logprobs', or so many of them; set a smaller n_top, such "
            f"as 5{_ADVICE}"
        )
    if error.parameter == "logprobs":
        return ConfigError(
            f"{error}: it refuses 'logprobs', or so many of them; set a smaller n_top, such as "
            f"5{_ADVICE}"
        )
    if error.code == NO_LOGPROBS:
        return ConfigError(f"{error}{_ADVICE}")
    return error


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; in a thread of its own where this one has a running event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
