"""`routecast serve`: the gateway."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from routecast.cli.config import describe_route

if TYPE_CHECKING:
    from routecast.gateway.routes import RouteTable


def serve(
    config: Annotated[Path, typer.Option(help="The settings file.")] = Path("routecast.toml"),
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Instead of the settings' port; 0 for any free one."),
    ] = None,
) -> None:
    """Serve the routes of a settings file as an OpenAI-compatible API on this machine."""
    import logging
    import os

    from routecast.gateway.app import build_app
    from routecast.gateway.loading import load_routers, read_settings, resolve_endpoints
    from routecast.gateway.routes import build_route_table
    from routecast.gateway.server import bind_loopback
    from routecast.gateway.server import serve as serve_app

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    settings = read_settings(config)
    with bind_loopback(settings.server.port if port is None else port) as listener:
        endpoints = resolve_endpoints(settings, os.environ)
        table = build_route_table(
            settings, load_routers(settings, folder=config.parent, environ=os.environ), endpoints
        )
        host, bound_port = listener.getsockname()
        typer.echo(_announcement(f"http://{host}:{bound_port}", table), err=True)
        serve_app(build_app(table, settings.server), listener)


def _announcement(address: str, table: "RouteTable") -> str:
    """Say where the gateway is, what it offers, and how to ask it something."""
    asked = next(iter([*table.routes, *table.endpoints]))
    body = f'{{"model": "{asked}", "messages": [{{"role": "user", "content": "What is 2 + 2?"}}]}}'
    curl = (
        f"curl -i {address}/v1/chat/completions -H 'content-type: application/json' "
        f"-d {shlex.quote(body)}"
    )
    routes = [f"  {describe_route(route)}" for route in table.routes.values()]
    lines = [f"Routecast serves {address}/v1", *routes, f"  models: {', '.join(table.endpoints)}"]
    return "\n".join([*lines, f"Try: {curl}", "Ctrl-C ends it."])
