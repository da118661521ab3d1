"""Embedders by name."""

from typing import Final

from routecast.embed.protocol import Embedder
from routecast.errors import ConfigError

FORMS: Final = ("static", "sentence:ID_OR_FOLDER")
"""How users write embedders."""


def load_embedder(name: str) -> Embedder:
    """Return the embedder that users write as ``name``.

    Raises:
        ConfigError: If no embedder has that name, or a model cannot be fetched.
        ArtifactError: If its files are missing or damaged.
        MissingExtraError: If it needs an extra that is not installed.
    """
    if name == "static":
        from routecast.embed.static import load_static

        return load_static()
    kind, _, where = name.partition(":")
    if kind == "sentence" and where.strip():
        from routecast.embed.sentence import load_sentence

        return load_sentence(where)
    msg = f"unknown embedder {name!r}; choose one of {list(FORMS)!r}"
    raise ConfigError(msg)
