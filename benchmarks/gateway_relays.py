"""One of the processes of gateway_overhead.py: a relay, or the upstream behind it.

    python benchmarks/gateway_relays.py ROLE [--upstreams PORT,PORT] [--settings TEXT --router NAME]

Prints its port and serves on loopback until SIGTERM.
"""

import argparse
import gc
import os
import socket
from collections.abc import AsyncIterator
from itertools import cycle
from pathlib import Path

import uvicorn
from aiohttp import ClientSession, TCPConnector, web
from starlette.types import ASGIApp, Receive, Scope, Send


def main() -> None:
    """Be one of the processes: print the port, serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=["upstream", "aiohttp", "uvicorn", "gateway"])
    parser.add_argument("--upstreams", default="", help="their ports, with commas")
    parser.add_argument("--settings", default="", help="the text of the gateway's settings")
    parser.add_argument("--router", default="", help="of the gateway's route")
    arguments = parser.parse_args()
    role, upstreams = arguments.role, arguments.upstreams
    from routecast.gateway.log import log_as_json
    from routecast.gateway.server import bind, serve

    listener = bind(0)
    print(listener.getsockname()[1], flush=True)
    app: ASGIApp
    if role == "aiohttp":
        serve_by_aiohttp(upstreams, listener)
        return
    if role == "uvicorn":
        serve_by_uvicorn(bare_relay(upstreams), listener)
        return
    if role == "upstream":
        from routecast.testing import FakeUpstream

        app = FakeUpstream("simulated", n_recorded=1)
    else:
        app = gateway(arguments.settings, arguments.router)
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, log_as_json("info", nowhere):
        serve(app, listener)


def serve_by_uvicorn(app: ASGIApp, listener: socket.socket) -> None:
    """Serve as uvicorn does by itself, without access log and added headers."""
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, date_header=False, ws="none"
    )
    config.load()
    gc.collect()
    gc.freeze()
    uvicorn.Server(config).run(sockets=[listener])


def serve_by_aiohttp(upstreams: str, listener: socket.socket) -> None:
    """Relay by aiohttp alone."""
    urls = cycle(urls_of(upstreams))
    app = web.Application()
    session: ClientSession

    async def keep_session(_: web.Application) -> AsyncIterator[None]:
        nonlocal session
        async with ClientSession(connector=TCPConnector(limit=0), auto_decompress=False) as session:
            yield

    async def relay(request: web.Request) -> web.Response:
        body, headers = await request.read(), {"content-type": "application/json"}
        async with session.post(next(urls), data=body, headers=headers) as answer:
            return web.Response(
                body=await answer.read(),
                status=answer.status,
                headers={"content-type": answer.headers["content-type"]},
            )

    app.cleanup_ctx.append(keep_session)
    app.router.add_post("/v1/chat/completions", relay)
    gc.collect()
    gc.freeze()
    web.run_app(app, sock=listener, access_log=None, print=None)


def urls_of(upstreams: str) -> list[str]:
    """Return the address of each upstream."""
    return [f"http://127.0.0.1:{port}/v1/chat/completions" for port in upstreams.split(",")]


def gateway(settings_text: str, router: str) -> ASGIApp:
    """The gateway with these settings."""
    from routecast.artifacts import load_router
    from routecast.gateway.app import create_app
    from routecast.policy.parse import parse_settings

    settings = parse_settings(settings_text, source="the benchmark's settings")
    return create_app(settings, {router: load_router(router)})


def bare_relay(upstreams: str) -> ASGIApp:
    """The least that a relay can do with aiohttp's client."""
    urls = cycle(urls_of(upstreams))
    session: ClientSession

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal session
        if scope["type"] == "lifespan":
            await receive()
            async with ClientSession(
                connector=TCPConnector(limit=0), auto_decompress=False
            ) as session:
                await send({"type": "lifespan.startup.complete"})
                await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        message = await receive()
        body = message["body"]
        while message["more_body"]:
            message = await receive()
            body += message["body"]
        async with session.post(
            next(urls), data=body, headers={"content-type": "application/json"}
        ) as answer:
            content = await answer.read()
            headers = [
                (b"content-type", answer.headers["content-type"].encode()),
                (b"content-length", str(len(content)).encode()),
            ]
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            await send({"type": "http.response.body", "body": content})

    return app


if __name__ == "__main__":
    main()
