"""Noticing that a client leaves before its answer is whole."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from starlette.types import Receive, Scope

EXTENSION: Final = "routecast.client"
"""The ASGI extension under which our own server gives the app ``{"watch": Watch}``."""

Watch = Callable[[Callable[[], None]], Callable[[], None]]
"""Calls what it is given if the client leaves from now on, or has left; returns what ends that."""


def watch_client(scope: Scope, receive: Receive, leave: Callable[[], None]) -> Callable[[], None]:
    """Call ``leave`` if the client leaves; a ``Watch``, given the first two.

    ASGI tells it to those who wait for it, which takes a task of its own for every request. Our own
    server does not need one.

    Args:
        scope: Of the request.
        receive: Of the request, whose body has been read.
        leave: What to call.

    Returns:
        What ends the watch.
    """
    extension: Mapping[str, Watch] | None = scope.get("extensions", {}).get(EXTENSION)
    if extension is not None:
        return extension["watch"](leave)
    waiting = asyncio.create_task(_wait_for_end(receive, leave))

    def end() -> None:
        waiting.cancel()

    return end


async def _wait_for_end(receive: Receive, leave: Callable[[], None]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    leave()
