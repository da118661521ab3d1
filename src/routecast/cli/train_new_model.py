"""What `routecast train mf --new-model` does: one more model for a trained router."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from routecast.train.new_model import NewModelRun

USAGE = (
    "--new-model takes: routecast train mf --new-model NAME --router DIR --output DIR, and "
    "--comparisons FILE or --ratings FILE, or both; --strong and --weak to name the sides anew"
)


def add_model(
    name: str,
    router: Path,
    output: Path,
    *,
    comparisons: tuple[str, ...],
    ratings: Path | None,
    embedder: str,
    strong: tuple[str, ...],
    weak: tuple[str, ...],
    seed: int,
    as_json: bool,
) -> None:
    """Place a new model in a trained router, everything else frozen, and say how well."""
    from routecast.train.new_model import NewModelRequest, run_new_model

    run = run_new_model(
        NewModelRequest(
            name=name,
            router=router,
            output=output,
            comparisons=comparisons,
            ratings=ratings,
            embedder=embedder,
            strong=strong,
            weak=weak,
            seed=seed,
        )
    )
    if as_json:
        typer.echo(_document(run))
    else:
        _print(run)


def _document(run: "NewModelRun") -> str:
    from routecast.cli.train_document import measured

    document = {
        "new_model": run.request.name,
        "output": str(run.request.output),
        "n_comparisons": run.n_comparisons,
        "by_rating": run.request.ratings is not None,
        "strong": list(run.manifest.strong),
        "weak": list(run.manifest.weak),
        "recalibrated": run.recalibrated,
        "held_out": measured(run.held_out),
    }
    return json.dumps(document, ensure_ascii=False, allow_nan=False)


def _print(run: "NewModelRun") -> None:
    from routecast.cli.counts import counted
    from routecast.cli.train_report import print_measurement

    name = run.request.name
    how = counted(run.n_comparisons, "comparison") if run.n_comparisons else "its rating alone"
    typer.echo(f"{name} placed by {how}")
    for side, names in (("strong", run.manifest.strong), ("weak", run.manifest.weak)):
        typer.echo(f"  {side}: {', '.join(names)}" + ("" if run.recalibrated else ", as before"))
    if run.held_out is None:
        typer.echo("warning: too few prompts to say how well it is placed")
    else:
        print_measurement(f"wins of {name}, by folds of prompts", run.held_out, "prompts")
    typer.echo(f"wrote the router to {run.request.output}", err=True)
