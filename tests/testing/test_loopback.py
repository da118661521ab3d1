"""Any ASGI app on a loopback port, inside the running event loop."""

import signal
import socket

import aiohttp
import pytest
from starlette.types import Receive, Scope, Send

from routecast.testing import FakeUpstream, serve_on_loopback, serve_upstream

pytestmark = pytest.mark.anyio


async def test_an_app_is_there_inside_the_block_and_gone_after_it() -> None:
    async with aiohttp.ClientSession() as http:
        async with (
            serve_upstream(FakeUpstream("small")) as url,
            http.get(f"{url}/models") as answer,
        ):
            assert answer.status == 200
        with pytest.raises(aiohttp.ClientConnectorError):
            await http.get(f"{url}/models")


async def test_several_apps_run_side_by_side() -> None:
    async with (
        serve_upstream(FakeUpstream("a")) as first,
        serve_upstream(FakeUpstream("b")) as second,
    ):
        assert first != second
        assert first.startswith("http://127.0.0.1:")


async def test_a_port_may_be_chosen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    async with serve_on_loopback(FakeUpstream("a"), port=port) as address:
        assert address == f"http://127.0.0.1:{port}"


async def test_ctrl_c_is_left_to_the_program_around_it() -> None:
    before = signal.getsignal(signal.SIGINT)
    async with serve_upstream(FakeUpstream("a")):
        assert signal.getsignal(signal.SIGINT) is before


async def test_the_lifespan_of_the_app_is_run() -> None:
    steps = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "lifespan"
        for step in ("startup", "shutdown"):
            steps.append((await receive())["type"])
            await send({"type": f"lifespan.{step}.complete"})

    async with serve_on_loopback(app):
        assert steps == ["lifespan.startup"]
    assert steps == ["lifespan.startup", "lifespan.shutdown"]


async def test_an_error_inside_the_block_comes_out_of_it() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with serve_upstream(FakeUpstream("a")):
            raise KeyError("mine")
