"""A circuit breaker: a model that keeps failing is left alone for a while."""

import time
from collections.abc import Callable
from enum import StrEnum


class BreakerState(StrEnum):
    """What a breaker lets through."""

    CLOSED = "closed"
    """Every call."""

    OPEN = "open"
    """No call, until the pause is over."""

    HALF_OPEN = "half_open"
    """One call at a time, the probe; its answer closes the breaker, its failure opens it again."""


class Breaker:
    """Counts failures in a row, of all requests to one model.

    Every call holds the ticket that `admit` gave it. A ticket is worth nothing once the state has
    changed, so a call from before an outage neither ends nor prolongs it. Calls are made on one
    event loop; nothing here waits.

    References:
        Nygard (2018), Release It!, 2nd edition, section 5.2.
    """

    def __init__(
        self,
        *,
        n_failures: int,
        open_s: float,
        clock_s: Callable[[], float] = time.monotonic,
        tell: Callable[[BreakerState], None] = lambda _: None,
    ) -> None:
        """Begin closed.

        Args:
            n_failures: Failures in a row that open it, at least 1.
            open_s: Seconds without calls before the first probe.
            clock_s: Tells the time.
            tell: Is told when it opens, anew after a failed probe too, and when it closes.
        """
        self._limit = n_failures
        self._open_s = open_s
        self._clock_s = clock_s
        self._tell = tell
        self._ticket = 1
        self._n_failures = 0
        self._probe_at_s: float | None = None  # None while it is closed
        self._is_probing = False

    @property
    def state(self) -> BreakerState:
        """What a call would meet now."""
        if self._probe_at_s is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self.wait_s > 0 else BreakerState.HALF_OPEN

    @property
    def wait_s(self) -> float:
        """Seconds until the next probe may go; 0 unless it is open."""
        if self._probe_at_s is None:
            return 0.0
        return max(0.0, self._probe_at_s - self._clock_s())

    def admit(self) -> int:
        """Return a ticket for one call, or 0 if there must be none now."""
        if self._probe_at_s is None:
            return self._ticket
        if self._is_probing or self.wait_s > 0:
            return 0
        self._is_probing = True
        self._ticket += 1
        return self._ticket

    def admit_early(self) -> int:
        """Return a ticket for one call although the pause is not over, or 0 if a probe is out.

        For a request that nobody else can answer. An answer closes the breaker; a failure leaves
        the pause as long as it was.
        """
        if self._probe_at_s is None:
            return self._ticket
        if self._is_probing:
            return 0
        self._is_probing = True
        self._ticket += 1
        return self._ticket

    def record_answer(self, ticket: int) -> None:
        """The model has begun to answer: the first byte is there."""
        if self._is_probing and ticket == self._ticket:
            self._probe_at_s = None
            self._change_state()
            self._tell(BreakerState.CLOSED)

    def record_success(self, ticket: int) -> None:
        """The answer came to its end."""
        self.record_answer(ticket)
        if ticket == self._ticket:
            self._n_failures = 0

    def record_failure(self, ticket: int) -> None:
        """There was no answer, or it broke off."""
        if ticket != self._ticket:
            return
        self._n_failures += 1
        if self._is_probing and self.wait_s > 0:
            self._change_state()
        elif self._is_probing or self._n_failures >= self._limit:
            self._probe_at_s = self._clock_s() + self._open_s
            self._change_state()
            self._tell(BreakerState.OPEN)

    def release(self, ticket: int) -> None:
        """The call ended without telling anything: the client left. Another probe may go."""
        if ticket == self._ticket:
            self._is_probing = False

    def _change_state(self) -> None:
        self._is_probing = False
        self._n_failures = 0
        self._ticket += 1
