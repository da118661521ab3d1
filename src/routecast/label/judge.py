"""Judge pairs of answers: generate what is missing, ask the judge twice, keep every failure."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from routecast.errors import RoutecastError
from routecast.label.asking import ANSWER_ROLE, Answers, answer_request, verdict_requests
from routecast.label.bench import Bench, UnreadableVerdictError
from routecast.label.budget import BudgetReachedError
from routecast.label.calls import PaidCalls
from routecast.label.items import Item
from routecast.label.settings import JudgeSettings
from routecast.label.verdict import (
    PairVerdict,
    Preference,
    outcome_of_grades,
    read_grade,
    read_preference,
)
from routecast.upstream.retry import AttemptError

V = TypeVar("V")


@dataclass(frozen=True, kw_only=True)
class Judged:
    """An item with its label.

    Attributes:
        answers: What was judged.
        outcome: 1 when the strong model's answer wins, 0 when it loses, 0.5 for a tie.
        verdict: The two verdicts; None with grades, and where both answers are the same text,
            which is a tie that nobody was asked about.
        grades: The strong and the weak answer's, 1 to 10; None unless grades were asked for.
    """

    answers: Answers
    outcome: float
    verdict: PairVerdict | None = None
    grades: tuple[int, int] | None = None


@dataclass(frozen=True)
class Failed:
    """An item that got no label.

    Attributes:
        reason: Why, without a word of prompt or answer.
    """

    reason: str


@dataclass
class JudgeRun:
    """What became of the items.

    Attributes:
        results: Per item, in order; None where the run stopped before.
        n_done: How many items have a label or have failed.
        n_cut_off: How many generated answers ended at the limit of output tokens.
        stopped: Why the run stopped early, in words; None when it did not.
        fault: What ended it, if it could not go on.
    """

    results: list[Judged | Failed | None]
    n_done: int = 0
    n_cut_off: int = 0
    stopped: str | None = None
    fault: RoutecastError | None = field(default=None, repr=False)


class EmptyAnswerError(RoutecastError):
    """A model answered without a word."""


async def judge_items(
    items: Sequence[Item],
    settings: JudgeSettings,
    calls: PaidCalls,
    *,
    run: JudgeRun,
    n_workers: int,
    watch: Callable[[], None] = lambda: None,
) -> None:
    """Label every item that the budget allows.

    Args:
        items: What to judge; begun in order.
        settings: Whom to ask for what.
        calls: The way to the models.
        run: Filled in as results come. When the budget is reached, no further item is begun,
            and those already begun go on as far as the rest of it reaches.
        n_workers: How many items are worked on at once.
        watch: Called after each item.

    Raises:
        UpstreamError: If a model refuses everything. Calls in flight are waited for.
        DataError: If the journal cannot be written.
    """
    bench = Bench(calls, settings.endpoints[settings.judge], role=settings.mode)
    queue = iter(enumerate(items))

    async def work() -> None:
        for position, item in queue:
            try:
                result: Judged | Failed = await _judge_item(item, settings, calls, bench, run)
            except (AttemptError, UnreadableVerdictError, EmptyAnswerError) as error:
                result = Failed(str(error))
            except BudgetReachedError as error:
                run.stopped = str(error)
                return
            except RoutecastError as error:
                run.fault = error
                return
            run.results[position] = result
            run.n_done += 1
            watch()
            if run.stopped or run.fault:
                return

    await asyncio.gather(*(work() for _ in range(n_workers)))
    fault = run.fault or calls.halted
    if fault is not None:
        raise fault


async def _judge_item(
    item: Item, settings: JudgeSettings, calls: PaidCalls, bench: Bench, run: JudgeRun
) -> Judged:
    answers = await _answers(item, settings, calls, run)
    first, second = verdict_requests(item, answers, settings)
    if settings.mode == "grade":
        strong, weak = await _both(bench.ask(first, read_grade), bench.ask(second, read_grade))
        outcome = outcome_of_grades(strong=strong, weak=weak)
        return Judged(answers=answers, outcome=outcome, grades=(strong, weak))
    if answers.strong == answers.weak:
        return Judged(answers=answers, outcome=0.5)
    preferences: tuple[Preference, Preference] = await _both(
        bench.ask(first, read_preference), bench.ask(second, read_preference)
    )
    strong_first, weak_first = preferences
    verdict = PairVerdict(strong_first=strong_first, weak_first=weak_first)
    return Judged(answers=answers, outcome=verdict.outcome, verdict=verdict)


async def _answers(item: Item, settings: JudgeSettings, calls: PaidCalls, run: JudgeRun) -> Answers:
    async def answer_of(model: str) -> str:
        if model in item.answers:
            return item.answers[model]
        endpoint = settings.endpoints[model]
        reply = await calls.ask(endpoint, answer_request(item), role=ANSWER_ROLE)
        run.n_cut_off += reply.finish_reason == "length"
        if not reply.text.strip():
            raise EmptyAnswerError(f"model {model!r} gave an empty answer")
        return reply.text

    strong, weak = await _both(answer_of(settings.strong), answer_of(settings.weak))
    return Answers(strong=strong, weak=weak)


async def _both(first: Awaitable[V], second: Awaitable[V]) -> tuple[V, V]:
    """Wait for both, also when one fails: the other is being paid for."""
    one, other = await asyncio.gather(first, second, return_exceptions=True)
    if isinstance(one, BaseException):
        raise one
    if isinstance(other, BaseException):
        raise other
    return one, other
