"""Embedders by name."""

from routecast.embed.protocol import Embedder
from routecast.errors import ConfigError


def load_embedder(name: str) -> Embedder:
    """Return the embedder that users write as ``name``.

    Raises:
        ConfigError: If no embedder has that name.
        ArtifactError: If its files are missing or damaged.
    """
    if name == "static":
        from routecast.embed.static import load_static

        return load_static()
    msg = f"unknown embedder {name!r}; choose one of ['static']"
    raise ConfigError(msg)
