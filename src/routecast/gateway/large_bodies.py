"""Work on a large body is done in a thread, so that the event loop stays free."""

import asyncio
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")

MAX_BYTES_ON_LOOP: Final = 1 << 18
"""Larger bodies are read in a thread."""


async def in_thread_if_large(
    n_bytes: int, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
) -> _T:
    """Return what a function returns, called in a thread where the body that it reads is large.

    Args:
        n_bytes: Size of the body.
        function: Called with the rest.
        args: Its arguments.
        kwargs: Its options.
    """
    if n_bytes <= MAX_BYTES_ON_LOOP:
        return function(*args, **kwargs)
    return await asyncio.to_thread(function, *args, **kwargs)
