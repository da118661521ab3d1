"""`routecast route`: where one prompt would go."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

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
    from routecast.routers.explanation import Explanation

DEFAULT_STRONG_SHARE = 0.5
N_EXPLAINED = 8
"""Features that are printed, those that count most; ``--json`` has all."""


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
    explain: Annotated[
        bool, typer.Option("--explain", help="Also say which features count (linear routers).")
    ] = False,
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
        explanation = loaded.explain(text) if explain else None
    decision = decide(win_probability, cut, prompt=text, strong="strong", weak="weak")
    if as_json:
        document: dict[str, Any] = {
            "model": decision.model,
            "win_probability": decision.win_probability,
            "gap_deviation": None if deviations is None else finite_or_none(float(deviations[0])),
            "threshold": cut.threshold,
            "strong_share": strong_share,
            "reason": decision.reason,
            "router": loaded.name,
            "calibration_sample": loaded.calibration_sample,
        }
        if explanation is not None:
            document["explanation"] = asdict(explanation)
        typer.echo(json.dumps(document))
        return
    typer.echo(f"{decision.model}  ({_compared(decision, cut.threshold)})")
    if explanation is not None:
        if decision.win_probability is None:
            typer.echo("there is no score to explain: nothing of the prompt could be read")
        else:
            for line in _explained(explanation):
                typer.echo(line)
    if loaded.count_cut([text]):
        typer.echo("the prompt is too long to be read whole", err=True)
    if strong_share is not None:
        typer.echo(
            f"threshold: {strong_share:.0%} strong calls on {loaded.calibration_sample}", err=True
        )


def _compared(decision: "Decision", threshold: float) -> str:
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


def _explained(explanation: "Explanation") -> "Iterator[str]":
    """Yield what the win probability is made of, a line each."""
    parts = explanation.contributions
    total = explanation.mean_prompt + sum(part.win_probability for part in parts)
    yield "win probability before calibration:"
    if explanation.n_left_out:
        yield f"   (without {explanation.n_left_out:,} characters that seem out of place)"
    yield f"   {explanation.mean_prompt:.3f}  a prompt that is the mean of those learned from"
    for part in parts[:N_EXPLAINED]:
        yield f"  {part.win_probability:+.3f}  {part.words}"
    if rest := parts[N_EXPLAINED:]:
        yield f"  {sum(part.win_probability for part in rest):+.3f}  {len(rest)} other features"
    yield f"   {total:.3f}  this prompt"
