"""`routecast demo`: the first minute."""

import os
import time
from typing import Annotated

import typer


def demo(
    real: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="STRONG WEAK",
            help="Send forty prompts to two of OpenAI's models instead; needs OPENAI_API_KEY.",
        ),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the gateway running.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Learn from GPT-4's and Mixtral's recorded answers, and route 1,000 other questions.

    No key and no network: upstreams on this machine replay the answers.
    """
    import asyncio

    if real:
        asyncio.run(_show_real(*real, keep=keep, as_json=as_json))
    else:
        asyncio.run(_show_recorded(keep=keep, as_json=as_json))


async def _show_recorded(*, keep: bool, as_json: bool) -> None:
    from routecast.cli import demo_report as report
    from routecast.demo.learning import GOAL, learn
    from routecast.demo.questions import load_questions
    from routecast.demo.result import DemoResult
    from routecast.demo.run import grade, send_prompts, serve_gateway, serve_recorded

    learning, held_out = load_questions()
    start_s = time.perf_counter()
    learned = learn(learning)
    if not as_json:
        elapsed_s = time.perf_counter() - start_s
        _print([*report.learned_lines(learned.choice, elapsed_s=elapsed_s), ""])
    async with (
        serve_recorded(held_out) as pair,
        serve_gateway(pair, learned.loaded, learned.route, environ={}) as address,
    ):
        start_s = time.perf_counter()
        answers = await send_prompts(address, [asked.prompt for asked in held_out])
        elapsed_s = time.perf_counter() - start_s
        result = DemoResult.of(grade(answers, held_out), held_out)
        if as_json:
            kept = address if keep else None
            typer.echo(report.result_as_json(result, learned.choice, address=kept))
        else:
            _print(report.result_lines(result, goal=GOAL.value, elapsed_s=elapsed_s))
        if keep:
            await _stay_up(address, report.shortest_prompt(held_out))


async def _show_real(strong: str, weak: str, *, keep: bool, as_json: bool) -> None:
    from routecast.artifacts import load_router
    from routecast.cli import demo_report as report
    from routecast.demo.pair import Pair
    from routecast.demo.prompts import PROMPTS
    from routecast.demo.run import REAL_ROUTE, send_prompts, serve_gateway

    pair = Pair.real(strong, weak, environ=os.environ)
    loaded = load_router("default")
    async with serve_gateway(pair, loaded, REAL_ROUTE, environ=os.environ) as address:
        answers = await send_prompts(address, PROMPTS)
        sample = loaded.calibration_sample
        if as_json:
            kept = address if keep else None
            typer.echo(report.real_as_json(answers, calibration_sample=sample, address=kept))
        else:
            goal = f"{REAL_ROUTE['strong_share']:.0%} on {sample}"
            _print(report.real_lines(answers, goal=goal))
        if keep:
            await _stay_up(address, PROMPTS[-1])


def _print(lines: list[str]) -> None:
    typer.echo("\n".join(lines))


async def _stay_up(address: str, prompt: str) -> None:
    from routecast.cli.demo_report import invitation
    from routecast.demo.run import wait_forever

    typer.echo(invitation(address, prompt), err=True)
    await wait_forever()
