"""The few lines of ASGI that a test double needs."""

from collections.abc import Mapping

from starlette.types import Receive, Send


async def read_body(receive: Receive) -> bytes:
    """Return the whole request body; what came so far, if the client leaves."""
    chunks = []
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


async def send_answer(
    send: Send,
    body: bytes,
    *,
    status: int = 200,
    headers: Mapping[str, str],
    more: bool = False,
) -> None:
    """Start an answer and send ``body``; it is complete unless ``more`` is to come."""
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    if not more and all(name != b"content-length" for name, _ in raw):
        raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def answer_lifespan(receive: Receive, send: Send) -> None:
    """Say yes to start-up and shutdown."""
    for step in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{step}.complete"})
