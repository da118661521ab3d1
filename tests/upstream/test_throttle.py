"""Calls in flight, and pauses that hold for all."""

import asyncio

import pytest

from routecast.upstream.throttle import Throttle


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, duration_s: float) -> None:
        await asyncio.sleep(0)
        self.now_s += duration_s


@pytest.mark.anyio
async def test_no_more_calls_are_in_flight_than_allowed() -> None:
    throttle = Throttle(3)
    n_in_flight, most = 0, 0

    async def call() -> None:
        nonlocal n_in_flight, most
        async with throttle.slot():
            n_in_flight += 1
            most = max(most, n_in_flight)
            await asyncio.sleep(0.001)
            n_in_flight -= 1

    await asyncio.gather(*(call() for _ in range(20)))
    assert most == 3


@pytest.mark.anyio
async def test_a_pause_holds_every_new_call() -> None:
    clock = Clock()
    throttle = Throttle(1, clock_s=clock, sleep=clock.sleep)
    throttle.pause(5.0)
    throttle.pause(2.0)  # the longer one stays
    async with throttle.slot():
        assert clock.now_s == 105.0
    async with throttle.slot():
        assert clock.now_s == 105.0


@pytest.mark.anyio
async def test_a_pause_that_is_made_longer_meanwhile_is_kept_too() -> None:
    clock = Clock()

    async def sleep(duration_s: float) -> None:
        await clock.sleep(duration_s)
        if clock.now_s == 105.0:
            throttle.pause(3.0)

    throttle = Throttle(1, clock_s=clock, sleep=sleep)
    throttle.pause(5.0)
    async with throttle.slot():
        assert clock.now_s == 108.0
