"""The option ``--embedder``: an embedder by name, slow ones with a cache and a bar."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from routecast.cli.progress import shown_progress
from routecast.errors import ConfigError

if TYPE_CHECKING:
    from routecast.artifacts import LoadedRouter
    from routecast.embed.protocol import Embedder
    from routecast.upstream.endpoint import Endpoint

EmbedderName = Annotated[
    str,
    typer.Option(
        "--embedder",
        metavar="NAME",
        help="static, sentence:ID_OR_FOLDER for a sentence-transformers model, or openai:MODEL for "
        "an endpoint.",
    ),
]

RouterEmbedder = Annotated[
    str | None,
    typer.Option(
        "--embedder",
        metavar="NAME",
        help="Where the router's embedder is now, if not where it was trained: "
        "sentence:FOLDER, or openai:MODEL with --embedder-url.",
    ),
]

EmbedderUrl = Annotated[
    str | None,
    typer.Option(
        "--embedder-url",
        metavar="URL",
        help="Where openai:MODEL is, up to and with the version: http://127.0.0.1:11434/v1.",
    ),
]

EmbedderKey = Annotated[
    str | None,
    typer.Option(
        "--embedder-key",
        metavar="env:NAME",
        help="Where its key is: env:NAME or file:PATH; none where none is needed.",
    ),
]

DeviceName = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="NAME",
        help="Where bert and causal run: cpu, cuda, cuda:N or mps (default: a GPU where there is "
        "one).",
    ),
]


EndpointUrl = Annotated[
    str | None,
    typer.Option(
        "--endpoint",
        metavar="URL",
        help="Where a causal-endpoint router asks, up to and with the version: "
        "http://127.0.0.1:8000/v1.",
    ),
]

EndpointKey = Annotated[
    str | None,
    typer.Option(
        "--endpoint-key",
        metavar="env:NAME",
        help="Where its key is: env:NAME or file:PATH; none where none is needed.",
    ),
]


@contextmanager
def opened_embedder(
    name: str, *, url: str | None = None, key: str | None = None, is_shown: bool = True
) -> "Iterator[Embedder]":
    """Load an embedder; vectors of any but ``static`` are kept in the user's cache folder.

    Args:
        name: As users write it.
        url: Base URL of the endpoint of ``openai:MODEL``.
        key: A reference to its key, see `resolve_secret`.
        is_shown: Show how far it is while the block runs, on a terminal.

    Yields:
        The embedder.

    Raises:
        ConfigError: If no embedder has that name, or URL and key do not fit it.
        ArtifactError: If its files are missing or damaged.
        MissingExtraError: If it needs an extra that is not installed.
        UpstreamError: If the endpoint does not answer.
    """
    from routecast.embed.cache import cached, user_cache_folder
    from routecast.embed.registry import load_embedder

    embedder = load_embedder(name, endpoint=_endpoint(name, url, key))
    if name == "static":
        yield embedder
        return
    folder = user_cache_folder(os.environ, home=Path.home())
    if not is_shown:
        yield cached(embedder, folder)
        return
    with shown_progress("embedding") as watch:
        yield cached(embedder, folder, progress=watch)


@contextmanager
def opened_router(
    router: str,
    *,
    embedder: str | None = None,
    url: str | None = None,
    key: str | None = None,
    endpoint: "Endpoint | None" = None,
    device: str | None = None,
) -> "Iterator[LoadedRouter]":
    """Load a router, with the embedder and the endpoint that the user names.

    Args:
        router: Name or folder.
        embedder: As users write it; None where the router needs none but ``static``.
        url: See `opened_embedder`.
        key: Likewise.
        endpoint: See `named_endpoint`.
        device: Where a router that is a neural network runs; None picks.

    Yields:
        The router.

    Raises:
        ConfigError: If nothing has that name, or URL and key do not fit the embedder.
        ArtifactError: If a file is damaged, or the embedder gives other vectors.
        MissingExtraError: If the embedder needs an extra that is not installed.
        UpstreamError: If the endpoint does not answer.
    """
    from routecast.artifacts import load_router

    if embedder is None:
        if url is not None or key is not None:
            raise ConfigError("--embedder-url and --embedder-key mean nothing without --embedder")
        yield load_router(router, device=device, endpoint=endpoint)
        return
    with opened_embedder(embedder, url=url, key=key, is_shown=False) as opened:
        yield load_router(router, embedder=opened, device=device, endpoint=endpoint)


def named_endpoint(url: str | None, key: str | None) -> "Endpoint | None":
    """Return what ``--endpoint`` and ``--endpoint-key`` name; the model is the router's.

    Raises:
        ConfigError: If there is a key and no URL, the URL is none, or the key is not there.
    """
    return _endpoint("endpoint", url, key, flag="--endpoint")


def _endpoint(
    name: str, url: str | None, key: str | None, *, flag: str = "--embedder-url"
) -> "Endpoint | None":
    from routecast.upstream.endpoint import Endpoint
    from routecast.upstream.secrets import resolve_secret

    if url is None:
        if key is not None:
            key_flag = f"{flag.removesuffix('-url')}-key"
            raise ConfigError(f"{key_flag} means nothing without {flag}")
        return None
    if not url.startswith(("http://", "https://")):
        raise ConfigError(
            f"{flag} {url!r}; accepted is an http:// or https:// URL such as "
            "https://api.openai.com/v1"
        )
    secret = None if key is None else resolve_secret(key, os.environ)
    return Endpoint(name=name, model=name.partition(":")[2], base_url=url, api_key=secret)
