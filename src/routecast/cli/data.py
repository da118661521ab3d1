"""`routecast data`: look at preference data, convert it, group models into tiers."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from routecast.cli.counts import counted
from routecast.cli.data_describe import describe
from routecast.cli.data_import import import_data
from routecast.cli.data_split import split
from routecast.cli.extras import require_lab

if TYPE_CHECKING:
    from rich.table import Table

    from routecast.data.rating_files import FileRatings
    from routecast.data.ratings import RatedModel
    from routecast.data.tiers import TierTable

app = typer.Typer(no_args_is_help=True, help="Look at preference data and convert it.")


@app.callback()
def _group() -> None:
    """Look at preference data and convert it."""


app.command("import")(import_data)
app.command()(describe)
app.command()(split)


@app.command()
def tiers(
    file: Annotated[
        Path,
        typer.Argument(
            help="Comparisons (model_a, model_b, outcome or winner) or a leaderboard (model, "
            "rating), as Parquet, JSONL or CSV."
        ),
    ],
    n_tiers: Annotated[int, typer.Option(min=1, help="Number of tiers; 0 is the strongest.")] = 10,
    category: Annotated[
        str | None,
        typer.Option(
            help="Category of a leaderboard. (default: the whole board, where it is told)"
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Also write the table, as .parquet, .jsonl or .csv.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Rate models by their comparisons, or read their ratings, and group them into tiers."""
    require_lab("data tiers")
    from routecast.data.rating_files import read_ratings, write_tiers
    from routecast.data.tiers import assign_tiers

    ratings = read_ratings(file, category=category)
    table = assign_tiers(ratings.models, n_tiers=n_tiers)
    if output is not None:
        write_tiers(table, output)
        typer.echo(f"wrote {counted(len(ratings.models), 'model')} to {output}", err=True)
    if ratings.n_self_comparisons:
        typer.echo(
            f"rows left out, a model against itself: {ratings.n_self_comparisons:,}", err=True
        )
    if as_json:
        typer.echo(_tiers_as_json(table, ratings))
    else:
        _print_tiers(table, ratings)


def _tiers_as_json(table: "TierTable", ratings: "FileRatings") -> str:
    summary = [
        {
            "tier": tier.number,
            "n_models": len(tier.models),
            "highest_rating": tier.highest_rating,
            "lowest_rating": tier.lowest_rating,
        }
        for tier in table.tiers
    ]
    document = {
        "source": ratings.source,
        "category": ratings.category,
        "n_models": len(ratings.models),
        "n_self_comparisons": ratings.n_self_comparisons,
        "tiers": summary,
        "models": table.rows(),
    }
    return json.dumps(document, ensure_ascii=False, allow_nan=False)


def _print_tiers(table: "TierTable", ratings: "FileRatings") -> None:
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 100, highlight=False, markup=False)
    where = f", category {ratings.category!r}" if ratings.category else ""
    n_models, n_tiers = len(ratings.models), len(table.tiers)
    grouped = f"{counted(n_models, 'model')} in {counted(n_tiers, 'tier')}"
    console.print(f"{grouped} (from {ratings.source}{where})")
    console.print(_rich_tiers(table, has_counts=ratings.source == "comparisons"))
    if any(member.rests_on_prior for member in ratings.models):
        console.print(
            "* Won or lost everything, or no chain of comparisons links it to the rest: "
            "a weak prior alone keeps this rating finite."
        )


def _rich_tiers(table: "TierTable", *, has_counts: bool) -> "Table":
    from rich.table import Table
    from rich.text import Text

    printed = Table()
    printed.add_column("tier", justify="right")
    printed.add_column("model", overflow="fold")
    for header in ("rating", "95% interval", *(["comparisons"] if has_counts else [])):
        printed.add_column(header, justify="right", no_wrap=True)
    for tier in table.tiers:
        for member in tier.models:
            count = [f"{member.n_comparisons:,}"] if has_counts else []
            name = Text(member.model)
            printed.add_row(str(tier.number), name, _rating(member), _interval(member), *count)
        printed.add_section()
    return printed


def _rating(member: "RatedModel") -> str:
    return f"{member.rating:.0f}{'*' if member.rests_on_prior else ''}"


def _interval(member: "RatedModel") -> str:
    if member.rating_low is None or member.rating_high is None:
        return "-"
    return f"{member.rating_low:.0f} to {member.rating_high:.0f}"
