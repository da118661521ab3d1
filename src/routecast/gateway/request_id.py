"""One name for a request, in the client's logs, ours and the upstream's."""

import re
from collections.abc import Iterable
from os import urandom

HEADER = b"x-request-id"
_USABLE = re.compile(rb"[!-~]{1,128}")


def find_request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the request's ``x-request-id``, or a new one.

    Args:
        headers: As ASGI gives them: names in lower case.

    Returns:
        The client's own if it is 1 to 128 printable ASCII characters without spaces, and the only
        one; otherwise 24 random hexadecimal digits.
    """
    shown = [value for name, value in headers if name == HEADER]
    if len(shown) == 1 and _USABLE.fullmatch(shown[0]):
        return shown[0].decode("ascii")
    return urandom(12).hex()
