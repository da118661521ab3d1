"""Reading a request's body, and no more of it than is allowed."""

import asyncio
from collections.abc import Iterable
from typing import Final, cast

from starlette.types import Message, Receive, Send

from routecast.errors import RequestError

STALLED: Final = cast(bool, "stalled")
"""``more_body`` of a message that says: there is more, but it does not come (``request_head``)."""


async def read_body(
    headers: Iterable[tuple[bytes, bytes]], receive: Receive, *, max_bytes: int
) -> bytes | None:
    """Return the whole body, or None if the client left before it was complete.

    Raises:
        RequestError: Status 413 if the body is larger than ``max_bytes``; 415 if it is compressed,
            since the model could not be read; 408 if it stalls.
    """
    named = dict(headers)
    length, coding = named.get(b"content-length"), named.get(b"content-encoding")
    if length is not None and length.isdigit() and int(length) > max_bytes:
        raise _too_large(max_bytes)
    if coding is not None and coding.lower() != b"identity":
        raise RequestError(
            f"content-encoding {coding.decode('latin-1')!r} is not accepted; send plain JSON",
            status=415,
            code="unsupported_content_encoding",
        )
    message = await receive()
    body: bytes | bytearray = message.get("body", b"")
    while more := message.get("more_body", False):
        if more is STALLED:
            raise RequestError(
                "the rest of the request's body did not come in time; send it again",
                status=408,
                code="request_timeout",
            )
        message = await receive()
        body = bytearray(body) if isinstance(body, bytes) else body
        body += message.get("body", b"")
        if len(body) > max_bytes:
            break
    if message["type"] == "http.disconnect":
        return None
    if len(body) > max_bytes:
        raise _too_large(max_bytes)
    if len(body) <= _MAX_BYTES_ON_LOOP:
        return bytes(body)
    return await asyncio.to_thread(bytes, body)


def _too_large(max_bytes: int) -> RequestError:
    return RequestError(
        f"the request body is larger than {max_bytes} bytes; send less, or raise max_body_mib",
        status=413,
        code="body_too_large",
    )


_MAX_BYTES_ON_LOOP: Final = 1 << 20
_MAX_DRAINED_BYTES: Final = 1 << 28
_MAX_DRAINING_S: Final = 10.0


def send_then_drain(send: Send, receive: Receive) -> Send:
    """Return a ``send`` that takes in the rest of a request's body before the answer's end.

    A client that is still sending when the connection closes gets a reset instead of the answer.
    So the answer is sent whole, and what still comes is thrown away, up to 256 MiB and for 10
    seconds; whoever sends more than that gets the reset.
    """

    async def send_message(message: Message) -> None:
        if message["type"] != "http.response.body" or message.get("more_body", False):
            await send(message)
            return
        await send({**message, "more_body": True})
        try:
            async with asyncio.timeout(_MAX_DRAINING_S):
                await _drain(receive)
        except TimeoutError:
            pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return send_message


async def _drain(receive: Receive) -> None:
    n_bytes, more = 0, True
    while more and n_bytes <= _MAX_DRAINED_BYTES:
        message = await receive()
        n_bytes += len(message.get("body", b""))
        more = message.get("more_body", False)
