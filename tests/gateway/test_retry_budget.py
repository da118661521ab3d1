"""Retries are a share of the requests, with a small floor."""

from hypothesis import given
from hypothesis import strategies as st

from routecast.gateway.retry_budget import MAX_EARNED, RESERVE, RESERVE_PER_S, RetryBudget


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def n_retries_left(budget: RetryBudget) -> int:
    n_retries = 0
    while budget.spend():
        n_retries += 1
    return n_retries


def test_the_reserve_lets_an_idle_gateway_retry() -> None:
    clock = Clock()
    budget = RetryBudget(0.2, clock_s=clock)
    assert n_retries_left(budget) == RESERVE
    clock.now_s += 3.5  # one comes back per second: 3.5, of which 3 are whole
    assert n_retries_left(budget) == 3
    clock.now_s += 1000
    assert n_retries_left(budget) == RESERVE


def test_requests_earn_their_share() -> None:
    budget = RetryBudget(0.25, clock_s=Clock())
    assert n_retries_left(budget) == RESERVE
    for _ in range(20):
        budget.earn()
    assert n_retries_left(budget) == 5  # 20 requests at 0.25 each


def test_a_quiet_day_does_not_save_up_a_storm() -> None:
    budget = RetryBudget(0.25, clock_s=Clock())
    for _ in range(100_000):
        budget.earn()
    assert n_retries_left(budget) == MAX_EARNED + RESERVE


def test_a_share_of_nought_means_no_retry_at_all() -> None:
    clock = Clock()
    budget = RetryBudget(0.0, clock_s=clock)
    budget.earn()
    clock.now_s += 1000
    assert n_retries_left(budget) == 0


@given(st.lists(st.sampled_from(["request", "retry", "second"]), max_size=300))
def test_retries_never_exceed_the_stated_bound(events: list[str]) -> None:
    clock = Clock()
    budget = RetryBudget(0.25, clock_s=clock)
    n_requests = n_retries = 0
    for event in events:
        if event == "request":
            budget.earn()
            n_requests += 1
        elif event == "retry":
            n_retries += budget.spend()
        else:
            clock.now_s += 1
        assert n_retries <= 0.25 * n_requests + RESERVE_PER_S * clock.now_s + RESERVE
