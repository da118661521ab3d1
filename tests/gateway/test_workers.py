"""What gateways beside one another share: the file of conversations."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from routecast.artifacts import load_router
from routecast.errors import ConfigError
from routecast.gateway import conversations
from routecast.gateway.app import build_app
from routecast.gateway.client_connection import ClientConnection
from routecast.gateway.guard import Guard
from routecast.gateway.loading import resolve_endpoints
from routecast.gateway.routes import build_route_table
from routecast.policy.parse import parse_settings
from routecast.testing import FakeUpstream, serve_on_loopback, serve_upstream

pytestmark = pytest.mark.anyio

SETTINGS = """
[models.big]
model = "b"
base_url = "{big}"
apis = {apis}
[models.small]
model = "s"
base_url = "{small}"
apis = {apis}
[routes.auto]
strong = "big"
weak = "small"
router = "random"
strong_share = 0.5
"""


@asynccontextmanager
async def worker(
    folder: Path | None,
    big: str = "http://127.0.0.1:1/v1",
    small: str = "http://127.0.0.1:1/v1",
    apis: str = '["chat", "responses"]',
) -> AsyncIterator[str]:
    """Run one gateway whose settings lie in a folder."""
    text = SETTINGS.format(big=big, small=small, apis=apis)
    settings = parse_settings(text, source="test")
    endpoints = resolve_endpoints(settings, {})
    table = build_route_table(settings, {"random": load_router("random")}, endpoints)
    app = build_app(table, settings.server, Guard(), folder=folder)
    async with serve_on_loopback(app, http=ClientConnection) as address:
        yield address


def files_in(folder: Path) -> list[Path]:
    return list(folder.rglob("*"))


async def test_a_conversation_goes_on_at_another_worker_and_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversations, "_LOOK_AGAIN_AFTER_S", (0.05, 3.0))  # for busy machines
    big, small = FakeUpstream("big"), FakeUpstream("small")
    async with (
        serve_upstream(big) as big_url,
        serve_upstream(small) as small_url,
        aiohttp.ClientSession() as http,
    ):

        async def ask(address: str, previous: str | None) -> tuple[str, str, str]:
            body = {"model": "auto", "input": "hello", "previous_response_id": previous}
            async with http.post(f"{address}/v1/responses", json=body) as answer:
                document = await answer.json()
                assert answer.status == 200, document
                headers = answer.headers
                return document["id"], headers["x-routecast-model"], headers["x-routecast-reason"]

        previous, first, _ = "", "", ""
        async with (
            worker(tmp_path, big_url, small_url) as one,
            worker(tmp_path, big_url, small_url) as other,
        ):
            previous, first, _ = await ask(one, None)
            for address in (other, one, other, one):
                previous, model, reason = await ask(address, previous)
                assert (model, reason) == (first, "same_conversation")
        async with worker(tmp_path, big_url, small_url) as restarted:
            _, model, reason = await ask(restarted, previous)
            assert (model, reason) == (first, "same_conversation")
    assert tmp_path / ".routecast" / "conversations.sqlite" in files_in(tmp_path)


async def test_no_file_is_made_where_no_route_needs_it(tmp_path: Path) -> None:
    async with worker(tmp_path, apis='["chat"]'), worker(None):
        pass
    assert files_in(tmp_path) == []


async def test_a_folder_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / ".routecast").write_text("a file")
    with pytest.raises(ConfigError, match="state_folder"):
        async with worker(tmp_path):
            pass
