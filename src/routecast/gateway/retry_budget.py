"""A budget for retries: when a model is down, its clients' retries must not keep it down."""

import time
from collections.abc import Callable
from typing import Final

RESERVE: Final = 10.0
"""Retries that are always allowed at first, so that a gateway with little traffic retries too."""

RESERVE_PER_S: Final = 1.0
"""How fast a spent reserve comes back."""

MAX_EARNED: Final = 100.0
"""The most that requests can save up: a burst of retries is never longer than this and RESERVE."""


class RetryBudget:
    """A token bucket: every request earns a share of a retry, every retry spends one.

    In any span of time, there are at most ``share`` retries per request, one more per second, and
    110 that were saved before. With a share of 0 there are none at all.

    References:
        Finagle's ``RetryBudget`` (Twitter, 2016): a share of requests and a floor per second.
    """

    def __init__(self, share: float, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        """Begin with a full reserve.

        Args:
            share: Retries per request, at least 0.
            clock_s: Tells the time.
        """
        self._share = share
        self._clock_s = clock_s
        self._earned = 0.0
        self._reserve = RESERVE if share > 0 else 0.0
        self._spent_at_s = clock_s()

    def earn(self) -> None:
        """Count one request."""
        if self._earned < MAX_EARNED:
            self._earned = min(MAX_EARNED, self._earned + self._share)

    def spend(self) -> bool:
        """Take one retry out of the budget; False if there is none left."""
        if self._earned >= 1:
            self._earned -= 1
            return True
        if self._share <= 0:
            return False
        now_s = self._clock_s()
        refilled = self._reserve + RESERVE_PER_S * (now_s - self._spent_at_s)
        self._reserve = min(RESERVE, refilled)
        self._spent_at_s = now_s
        if self._reserve < 1:
            return False
        self._reserve -= 1
        return True
