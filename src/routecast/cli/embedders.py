"""The option ``--embedder``: an embedder by name, slow ones with a cache and a bar."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from routecast.cli.progress import shown_progress

if TYPE_CHECKING:
    from routecast.embed.protocol import Embedder

EmbedderName = Annotated[
    str,
    typer.Option(
        "--embedder",
        metavar="NAME",
        help="static, or sentence:ID_OR_FOLDER for a sentence-transformers model.",
    ),
]


@contextmanager
def opened_embedder(name: str) -> "Iterator[Embedder]":
    """Load an embedder; vectors of any but ``static`` are kept in the user's cache folder.

    Yields:
        The embedder. While the block runs it shows how far it is, on a terminal.

    Raises:
        ConfigError: If no embedder has that name.
        ArtifactError: If its files are missing or damaged.
        MissingExtraError: If it needs an extra that is not installed.
    """
    from routecast.embed.cache import cached, user_cache_folder
    from routecast.embed.registry import load_embedder

    embedder = load_embedder(name)
    if name == "static":
        yield embedder
        return
    folder = user_cache_folder(os.environ, home=Path.home())
    with shown_progress("embedding") as watch:
        yield cached(embedder, folder, progress=watch)
