"""`routecast data split`: train, validation and test files, by prompt."""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from routecast.cli.counts import counted
from routecast.cli.embedders import EmbedderKey, EmbedderName, EmbedderUrl, opened_embedder
from routecast.cli.extras import require_lab
from routecast.cli.progress import shown_stages

if TYPE_CHECKING:
    from routecast.evaluate.splitting import SplitReport


def split(
    file: Annotated[Path, typer.Argument(help="Comparisons, outcomes or prompts; - is JSONL.")],
    output: Annotated[Path, typer.Option(help="Folder for train, validation and test.")],
    fractions: Annotated[
        tuple[float, float, float],
        typer.Option(metavar="TRAIN VALIDATION TEST", help="Shares of the rows, adding up to 1."),
    ] = (0.8, 0.1, 0.1),
    seed: Annotated[int, typer.Option(help="Another seed gives another split.")] = 0,
    embedder: EmbedderName = "static",
    embedder_url: EmbedderUrl = None,
    embedder_key: EmbedderKey = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Drop bad rows and count them.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Split a file by prompt: equal and nearly equal prompts fall on one side."""
    require_lab("data split")
    from routecast.evaluate.splitting import split_file

    with (
        opened_embedder(embedder, url=embedder_url, key=embedder_key, is_shown=False) as opened,
        shown_stages() as watch,
    ):
        report = split_file(
            file,
            output,
            opened,
            fractions=fractions,
            seed=seed,
            skip_bad=skip_bad,
            watch=watch,
        )
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(report)))
    else:
        _print_report(report)


def _print_report(report: "SplitReport") -> None:
    for side in report.sides:
        share = side.n_rows / report.n_rows
        size = f"{counted(side.n_rows, 'row')} ({share:.1%}), {counted(side.n_prompts, 'prompt')}"
        typer.echo(f"{side.name}: {size}{'' if side.file is None else f' in {side.file}'}")
    n_together = sum(report.merged)
    typer.echo(
        f"near-duplicates kept together: {counted(n_together, 'prompt')} in "
        f"{counted(len(report.merged), 'group')}"
        + (f", the largest of {report.merged[0]:,}" if report.merged else "")
    )
    if report.oversized:
        sizes = ", ".join(f"{size:,}" for size in report.oversized)
        typer.echo(
            f"groups above 1% of the {counted(report.n_prompts, 'prompt')}, not merged because so "
            f"many are a template rather than duplicates: {sizes}",
            err=True,
        )
    for entry in report.bad:
        typer.echo(f"bad rows skipped, {entry.reason}: {entry.n_rows:,}", err=True)
