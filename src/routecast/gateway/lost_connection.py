"""Readers that aiohttp forgets.

When a chunk is malformed, aiohttp (3.14) closes the connection and tells nobody who is reading the
body: the reader waits until the total timeout, an hour by default. So we tell it.
"""

import asyncio
from collections.abc import Callable
from functools import partial

import aiohttp


def watch_connection(response: aiohttp.ClientResponse) -> Callable[[], None] | None:
    """Raise ``ClientPayloadError`` in the body's reader if the connection ends before the body.

    Returns:
        What ends the watch; None where there is nothing to watch, since the whole answer is there
        or does not come in chunks.
    """
    connection = response.connection
    if connection is None or "Content-Length" in response.headers:
        return None
    closed: asyncio.Future[None] | None = getattr(connection.protocol, "closed", None)
    if closed is None:
        return None
    content = response.content

    def wake_reader(_: "asyncio.Future[None]") -> None:
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("the connection ended"))

    closed.remove_done_callback(_take_note)  # one of them is enough for a kept-alive connection
    closed.add_done_callback(_take_note)
    closed.add_done_callback(wake_reader)
    return partial(_forget, closed, wake_reader)


def _forget(
    closed: "asyncio.Future[None]", callback: "Callable[[asyncio.Future[None]], None]"
) -> None:
    closed.remove_done_callback(callback)


def _take_note(closed: "asyncio.Future[None]") -> None:
    """Look at why a connection ended, or asyncio would complain that nobody did."""
    if not closed.cancelled():
        closed.exception()
