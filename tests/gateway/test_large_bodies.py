"""Which work leaves the event loop."""

import threading

import pytest

from routecast.gateway.large_bodies import MAX_BYTES_ON_LOOP, in_thread_if_large


def where(*, name: str) -> tuple[str, bool]:
    return name, threading.current_thread() is threading.main_thread()


@pytest.mark.anyio
async def test_only_a_large_body_is_read_in_a_thread() -> None:
    assert await in_thread_if_large(MAX_BYTES_ON_LOOP, where, name="small") == ("small", True)
    assert await in_thread_if_large(MAX_BYTES_ON_LOOP + 1, where, name="big") == ("big", False)


@pytest.mark.anyio
@pytest.mark.parametrize("n_bytes", [0, MAX_BYTES_ON_LOOP + 1])
async def test_errors_reach_the_caller(n_bytes: int) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        await in_thread_if_large(n_bytes, int, "x")
