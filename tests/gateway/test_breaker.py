"""A model that keeps failing is left alone, and asked again by one call at a time."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.gateway.breaker import Breaker, BreakerState


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def breaker_and_clock(n_failures: int = 3) -> tuple[Breaker, Clock]:
    clock = Clock()
    return Breaker(n_failures=n_failures, open_s=30.0, clock_s=clock), clock


def state_of(breaker: Breaker) -> BreakerState:
    """The state now; mypy would take an attribute for unchanged."""
    return breaker.state


def fail(breaker: Breaker, n_times: int) -> None:
    for _ in range(n_times):
        breaker.record_failure(breaker.admit())


def test_failures_in_a_row_open_it_and_others_do_not() -> None:
    breaker, _ = breaker_and_clock()
    fail(breaker, 2)
    breaker.record_success(breaker.admit())
    fail(breaker, 2)
    assert state_of(breaker) is BreakerState.CLOSED
    fail(breaker, 1)
    assert state_of(breaker) is BreakerState.OPEN
    assert breaker.admit() == 0


def test_it_stays_open_for_the_pause_and_lets_one_probe_through() -> None:
    breaker, clock = breaker_and_clock()
    fail(breaker, 3)
    assert breaker.wait_s == 30.0
    clock.now_s += 29.5
    assert (breaker.admit(), breaker.wait_s) == (0, 0.5)
    clock.now_s += 0.5
    assert (breaker.state, breaker.wait_s) == (BreakerState.HALF_OPEN, 0.0)
    assert breaker.admit() != 0
    assert breaker.admit() == 0  # one probe at a time


def test_the_first_byte_of_a_probe_closes_it() -> None:
    breaker, clock = breaker_and_clock()
    fail(breaker, 3)
    clock.now_s += 30
    probe = breaker.admit()
    breaker.record_answer(probe)
    assert state_of(breaker) is BreakerState.CLOSED
    fail(breaker, 2)
    assert state_of(breaker) is BreakerState.CLOSED  # and its count begins anew


def test_a_first_byte_is_no_success_while_it_is_closed() -> None:
    # A model that begins every answer and finishes none must be left alone too.
    breaker, _ = breaker_and_clock()
    for _ in range(3):
        ticket = breaker.admit()
        breaker.record_answer(ticket)
        breaker.record_failure(ticket)
    assert state_of(breaker) is BreakerState.OPEN


def test_a_probe_that_fails_opens_it_for_another_pause() -> None:
    breaker, clock = breaker_and_clock()
    fail(breaker, 3)
    clock.now_s += 30
    fail(breaker, 1)
    assert (breaker.state, breaker.wait_s) == (BreakerState.OPEN, 30.0)


def test_a_probe_whose_client_leaves_makes_room_for_the_next() -> None:
    breaker, clock = breaker_and_clock()
    fail(breaker, 3)
    clock.now_s += 30
    breaker.release(breaker.admit())
    assert state_of(breaker) is BreakerState.HALF_OPEN
    assert breaker.admit() != 0


@pytest.mark.parametrize("end", ["record_answer", "record_success", "record_failure", "release"])
def test_calls_from_before_the_outage_tell_nothing_about_it(end: str) -> None:
    breaker, clock = breaker_and_clock()
    old = breaker.admit()
    fail(breaker, 3)
    getattr(breaker, end)(old)
    assert (breaker.state, breaker.wait_s) == (BreakerState.OPEN, 30.0)
    clock.now_s += 30
    assert breaker.admit() != 0
    getattr(breaker, end)(old)
    assert state_of(breaker) is BreakerState.HALF_OPEN
    assert breaker.admit() == 0  # the probe is still out


def test_an_early_probe_closes_it_by_its_answer_and_leaves_the_pause_by_its_failure() -> None:
    breaker, clock = breaker_and_clock()
    fail(breaker, 3)
    clock.now_s += 10
    early = breaker.admit_early()
    assert early != 0
    assert (breaker.admit_early(), breaker.admit()) == (0, 0)  # one at a time
    breaker.record_failure(early)
    assert (breaker.state, breaker.wait_s) == (BreakerState.OPEN, 20.0)
    breaker.record_answer(breaker.admit_early())
    assert state_of(breaker) is BreakerState.CLOSED


def test_each_change_is_told_once() -> None:
    clock, told = Clock(), list[str]()
    breaker = Breaker(n_failures=2, open_s=30.0, clock_s=clock, tell=told.append)
    fail(breaker, 2)
    breaker.record_failure(breaker.admit_early())
    assert told == ["open"]
    clock.now_s += 30
    fail(breaker, 1)
    clock.now_s += 30
    breaker.record_success(breaker.admit())
    breaker.record_success(breaker.admit())
    assert told == ["open", "open", "closed"]


def count_by_hand(ends: Sequence[bool], limit: int) -> int:
    """An oracle: after how many calls, one after the other, the breaker refuses the next."""
    n_in_a_row = 0
    for n_calls, succeeds in enumerate(ends, 1):
        n_in_a_row = 0 if succeeds else n_in_a_row + 1
        if n_in_a_row == limit:
            return n_calls
    return -1


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 5))
def test_it_opens_exactly_when_as_many_calls_in_a_row_have_failed(
    ends: list[bool], limit: int
) -> None:
    breaker, _ = breaker_and_clock(limit)
    n_calls = 0
    for succeeds in ends:
        ticket = breaker.admit()
        if not ticket:
            break
        n_calls += 1
        (breaker.record_success if succeeds else breaker.record_failure)(ticket)
    opened = n_calls if breaker.state is BreakerState.OPEN else -1
    assert opened == count_by_hand(ends, limit)
