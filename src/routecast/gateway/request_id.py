"""One name for a request, in the client's logs, ours and the upstream's."""

import re
from collections.abc import Sequence
from contextvars import ContextVar
from os import urandom

HEADER = b"x-request-id"
CURRENT_IDS: ContextVar[tuple[str, str] | None] = ContextVar("current_ids", default=None)
"""The request id and the decision id of the request that this task serves, for its log lines."""

_USABLE = re.compile(rb"[!-~]{1,128}")


def make_id() -> str:
    """Return a new name: 24 random hexadecimal digits."""
    return urandom(12).hex()


def find_request_id(headers: Sequence[tuple[bytes, bytes]], *, otherwise: str) -> str:
    """Return the request's ``x-request-id``.

    Args:
        headers: As ASGI gives them: names in lower case.
        otherwise: What to return where the client sent none that can be used.

    Returns:
        The client's own if it is 1 to 128 printable ASCII characters without spaces, and the only
        one.
    """
    named = dict(headers)
    shown = named.get(HEADER)
    if shown is None or not _USABLE.fullmatch(shown):
        return otherwise
    if len(named) < len(headers) and [name for name, _ in headers].count(HEADER) > 1:
        return otherwise
    return shown.decode("ascii")
