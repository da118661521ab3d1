"""Embeddings from one OpenAI-compatible endpoint: one attempt, no memory."""

import json
from collections.abc import Sequence

import aiohttp
import numpy as np

from routecast.types import EmbeddingArray
from routecast.upstream.chat import ChatTimeouts, post_json
from routecast.upstream.endpoint import Endpoint
from routecast.upstream.retry import AttemptError


async def send_embeddings(
    session: aiohttp.ClientSession,
    endpoint: Endpoint,
    texts: Sequence[str],
    *,
    timeouts: ChatTimeouts,
) -> EmbeddingArray:
    """Ask once for the vectors of some texts.

    Args:
        session: Open connections.
        endpoint: The model behind ``/embeddings``.
        texts: At least one, none empty, without lone surrogates.
        timeouts: How long to wait.

    Returns:
        The vectors as they came, shape (n_texts, dimension); finite.

    Raises:
        AttemptError: When there is no usable answer. Nothing is retried.
    """
    body = {"model": endpoint.model, "input": list(texts), "encoding_format": "float"}
    reply = await post_json(session, endpoint, "/embeddings", body, timeouts=timeouts)
    return read_embeddings(reply, n_texts=len(texts), who=f"model {endpoint.name!r}")


def read_embeddings(body: bytes, *, n_texts: int, who: str) -> EmbeddingArray:
    """Read the body of an answer; its entries may come in any order.

    Raises:
        AttemptError: If it does not hold one finite vector per text, all of one length.
    """
    try:
        entries = json.loads(body)["data"]
        rows = [entry["embedding"] for entry in sorted(entries, key=lambda one: one["index"])]
        indices = sorted(entry["index"] for entry in entries)
        vectors = np.array(rows, dtype=np.float32)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        raise _unusable(who, "something that is no list of embeddings") from None
    if indices != list(range(n_texts)) or vectors.ndim != 2 or not vectors.shape[1]:
        raise _unusable(who, f"no single vector for each of {n_texts} texts")
    if not np.isfinite(vectors).all():
        raise _unusable(who, "vectors that are not finite")
    return vectors


def _unusable(who: str, what: str) -> AttemptError:
    return AttemptError(
        f"{who} answered with {what}", status=200, is_transient=True, may_be_charged=True
    )
