"""What `routecast label judge` shows: the estimate, the progress, the figures at the end."""

import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from routecast.cli.counts import counted

if TYPE_CHECKING:
    from routecast.label.estimate import Estimate
    from routecast.label.run import FinishedRun, RunStatus
    from routecast.label.settings import JudgeSettings
    from routecast.label.summary import Summary


def print_estimate(estimate: "Estimate", *, n_prompts: int) -> None:
    """Say on stderr what is still to be called and what it may cost, and how that was counted."""
    from routecast.label.estimate import EXPECTED_ANSWER_TOKENS, EXPECTED_VERDICT_TOKENS

    lines = [f"{counted(n_prompts, 'prompt')}, {counted(estimate.n_calls, 'call')} to make"]
    lines += [
        f"  {model.name}: {model.n_calls:,} calls, {model.n_input_tokens:,} tokens in, "
        f"{model.n_output_tokens:,} out, {_dollars(model.cost_usd)}"
        for model in estimate.models
        if model.n_calls
    ]
    if estimate.n_calls:
        lines.append(
            "  dollars unknown: no price of every model is known"
            if estimate.cost_usd is None
            else f"  about {_dollars(estimate.cost_usd)}, at most "
            f"{_dollars(estimate.at_most_usd)} unless calls have to be repeated"
        )
        lines.append(
            f"  tokens counted by {estimate.rule}; guessed at {EXPECTED_ANSWER_TOKENS} for an "
            f"answer and {EXPECTED_VERDICT_TOKENS} for a verdict"
        )
    if estimate.spent_usd:
        lines.append(f"  earlier runs with this journal spent {_dollars(estimate.spent_usd)}")
    typer.echo("\n".join(lines), err=True)


@contextmanager
def shown_progress() -> "Iterator[Callable[[RunStatus], None]]":
    """Show a bar on stderr where that is a terminal; yield what to call with each new status."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    columns = (
        TextColumn("judging"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}/s"),
        TextColumn("${task.fields[spent]}"),
        TextColumn("{task.fields[trouble]}"),
        TimeLeft(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("", total=None, rate="-", spent="0", trouble="")

        def watch(status: "RunStatus") -> None:
            speed = progress.tasks[bar].speed
            n_repeats = status.counts.n_failed_attempts
            progress.update(
                bar,
                total=status.n_items,
                completed=status.n_done,
                rate="-" if speed is None else f"{speed:.2g}",
                spent=f"{status.spent_usd:.4f}",
                trouble=f"{n_repeats} failed tries" if n_repeats else "",
            )

        yield watch


def print_report(
    finished: "FinishedRun",
    settings: "JudgeSettings",
    *,
    output: Path,
    journal: Path,
    as_json: bool,
) -> None:
    """Print the figures on stdout, and on stderr what a reader must not miss."""
    from routecast.label.summary import summarise

    summary = summarise(finished.run.results, pairwise=settings.mode == "pairwise")
    if finished.run.stopped:
        typer.echo(
            f"stopped early: {finished.run.stopped}. {summary.n_not_reached:,} prompts are left; "
            "run again with a larger --budget-usd to go on",
            err=True,
        )
    for reason, n in summary.failures.items():
        typer.echo(f"no label for {counted(n, 'prompt')}: {reason}", err=True)
    if as_json:
        document = _document(finished, summary, settings)
        document |= {"output": str(output), "journal": str(journal)}
        typer.echo(json.dumps(document, allow_nan=False))
        return
    typer.echo("\n".join(_lines(finished, summary, settings)))
    typer.echo(f"wrote {summary.n_judged:,} comparisons to {output}", err=True)


def _lines(finished: "FinishedRun", summary: "Summary", settings: "JudgeSettings") -> Iterator[str]:
    share = summary.share
    yield f"{summary.n_judged:,} of {summary.n_prompts:,} prompts judged by {settings.judge}"
    yield f"  {settings.strong} wins {share(summary.n_wins):7.1%}  ({summary.n_wins:,})"
    yield f"  tie {share(summary.n_ties):7.1%}  ({summary.n_ties:,}{_ties(summary)})"
    yield f"  {settings.weak} wins {share(summary.n_losses):7.1%}  ({summary.n_losses:,})"
    bias = summary.position_bias
    if bias is not None and bias.n_pairs:
        low, high = bias.interval
        yield (
            f"verdict follows the position: {bias.share:.1%} of {bias.n_pairs:,} pairs (95% "
            f"interval {low:.1%} to {high:.1%}; first {bias.n_first:,}, second {bias.n_second:,})"
        )
    correlation = summary.length_correlation
    shown = "undefined" if math.isnan(correlation) else f"{correlation:.3f}"
    yield f"rank correlation of outcome and length: {shown} (N = {summary.n_judged:,})"
    if finished.run.n_cut_off:
        yield f"answers cut off at the limit of tokens: {finished.run.n_cut_off:,}"
    counts = finished.status.counts
    yield (
        f"failed: {summary.n_failed:,}; calls answered: {counts.n_replies:,}; replies from the "
        f"journal: {counts.n_from_journal:,}; spent in all: {_dollars(finished.status.spent_usd)}"
    )


def _ties(summary: "Summary") -> str:
    parts = [
        f"{n:,} {what}"
        for n, what in (
            (summary.n_disagreements, "where the two verdicts disagree"),
            (summary.n_identical, "of identical answers"),
        )
        if n
    ]
    return f", {', '.join(parts)}" if parts else ""


def _document(
    finished: "FinishedRun", summary: "Summary", settings: "JudgeSettings"
) -> dict[str, Any]:
    bias = summary.position_bias
    counts = finished.status.counts
    return {
        "strong": settings.strong,
        "weak": settings.weak,
        "judge": settings.judge,
        "mode": settings.mode,
        "reference_column": settings.reference_column,
        "n_prompts": summary.n_prompts,
        "n_judged": summary.n_judged,
        "n_failed": summary.n_failed,
        "n_not_reached": summary.n_not_reached,
        "failures": summary.failures,
        "stopped": finished.run.stopped,
        "win_share": _number(summary.share(summary.n_wins)),
        "tie_share": _number(summary.share(summary.n_ties)),
        "loss_share": _number(summary.share(summary.n_losses)),
        "n_disagreements": summary.n_disagreements,
        "n_identical": summary.n_identical,
        "position_bias": None
        if bias is None
        else {
            "share": _number(bias.share),
            "interval_95": [_number(end) for end in bias.interval],
            "n_pairs": bias.n_pairs,
            "n_first": bias.n_first,
            "n_second": bias.n_second,
        },
        "length_correlation": {
            "spearman": _number(summary.length_correlation),
            "n": summary.n_judged,
        },
        "n_answers_cut_off": finished.run.n_cut_off,
        "n_calls": counts.n_replies,
        "n_from_journal": counts.n_from_journal,
        "n_failed_attempts": counts.n_failed_attempts,
        "spent_usd": finished.status.spent_usd,
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _dollars(cost_usd: float | None) -> str:
    return "no price known" if cost_usd is None else f"${cost_usd:,.4f}"
