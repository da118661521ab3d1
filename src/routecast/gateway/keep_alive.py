"""A timer for streams that have nothing to say for a while."""

import asyncio
from collections.abc import Awaitable, Callable


class KeepAlive:
    """Calls ``beat`` whenever ``note`` has not been called for a while.

    A chunk costs one look at the clock: the timer is not set anew, it looks back when it rings.
    """

    def __init__(self, beat: Callable[[], Awaitable[None]], *, interval_s: float) -> None:
        """Start.

        Args:
            beat: Sends a sign of life; no second call is made before the first is done.
            interval_s: Seconds of silence.
        """
        self._beat = beat
        self._interval_s = interval_s
        self._loop = asyncio.get_running_loop()
        self._heard_s = self._loop.time()
        self._timer = self._loop.call_later(interval_s, self._ring)
        self._beating: asyncio.Task[None] | None = None

    @property
    def is_beating(self) -> bool:
        """Whether a sign of life is on its way."""
        return self._beating is not None

    def note(self) -> None:
        """Say that something has just been sent."""
        self._heard_s = self._loop.time()

    async def settle(self) -> None:
        """Wait until no beat is under way."""
        if self._beating is not None:
            await asyncio.wait([self._beating])

    def stop(self) -> None:
        """Beat no more; a beat that is under way is cancelled."""
        self._timer.cancel()
        if self._beating is not None:
            self._beating.cancel()

    def _ring(self) -> None:
        left_s = self._heard_s + self._interval_s - self._loop.time()
        if left_s <= 0 and self._beating is None:
            self._beating = asyncio.ensure_future(self._beat_and_note())
        self._timer = self._loop.call_later(left_s if left_s > 0 else self._interval_s, self._ring)

    async def _beat_and_note(self) -> None:
        try:
            await self._beat()
        finally:
            self._beating = None
        self.note()
