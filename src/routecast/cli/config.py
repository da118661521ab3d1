"""`routecast config`: what stands in the settings file, and whether it can be served."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from routecast.gateway.routes import Route
    from routecast.upstream.endpoint import Endpoint

app = typer.Typer(help="Check the settings file.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Check the settings file."""


@app.command()
def check(
    config: Annotated[Path, typer.Option(help="The settings file.")] = Path("routecast.toml"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Read the settings, look up the secrets, load the routers; call no upstream."""
    import os

    from routecast.gateway.loading import load_routers, read_settings, resolve_endpoints
    from routecast.gateway.routes import build_route_table

    settings = read_settings(config)
    endpoints = resolve_endpoints(settings, os.environ)
    table = build_route_table(
        settings, load_routers(settings, folder=config.parent, environ=os.environ), endpoints
    )
    if as_json:
        document = {
            "config": str(config),
            "models": [_model_fields(endpoint) for endpoint in table.endpoints.values()],
            "routes": [_route_fields(route) for route in table.routes.values()],
        }
        typer.echo(json.dumps(document))
        return
    for endpoint in table.endpoints.values():
        key = "without a key" if endpoint.api_key is None else "key found"
        typer.echo(f"model {endpoint.name}: {endpoint.model} at {endpoint.base_url}, {key}")
    for route in table.routes.values():
        typer.echo(describe_route(route))
    typer.echo(f"{config} can be served")


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
    }


def _model_fields(endpoint: "Endpoint") -> dict[str, Any]:
    return {
        "name": endpoint.name,
        "model": endpoint.model,
        "base_url": endpoint.base_url,
        "has_key": endpoint.api_key is not None,
    }
