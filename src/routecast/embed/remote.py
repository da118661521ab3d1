"""Any OpenAI-compatible ``/embeddings`` endpoint as an embedder."""

import asyncio
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import numpy as np

from routecast.embed.protocol import EmbedderIdentity
from routecast.embed.wordpiece import without_surrogates
from routecast.errors import UpstreamError
from routecast.types import EmbeddingArray
from routecast.upstream.chat import ChatTimeouts, open_session
from routecast.upstream.embeddings import send_embeddings
from routecast.upstream.endpoint import Endpoint
from routecast.upstream.retry import RetryPolicy, retry_attempts

MAX_TEXTS: Final = 128
"""Texts per request; OpenAI takes 2,048, many servers fewer."""

MAX_CHARS: Final = 8_000
"""Characters that are sent of a text: OpenAI's models refuse more than 8,191 tokens."""

N_AT_ONCE: Final = 4
"""Requests under way at a time."""

NOTHING: Final = " "
"""What is sent for a text that is empty, which OpenAI refuses."""


class RemoteEmbedder:
    """Embeds texts by requests to an endpoint.

    - Of a text, the first 8,000 characters are sent; lone surrogates become U+FFFD.
    - Equal texts of one call are sent once, 128 to a request, and failed requests are tried again
      as the retry policy says. One that fails for good ends the call.
    - Servers round differently from call to call; keep the vectors with `cached` for others that
      must be the same.

    It must not be called from a running event loop; call it from a thread there.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        dimension: int,
        retry: RetryPolicy | None = None,
        timeouts: ChatTimeouts | None = None,
    ) -> None:
        """Serve an endpoint whose vectors have a known dimension; `load_remote` asks for it."""
        self._endpoint = endpoint
        self._retry = retry or RetryPolicy()
        self._timeouts = timeouts or ChatTimeouts(read_s=120.0, total_s=600.0)
        pinned = f"openai:{endpoint.model}\n{dimension}\n"
        self._identity = EmbedderIdentity(
            name=f"openai:{endpoint.model}",
            revision="",
            dimension=dimension,
            digest=sha256(pinned.encode()).hexdigest(),
        )

    @property
    def identity(self) -> EmbedderIdentity:
        """Name and dimension; the digest is theirs, for nobody sees a server's files.

        The address is left out: one model at two addresses is one embedder.
        """
        return self._identity

    def embed(self, texts: Sequence[str]) -> EmbeddingArray:
        """Return one unit vector per text, shape (n_texts, dimension), float32.

        Raises:
            UpstreamError: If the endpoint fails for good, or its vectors have another length.
        """
        if not texts:
            return np.empty((0, self._identity.dimension), dtype=np.float32)
        rows: dict[str, int] = {}
        positions = [rows.setdefault(_readable(text), len(rows)) for text in texts]
        vectors = asyncio.run(self._embed_all(list(rows)))
        return _unit(vectors)[positions]

    async def _embed_all(self, texts: Sequence[str]) -> EmbeddingArray:
        blocks = [texts[start : start + MAX_TEXTS] for start in range(0, len(texts), MAX_TEXTS)]
        turns = asyncio.Semaphore(N_AT_ONCE)
        async with open_session() as session:

            async def embed_block(block: Sequence[str]) -> EmbeddingArray:
                async with turns:
                    return await retry_attempts(
                        lambda: send_embeddings(
                            session, self._endpoint, block, timeouts=self._timeouts
                        ),
                        policy=self._retry,
                    )

            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(embed_block(block)) for block in blocks]
            except* UpstreamError as failures:
                raise _first(failures) from None
        vectors = [task.result() for task in tasks]
        for block in vectors:
            self._check(block)
        return np.concatenate(vectors)

    def _check(self, vectors: EmbeddingArray) -> None:
        if vectors.shape[1] != self._identity.dimension:
            raise UpstreamError(
                f"model {self._endpoint.name!r} gave vectors of {vectors.shape[1]} numbers where "
                f"it gave {self._identity.dimension} before; check that its base_url still "
                "serves the same model"
            )


def load_remote(
    endpoint: Endpoint,
    *,
    retry: RetryPolicy | None = None,
    timeouts: ChatTimeouts | None = None,
) -> RemoteEmbedder:
    """Ask an endpoint for one vector, to learn their dimension, and return its embedder.

    Raises:
        UpstreamError: If there is no answer.
    """
    policy = retry or RetryPolicy()
    timeouts = timeouts or ChatTimeouts(read_s=120.0, total_s=600.0)

    async def ask() -> EmbeddingArray:
        async with open_session() as session:
            return await retry_attempts(
                lambda: send_embeddings(session, endpoint, ["dimension"], timeouts=timeouts),
                policy=policy,
            )

    dimension = asyncio.run(ask()).shape[1]
    return RemoteEmbedder(endpoint, dimension=dimension, retry=policy, timeouts=timeouts)


def _readable(text: str) -> str:
    """Return what is sent for a text."""
    head = text[:MAX_CHARS]
    head = head if head.isascii() else without_surrogates(head)
    return head if head.strip() else NOTHING


def _unit(vectors: EmbeddingArray) -> EmbeddingArray:
    """Scale each row to length 1; a row of zeros gets the diagonal's direction."""
    vectors[~vectors.any(axis=1)] = 1.0
    unit: EmbeddingArray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _first(failures: BaseExceptionGroup) -> BaseException:
    """Return one failure of many: the first, which stopped the others."""
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
