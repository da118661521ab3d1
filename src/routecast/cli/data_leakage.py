"""`routecast data check-leakage`: evaluation prompts in the training data."""

import json
from pathlib import Path
from typing import Annotated

import typer


def check_leakage(
    training: Annotated[Path, typer.Option(help="File whose rows are to be cleaned.")],
    evaluation: Annotated[Path, typer.Option(help="File whose prompts must not be in it.")],
    output: Annotated[
        Path | None, typer.Option(help="Write the training rows that are left here.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Find training rows that hold an evaluation prompt, word for word or nearly."""
    from routecast.data.columns import check_texts
    from routecast.data.files import read_table, write_table
    from routecast.embed.registry import load_embedder
    from routecast.evaluate.leakage import check_leakage as check

    tables = {path: read_table(path) for path in (training, evaluation)}
    for path, table in tables.items():
        check_texts(table, "prompt", source=path.name)
    prompts = {path: table["prompt"].to_list() for path, table in tables.items()}
    report = check(prompts[training], prompts[evaluation], load_embedder("static"))
    if output is not None:
        write_table(output, tables[training].filter(~report.leaked))
    document = {
        "n_training": len(prompts[training]),
        "n_contained": int(report.contained.sum()),
        "n_near_duplicates": int(report.near.sum()),
        "n_leaked": int(report.leaked.sum()),
        "n_evaluation": report.n_evaluation,
        "n_evaluation_hit": report.n_evaluation_hit,
        "output": None if output is None else str(output),
    }
    if as_json:
        typer.echo(json.dumps(document))
        return
    typer.echo(
        f"{document['n_leaked']:,} of {document['n_training']:,} training rows are also in the "
        f"evaluation data ({document['n_contained']:,} by their text, "
        f"{document['n_near_duplicates']:,} nearly)"
    )
    typer.echo(f"{report.n_evaluation_hit:,} of {report.n_evaluation:,} evaluation rows are hit")
    if output is not None:
        n_left = len(prompts[training]) - int(report.leaked.sum())
        typer.echo(f"wrote the other {n_left:,} rows to {output}")
