"""How a fake upstream sends its answer: as it should, or as a fault commands."""

import asyncio
import gzip
import socket
import struct
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from typing import cast

from starlette.types import Receive, Scope, Send

from routecast.testing.asgi import send_answer
from routecast.testing.faults import (
    BreakChunks,
    Dribble,
    Enlarge,
    Fault,
    Gzip,
    Hang,
    HangAfterHead,
    HangUp,
    Pause,
    Refuse,
    StopMidStream,
)

TRANSPORT = "routecast.transport"
"""The ASGI extension in which ``serve_on_loopback`` gives an app the connection itself."""

_COMMENT = b": " + b"x" * 65_532 + b"\n\n"  # 64 KiB that mean nothing
_RESET = struct.pack("ii", 1, 0)  # linger for 0 s: what is closed is reset


class ClientLeft(Exception):  # noqa: N818 (it is an event, not a fault)
    """The client closed the connection."""


@dataclass(frozen=True)
class Line:
    """The connection to one client, as far as its request goes.

    Attributes:
        send: Takes ASGI messages.
        receive: Gives ASGI messages, the request's body is out already.
        transport: What lies below; None where the server does not give it.
    """

    send: Send
    receive: Receive
    transport: asyncio.Transport | None

    async def write(self, chunk: bytes, *, more: bool = True) -> None:
        """Send some of a body."""
        await self.send({"type": "http.response.body", "body": chunk, "more_body": more})


def line_of(scope: Scope, receive: Receive, send: Send) -> Line:
    """Return the connection that an ASGI request came by."""
    return Line(send, receive, scope.get("extensions", {}).get(TRANSPORT))


async def wait_for(duration_s: float, receive: Receive) -> None:
    """Wait for so many seconds.

    Raises:
        ClientLeft: If the client leaves before.
    """
    if duration_s <= 0:
        return
    try:
        async with asyncio.timeout(duration_s):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return
    raise ClientLeft


async def forestall(fault: Fault | None, line: Line) -> bool:
    """Do what a fault commands before an answer, and return whether there will be none."""
    if isinstance(fault, Hang):
        await wait_for(fault.duration_s, line.receive)
    elif isinstance(fault, Refuse):
        await send_answer(line.send, fault.body, status=fault.status, headers=fault.headers)
        return True
    elif isinstance(fault, HangUp):
        await _drop(line, reset=fault.reset)
        return True
    return False


async def deliver_plain(answer: bytes, fault: Fault | None, line: Line) -> None:
    """Send a whole JSON document."""
    headers = {"content-type": "application/json"}
    if isinstance(fault, Gzip):
        answer = gzip.compress(answer)
        headers["content-encoding"] = "gzip"
    if isinstance(fault, Enlarge):
        answer += b" " * fault.n_bytes
    if isinstance(fault, BreakChunks):
        await send_answer(line.send, answer[: len(answer) // 2], headers=headers, more=True)
        await _break_chunks(line)
    elif isinstance(fault, StopMidStream):
        headers["content-length"] = str(len(answer))
        await send_answer(line.send, answer[: len(answer) // 2], headers=headers, more=True)
        await wait_for(fault.hang_s, line.receive)
        await _drop(line, reset=fault.reset)
    elif isinstance(fault, HangAfterHead | Dribble):
        headers["content-length"] = str(len(answer))
        await send_answer(line.send, b"", headers=headers, more=True)
        await _deliver_slowly([answer], fault, line)
    else:
        await send_answer(line.send, answer, headers=headers)


async def deliver_stream(events: Iterable[bytes], fault: Fault | None, line: Line) -> None:
    """Send server-sent events, one by one."""
    events = list(events)
    headers = {"content-type": "text/event-stream; charset=utf-8"}
    if isinstance(fault, Gzip):
        headers["content-encoding"] = "gzip"
        await send_answer(line.send, gzip.compress(b"".join(events)), headers=headers)
        return
    await send_answer(line.send, b"", headers=headers, more=True)
    if isinstance(fault, HangAfterHead | Dribble):
        await _deliver_slowly(events, fault, line)
        return
    async for event in _as_commanded(events, fault, line):
        await line.write(event)
        await asyncio.sleep(0)
    if isinstance(fault, BreakChunks):
        await _break_chunks(line)
    elif isinstance(fault, StopMidStream):
        await wait_for(fault.hang_s, line.receive)
        await _drop(line, reset=fault.reset)
    else:
        await line.write(b"", more=False)


async def _as_commanded(
    events: list[bytes], fault: Fault | None, line: Line
) -> AsyncIterator[bytes]:
    """Yield what is sent of a stream, when it is time."""
    n_events = len(events)
    if isinstance(fault, StopMidStream | BreakChunks):
        n_events = fault.n_events
    for number, event in enumerate(events[:n_events]):
        if isinstance(fault, Pause) and number == fault.n_events:
            await wait_for(fault.duration_s, line.receive)
        if isinstance(fault, Enlarge) and number == 1:
            for _ in range(-(-fault.n_bytes // len(_COMMENT))):
                yield _COMMENT
        yield event
    if isinstance(fault, StopMidStream):
        yield fault.tail


async def _deliver_slowly(pieces: list[bytes], fault: HangAfterHead | Dribble, line: Line) -> None:
    """Send a body whose head is out, late or byte by byte."""
    if isinstance(fault, HangAfterHead):
        await wait_for(fault.duration_s, line.receive)
        if fault.drop:
            await _drop(line, reset=False)
            return
    else:
        pieces = list(_dribbled(b"".join(pieces), fault.n_bytes))
    for piece in pieces:
        if isinstance(fault, Dribble):
            await wait_for(fault.delay_s if len(piece) == 1 else 0, line.receive)
        await line.write(piece)
    await line.write(b"", more=False)


def _dribbled(body: bytes, n_bytes: int) -> Iterator[bytes]:
    yield from (body[i : i + 1] for i in range(min(n_bytes, len(body))))
    yield body[n_bytes:]


async def _break_chunks(line: Line) -> None:
    """Write what is no chunk where one must stand, once the rest has arrived."""
    await asyncio.sleep(0.05)
    _transport(line).write(b"this is no chunk\r\n")
    await asyncio.sleep(0.05)
    await _drop(line, reset=False)


async def _drop(line: Line, *, reset: bool) -> None:
    """End the connection in the middle of whatever is going on."""
    if line.transport is None and not reset:
        return  # servers drop the connection of an app that stops in the middle
    transport = _transport(line)
    if reset and not transport.is_closing():
        connection = cast("socket.socket", transport.get_extra_info("socket"))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()
    else:
        transport.close()
    while (await line.receive())["type"] != "http.disconnect":
        pass


def _transport(line: Line) -> asyncio.Transport:
    if line.transport is None:
        raise RuntimeError("this fault needs the connection itself; use serve_on_loopback")
    return line.transport
