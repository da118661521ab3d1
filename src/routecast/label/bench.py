"""The judge model: asks in the form that it understands, and once more when it was not clear."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from routecast.errors import RoutecastError
from routecast.label.asking import VerdictRequest, reminded
from routecast.label.calls import PaidCalls
from routecast.label.templates import ReplyForm
from routecast.upstream.endpoint import Endpoint
from routecast.upstream.retry import AttemptError

V = TypeVar("V")

READABLE_REFUSALS = frozenset({400, 415, 422, 501})
"""What an upstream says to a field that it does not support."""


class UnreadableVerdictError(RoutecastError):
    """The judge answered twice, and neither reply holds a verdict in the form asked for."""


class Bench:
    """Where the judge sits.

    The first question is asked with a JSON schema. If that is refused, or the reply does not keep
    to the schema, the question is asked again for a mark in double brackets. The form that gives
    a readable verdict first is kept for the run, and for later runs with the same journal.
    """

    def __init__(self, calls: PaidCalls, judge: Endpoint, *, role: str) -> None:
        """Seat a judge; the role is part of what its replies are remembered by."""
        self._calls = calls
        self._judge = judge
        self._role = role
        self._settling_form = asyncio.Lock()

    async def ask(self, question: VerdictRequest, read: Callable[[str, ReplyForm], V | None]) -> V:
        """Return the judge's verdict.

        Args:
            question: What to ask.
            read: Reads a reply; None when it is unreadable.

        Raises:
            UnreadableVerdictError: If two replies were unreadable.
            AttemptError: If the judge cannot be had for this question; also what
                ``PaidCalls.ask`` raises otherwise.
        """
        form = self._calls.journal.form
        if form is None:
            async with self._settling_form:
                form = self._calls.journal.form
                if form is None:
                    return await self._settle_form(question, read)
        first = question(form)
        for request in (first, reminded(first)):
            reply = await self._calls.ask(self._judge, request, role=self._role)
            verdict = read(reply.text, form)
            if verdict is not None:
                return verdict
        raise self._unreadable()

    async def _settle_form(
        self, question: VerdictRequest, read: Callable[[str, ReplyForm], V | None]
    ) -> V:
        verdict: V | None = None
        for form in ("schema", "marker"):
            try:
                reply = await self._calls.ask(self._judge, question(form), role=self._role)
            except AttemptError as error:
                if form == "marker" or error.status not in READABLE_REFUSALS:
                    raise
                continue
            verdict = read(reply.text, form)
            if verdict is not None:
                self._calls.journal.note_form(form)
                return verdict
        raise self._unreadable()

    def _unreadable(self) -> UnreadableVerdictError:
        return UnreadableVerdictError(f"two unreadable verdicts of {self._judge.name!r}")
