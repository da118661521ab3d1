"""`routecast label gold`: comparisons that outcomes imply."""

import json
from pathlib import Path
from typing import Annotated

import typer

from routecast.cli.extras import require_lab


def gold(
    outcomes: Annotated[
        Path, typer.Option(help="Outcomes (prompt, quality|MODEL), as Parquet, JSONL or CSV.")
    ],
    output: Annotated[Path, typer.Option(help="Comparisons, as .jsonl, .csv or .parquet.")],
    strong: Annotated[
        str | None, typer.Option(help="Model a. (default: all pairs of models)")
    ] = None,
    weak: Annotated[str | None, typer.Option(help="Model b, with --strong.")] = None,
    soft: Annotated[bool, typer.Option("--soft", help="Keep the margin as a soft label.")] = False,
    quality_range: Annotated[
        tuple[float, float],
        typer.Option(metavar="LOW HIGH", help="The scale of the qualities."),
    ] = (0.0, 1.0),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Make comparisons from outcomes: the better quality wins, equal ones tie."""
    require_lab("label gold")
    from routecast.data.files import file_format
    from routecast.data.readers.native import read_outcomes
    from routecast.data.writing import write_table
    from routecast.label.gold import gold_labels

    file_format(output)
    table = read_outcomes(outcomes, quality_range=quality_range).table
    labels = gold_labels(table, strong=strong, weak=weak, soft=soft)
    write_table(labels.comparisons.table, output)
    n_comparisons = len(labels.comparisons)
    if as_json:
        document = {
            "outcomes": str(outcomes),
            "output": str(output),
            "n_comparisons": n_comparisons,
            "n_rows": len(table),
            "n_unlabelled": labels.n_unlabelled,
            "models": list(labels.comparisons.models),
            "win_share": labels.win_share,
            "tie_share": labels.tie_share,
            "loss_share": labels.loss_share,
        }
        typer.echo(json.dumps(document, ensure_ascii=False))
        return
    pair = f"{strong} against {weak}" if strong else f"{len(labels.comparisons.models)} models"
    typer.echo(f"wrote {n_comparisons:,} comparisons of {pair} to {output}")
    typer.echo(
        f"model a won {labels.win_share:.1%}, tied {labels.tie_share:.1%}, "
        f"lost {labels.loss_share:.1%}"
    )
    if labels.n_unlabelled:
        typer.echo(f"rows with fewer than two known qualities: {labels.n_unlabelled:,}", err=True)
