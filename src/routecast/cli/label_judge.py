"""`routecast label judge`: a judge model's verdicts on two models' answers."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from routecast.cli.extras import require_lab

if TYPE_CHECKING:
    from routecast.label.estimate import Estimate
    from routecast.label.items import Item
    from routecast.label.journal import Journal
    from routecast.label.run import FinishedRun, RunLimits
    from routecast.label.settings import JudgeSettings


class ModeChoice(StrEnum):
    """How the judge is asked."""

    PAIRWISE = "pairwise"
    GRADE = "grade"


def judge(
    prompts: Annotated[
        Path,
        typer.Option(
            help="Prompts (prompt or messages; optionally answer|NAME), as JSONL, CSV or Parquet."
        ),
    ],
    strong: Annotated[str, typer.Option(help="The strong model, as the settings name it.")],
    weak: Annotated[str, typer.Option(help="The weak model, as the settings name it.")],
    judge: Annotated[str, typer.Option(help="The model that judges, as the settings name it.")],
    output: Annotated[Path, typer.Option(help="Comparisons, as .jsonl, .csv or .parquet.")],
    config: Annotated[Path, typer.Option(help="The settings file.")] = Path("routecast.toml"),
    journal: Annotated[
        Path | None,
        typer.Option(help="Where every reply is kept at once (default: OUTPUT.journal)."),
    ] = None,
    budget_usd: Annotated[
        float | None, typer.Option(min=0, help="Stop before more is spent, earlier runs included.")
    ] = None,
    mode: Annotated[
        ModeChoice, typer.Option(help="Which answer is better, or a grade for each.")
    ] = ModeChoice.PAIRWISE,
    reference_column: Annotated[
        str | None, typer.Option(help="Column with answers that are known to be right.")
    ] = None,
    concurrency: Annotated[
        int, typer.Option(min=1, max=256, help="Calls in flight to one model.")
    ] = 8,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask after the estimate.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Have a judge model say which of two models' answers to each prompt is better.

    Every reply is kept at once: stopped in whatever way, the same command goes on where it was.
    """
    require_lab("label judge")
    from routecast.cli.judge_report import print_report
    from routecast.label.items import read_items
    from routecast.label.journal import open_journal
    from routecast.label.output import check_output, comparison_rows, write_rows
    from routecast.label.run import check_prices, require_labels

    journal = journal or output.with_name(f"{output.name}.journal")
    check_output(output, prompts=prompts, journal=journal)
    items = read_items(prompts, models=(strong, weak), reference_column=reference_column)
    settings, limits = _resolve(
        items, config, (strong, weak, judge), mode, reference_column, budget_usd, concurrency
    )
    check_prices(settings, budget_usd)
    with open_journal(journal, settings.fingerprint()) as opened:
        _agree(items, settings, opened, go_on=yes, has_budget=budget_usd is not None)
        finished = _run(items, settings, opened, limits)
    require_labels(finished)
    write_rows(comparison_rows(items, finished.run.results, settings), output)
    print_report(finished, settings, output=output, journal=journal, as_json=as_json)


def _resolve(
    items: "list[Item]",
    config: Path,
    models: tuple[str, str, str],
    mode: ModeChoice,
    reference_column: str | None,
    budget_usd: float | None,
    concurrency: int,
) -> "tuple[JudgeSettings, RunLimits]":
    """Look up the models to call, their keys, and the patience that the settings have with them."""
    import os

    from routecast.gateway.loading import read_settings, resolve_endpoints
    from routecast.label.run import RunLimits, models_to_call
    from routecast.label.settings import JudgeSettings, only_models
    from routecast.upstream.chat import ChatTimeouts

    strong, weak, judge = models
    configured = read_settings(config)
    called = only_models(configured, models_to_call(items, strong=strong, weak=weak, judge=judge))
    settings = JudgeSettings(
        strong=strong,
        weak=weak,
        judge=judge,
        endpoints=resolve_endpoints(called, os.environ),
        mode=mode.value,
        reference_column=reference_column,
    )
    timeouts = ChatTimeouts(
        connect_s=max(model.connect_timeout_s for model in called.models.values()),
        read_s=max(model.first_byte_timeout_s for model in called.models.values()),
        total_s=max(model.total_timeout_s for model in called.models.values()),
    )
    return settings, RunLimits(budget_usd=budget_usd, n_at_once=concurrency, timeouts=timeouts)


def _agree(
    items: "list[Item]",
    settings: "JudgeSettings",
    journal: "Journal",
    *,
    go_on: bool,
    has_budget: bool,
) -> None:
    """Print the estimate, and go on only if somebody said so."""
    from routecast.cli.judge_report import print_estimate
    from routecast.errors import ConfigError
    from routecast.label.estimate import estimate_run
    from routecast.label.tokens import token_counter

    estimate: Estimate = estimate_run(items, settings, journal, token_counter())
    print_estimate(estimate, n_prompts=len(items))
    if go_on or estimate.n_calls == 0:
        return
    if sys.stdin.isatty() and sys.stderr.isatty():
        typer.confirm("Go on?", default=False, abort=True, err=True)
    elif not has_budget:
        raise ConfigError(
            "nothing was sent: without a terminal to ask on, say --yes or set --budget-usd"
        )


def _run(
    items: "list[Item]", settings: "JudgeSettings", journal: "Journal", limits: "RunLimits"
) -> "FinishedRun":
    """Run with a progress bar; when it is interrupted, say how to go on."""
    import asyncio

    from routecast.cli.judge_report import shown_progress
    from routecast.label.run import run_judge

    try:
        with shown_progress() as watch:
            return asyncio.run(run_judge(items, settings, journal, limits=limits, watch=watch))
    except KeyboardInterrupt:
        typer.echo(
            f"stopped; {journal.n_replies} replies are in {journal.path}: run the same command "
            "again to go on",
            err=True,
        )
        raise
