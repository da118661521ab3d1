"""How a fake upstream sends its answer: as it should, or as a fault commands."""

import asyncio
import gzip
from collections.abc import Iterable

from starlette.types import Receive, Send

from routecast.testing.asgi import send_answer
from routecast.testing.faults import Fault, Gzip, StopMidStream


class ClientLeft(Exception):  # noqa: N818 (it is an event, not a fault)
    """The client closed the connection."""


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


async def deliver_plain(answer: bytes, fault: Fault | None, send: Send, receive: Receive) -> None:
    """Send a whole JSON document."""
    headers = {"content-type": "application/json"}
    if isinstance(fault, Gzip):
        answer = gzip.compress(answer)
        headers["content-encoding"] = "gzip"
    if isinstance(fault, StopMidStream):
        headers["content-length"] = str(len(answer))
        await send_answer(send, answer[: len(answer) // 2], headers=headers, more=True)
        await wait_for(fault.hang_s, receive)
        return  # the server drops the connection of an app that stops here
    await send_answer(send, answer, headers=headers)


async def deliver_stream(
    events: Iterable[bytes], fault: Fault | None, send: Send, receive: Receive
) -> None:
    """Send server-sent events, one by one."""
    events = list(events)
    headers = {"content-type": "text/event-stream; charset=utf-8"}
    if isinstance(fault, Gzip):
        headers["content-encoding"] = "gzip"
        await send_answer(send, gzip.compress(b"".join(events)), headers=headers)
        return
    stop = fault if isinstance(fault, StopMidStream) else None
    sent = events if stop is None else [*events[: stop.n_events], stop.tail]
    await send_answer(send, b"", headers=headers, more=True)
    for event in sent:
        await send({"type": "http.response.body", "body": event, "more_body": True})
        await asyncio.sleep(0)
    if stop is None:
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    else:
        await wait_for(stop.hang_s, receive)
