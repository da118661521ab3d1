"""`routecast train`: a router from comparisons or outcomes."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from routecast.cli.embedders import DeviceName, EmbedderName
from routecast.cli.extras import require_lab
from routecast.cli.progress import said_when_stopped
from routecast.routers.families import family_names

if TYPE_CHECKING:
    from routecast.train.overlap import OnOverlap
    from routecast.train.pipeline import TrainSettings
    from routecast.train.run import TrainingRun, TrainRequest


def train(
    router: Annotated[
        str,
        typer.Argument(
            help=f"What to train: {', '.join(family_names()[:-1])} or {family_names()[-1]}."
        ),
    ],
    output: Annotated[Path, typer.Option(help="Folder for the router; replaced if it is one.")],
    comparisons: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Comparisons, in any layout; repeat for more files."),
    ] = None,
    outcomes: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Outcomes, likewise; or a RouteLLM benchmark's folder."),
    ] = None,
    strong: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="The strong model, or tier:N; repeat for several."),
    ] = None,
    weak: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="The weak model, likewise.")
    ] = None,
    strong_as: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Model of the data, or tier:N, that stands for it."),
    ] = None,
    weak_as: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Likewise for the weak model.")
    ] = None,
    embedder: EmbedderName = "static",
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A setting of the router; NAME=A,B keeps the better of two.",
        ),
    ] = None,
    all_pairs: Annotated[
        bool, typer.Option("--all-pairs", help="Learn from every pair of models of the outcomes.")
    ] = False,
    quality_range: Annotated[
        tuple[float, float],
        typer.Option(metavar="LOW HIGH", help="The scale of the outcomes' qualities."),
    ] = (0.0, 1.0),
    new_model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Add this model to the trained mf given by --router."),
    ] = None,
    router_folder: Annotated[
        Path | None, typer.Option("--router", metavar="DIR", help="Folder of that router.")
    ] = None,
    ratings: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Leaderboard that rates the new model and known ones."),
    ] = None,
    test: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE", help="Labels to report on, which are not learned from; repeat for more."
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE", help="Evaluation data whose prompts must not be learned from."
        ),
    ] = None,
    drop_overlap: Annotated[
        bool, typer.Option("--drop-overlap", help="Leave such prompts out, and count them.")
    ] = False,
    allow_overlap: Annotated[
        bool, typer.Option("--allow-overlap", help="Learn from such prompts all the same.")
    ] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Drop bad rows and count them.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the same command was stopped.")
    ] = False,
    device: DeviceName = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the split, the fit and the intervals.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Train a router, calibrate it, and say what it is worth on prompts that it never saw."""
    require_lab("train")
    from routecast.cli.train_new_model import USAGE, add_model
    from routecast.cli.train_report import print_run
    from routecast.embed.cache import user_cache_folder
    from routecast.train.run import TrainRequest

    if new_model is not None:
        if router != "mf" or router_folder is None or outcomes or options or exclude or test:
            raise typer.BadParameter(USAGE)
        add_model(
            new_model,
            router_folder,
            output,
            comparisons=tuple(comparisons or ()),
            ratings=ratings,
            embedder=embedder,
            strong=tuple(strong_as or strong or ()),
            weak=tuple(weak_as or weak or ()),
            seed=seed,
            as_json=as_json,
        )
        return
    if router_folder is not None or ratings is not None:
        raise typer.BadParameter("--router and --ratings are for --new-model")
    request = TrainRequest(
        settings=_settings(router, strong, weak, strong_as, weak_as, options, seed),
        output=output,
        comparisons=tuple(comparisons or ()),
        outcomes=tuple(outcomes or ()),
        embedder=embedder,
        embeddings=user_cache_folder(os.environ, home=Path.home()),
        quality_range=quality_range,
        all_pairs=all_pairs,
        test=tuple(test or ()),
        exclude=tuple(exclude or ()),
        on_overlap=_on_overlap(drop=drop_overlap, allow=allow_overlap),
        skip_bad=skip_bad,
        resume=resume,
        device=device,
        environ=os.environ,
    )
    finished: list[TrainingRun] = []
    with said_when_stopped(lambda: _left_over(request, is_written=bool(finished))):
        finished.append(_run(request))
        print_run(finished[0], as_json=as_json)


def _left_over(request: "TrainRequest", *, is_written: bool) -> str:
    """Say what an interrupted run leaves, and how to go on."""
    from routecast.train.run import has_checkpoint

    if is_written:
        return f"stopped; the router is written to {str(request.output)!r}, its report is cut off"
    how = (
        "the same command with --resume goes on where it was"
        if has_checkpoint(request.output)
        else "nothing was kept, so the same command starts over"
    )
    return f"stopped; no router was written to {str(request.output)!r}: {how}"


def _run(request: "TrainRequest") -> "TrainingRun":
    """Run with a progress bar."""
    from routecast.cli.train_report import shown_training
    from routecast.train.run import has_checkpoint, run_training

    if request.resume:
        typer.echo(
            "going on where the run was stopped"
            if has_checkpoint(request.output)
            else "no stopped run has left anything for this output: starting anew",
            err=True,
        )
    with shown_training() as watch:
        return run_training(request, watch=watch)


def _settings(
    router: str,
    strong: list[str] | None,
    weak: list[str] | None,
    strong_as: list[str] | None,
    weak_as: list[str] | None,
    options: list[str] | None,
    seed: int,
) -> "TrainSettings":
    """Say which models of the data stand for the two sides, and how to fit."""
    from routecast.train.options import parse_options
    from routecast.train.pipeline import TrainSettings
    from routecast.train.registry import find_family

    stands_for = {
        side: ", ".join(names)
        for side, names, stand_ins in (("strong", strong, strong_as), ("weak", weak, weak_as))
        if names and stand_ins
    }
    return TrainSettings(
        router=router,
        strong=tuple(strong_as or strong or ()),
        weak=tuple(weak_as or weak or ()),
        options=parse_options(find_family(router), options or ()),
        seed=seed,
        stands_for=stands_for,
    )


def _on_overlap(*, drop: bool, allow: bool) -> "OnOverlap":
    from routecast.train.overlap import OnOverlap

    if drop and allow:
        raise typer.BadParameter("give --drop-overlap or --allow-overlap, not both")
    if drop:
        return OnOverlap.DROP
    return OnOverlap.ALLOW if allow else OnOverlap.REFUSE
