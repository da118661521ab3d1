"""`routecast data describe`: what an engineer wants to see of a table."""

import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from routecast.cli.extras import require_lab

if TYPE_CHECKING:
    from rich.table import Table

    from routecast.data.describe import Description

_N_SHOWN = 8


def describe(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="Whatever `data import` reads, before or after: a file, a folder, hf:OWNER/NAME.",
        ),
    ],
    format_name: Annotated[
        str | None, typer.Option("--format", help="Layout. (default: told by the columns)")
    ] = None,
    quality_range: Annotated[
        tuple[float, float],
        typer.Option(metavar="LOW HIGH", help="The scale of the qualities."),
    ] = (0.0, 1.0),
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave bad rows out and count them.")
    ] = False,
    split: Annotated[
        str | None, typer.Option(help="Split of a Hub data set. (default: the only one, or train)")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Count rows, prompts, models, ties and duplicates, and show how each model fared."""
    require_lab("data describe")
    from routecast.data.describe import describe_table

    description = describe_table(
        source,
        format_name=format_name,
        quality_range=quality_range,
        skip_bad=skip_bad,
        split=split,
    )
    if as_json:
        document = dataclasses.asdict(description)
        typer.echo(json.dumps(document, ensure_ascii=False, allow_nan=False))
    else:
        _print(description)


def _print(description: "Description") -> None:
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 100, highlight=False, markup=False)
    console.print(
        f"{description.source}: {description.kind} in format {description.format!r}", soft_wrap=True
    )
    for name, value in _facts(description):
        console.print(f"  {name:<16} {value}", soft_wrap=True)
    if description.models:
        console.print(_model_table(description))


def _facts(description: "Description") -> Iterator[tuple[str, str]]:
    """Yield name and value of each line."""
    yield "rows", f"{description.n_rows:,}"
    if description.n_prompts is not None:
        yield "prompts", f"{description.n_prompts:,} different"
        repeated = "a prompt with the same models" if _is_battles(description) else "a prompt"
        yield "duplicates", f"{description.n_duplicates:,} rows repeat {repeated}"
    if description.prompt_chars is not None:
        named = description.prompt_chars.items()
        yield "prompt length", ", ".join(f"{name} {n:,.0f}" for name, n in named) + " characters"
    if description.models:
        yield "models", f"{len(description.models):,}"
    if description.tie_share is not None:
        yield "ties", f"{description.tie_share:.1%}"
    if description.soft_share:
        yield "soft labels", f"{description.soft_share:.1%}"
    if description.label_sources:
        yield "sources", _most_frequent(description.label_sources)
    if description.languages:
        yield "languages", _most_frequent(description.languages)
    if description.groups is not None:
        largest = f"the largest of {description.groups.largest:,} rows"
        yield "groups", f"{description.groups.n_groups:,}, {largest}"
    for entry in description.left_out:
        yield "left out", f"{entry.n_rows:,}: {entry.reason}"


def _is_battles(description: "Description") -> bool:
    return description.kind == "comparisons"


def _most_frequent(counts: Mapping[str, int]) -> str:
    shown = [f"{name} {n_rows:,}" for name, n_rows in list(counts.items())[:_N_SHOWN]]
    n_more = len(counts) - len(shown)
    return ", ".join(shown) + (f", and {n_more:,} more" if n_more else "")


def _model_table(description: "Description") -> "Table":
    from rich.table import Table
    from rich.text import Text

    is_comparisons = _is_battles(description)
    has_costs = any(model.mean_cost_usd is not None for model in description.models)
    printed = Table()
    printed.add_column("model", overflow="fold")
    headers = ["comparisons" if is_comparisons else "prompts", "win rate"]
    headers += [] if is_comparisons else ["mean quality"]
    headers += ["mean cost"] if has_costs else []
    for header in headers:
        printed.add_column(header, justify="right", no_wrap=True)
    for model in description.models:
        cells = [f"{model.n_rows:,}", _percent(model.win_rate)]
        cells += [] if is_comparisons else [_number(model.mean_quality, "{:.3f}")]
        cells += [_number(model.mean_cost_usd, "${:.6f}")] if has_costs else []
        printed.add_row(Text(model.model), *cells)
    return printed


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _number(value: float | None, pattern: str) -> str:
    return "-" if value is None else pattern.format(value)
