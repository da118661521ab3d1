"""`routecast serve`: the gateway."""

import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from routecast.cli.config import describe_access, describe_route, traffic_notes

if TYPE_CHECKING:
    from routecast.gateway.loading import Loaded


def serve(
    config: Annotated[Path, typer.Option(help="The settings file.")] = Path("routecast.toml"),
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Instead of the settings' port; 0 for any free one."),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(help="Instead of the settings' host; 0.0.0.0 for every address of this one."),
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure",
            help="Serve other machines without client_keys: whoever reaches the port can spend "
            "your money.",
        ),
    ] = False,
) -> None:
    """Serve the routes of a settings file as an OpenAI-compatible API."""
    import logging
    import os
    import sys

    from routecast.gateway.app import build_app
    from routecast.gateway.guard import check_exposure
    from routecast.gateway.loading import load_gateway, override_server, read_settings
    from routecast.gateway.log import log_as_json
    from routecast.gateway.server import address_of, bind
    from routecast.gateway.server import serve as serve_app

    settings = override_server(read_settings(config), host=host, port=port)
    check_exposure(settings.server, insecure=insecure)
    with (
        log_as_json(settings.server.log, sys.stderr),
        bind(settings.server.port, host=settings.server.host) as listener,
    ):
        loaded = load_gateway(settings, os.environ, path=config, insecure=insecure)
        app = build_app(loaded.table, loaded.settings.server, loaded.guard, folder=config.parent)
        address = address_of(listener, tls=loaded.tls)
        if settings.server.log == "info" and not sys.stderr.isatty():
            tell: Callable[[str], None] = logging.getLogger("routecast.gateway").info
            _log_announcement(address, loaded)
        else:
            tell = partial(typer.echo, err=True)
            tell(_announcement(address, loaded))
        serve_app(app, listener, tls=loaded.tls, tell=tell)


def _log_announcement(address: str, loaded: "Loaded") -> None:
    """Say where the gateway is to whatever collects its log, in which every line is JSON."""
    import logging

    fields = {
        "address": address,
        "routes": list(loaded.table.routes),
        "models": list(loaded.table.endpoints),
        "notes": [
            note.strip() for route in loaded.table.routes.values() for note in traffic_notes(route)
        ],
        "access": describe_access(loaded),
    }
    logging.getLogger("routecast.gateway").info("serving", extra={"fields": fields})


def _announcement(address: str, loaded: "Loaded") -> str:
    """Say where the gateway is, what it offers, and how to ask it something."""
    from routecast.upstream.apis import Api

    table = loaded.table
    lines = [
        f"Routecast serves {address}/v1",
        *(
            f"  {line}"
            for route in table.routes.values()
            for line in (describe_route(route), *traffic_notes(route))
        ),
        f"  models: {', '.join(table.endpoints)}",
        f"  {describe_access(loaded)}",
        *(f"Try: {_try_it(address, model, loaded)}" for model in table.speaking(Api.CHAT)[:1]),
        "Ctrl-C ends it.",
    ]
    return "\n".join(lines)


def _try_it(address: str, model: str, loaded: "Loaded") -> str:
    body = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "What is 2 + 2?"}}]}}'
    key = "" if loaded.guard.keys is None else "-H 'authorization: Bearer YOUR_KEY' "
    trust = "" if loaded.tls is None else f"--cacert {shlex.quote(str(loaded.tls.certificate))} "
    return (
        f"curl -i {trust}{address}/v1/chat/completions -H 'content-type: application/json' "
        f"{key}-d {shlex.quote(body)}"
    )
