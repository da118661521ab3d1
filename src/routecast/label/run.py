"""One judging run: from items and a journal to labels."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from routecast.errors import ConfigError, DataError
from routecast.label.budget import Ledger
from routecast.label.calls import CallCounts, PaidCalls, unpriced
from routecast.label.items import Item
from routecast.label.journal import Journal
from routecast.label.judge import Failed, Judged, JudgeRun, judge_items
from routecast.label.settings import JudgeSettings
from routecast.upstream.chat import ChatTimeouts, open_session
from routecast.upstream.retry import RetryPolicy


@dataclass(frozen=True, kw_only=True)
class RunLimits:
    """What a run may take.

    Attributes:
        budget_usd: What all runs with this journal may spend together; None for no limit.
        n_at_once: Calls in flight to one model, at least 1.
        timeouts: Of one call.
        retry: How often and how patiently a call is tried.
    """

    budget_usd: float | None = None
    n_at_once: int = 8
    timeouts: ChatTimeouts = field(default_factory=ChatTimeouts)
    retry: RetryPolicy = field(default_factory=RetryPolicy)


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """A look at a run while it goes on.

    Attributes:
        n_items: All items.
        n_done: Items that have a label or have failed.
        counts: Of calls.
        spent_usd: By this run and earlier ones with this journal.
    """

    n_items: int
    n_done: int
    counts: CallCounts
    spent_usd: float


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """What a run gave.

    Attributes:
        run: A result per item, and why it stopped early if it did.
        status: At the end.
    """

    run: JudgeRun
    status: RunStatus


def models_to_call(items: Sequence[Item], *, strong: str, weak: str, judge: str) -> tuple[str, ...]:
    """Return the models that must be configured: the judge, and who has answers to write."""
    writers = [name for name in (strong, weak) if any(name not in item.answers for item in items)]
    return tuple(dict.fromkeys((*writers, judge)))


def check_prices(settings: JudgeSettings, budget_usd: float | None) -> None:
    """Refuse a budget that cannot be kept.

    Raises:
        ConfigError: If there is a budget and a model without a price.
    """
    without = unpriced(settings.endpoints)
    if budget_usd is not None and without:
        raise ConfigError(
            f"--budget-usd needs the price of every model that is called; models.{without[0]} "
            "has none: add price = { input = ..., output = ... } in USD per million tokens, "
            "0 for a model that costs nothing"
        )


def require_labels(finished: FinishedRun) -> None:
    """Refuse a run that labelled nothing.

    Raises:
        ConfigError: If the budget was reached before the first label.
        DataError: If every item failed; the message has the most frequent reason.
    """
    results = finished.run.results
    if any(isinstance(result, Judged) for result in results):
        return
    if finished.run.stopped:
        raise ConfigError(f"{finished.run.stopped}; no prompt was judged: raise --budget-usd")
    reasons = Counter(result.reason for result in results if isinstance(result, Failed))
    reason, n = reasons.most_common(1)[0]
    raise DataError(f"none of {len(results)} prompts was judged; {n} times: {reason}")


async def run_judge(
    items: Sequence[Item],
    settings: JudgeSettings,
    journal: Journal,
    *,
    limits: RunLimits,
    watch: Callable[[RunStatus], None] = lambda _: None,
) -> FinishedRun:
    """Judge items, going on where the journal ends.

    At most ``n_at_once`` times the number of models calls are in flight; when the process is
    killed, these are all that can be paid for a second time.

    Args:
        items: What to judge.
        settings: Whom to ask for what.
        journal: Open, written with the same settings.
        limits: Of money, time and calls at once.
        watch: Called as calls end and as items end.

    Raises:
        ConfigError: If there is a budget and a model without a price.
        UpstreamError: If a model refuses everything.
        DataError: If the journal cannot be written.
    """
    check_prices(settings, limits.budget_usd)
    run = JudgeRun([None] * len(items))
    ledger = Ledger(budget_usd=limits.budget_usd, spent_usd=journal.spent_usd)

    def status() -> RunStatus:
        return RunStatus(
            n_items=len(items),
            n_done=run.n_done,
            counts=calls.counts,
            spent_usd=ledger.spent_usd,
        )

    async with open_session() as session:
        calls = PaidCalls(
            session,
            journal=journal,
            ledger=ledger,
            n_at_once=limits.n_at_once,
            timeouts=limits.timeouts,
            retry=limits.retry,
            watch=lambda: watch(status()),
        )
        await judge_items(
            items,
            settings,
            calls,
            run=run,
            n_workers=2 * limits.n_at_once,
            watch=lambda: watch(status()),
        )
    return FinishedRun(run=run, status=status())
