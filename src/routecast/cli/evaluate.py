"""`routecast evaluate`: what routers save and what they keep, beside the baselines."""

import json
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from routecast.cli.embedders import (
    DeviceName,
    EmbedderKey,
    EmbedderUrl,
    EndpointKey,
    EndpointUrl,
    named_endpoint,
    opened_embedder,
)
from routecast.cli.extras import require_lab
from routecast.cli.on_router_error import OnRouterErrorOption
from routecast.cli.prices import StrongPrice, WeakPrice, read_price
from routecast.cli.progress import StageWatch, said_when_stopped, shown_stages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from routecast.evaluate.scoring import Watch
    from routecast.evaluate.study import Study

_PAIR_HELP = "(default: the published pair, or of a file's two models the {})"


def evaluate(
    benchmark: Annotated[
        list[str],
        typer.Option(help="mmlu, gsm8k, mt-bench, or a file of outcomes; may be repeated."),
    ],
    output: Annotated[
        Path, typer.Option(help="Folder for report.html, curves, metrics.json, scores.parquet.")
    ],
    router: Annotated[
        list[str] | None,
        typer.Option(help="default, or a trained router's folder; may be repeated."),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--data", help="Folder of the published benchmarks.")
    ] = None,
    download: Annotated[
        bool,
        typer.Option("--download", help="Fetch published benchmarks, once, and check them."),
    ] = False,
    strong: Annotated[
        str | None, typer.Option(help="Strong model " + _PAIR_HELP.format("better"))
    ] = None,
    weak: Annotated[
        str | None, typer.Option(help="Weak model " + _PAIR_HELP.format("other"))
    ] = None,
    quality_range: Annotated[
        tuple[float, float],
        typer.Option(metavar="LOW HIGH", help="The scale of a file's qualities."),
    ] = (0.0, 1.0),
    strong_price: StrongPrice = None,
    weak_price: WeakPrice = None,
    by: Annotated[
        str | None, typer.Option(help="Also print figures by `group`, or by `category`.")
    ] = None,
    robustness: Annotated[
        bool,
        typer.Option("--robustness", help="Also measure what changed or added text decides."),
    ] = False,
    on_router_error: OnRouterErrorOption = "strong",
    allow_overlap: Annotated[
        bool,
        typer.Option("--allow-overlap", help="Even routers that were trained on these prompts."),
    ] = False,
    prompts: Annotated[
        bool,
        typer.Option("--prompts/--no-prompts", help="Prompts' texts in the results, or hashes."),
    ] = True,
    cache: Annotated[
        bool, typer.Option("--cache/--no-cache", help="Keep scores for the next time.")
    ] = True,
    embedder: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="An embedder that routers were trained on, if not static; may be repeated.",
        ),
    ] = None,
    embedder_url: EmbedderUrl = None,
    embedder_key: EmbedderKey = None,
    endpoint: EndpointUrl = None,
    endpoint_key: EndpointKey = None,
    device: DeviceName = None,
    n_resamples: Annotated[
        int, typer.Option("--resamples", min=100, help="Resamples behind the intervals.")
    ] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Of resamples and folds.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Evaluate routers on benchmarks: curves, metrics with intervals, a report."""
    require_lab("evaluate")
    from routecast.data.durable import held_workspace
    from routecast.embed.cache import user_cache_folder
    from routecast.evaluate.opening import Opening, open_benchmark
    from routecast.evaluate.output import check_output, write_evaluation
    from routecast.evaluate.run import EvaluationSettings, evaluate_routers
    from routecast.evaluate.score_cache import ScoreCache

    if by not in (None, "group", "category"):
        raise typer.BadParameter(f"{by!r}; accepted are 'group' and 'category'", param_hint="--by")
    settings = EvaluationSettings(
        strong_price=read_price(strong_price, "--strong-price"),
        weak_price=read_price(weak_price, "--weak-price"),
        allow_overlap=allow_overlap,
        on_router_error=on_router_error,
        with_robustness=robustness,
        n_resamples=n_resamples,
        seed=seed,
    )
    check_output(output)
    kept = user_cache_folder(os.environ, home=Path.home()).parent
    opening = Opening(
        folder=folder,
        downloads=kept / "benchmarks",
        fetch=download,
        strong=strong,
        weak=weak,
        quality_range=quality_range,
    )
    with ExitStack() as opened:
        opened.enter_context(held_workspace(output))  # who else writes there is known at once
        named = (
            opened_embedder(name, url=embedder_url, key=embedder_key, is_shown=False)
            for name in embedder or ()
        )
        embedders = [opened.enter_context(one) for one in named]
        watch = opened.enter_context(_watched(output, is_cached=cache))
        benchmarks = [open_benchmark(name, opening, watch=watch) for name in benchmark]
        studies = [
            evaluate_routers(
                one,
                {name: name for name in router or ["default"]},
                settings=settings,
                cache=ScoreCache(kept / "scores") if cache else None,
                embedders=embedders,
                endpoint=named_endpoint(endpoint, endpoint_key),
                device=device,
                watch=_prefixed(watch, one.name),
            )
            for one in benchmarks
        ]
        command = shlex.join(["routecast", *sys.argv[1:]])
        write_evaluation(studies, output, with_prompts=prompts, command=command)
    _print(studies, output, by=by, as_json=as_json)


def _print(studies: "Sequence[Study]", output: Path, *, by: str | None, as_json: bool) -> None:
    from routecast.cli.evaluate_table import print_study
    from routecast.evaluate.document import study_document

    if as_json:
        documents = [study_document(study) for study in studies]
        typer.echo(json.dumps({"output": str(output), "studies": documents}, ensure_ascii=False))
        return
    for study in studies:
        print_study(study, by=by)
    typer.echo(f"wrote {output}", err=True)


@contextmanager
def _watched(output: Path, *, is_cached: bool) -> "Iterator[StageWatch | None]":
    """Show how far it is; when it is interrupted, say what is left."""
    kept = ", with the scores of the routers that were done" if is_cached else ""
    left = f"stopped; nothing was written to {str(output)!r}: the same command starts over{kept}"
    with said_when_stopped(lambda: left), shown_stages() as watch:
        yield watch


def _prefixed(watch: "Watch | None", benchmark: str) -> "Watch | None":
    """Name the benchmark before what is being done."""
    if watch is None:
        return None
    return lambda name, n_done, n_total: watch(f"{benchmark}: {name}", n_done, n_total)
