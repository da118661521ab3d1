"""Money: no call is sent that could pass the budget."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from routecast.errors import RoutecastError


class BudgetReachedError(RoutecastError):
    """The next call could pass the budget, and nothing in flight will make room for it."""


@dataclass
class Reservation:
    """Room in the budget for one call.

    Attributes:
        at_most_usd: What the call can cost at most.
        cost_usd: What it did cost; all of ``at_most_usd`` until somebody knows better.
    """

    at_most_usd: float
    cost_usd: float


class Ledger:
    """What has been spent, and what calls in flight may still cost.

    Every call is reserved at its upper bound before it is sent and settled when its cost is
    known. So the sum of both never passes the budget, whatever the order in which calls end.
    """

    def __init__(self, *, budget_usd: float | None = None, spent_usd: float = 0.0) -> None:
        """Start from what earlier runs spent; without a budget nothing is ever refused."""
        self.budget_usd = budget_usd
        self.spent_usd = spent_usd
        self._in_flight: dict[int, Reservation] = {}
        self._settled = asyncio.Event()

    @property
    def reserved_usd(self) -> float:
        """What the calls in flight can cost at most."""
        return sum(reservation.at_most_usd for reservation in self._in_flight.values())

    @property
    def n_in_flight(self) -> int:
        """How many calls are reserved and not settled."""
        return len(self._in_flight)

    @asynccontextmanager
    async def reserve(self, at_most_usd: float) -> AsyncIterator[Reservation]:
        """Wait until a call fits beside those in flight, and hold room for it during the block.

        The reservation is settled at its ``cost_usd`` when the block ends, however it ends.

        Raises:
            BudgetReachedError: If the call would not fit even if those in flight cost nothing.
        """
        await self._wait_for_room(at_most_usd)
        reservation = Reservation(at_most_usd, at_most_usd)
        self._in_flight[id(reservation)] = reservation
        try:
            yield reservation
        finally:
            del self._in_flight[id(reservation)]
            self.spent_usd += reservation.cost_usd
            self._settled.set()

    async def _wait_for_room(self, at_most_usd: float) -> None:
        while not self._fits(at_most_usd):
            if not self._in_flight:
                raise BudgetReachedError(
                    f"the budget of {self.budget_usd} USD is reached: {self.spent_usd:.6f} USD "
                    f"are spent, and the next call may cost {at_most_usd:.6f} USD"
                )
            self._settled.clear()
            await self._settled.wait()

    def _fits(self, at_most_usd: float) -> bool:
        if self.budget_usd is None:
            return True
        return self.spent_usd + self.reserved_usd + at_most_usd <= self.budget_usd
