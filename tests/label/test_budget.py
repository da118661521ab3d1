"""Money: what is spent and what may still be spent never pass the budget."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routecast.label.budget import BudgetReachedError, Ledger


@pytest.mark.anyio
async def test_a_call_is_reserved_at_its_bound_and_settled_at_its_cost() -> None:
    ledger = Ledger(budget_usd=10.0, spent_usd=1.0)
    async with ledger.reserve(6.0) as reservation:
        assert (ledger.spent_usd, ledger.reserved_usd, ledger.n_in_flight) == (1.0, 6.0, 1)
        reservation.cost_usd = 2.0
    assert (ledger.spent_usd, ledger.reserved_usd, ledger.n_in_flight) == (3.0, 0.0, 0)


@pytest.mark.anyio
async def test_a_call_whose_end_nobody_knows_counts_at_its_bound() -> None:
    ledger = Ledger(budget_usd=10.0)
    with pytest.raises(TimeoutError):
        async with ledger.reserve(6.0):
            raise TimeoutError
    assert ledger.spent_usd == 6.0


@pytest.mark.anyio
async def test_what_does_not_fit_waits_for_what_is_in_flight() -> None:
    ledger = Ledger(budget_usd=10.0)
    order = []

    async def call(name: str, at_most_usd: float, cost_usd: float) -> None:
        async with ledger.reserve(at_most_usd) as reservation:
            order.append(f"{name} sent")
            await asyncio.sleep(0.001)
            order.append(f"{name} ended")
            reservation.cost_usd = cost_usd

    # 6 + 6 > 10, so the second waits; the first costs 3, and 3 + 6 <= 10
    await asyncio.gather(call("one", 6.0, 3.0), call("two", 6.0, 4.0))
    assert order == ["one sent", "one ended", "two sent", "two ended"]
    assert ledger.spent_usd == 7.0


@pytest.mark.anyio
async def test_what_fits_no_more_is_refused_with_the_figures() -> None:
    ledger = Ledger(budget_usd=10.0, spent_usd=9.0)
    with pytest.raises(BudgetReachedError, match=r"10\.0 USD is reached: 9\.0.* may cost 1\.5"):
        async with ledger.reserve(1.5):
            pytest.fail("it does not fit")
    async with ledger.reserve(1.0):
        pass
    assert ledger.spent_usd == 10.0


@pytest.mark.anyio
async def test_without_a_budget_nothing_is_refused() -> None:
    ledger = Ledger()
    async with ledger.reserve(1e9):
        pass
    assert ledger.spent_usd == 1e9


@settings(deadline=None)
@given(
    st.floats(min_value=0, max_value=100),
    st.lists(
        st.tuples(st.floats(min_value=0, max_value=10), st.floats(min_value=0, max_value=1)),
        max_size=30,
    ),
    st.randoms(use_true_random=False),
)
def test_spent_and_reserved_never_pass_the_budget_in_any_order(
    budget_usd: float, calls: list[tuple[float, float]], order: random.Random
) -> None:
    ledger = Ledger(budget_usd=budget_usd)
    n_sent = n_refused = 0

    async def call(at_most_usd: float, share: float) -> None:
        nonlocal n_sent, n_refused
        try:
            async with ledger.reserve(at_most_usd) as reservation:
                n_sent += 1
                assert ledger.spent_usd + ledger.reserved_usd <= budget_usd * (1 + 1e-12)
                for _ in range(order.randrange(4)):
                    await asyncio.sleep(0)
                reservation.cost_usd = at_most_usd * share
        except BudgetReachedError:
            n_refused += 1

    async def run() -> None:
        await asyncio.gather(*(call(*each) for each in calls))

    asyncio.run(run())
    assert n_sent + n_refused == len(calls)
    assert ledger.n_in_flight == 0
    assert ledger.spent_usd <= budget_usd * (1 + 1e-12)
