"""Reading a body, and no more of it than is allowed."""

from collections.abc import Iterator

import pytest
from starlette.types import Message

from routecast.errors import RequestError
from routecast.gateway.intake import STALLED, read_body

pytestmark = pytest.mark.anyio


class Client:
    """Gives out messages, and counts them."""

    def __init__(self, messages: Iterator[Message]) -> None:
        self.messages = messages
        self.n_taken = 0

    async def receive(self) -> Message:
        self.n_taken += 1
        return next(self.messages)


def piece(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def very_long() -> Iterator[Message]:
    for _ in range(1000):
        yield piece(b"12345")
    yield piece(b"", more=False)


async def test_pieces_are_joined() -> None:
    client = Client(iter([piece(b"12"), piece(b""), piece(b"345", more=False)]))
    assert await read_body([], client.receive, max_bytes=5) == b"12345"


async def test_a_client_that_leaves_in_the_middle_has_sent_nothing() -> None:
    client = Client(iter([piece(b"12"), {"type": "http.disconnect"}]))
    assert await read_body([], client.receive, max_bytes=5) is None


async def test_a_client_that_leaves_at_once_has_sent_nothing() -> None:
    assert (
        await read_body([], Client(iter([{"type": "http.disconnect"}])).receive, max_bytes=5)
        is None
    )


async def test_a_very_long_body_is_refused_as_soon_as_it_is_too_large() -> None:
    client = Client(very_long())
    with pytest.raises(RequestError) as caught:
        await read_body([], client.receive, max_bytes=12)
    assert caught.value.status == 413
    assert client.n_taken == 3  # 5, 10, 15 bytes


async def test_a_declared_length_is_refused_before_a_byte_is_read() -> None:
    client = Client(very_long())
    with pytest.raises(RequestError):
        await read_body([(b"content-length", b"13")], client.receive, max_bytes=12)
    assert client.n_taken == 0


async def test_one_piece_over_the_limit_is_refused_too() -> None:
    with pytest.raises(RequestError):
        await read_body([], Client(iter([piece(b"123", more=False)])).receive, max_bytes=2)


@pytest.mark.parametrize("before", [[], [piece(b"12")]])
async def test_a_body_that_stalls_is_a_408(before: list[Message]) -> None:
    client = Client(iter([*before, piece(b"", more=STALLED)]))
    with pytest.raises(RequestError) as caught:
        await read_body([], client.receive, max_bytes=5)
    assert (caught.value.status, caught.value.code) == (408, "request_timeout")


@pytest.mark.parametrize(
    ("value", "accepted"), [(b"identity", True), (b"gzip", False), (b"br", False)]
)
async def test_only_plain_bodies_are_read(value: bytes, accepted: bool) -> None:
    client = Client(iter([piece(b"{}", more=False)]))
    headers = [(b"content-encoding", value)]
    if accepted:
        assert await read_body(headers, client.receive, max_bytes=5) == b"{}"
    else:
        with pytest.raises(RequestError) as caught:
            await read_body(headers, client.receive, max_bytes=5)
        assert caught.value.status == 415
