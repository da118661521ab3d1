"""`routecast demo`: the first minute."""

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from routecast.demo.run import DemoReport


def demo(
    real: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="STRONG WEAK",
            help="Use two of OpenAI's models instead of simulated ones; needs OPENAI_API_KEY.",
        ),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the gateway running.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Route forty prompts on this machine: no key, no network, simulated models."""
    import asyncio

    from routecast.artifacts import load_router
    from routecast.demo.pair import SIMULATED_PRICES, Pair
    from routecast.demo.run import running_demo, send_prompts, wait_forever

    pair = Pair.real(*real, environ=os.environ) if real else None
    loaded = load_router("default")

    async def run() -> None:
        async with running_demo(pair, loaded, environ=os.environ) as running:
            report = await send_prompts(
                running,
                prices=pair.prices if pair else SIMULATED_PRICES,
                calibration_sample=loaded.calibration_sample,
            )
            if as_json:
                typer.echo(_as_json(report, running.address if keep else None))
            else:
                _print_report(report, simulated=pair is None)
            if keep:
                typer.echo(_invitation(running.address), err=True)
                await wait_forever()

    asyncio.run(run())


def _print_report(report: "DemoReport", *, simulated: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    title = "Forty prompts through the gateway"
    table = Table(title=f"{title} (simulated models)" if simulated else title)
    table.add_column("prompt", no_wrap=True, overflow="ellipsis", max_width=70)
    table.add_column("P(strong wins)", justify="right", no_wrap=True)
    table.add_column("model", no_wrap=True)
    for row in report.rows:
        style = "bold" if row.model == "strong" else "dim"
        scored = "-" if row.win_probability is None else f"{row.win_probability:.4f}"
        table.add_row(" ".join(row.prompt.split()), scored, row.model, style=style)
    Console(width=None if sys.stdout.isatty() else 100).print(table)
    for line in _summary(report):
        typer.echo(line)


def _summary(report: "DemoReport") -> list[str]:
    """The figures below the table, one a line."""
    lines = [
        f"Strong calls:   {report.strong_share:.0%} of {len(report.rows)} prompts, threshold "
        f"{report.threshold:.4f} ({report.strong_share_asked:.0%} on {report.calibration_sample})"
    ]
    cost, whole = report.cost_usd, report.all_strong_cost_usd
    if cost is not None and whole is not None:
        prices = "; ".join(
            f"{name} ${price.input:g} in, ${price.output:g} out"
            for name, price in report.prices.items()
        )
        lines.append(
            f"Cost:           ${cost:.5f} against ${whole:.5f} all strong: {1 - cost / whole:.0%} "
            "saved"
        )
        lines.append(f"                (made-up prices per million tokens: {prices})")
    if report.added_latency_ms is not None:
        lines.append(
            f"Added latency:  {report.added_latency_ms:.1f} ms (median, routing and relay)"
        )
    return lines


def _as_json(report: "DemoReport", address: str | None) -> str:
    import dataclasses
    import json

    document = {
        "prompts": [dataclasses.asdict(row) for row in report.rows],
        "strong_share": report.strong_share,
        "threshold": report.threshold,
        "calibration_sample": report.calibration_sample,
        "cost_usd": report.cost_usd,
        "all_strong_cost_usd": report.all_strong_cost_usd,
        "added_latency_ms": report.added_latency_ms,
        "gateway": address,
    }
    return json.dumps(document)


def _invitation(address: str) -> str:
    body = '{"model": "auto", "messages": [{"role": "user", "content": "Prove it."}]}'
    return (
        f"The gateway stays up; Ctrl-C ends it. Try:\n"
        f"  curl -i {address}/v1/chat/completions -H 'content-type: application/json' -d '{body}'"
    )
