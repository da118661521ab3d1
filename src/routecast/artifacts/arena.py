"""Scores of the default router on prompts of Chatbot Arena: a second sample beside its own."""

from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import msgspec

from routecast.artifacts.layout import MANIFEST_NAME
from routecast.artifacts.loaded import LoadedRouter, router_folder

TABLE_NAME = "default_on_arena.json"


class ArenaQuantiles(msgspec.Struct, frozen=True, kw_only=True):
    """Quantiles of the default router's win probability; no prompt is kept.

    Attributes:
        sample: The prompts, in words.
        n_prompts: How many.
        manifest_sha256: Of the default router's manifest that they belong to.
        win_probability_quantiles: 1,001 quantiles, at 0, 0.001, ..., 1.
    """

    sample: str
    n_prompts: int
    manifest_sha256: str
    win_probability_quantiles: tuple[float, ...]


def arena_quantiles(loaded: LoadedRouter) -> ArenaQuantiles | None:
    """Return the table of the default router; None for any other."""
    if loaded.name != "default":
        return None
    path = Path(str(files("routecast"))) / "models" / TABLE_NAME
    return msgspec.json.decode(path.read_bytes(), type=ArenaQuantiles)


def default_manifest_sha256() -> str:
    """Return the digest by which the table knows the router that it was made of."""
    return sha256((router_folder("default") / MANIFEST_NAME).read_bytes()).hexdigest()
