"""A timer that looks back when it rings."""

import asyncio

import pytest

from routecast.gateway.keep_alive import KeepAlive

pytestmark = pytest.mark.anyio


class Beats:
    """Counts beats; one may take a while."""

    def __init__(self, duration_s: float = 0.0) -> None:
        self.n_begun = self.n_done = 0
        self._duration_s = duration_s

    async def __call__(self) -> None:
        self.n_begun += 1
        await asyncio.sleep(self._duration_s)
        self.n_done += 1


async def test_silence_makes_it_beat_again_and_again() -> None:
    beats = Beats()
    keep_alive = KeepAlive(beats, interval_s=0.1)
    await asyncio.sleep(0.37)
    keep_alive.stop()
    assert 2 <= beats.n_done <= 3
    await asyncio.sleep(0.25)
    assert beats.n_begun <= 3


async def test_what_is_said_puts_it_off() -> None:
    beats = Beats()
    keep_alive = KeepAlive(beats, interval_s=0.3)
    for _ in range(10):
        await asyncio.sleep(0.05)
        keep_alive.note()
    keep_alive.stop()
    assert beats.n_begun == 0


async def test_a_beat_that_takes_long_is_not_overtaken_and_ends_with_it() -> None:
    beats = Beats(duration_s=30)
    keep_alive = KeepAlive(beats, interval_s=0.05)
    await asyncio.sleep(0.3)
    assert beats.n_begun == 1
    keep_alive.stop()
    await asyncio.sleep(0.01)
    assert (beats.n_begun, beats.n_done) == (1, 0)
    assert len(asyncio.all_tasks()) <= 2  # this test, and the runner's own
