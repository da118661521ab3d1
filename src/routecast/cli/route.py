"""`routecast route`: where one prompt would go."""

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from routecast.cli.counts import finite_or_none, parse_share
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

if TYPE_CHECKING:
    from routecast.policy.decide import Decision

DEFAULT_STRONG_SHARE = 0.5


def route(
    prompt: Annotated[str, typer.Argument(help="The prompt, or - to read it from stdin.")],
    router: Annotated[
        str, typer.Option(help="default, random, length, or a trained router's folder.")
    ] = "default",
    strong_share: Annotated[
        float | None,
        typer.Option(
            parser=parse_share,
            metavar="SHARE",
            help="Share of prompts that should go to the strong model, 0 to 1 (0.5 if none).",
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            parser=parse_share,
            metavar="SHARE",
            help="Win probability from which the strong model is asked.",
        ),
    ] = None,
    embedder: RouterEmbedder = None,
    embedder_url: EmbedderUrl = None,
    embedder_key: EmbedderKey = None,
    endpoint: EndpointUrl = None,
    endpoint_key: EndpointKey = None,
    device: DeviceName = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Say whether a prompt goes to the strong or to the weak model, and why."""
    if strong_share is not None and threshold is not None:
        raise typer.BadParameter("give --strong-share or --threshold, not both")
    from routecast.errors import DataError
    from routecast.policy.decide import decide
    from routecast.policy.goals import Goal, cut_for_goal

    if prompt == "-" and sys.stdin is None:
        raise DataError("there is no standard input to read; give the prompt as the argument")
    text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape") if prompt == "-" else prompt
    if not text.strip():
        raise DataError("the prompt is empty; give text as the argument, or - and text on stdin")
    if threshold is None:
        strong_share = DEFAULT_STRONG_SHARE if strong_share is None else strong_share
        goal = Goal("strong_share", strong_share)
    else:
        goal = Goal("threshold", threshold)
    with opened_router(
        router,
        embedder=embedder,
        url=embedder_url,
        key=embedder_key,
        endpoint=named_endpoint(endpoint, endpoint_key),
        device=device,
    ) as loaded:
        cut = cut_for_goal(loaded, goal)
        win_probability = float(loaded.router.win_probabilities([text])[0])
        deviations = loaded.gap_deviations([text]) if as_json else None
    decision = decide(win_probability, cut, prompt=text, strong="strong", weak="weak")
    if as_json:
        document = {
            "model": decision.model,
            "win_probability": decision.win_probability,
            "gap_deviation": None if deviations is None else finite_or_none(float(deviations[0])),
            "threshold": cut.threshold,
            "strong_share": strong_share,
            "reason": decision.reason,
            "router": loaded.name,
            "calibration_sample": loaded.calibration_sample,
        }
        typer.echo(json.dumps(document))
        return
    typer.echo(f"{decision.model}  ({_explain(decision, cut.threshold)})")
    if loaded.count_cut([text]):
        typer.echo("the prompt is too long to be read whole", err=True)
    if strong_share is not None:
        typer.echo(
            f"threshold: {strong_share:.0%} strong calls on {loaded.calibration_sample}", err=True
        )


def _explain(decision: "Decision", threshold: float) -> str:
    """Compare the score with the threshold, in words."""
    from routecast.policy.decide import Reason

    if decision.win_probability is None:
        return "the router abstains"
    n_digits = 3 if abs(decision.win_probability - threshold) >= 1e-3 else 6
    score = f"win probability {decision.win_probability:.{n_digits}f}"
    if decision.reason is Reason.SPLIT_AT_THRESHOLD:
        return f"{score} is the threshold's, which many prompts share: its hash decides"
    return (
        f"{score} {'>=' if decision.win_probability >= threshold else '<'} {threshold:.{n_digits}f}"
    )
