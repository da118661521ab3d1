"""Routecast learns which prompts need the strong LLM, and routes the rest to a cheap one.

    import routecast

    router = routecast.load_router("default").router
    router.win_probabilities(["What is 2 + 2?"])      # P(the strong model answers better)

Importing this package loads numpy at most; everything else comes when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from routecast.errors import (
    ArtifactError,
    ConfigError,
    DataError,
    MissingExtraError,
    RequestError,
    RoutecastError,
    UpstreamError,
)

if TYPE_CHECKING:
    from routecast.artifacts import LoadedRouter, load_router

__version__ = "0.1.0"

__all__ = [
    "ArtifactError",
    "ConfigError",
    "DataError",
    "LoadedRouter",
    "MissingExtraError",
    "RequestError",
    "RoutecastError",
    "UpstreamError",
    "__version__",
    "load_router",
]

_HOMES = {"LoadedRouter": "routecast.artifacts", "load_router": "routecast.artifacts"}


def __getattr__(name: str) -> object:
    """Load a public name from its module when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'routecast' has no attribute {name!r}")
    home: object = import_module(_HOMES[name])
    return getattr(home, name)
