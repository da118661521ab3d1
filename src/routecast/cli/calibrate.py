"""`routecast calibrate`: from a goal to a threshold, on a sample of one's own traffic."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from routecast.cli.calibrate_report import report_fields, report_lines
from routecast.cli.counts import parse_share
from routecast.cli.embedders import (
    DeviceName,
    EmbedderKey,
    EmbedderUrl,
    EndpointKey,
    EndpointUrl,
    RouterEmbedder,
    named_endpoint,
    opened_router,
)
from routecast.cli.on_router_error import OnRouterErrorOption
from routecast.cli.prices import StrongPrice, WeakPrice, read_price
from routecast.cli.progress import shown_progress

if TYPE_CHECKING:
    from routecast.calibrate.sample import Sample
    from routecast.policy.goals import Goal
    from routecast.upstream.prices import Price


def calibrate(
    router: Annotated[
        str, typer.Option(help="default, random, length, or a trained router's folder.")
    ] = "default",
    prompts: Annotated[
        Path | None, typer.Option(help="A sample of traffic: JSONL, CSV or Parquet of prompts.")
    ] = None,
    outcomes: Annotated[
        Path | None, typer.Option(help="Or a sample with quality|MODEL of two models.")
    ] = None,
    strong: Annotated[str | None, typer.Option(help="The strong model, with --outcomes.")] = None,
    weak: Annotated[str | None, typer.Option(help="The weak model, with --outcomes.")] = None,
    quality_range: Annotated[
        tuple[float, float],
        typer.Option(metavar="LOW HIGH", help="The scale of the qualities."),
    ] = (0.0, 1.0),
    strong_price: StrongPrice = None,
    weak_price: WeakPrice = None,
    strong_share: Annotated[
        float | None,
        typer.Option(
            parser=parse_share,
            metavar="SHARE",
            help="Goal: share of calls that go to the strong model, 0 to 1.",
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            parser=parse_share,
            metavar="SHARE",
            help="Goal: this win probability, 0 to 1; says what it does.",
        ),
    ] = None,
    budget_usd_per_1k: Annotated[
        float | None, typer.Option(min=0, help="Goal: US dollars per 1,000 requests.")
    ] = None,
    min_quality: Annotated[
        float | None,
        typer.Option(min=0, help="Goal: mean quality as a share of the strong model's, say 0.95."),
    ] = None,
    on_router_error: OnRouterErrorOption = "strong",
    output: Annotated[
        Path | None,
        typer.Option(help="Write a copy of the router, calibrated on the sample, to this folder."),
    ] = None,
    embedder: RouterEmbedder = None,
    embedder_url: EmbedderUrl = None,
    embedder_key: EmbedderKey = None,
    endpoint: EndpointUrl = None,
    endpoint_key: EndpointKey = None,
    device: DeviceName = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Find the threshold that meets a goal on a sample of traffic, and how sure that is."""
    goal = _goal(
        strong_share=strong_share,
        threshold=threshold,
        budget_usd_per_1k=budget_usd_per_1k,
        min_quality=min_quality,
    )
    prices = read_price(strong_price, "--strong-price"), read_price(weak_price, "--weak-price")
    sample = _read(prompts, outcomes, strong, weak, quality_range, prices)
    from routecast.calibrate.run import calibrate_router

    with opened_router(
        router,
        embedder=embedder,
        url=embedder_url,
        key=embedder_key,
        endpoint=named_endpoint(endpoint, endpoint_key),
        device=device,
    ) as loaded:
        report = calibrate_router(
            loaded, sample, goal, output=output, on_router_error=on_router_error
        )
    if as_json:
        typer.echo(json.dumps(report_fields(report), ensure_ascii=False, allow_nan=False))
        return
    for line in report_lines(report):
        typer.echo(line)
    for warning in report.warnings:
        typer.echo(f"warning: {warning}", err=True)


def _goal(**values: float | None) -> "Goal":
    """Return the one goal that is given."""
    from routecast.policy.goals import GOAL_NAMES, Goal

    given = [(name, value) for name in GOAL_NAMES if (value := values[name]) is not None]
    if len(given) != 1:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in GOAL_NAMES)
        raise typer.BadParameter(f"give exactly one goal: {flags}")
    return Goal(*given[0])


def _read(
    prompts: Path | None,
    outcomes: Path | None,
    strong: str | None,
    weak: str | None,
    quality_range: tuple[float, float],
    prices: "tuple[Price | None, Price | None]",
) -> "Sample":
    """Read the sample that the flags name."""
    from routecast.calibrate.sample import read_outcome_sample, read_prompt_sample

    if (prompts is None) == (outcomes is None):
        raise typer.BadParameter("give the sample as --prompts FILE or as --outcomes FILE")
    if outcomes is None and prompts is not None:
        if any(value is not None for value in (strong, weak, *prices)):
            raise typer.BadParameter("--strong, --weak and prices belong to --outcomes")
        with shown_progress("reading") as watch:
            return read_prompt_sample(prompts, watch=watch)
    if outcomes is None or strong is None or weak is None:
        raise typer.BadParameter("--outcomes needs the pair: --strong NAME --weak NAME")
    return read_outcome_sample(
        outcomes,
        strong=strong,
        weak=weak,
        quality_range=quality_range,
        strong_price=prices[0],
        weak_price=prices[1],
    )
