"""`routecast doctor`: what would go wrong, before it does."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from routecast.cli.counts import counted

if TYPE_CHECKING:
    from routecast.gateway.doctor import Finding


def doctor(
    config: Annotated[Path, typer.Option(help="The settings file.")] = Path("routecast.toml"),
    ask: Annotated[
        bool,
        typer.Option(
            "--ask",
            help="Send each model one short request in each of its APIs; it may cost a fraction of "
            "a cent.",
        ),
    ] = False,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="As in serve: other machines need no key.")
    ] = False,
    timeout_s: Annotated[
        float, typer.Option(min=0.1, help="Seconds that each upstream may take.")
    ] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Try settings, secrets, upstreams, routers and goals, and name a fix for each fault.

    Exits with 1 if there is a fault; warnings do not count.
    """
    import asyncio
    import os

    from routecast.gateway.doctor import State, examine

    findings = asyncio.run(
        examine(config, os.environ, insecure=insecure, asks=ask, timeout_s=timeout_s)
    )
    n_faults = sum(finding.state is State.FAULT for finding in findings)
    n_warnings = sum(finding.state is State.WARNING for finding in findings)
    if as_json:
        document = {
            "config": str(config),
            "n_faults": n_faults,
            "n_warnings": n_warnings,
            "findings": [asdict(finding) for finding in findings],
        }
        typer.echo(json.dumps(document))
    else:
        for finding in findings:
            typer.echo(_describe(finding))
        typer.echo(f"{counted(n_faults, 'fault')}, {counted(n_warnings, 'warning')}")
    if n_faults:
        raise typer.Exit(1)


def _describe(finding: "Finding") -> str:
    line = f"{finding.state:<7}  {finding.subject}: {finding.message}"
    return line if finding.fix is None else f"{line}\n         fix: {finding.fix}"
