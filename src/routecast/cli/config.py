"""`routecast config`: what stands in the settings file, and whether it can be served."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from routecast.gateway.loading import Loaded
    from routecast.gateway.routes import Route
    from routecast.upstream.endpoint import Endpoint

app = typer.Typer(help="Check and explain the settings file.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Check and explain the settings file."""


@app.command()
def check(
    config: Annotated[Path, typer.Option(help="The settings file.")] = Path("routecast.toml"),
    insecure: Annotated[
        bool, typer.Option("--insecure", help="As in serve: other machines need no key.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Read the settings, look up the secrets, load the routers; call no upstream."""
    import os

    from routecast.gateway.loading import load_gateway, read_settings

    loaded = load_gateway(read_settings(config), os.environ, path=config, insecure=insecure)
    table = loaded.table
    if as_json:
        document = {
            "config": str(config),
            "models": [_model_fields(endpoint) for endpoint in table.endpoints.values()],
            "routes": [_route_fields(route) for route in table.routes.values()],
            "server": _server_fields(loaded),
        }
        typer.echo(json.dumps(document))
        return
    for endpoint in table.endpoints.values():
        key = "without a key" if endpoint.api_key is None else "key found"
        apis = ", ".join(sorted(endpoint.apis))
        typer.echo(
            f"model {endpoint.name}: {endpoint.model} at {endpoint.base_url} ({apis}), {key}"
        )
    for route in table.routes.values():
        for line in (describe_route(route), *traffic_notes(route)):
            typer.echo(line)
    typer.echo(describe_access(loaded))
    typer.echo(f"{config} can be served")


@app.command()
def reference() -> None:
    """Print every setting with its meaning, type and default, as Markdown."""
    from routecast.policy.reference import write_reference

    typer.echo(write_reference(), nl=False)


def describe_access(loaded: "Loaded") -> str:
    """Return one line for people: who may call the gateway."""
    server = loaded.settings.server
    scheme = "https" if loaded.tls else "http"
    if loaded.guard.keys is not None:
        n_keys = len(server.client_keys)
        asked = f"clients must show {'the key' if n_keys == 1 else f'one of {n_keys} keys'}"
    elif loaded.guard.any_host:
        asked = "INSECURE: whoever reaches it may spend your money"
    else:
        asked = "programs on this machine may call it, without a key"
    return f"{scheme} on {server.host}: {asked}"


def describe_route(route: "Route") -> str:
    """Return one line for people: the route, its models, its threshold and where that is from."""
    part = route.cut.tie_share
    tied = f" (to {part:.0%} of those that score just that)" if part < 1 else ""
    origin = f" (from {route.calibration_sample})" if route.calibration_sample else ""
    return (
        f"route {route.name}: {route.strong} when router {route.router_name} gives "
        f"{route.threshold:.4g} or more{tied}{origin}, else {route.weak}; "
        f"{route.fallback} when it gives nothing"
    )


def traffic_notes(route: "Route") -> list[str]:
    """Return lines for people: what the goal's share is a share of, and what others may see."""
    manifest = route.loaded.manifest
    if manifest is None:
        return []
    abstentions = route.abstentions
    notes = []
    if route.calibration_sample is not None:
        notes.append(
            f"  its goal is met on that calibration sample, {route.calibration_sample}; on your "
            "traffic the share may be another"
        )
    if abstentions.share:
        of_sample = (
            "the sample" if notes else f"its calibration sample, {manifest.calibration.sample},"
        )
        notes.append(
            f"  {abstentions.share:.1%} of {of_sample} had no score, and counts as "
            f"{abstentions.answered_by} calls (on_router_error)"
        )
    if abstentions.share or "least_familiarity" in manifest.settings:
        notes.append(
            "  prompts unlike its labels get no score and go to the "
            f"{abstentions.answered_by} model (on_router_error), so that on other traffic the "
            "share of strong calls may be far from the goal"
        )
    if route.calibration_sample is None:
        return notes
    notes.append(
        f"  for a threshold of your own: routecast calibrate --router {route.router_name} "
        "--prompts FILE --strong-share SHARE"
    )
    return notes


def _route_fields(route: "Route") -> dict[str, Any]:
    return {
        "name": route.name,
        "strong": route.strong,
        "weak": route.weak,
        "fallback": route.fallback,
        "router": route.router_name,
        "threshold": route.threshold,
        "tie_share": route.cut.tie_share,
        "calibration_sample": route.calibration_sample,
        "abstained_share": route.abstentions.share,
    }


def _model_fields(endpoint: "Endpoint") -> dict[str, Any]:
    return {
        "name": endpoint.name,
        "model": endpoint.model,
        "base_url": endpoint.base_url,
        "apis": sorted(endpoint.apis),
        "has_key": endpoint.api_key is not None,
    }


def _server_fields(loaded: "Loaded") -> dict[str, Any]:
    server = loaded.settings.server
    return {
        "host": server.host,
        "port": server.port,
        "tls": loaded.tls is not None,
        "n_client_keys": len(server.client_keys),
        "cors_origins": list(server.cors_origins),
    }
