"""`routecast data import`: any table that we read, into a file that follows our contracts."""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from routecast.cli.counts import counted
from routecast.cli.extras import require_lab
from routecast.cli.progress import shown_progress

if TYPE_CHECKING:
    from routecast.data.importing import ImportReport


def import_data(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="Parquet, JSONL, CSV or JSON; a RouteLLM benchmark's folder; or hf:OWNER/NAME.",
        ),
    ],
    output: Annotated[Path, typer.Option(help="Where it goes, as .parquet, .jsonl or .csv.")],
    format_name: Annotated[
        str | None,
        typer.Option("--format", metavar="FORMAT", help="Layout. (default: told by the columns)"),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Drop bad rows and count them.")
    ] = False,
    min_prompt_chars: Annotated[
        int | None,
        typer.Option(
            min=1, help="Drop shorter prompts. (default: 16 for published comparisons, else 1)"
        ),
    ] = None,
    answers: Annotated[
        bool, typer.Option("--answers/--no-answers", help="Keep the answers' texts.")
    ] = True,
    prompt_column: Annotated[str | None, typer.Option(help="Column that is the prompt.")] = None,
    group_column: Annotated[str | None, typer.Option(help="Column that is the group.")] = None,
    quality_range: Annotated[
        tuple[float, float],
        typer.Option(metavar="LOW HIGH", help="The scale of the qualities."),
    ] = (0.0, 1.0),
    label_source: Annotated[
        str | None, typer.Option(help="What the column source says. (default: the format)")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Split of a Hub data set. (default: the only one, or train)")
    ] = None,
    decontaminate: Annotated[
        bool,
        typer.Option(
            "--decontaminate/--no-decontaminate",
            help="Leave out what a RouteLLM benchmark lists as leaked.",
        ),
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Read comparisons, outcomes or prompts in a published layout and write them in ours.

    Formats: alpacaeval, arena-140k, arena-55k, arena-conversations, matrix, native, pandalm,
    routellm-eval and routerbench.
    """
    require_lab("data import")
    from routecast.data.importing import import_table
    from routecast.data.readers.context import ReadOptions

    options = ReadOptions(
        min_prompt_chars=min_prompt_chars,
        answers=answers,
        prompt_column=prompt_column,
        group_column=group_column,
        quality_range=quality_range,
        label_source=label_source,
    )
    with shown_progress("importing") as watch:
        report = import_table(
            source,
            output,
            format_name=format_name,
            options=options,
            skip_bad=skip_bad,
            split=split,
            decontaminate=decontaminate,
            watch=watch,
        )
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(report), ensure_ascii=False))
    else:
        _print_report(report)


def _print_report(report: "ImportReport") -> None:
    told = ", told by the columns" if report.guessed else ""
    typer.echo(f"{report.source}: {report.kind} in format {report.format!r}{told}")
    n_rows = f"{report.n_written:,} of {counted(report.n_read, 'row')}"
    n_models = f", {counted(len(report.models), 'model')}" if report.models else ""
    n_prompts = counted(report.n_prompts, "prompt")
    typer.echo(f"wrote {n_rows}, {n_prompts}{n_models} to {report.output}")
    if report.kind == "prompts":
        typer.echo("no column of labels was recognised: these are prompts only")
    for entry in report.left_out:
        typer.echo(f"left out, {entry.reason}: {entry.n_rows:,}", err=True)
    for entry in report.bad:
        typer.echo(f"bad rows skipped, {entry.reason}: {entry.n_rows:,}", err=True)
    if report.quality_range is not None and report.quality_range != (0.0, 1.0):
        low, high = report.quality_range
        typer.echo(f"qualities are from {low:g} to {high:g}: give --quality-range {low:g} {high:g}")
