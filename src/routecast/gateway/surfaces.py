"""The paths that clients call, and the API whose shape each takes."""

from collections.abc import Mapping
from dataclasses import dataclass

from routecast.upstream.apis import Api


@dataclass(frozen=True, kw_only=True, slots=True)
class Surface:
    """One path of one API.

    Attributes:
        path: As the client calls it, for example ``/v1/chat/completions``.
        upstream_path: What follows an upstream's base URL, for example ``/chat/completions``.
        api: Whose shape requests, answers and errors take.
        is_routable: Whether a route may be asked; otherwise configured models only.
    """

    path: str
    upstream_path: str
    api: Api
    is_routable: bool = True


def _surface(upstream_path: str, api: Api, *, is_routable: bool = True) -> Surface:
    return Surface(
        path=f"/v1{upstream_path}", upstream_path=upstream_path, api=api, is_routable=is_routable
    )


_ALL = (
    _surface("/chat/completions", Api.CHAT),
    _surface("/responses", Api.RESPONSES),
    _surface("/completions", Api.COMPLETIONS),
    _surface("/messages", Api.MESSAGES),
    _surface("/messages/count_tokens", Api.MESSAGES),
    _surface("/embeddings", Api.EMBEDDINGS, is_routable=False),
)

SURFACES: Mapping[str, Surface] = {surface.path: surface for surface in _ALL}
"""Every surface by its path. A route of embeddings would mix vectors of two models, so there is
none."""


def api_of_path(path: str) -> Api:
    """Return the API whose shape errors at a path take; OpenAI's where it belongs to none."""
    surface = SURFACES.get(path)
    if surface is not None:
        return surface.api
    return Api.MESSAGES if path.startswith("/v1/messages/") else Api.CHAT
