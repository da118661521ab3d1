"""When to try an upstream again, and how long to wait before."""

import asyncio
import math
import random
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from routecast.errors import UpstreamError

T = TypeVar("T")

RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504, 529})
"""Statuses that may be gone a moment later; 529 is Anthropic's "overloaded"."""

_SECONDS = re.compile(r"\d{1,9}(\.\d+)?")


class AttemptError(UpstreamError):
    """One attempt to get an answer failed.

    Attributes:
        status: The upstream's HTTP status, or None when there was no whole answer.
        is_transient: Whether the same request may succeed a moment later.
        retry_after_s: Seconds that the upstream asked us to wait, or None.
        may_be_charged: Whether the upstream may have done, and billed, the work all the same: it
            was silent, hung up, or answered something unreadable. A refusal by status is free.
        parameter: The request's parameter that the upstream says it refused, or None.
        code: The upstream's own word for the fault, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        is_transient: bool,
        retry_after_s: float | None = None,
        may_be_charged: bool = False,
        parameter: str | None = None,
        code: str | None = None,
    ) -> None:
        """Keep what the caller needs to decide whether to try again."""
        super().__init__(message, status=status)
        self.is_transient = is_transient
        self.retry_after_s = retry_after_s
        self.may_be_charged = may_be_charged
        self.parameter = parameter
        self.code = code


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How often and how patiently to try.

    Attributes:
        n_attempts: In all, the first one included; at least 1.
        base_delay_s: The longest wait after the first failure; it doubles with each further one.
        max_delay_s: Where the doubling ends.
        max_retry_after_s: The longest ``Retry-After`` that is waited for; when an upstream asks
            for more, there is no further attempt.
    """

    n_attempts: int = 6
    base_delay_s: float = 1.0
    max_delay_s: float = 60.0
    max_retry_after_s: float = 300.0


def parse_retry_after(text: str | None, *, now: datetime) -> float | None:
    """Read a ``Retry-After`` header.

    Args:
        text: Seconds, decimals allowed, or an HTTP date; None when there is no such header.
        now: With a time zone; what a date is measured against.

    Returns:
        Seconds from now, 0 for a date that has passed, None when it cannot be read.

    References:
        RFC 9110, section 10.2.3.
    """
    text = (text or "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


def backoff_delay_s(
    policy: RetryPolicy, n_failures: int, *, retry_after_s: float | None, jitter: float
) -> float:
    """Return how long to wait before the next attempt.

    Args:
        policy: The base and the longest delay.
        n_failures: How many attempts have failed, at least 1.
        retry_after_s: What the upstream asked for, or None.
        jitter: In [0, 1), drawn anew for each wait, so that many callers don't come back at once.

    Returns:
        Without a wish of the upstream, between half of the delay and all of it, the delay being
        ``base_delay_s`` doubled with each failure. Otherwise never less than it asked for, and
        at most ``base_delay_s`` more.
    """
    if retry_after_s is not None:
        return retry_after_s + jitter * policy.base_delay_s
    doubled = math.ldexp(policy.base_delay_s, min(n_failures - 1, 60))
    return min(policy.max_delay_s, doubled) * (1 + jitter) / 2


async def retry_attempts(
    attempt: Callable[[], Awaitable[T]],
    *,
    policy: RetryPolicy,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    draw_jitter: Callable[[], float] = random.random,
) -> T:
    """Call ``attempt`` until it succeeds or there is no point in going on.

    Args:
        attempt: Makes one attempt; raises ``AttemptError`` when it fails.
        policy: How often and how patiently.
        sleep: Waits for so many seconds.
        draw_jitter: Draws from [0, 1).

    Returns:
        What the first successful attempt returned.

    Raises:
        AttemptError: The last one, when it is not transient, when it was the last one allowed, or
            when the upstream asks for a longer wait than the policy grants.
    """
    n_failures = 0
    while True:
        try:
            return await attempt()
        except AttemptError as error:
            n_failures += 1
            wish_s = error.retry_after_s
            too_long = wish_s is not None and wish_s > policy.max_retry_after_s
            if not error.is_transient or too_long or n_failures >= policy.n_attempts:
                raise
        await sleep(backoff_delay_s(policy, n_failures, retry_after_s=wish_s, jitter=draw_jitter()))
