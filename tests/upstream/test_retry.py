"""When to try again, and how long to wait."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routecast.upstream.retry import (
    RETRIED_STATUSES,
    AttemptError,
    RetryPolicy,
    backoff_delay_s,
    parse_retry_after,
    retry_attempts,
)

NOW = datetime(1999, 12, 31, 23, 57, 59, tzinfo=UTC)


class Waits:
    """A sleep that takes no time and remembers what was asked of it."""

    def __init__(self) -> None:
        self.durations_s: list[float] = []

    async def __call__(self, duration_s: float) -> None:
        self.durations_s.append(duration_s)


class Failing:
    """An attempt that fails so many times, then returns its number."""

    def __init__(self, n_failures: int, error: AttemptError) -> None:
        self.n_calls = 0
        self._n_failures = n_failures
        self._error = error

    async def __call__(self) -> int:
        self.n_calls += 1
        if self.n_calls <= self._n_failures:
            raise self._error
        return self.n_calls


def transient(*, retry_after_s: float | None = None) -> AttemptError:
    return AttemptError("again", status=503, is_transient=True, retry_after_s=retry_after_s)


@pytest.mark.parametrize(
    ("text", "expected_s"),
    [
        ("Fri, 31 Dec 1999 23:59:59 GMT", 120.0),  # RFC 9110, 10.2.3, two minutes from NOW
        ("120", 120.0),  # the same section's other example
        ("Friday, 31-Dec-99 23:59:59 GMT", 120.0),  # the obsolete form of RFC 850
        ("Fri Dec 31 23:59:59 1999", 120.0),  # asctime's form, which is in UTC
        ("Fri, 31 Dec 1999 23:57:00 GMT", 0.0),
        (" 0.5 ", 0.5),
        ("0", 0.0),
        ("-5", None),
        ("1e3", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(
    text: str | None, expected_s: float | None
) -> None:
    assert parse_retry_after(text, now=NOW) == expected_s


@settings(deadline=None)
@given(st.integers(min_value=0, max_value=10**6))
def test_a_date_and_the_same_number_of_seconds_mean_the_same(n_seconds: int) -> None:
    date = format_datetime(NOW + timedelta(seconds=n_seconds), usegmt=True)
    assert parse_retry_after(date, now=NOW) == parse_retry_after(str(n_seconds), now=NOW)


def test_the_delay_doubles_and_is_jittered_down_to_half() -> None:
    policy = RetryPolicy(base_delay_s=1.0, max_delay_s=5.0)
    # doubled: 1, 2, 4, then 8 which is cut to 5; times (1 + jitter) / 2 = 0.75 at jitter 0.5
    delays = [
        backoff_delay_s(policy, n_failures, retry_after_s=None, jitter=0.5)
        for n_failures in (1, 2, 3, 4)
    ]
    assert delays == [0.75, 1.5, 3.0, 3.75]


@settings(deadline=None)
@given(
    st.integers(min_value=1, max_value=10_000),
    st.one_of(st.none(), st.floats(min_value=0, max_value=1e6)),
    st.floats(min_value=0, max_value=1, exclude_max=True),
)
def test_the_delay_is_never_shorter_than_asked_nor_longer_than_stated(
    n_failures: int, retry_after_s: float | None, jitter: float
) -> None:
    policy = RetryPolicy(base_delay_s=0.5, max_delay_s=20)
    delay_s = backoff_delay_s(policy, n_failures, retry_after_s=retry_after_s, jitter=jitter)
    if retry_after_s is None:
        assert 0.25 <= delay_s <= 20
    else:
        assert retry_after_s <= delay_s <= retry_after_s + 0.5


@pytest.mark.anyio
async def test_attempts_go_on_until_one_succeeds() -> None:
    attempt, waits = Failing(3, transient()), Waits()
    policy = RetryPolicy(n_attempts=4, base_delay_s=1.0)
    n = await retry_attempts(attempt, policy=policy, sleep=waits, draw_jitter=lambda: 0.0)
    assert n == 4
    assert waits.durations_s == [0.5, 1.0, 2.0]


@pytest.mark.anyio
async def test_the_wish_of_the_upstream_is_waited_for() -> None:
    attempt, waits = Failing(1, transient(retry_after_s=7.0)), Waits()
    await retry_attempts(attempt, policy=RetryPolicy(), sleep=waits, draw_jitter=lambda: 0.25)
    assert waits.durations_s == [7.25]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("error", "n_calls"),
    [
        (transient(), 3),
        (AttemptError("no", status=400, is_transient=False), 1),
        (transient(retry_after_s=301.0), 1),
    ],
    ids=["the last attempt", "not transient", "too long a wait"],
)
async def test_there_is_no_further_attempt_when_it_makes_no_sense(
    error: AttemptError, n_calls: int
) -> None:
    attempt = Failing(10, error)
    with pytest.raises(AttemptError) as caught:
        await retry_attempts(attempt, policy=RetryPolicy(n_attempts=3), sleep=Waits())
    assert caught.value is error
    assert attempt.n_calls == n_calls


@pytest.mark.anyio
async def test_other_errors_are_not_retried() -> None:
    n_calls = 0

    async def attempt() -> None:
        nonlocal n_calls
        n_calls += 1
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        await retry_attempts(attempt, policy=RetryPolicy(), sleep=Waits())
    assert n_calls == 1


def test_no_refusal_for_good_is_among_the_statuses_to_retry() -> None:
    assert RETRIED_STATUSES.isdisjoint({400, 401, 403, 404, 413, 422, 501})
