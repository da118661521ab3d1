"""`routecast data check-leakage`: evaluation prompts in the training data."""

import json
from pathlib import Path
from typing import Annotated

import typer

from routecast.cli.embedders import EmbedderKey, EmbedderName, EmbedderUrl, opened_embedder
from routecast.cli.extras import require_lab


def check_leakage(
    training: Annotated[Path, typer.Option(help="File whose rows are to be cleaned.")],
    evaluation: Annotated[Path, typer.Option(help="File whose prompts must not be in it.")],
    output: Annotated[
        Path | None, typer.Option(help="Write the training rows that are left here.")
    ] = None,
    embedder: EmbedderName = "static",
    embedder_url: EmbedderUrl = None,
    embedder_key: EmbedderKey = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Find training rows that hold an evaluation prompt, word for word or nearly."""
    require_lab("data check-leakage")
    from routecast.data.prompts import iter_prompts
    from routecast.data.writing import write_rows
    from routecast.evaluate.leakage import check_leakage as check

    rows = list(iter_prompts(training))
    questions = [row.prompt for row in iter_prompts(evaluation)]
    with opened_embedder(embedder, url=embedder_url, key=embedder_key) as opened:
        report = check([row.prompt for row in rows], questions, opened)
    kept = [row for row, leaked in zip(rows, report.leaked.tolist(), strict=True) if not leaked]
    if output is not None:
        write_rows(kept, output, is_typed=training.suffix.lower() != ".csv")
    if as_json:
        document = {
            "embedder": embedder,
            "n_training": len(rows),
            "n_contained": int(report.contained.sum()),
            "n_near_duplicates": int(report.near.sum()),
            "n_leaked": len(rows) - len(kept),
            "n_evaluation": report.n_evaluation,
            "n_evaluation_hit": report.n_evaluation_hit,
            "output": None if output is None else str(output),
        }
        typer.echo(json.dumps(document))
        return
    typer.echo(
        f"{len(rows) - len(kept):,} of {len(rows):,} training rows are also in the evaluation data "
        f"({report.contained.sum():,} by their text, {report.near.sum():,} nearly)"
    )
    typer.echo(f"{report.n_evaluation_hit:,} of {report.n_evaluation:,} evaluation rows are hit")
    if output is not None:
        typer.echo(f"wrote the other {len(kept):,} rows to {output}")
