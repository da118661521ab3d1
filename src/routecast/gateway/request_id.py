"""One name for a request, in the client's logs, ours and the upstream's."""

import re
from collections.abc import Sequence
from os import urandom

HEADER = b"x-request-id"
_USABLE = re.compile(rb"[!-~]{1,128}")


def find_request_id(headers: Sequence[tuple[bytes, bytes]]) -> str:
    """Return the request's ``x-request-id``, or a new one.

    Args:
        headers: As ASGI gives them: names in lower case.

    Returns:
        The client's own if it is 1 to 128 printable ASCII characters without spaces, and the only
        one; otherwise 24 random hexadecimal digits.
    """
    named = dict(headers)
    shown = named.get(HEADER)
    if shown is None or not _USABLE.fullmatch(shown):
        return urandom(12).hex()
    if len(named) < len(headers) and [name for name, _ in headers].count(HEADER) > 1:
        return urandom(12).hex()
    return shown.decode("ascii")
