"""An answer on its way to the client."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.gateway.events import KEEP_ALIVE
from routecast.gateway.exchange import Usage
from routecast.gateway.outlet import Outlet

pytestmark = pytest.mark.anyio

ERROR = b'data: {"error": {}}\n\n'


@dataclass
class Client:
    """Takes messages, and may be slow to do so."""

    delay_s: float = 0.0
    messages: list[Any] = field(default_factory=list)

    async def __call__(self, message: Any) -> None:  # noqa: ANN401
        await asyncio.sleep(self.delay_s)
        self.messages.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    @property
    def has_end(self) -> bool:
        return bool(self.messages) and self.messages[-1].get("more_body") is False


@dataclass
class Tap:
    """Takes out whatever says "extra", and holds back the last thing it saw."""

    held: bytes = b""
    usage: Usage | None = None

    def feed(self, chunk: bytes) -> bytes:
        passed, self.held = self.held, b"" if b"extra" in chunk else chunk
        return passed

    def finish(self) -> bytes:
        self.usage = Usage(input_tokens=1, output_tokens=2, cached_input_tokens=None)
        return self.held


def outlet_to(client: Client, *, keep_alive_s: float = 60.0, **options: Any) -> Outlet:  # noqa: ANN401
    defaults: dict[str, Any] = {
        "status": 200, "headers": [(b"x-a", b"1")], "is_event_stream": True,
    }  # fmt: skip
    return Outlet(client, **{**defaults, **options}, keep_alive_s=keep_alive_s)


async def test_the_head_waits_for_something_to_send() -> None:
    client = Client()
    outlet = outlet_to(client)
    await outlet.pass_on(b"data: 1")
    assert (client.messages, outlet.begun_s) == ([], None)
    await outlet.pass_on(b"\n\ndata")
    assert client.messages[0] == {
        "type": "http.response.start", "status": 200, "headers": [(b"x-a", b"1")],
    }  # fmt: skip
    assert client.body == b"data: 1\n\n"
    assert outlet.begun_s is not None
    await outlet.finish(b": 2")
    outlet.close()
    assert (client.body, client.has_end, outlet.is_complete) == (b"data: 1\n\ndata: 2", True, True)


async def test_a_broken_stream_ends_with_the_error_after_whole_events() -> None:
    client = Client()
    outlet = outlet_to(client)
    await outlet.pass_on(b"data: 1\n\ndata: unfini")
    assert outlet.last_sent == b"data: 1\n\n"
    await outlet.break_off(ERROR)
    outlet.close()
    assert (client.body, client.has_end) == (b"data: 1\n\n" + ERROR, True)


@pytest.mark.parametrize(
    ("is_event_stream", "chunk"), [(False, b"{"), (True, b"data: " + b"x" * 100_000)]
)
async def test_where_no_event_can_stand_the_answer_stays_without_its_end(
    is_event_stream: bool, chunk: bytes
) -> None:
    client = Client()
    outlet = outlet_to(client, is_event_stream=is_event_stream)
    await outlet.pass_on(chunk)
    await outlet.break_off(ERROR)
    outlet.close()
    assert (client.body, client.has_end, outlet.is_complete) == (chunk, False, False)


async def test_silence_in_a_stream_sends_comments_before_the_head_too() -> None:
    client = Client()
    outlet = outlet_to(client, keep_alive_s=0.05)
    await asyncio.sleep(0.12)
    assert client.messages[0]["type"] == "http.response.start"
    await outlet.finish(b"data: 1\n\n")
    outlet.close()
    assert client.body.startswith(KEEP_ALIVE)
    assert client.body.replace(KEEP_ALIVE, b"") == b"data: 1\n\n"


async def test_a_slow_client_gets_no_comments_on_top() -> None:
    client = Client(delay_s=0.2)
    outlet = outlet_to(client, keep_alive_s=0.05)
    await outlet.pass_on(b"data: 1\n\n")  # head and body: 0.4 s
    assert client.body == b"data: 1\n\n"
    outlet.close()


async def test_a_comment_that_is_under_way_is_sent_before_the_next_event() -> None:
    client = Client(delay_s=0.1)
    outlet = outlet_to(client, keep_alive_s=0.05)
    await asyncio.sleep(0.08)  # the comment's head is on its way
    await outlet.finish(b"data: 1\n\n")
    outlet.close()
    assert client.body == KEEP_ALIVE + b"data: 1\n\n"
    assert client.has_end


async def test_no_comment_stands_inside_a_huge_event() -> None:
    client = Client()
    outlet = outlet_to(client, keep_alive_s=0.05)
    half = b"data: " + b"x" * 70_000
    await outlet.pass_on(half)
    await asyncio.sleep(0.12)
    await outlet.finish(b"\n\n")
    outlet.close()
    assert client.body == half + b"\n\n"


@pytest.mark.parametrize("is_event_stream", [False, True])
async def test_taps_see_what_passes_and_may_hold_back_or_take_out(is_event_stream: bool) -> None:
    client = Client()
    tap = Tap()
    outlet = outlet_to(client, is_event_stream=is_event_stream, taps=(tap, Tap()))
    await outlet.pass_on(b"data: 1\n\n")
    await outlet.pass_on(b"data: extra\n\n")
    assert outlet.usage is None
    await outlet.finish(b"data: 2\n\n")
    outlet.close()
    assert client.body == b"data: 1\n\ndata: 2\n\n"
    assert outlet.usage == Usage(input_tokens=1, output_tokens=2, cached_input_tokens=None)


@given(st.lists(st.binary(max_size=8)), st.booleans())
def test_whatever_comes_leaves_byte_for_byte(chunks: list[bytes], is_event_stream: bool) -> None:
    async def pass_all() -> Client:
        client = Client()
        outlet = outlet_to(client, is_event_stream=is_event_stream)
        for chunk in chunks[:-1]:
            await outlet.pass_on(chunk)
        await outlet.finish(chunks[-1] if chunks else b"")
        outlet.close()
        return client

    client = asyncio.run(pass_all())
    assert client.body == b"".join(chunks)
    assert client.has_end
