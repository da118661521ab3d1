"""Embedders by name."""

from typing import Final

from routecast.embed.protocol import Embedder
from routecast.errors import ConfigError
from routecast.upstream.endpoint import Endpoint

FORMS: Final = ("static", "sentence:ID_OR_FOLDER", "openai:MODEL")
"""How users write embedders."""


def load_embedder(name: str, *, endpoint: Endpoint | None = None) -> Embedder:
    """Return the embedder that users write as ``name``.

    Args:
        name: One of `FORMS`.
        endpoint: Where ``openai:MODEL`` is; it is asked once. Others have no use for it.

    Raises:
        ConfigError: If no embedder has that name, a model cannot be fetched, or an endpoint is
            missing or given for nothing.
        UpstreamError: If the endpoint does not answer.
        ArtifactError: If its files are missing or damaged.
        MissingExtraError: If it needs an extra that is not installed.
    """
    kind, _, where = name.partition(":")
    if endpoint is not None and kind != "openai":
        raise ConfigError(f"embedder {name!r} has no endpoint; give one with 'openai:MODEL' only")
    if name == "static":
        from routecast.embed.static import load_static

        return load_static()
    if kind == "sentence" and where.strip():
        from routecast.embed.sentence import load_sentence

        return load_sentence(where)
    if kind == "openai" and where.strip():
        if endpoint is None:
            raise ConfigError(
                f"embedder {name!r} needs an endpoint: on the command line --embedder-url (and "
                "--embedder-key env:NAME), in Python load_embedder(..., endpoint=...), whose "
                "result load_router takes as embedder="
            )
        from routecast.embed.remote import load_remote

        return load_remote(endpoint)
    msg = f"unknown embedder {name!r}; choose one of {list(FORMS)!r}"
    raise ConfigError(msg)
