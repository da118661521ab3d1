"""Calls that cost money: looked up in the journal, limited, budgeted, retried, written down."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from routecast.errors import UpstreamError
from routecast.label.budget import Ledger
from routecast.label.journal import Journal
from routecast.label.templates import TEMPLATES_DIGEST
from routecast.label.tokens import input_tokens_at_most
from routecast.upstream.chat import SPENT_QUOTA, ChatReply, ChatRequest, ChatTimeouts, send_chat
from routecast.upstream.dialect import Dialect, adapt_dialect
from routecast.upstream.endpoint import Endpoint
from routecast.upstream.prices import cost_usd
from routecast.upstream.retry import AttemptError, RetryPolicy, retry_attempts
from routecast.upstream.throttle import Throttle

if TYPE_CHECKING:
    import aiohttp

HOPELESS_STATUSES = frozenset({301, 302, 307, 308, 401, 402, 403, 404, 405})
"""The address, the key or the account is wrong: every other call would be refused too."""

N_FAILURES_IN_A_ROW = 10
"""After so many failed requests to one model with none answered between, the run stops."""


@dataclass
class CallCounts:
    """What happened so far, for whoever watches.

    Attributes:
        n_replies: Answered calls of this run.
        n_from_journal: Requests whose reply an earlier run, or an equal request, had paid for.
        n_failed_attempts: Attempts that were refused, timed out or broke off.
    """

    n_replies: int = 0
    n_from_journal: int = 0
    n_failed_attempts: int = 0


@dataclass
class _Line:
    """What is known about one model while calls go on."""

    throttle: Throttle
    dialect: Dialect
    n_failures_in_a_row: int = 0


class PaidCalls:
    """The way to every model of one run.

    Equal requests in one role to one model are paid once, however many ask, and over all runs
    with this journal. Each attempt is reserved in the ledger before it is sent.

    Attributes:
        journal: Where replies are looked up and written down.
        ledger: Where money is reserved and settled.
        counts: What happened so far.
        halted: Why no further call is made; None while calls go on.
    """

    def __init__(
        self,
        session: "aiohttp.ClientSession",
        *,
        journal: Journal,
        ledger: Ledger,
        n_at_once: int,
        timeouts: ChatTimeouts,
        retry: RetryPolicy,
        watch: Callable[[], None] = lambda: None,
    ) -> None:
        """Allow ``n_at_once`` calls in flight to each model; ``watch`` is called as they end."""
        self.journal = journal
        self.ledger = ledger
        self.counts = CallCounts()
        self._session = session
        self._n_at_once = n_at_once
        self._timeouts = timeouts
        self._retry = retry
        self._watch = watch
        self._lines: dict[str, _Line] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.halted: UpstreamError | None = None

    async def ask(self, endpoint: Endpoint, request: ChatRequest, *, role: str) -> ChatReply:
        """Return the reply to a request, from the journal or from the model.

        Raises:
            AttemptError: If this request failed, after all retries; others may succeed.
            BudgetReachedError: If it does not fit into the budget.
            UpstreamError: If no further call makes sense; every later one is refused likewise,
                while those in flight may end.
        """
        key = request_key(endpoint, request, role=role)
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            known = self.journal.find(key)
            if known is not None:
                self.counts.n_from_journal += 1
                return known
            return await self._ask_model(endpoint, request, key)

    async def _ask_model(self, endpoint: Endpoint, request: ChatRequest, key: str) -> ChatReply:
        line = self._lines.get(endpoint.name)
        if line is None:
            line = self._lines[endpoint.name] = _Line(Throttle(self._n_at_once), Dialect())
        try:
            return await retry_attempts(
                lambda: self._attempt(endpoint, request, key, line), policy=self._retry
            )
        except AttemptError as error:
            self._note_failure(error, line)
            if self.halted is not None:
                raise self.halted from error
            raise

    async def _attempt(
        self, endpoint: Endpoint, request: ChatRequest, key: str, line: _Line
    ) -> ChatReply:
        """Try once; a refusal of a field that not every upstream knows does not count."""
        while True:
            dialect = line.dialect
            try:
                async with line.throttle.slot():
                    reply = await self._send(endpoint, request, key, dialect)
            except AttemptError as error:
                self.counts.n_failed_attempts += 1
                self._watch()
                if error.retry_after_s is not None and not self._asks_too_long_a_wait(error):
                    line.throttle.pause(error.retry_after_s)
                adapted = adapt_dialect(dialect, error.parameter)
                if adapted is None:
                    raise
                if line.dialect == dialect:
                    line.dialect = adapted
            else:
                line.n_failures_in_a_row = 0
                self.counts.n_replies += 1
                self._watch()
                return reply

    async def _send(
        self, endpoint: Endpoint, request: ChatRequest, key: str, dialect: Dialect
    ) -> ChatReply:
        at_most_usd = cost_at_most_usd(endpoint, request)
        async with self.ledger.reserve(at_most_usd) as reservation:
            if self.halted is not None:
                reservation.cost_usd = 0.0
                raise self.halted
            self.journal.note_sent(key, at_most_usd=at_most_usd)
            try:
                reply = await send_chat(
                    self._session, endpoint, request, timeouts=self._timeouts, dialect=dialect
                )
            except AttemptError as error:
                if not error.may_be_charged:
                    reservation.cost_usd = 0.0
                    self.journal.note_refused(key)
                raise
            reservation.cost_usd = cost_of_reply_usd(endpoint, request, reply)
            self.journal.note_reply(key, reply, cost_usd=reservation.cost_usd)
            return reply

    def _asks_too_long_a_wait(self, error: AttemptError) -> bool:
        return (error.retry_after_s or 0.0) > self._retry.max_retry_after_s

    def _note_failure(self, error: AttemptError, line: _Line) -> None:
        """Halt the run when the fault is not this one request's."""
        line.n_failures_in_a_row += 1
        if error.status in HOPELESS_STATUSES or error.code == SPENT_QUOTA:
            reason = "check its base_url, model name, key and account"
        elif self._asks_too_long_a_wait(error):
            reason = f"it asks to wait for {error.retry_after_s:.0f} seconds"
        elif line.n_failures_in_a_row >= N_FAILURES_IN_A_ROW:
            reason = f"{line.n_failures_in_a_row} requests in a row failed"
        else:
            return
        self.halted = UpstreamError(
            f"{error}; {reason}. Every reply so far is in the journal "
            f"{str(self.journal.path)!r}: run the same command again to go on",
            status=error.status,
        )


def request_key(endpoint: Endpoint, request: ChatRequest, *, role: str) -> str:
    """Return a digest of everything that the reply depends on.

    That is the wording of the templates, the role, the model and the whole request; the address
    and the key for it are left out.
    """
    identity = {
        "templates": TEMPLATES_DIGEST,
        "role": role,
        "name": endpoint.name,
        "model": endpoint.model,
        "request": asdict(request),
    }
    return sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def cost_at_most_usd(endpoint: Endpoint, request: ChatRequest) -> float:
    """Return more than a call can cost; 0 for a model without a price.

    It holds as long as the upstream keeps to the output limit and bills bytes by tokens of at
    least one byte.
    """
    if endpoint.price is None:
        return 0.0
    return cost_usd(
        endpoint.price,
        n_input_tokens=input_tokens_at_most(request),
        n_output_tokens=request.max_output_tokens,
    )


def cost_of_reply_usd(endpoint: Endpoint, request: ChatRequest, reply: ChatReply) -> float:
    """Return what a reply cost: by the upstream's token counts, or by bounds where it has none."""
    if endpoint.price is None:
        return 0.0
    n_input, n_output = reply.n_input_tokens, reply.n_output_tokens
    if n_input is None:
        n_input = input_tokens_at_most(request)
    if n_output is None:
        n_output = min(request.max_output_tokens, len(reply.text.encode("utf-8", "replace")))
    return cost_usd(endpoint.price, n_input_tokens=n_input, n_output_tokens=n_output)


def unpriced(endpoints: Mapping[str, Endpoint]) -> list[str]:
    """Return the names of the models that have no price."""
    return sorted(name for name, endpoint in endpoints.items() if endpoint.price is None)
