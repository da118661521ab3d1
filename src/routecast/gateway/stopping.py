"""How requests that are still open learn that the gateway ends.

The server cancels them with a word of its own, so that they can tell their clients why; any other
cancellation goes its way.
"""

import asyncio
from typing import Final

from routecast.errors import UpstreamUnavailableError

STOPPING: Final = "the gateway is stopping"
"""What ``asyncio.Task.cancel`` is called with."""


def is_stop(error: asyncio.CancelledError) -> bool:
    """Return whether a request was cancelled since the gateway ends."""
    return error.args == (STOPPING,)


def stop_error() -> UpstreamUnavailableError:
    """Return what the client is told: status 503, to be tried again."""
    return UpstreamUnavailableError(f"{STOPPING}; try again", retry_after_s=1.0)
