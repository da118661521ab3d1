"""Reading a request's body, and no more of it than is allowed."""

from collections.abc import Iterable

from starlette.types import Receive

from routecast.errors import RequestError


async def read_body(
    headers: Iterable[tuple[bytes, bytes]], receive: Receive, *, max_bytes: int
) -> bytes | None:
    """Return the whole body, or None if the client left before it was complete.

    Raises:
        RequestError: Status 413 if the body is larger than ``max_bytes``; 415 if it is compressed,
            since the model could not be read.
    """
    for name, value in headers:
        if name == b"content-length" and value.isdigit() and int(value) > max_bytes:
            raise _too_large(max_bytes)
        if name == b"content-encoding" and value.lower() != b"identity":
            raise RequestError(
                f"content-encoding {value.decode('latin-1')!r} is not accepted; send plain JSON",
                status=415,
                code="unsupported_content_encoding",
            )
    message = await receive()
    body: bytes | bytearray = message.get("body", b"")
    while message.get("more_body", False):
        message = await receive()
        body = bytearray(body) if isinstance(body, bytes) else body
        body += message.get("body", b"")
        if len(body) > max_bytes:
            break
    if message["type"] == "http.disconnect":
        return None
    if len(body) > max_bytes:
        raise _too_large(max_bytes)
    return bytes(body)


def _too_large(max_bytes: int) -> RequestError:
    return RequestError(
        f"the request body is larger than {max_bytes} bytes; send less, or raise max_body_mib",
        status=413,
        code="body_too_large",
    )
