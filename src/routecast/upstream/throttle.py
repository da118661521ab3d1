"""How many calls one model gets at once, and when it gets none."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager


class Throttle:
    """A limit on calls in flight, with pauses that hold for all callers.

    When one call is told to come back later, the others of that model would only be told the
    same; so a pause stops all new calls.
    """

    def __init__(
        self,
        n_at_once: int,
        *,
        clock_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Allow ``n_at_once`` calls in flight, at least 1."""
        self._slots = asyncio.Semaphore(n_at_once)
        self._clock_s = clock_s
        self._sleep = sleep
        self._resume_at_s = 0.0

    def pause(self, duration_s: float) -> None:
        """Start no call for so many seconds; a longer pause that already holds stays."""
        self._resume_at_s = max(self._resume_at_s, self._clock_s() + duration_s)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a free slot and the end of every pause, and hold the slot for the block."""
        async with self._slots:
            while (wait_s := self._resume_at_s - self._clock_s()) > 0:
                await self._sleep(wait_s)
            yield
