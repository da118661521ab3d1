"""Simulated embeddings: a hash of the text, in OpenAI's shape."""

import base64
import struct
from hashlib import blake2b
from typing import Any

from routecast.testing.simulation import Json, Simulation, n_tokens


def simulated_embedding(text: str) -> list[float]:
    """Return eight numbers that a hash of the text decides, in [-1, 1]; not of length 1."""
    return [byte / 127.5 - 1.0 for byte in blake2b(text.encode(), digest_size=8).digest()]


def embed_texts(simulation: Simulation) -> Json | str:
    """Return ``simulated_embedding`` of each text, the last one first; what is wrong if refused."""
    given = simulation.request.get("input")
    texts: Any = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts:
        return "an input is empty or no text"
    if not all(isinstance(text, str) and text for text in texts):
        return "an input is empty or no text"
    as_base64 = simulation.request.get("encoding_format") == "base64"
    entries = [
        {"object": "embedding", "index": index, "embedding": _written(text, as_base64=as_base64)}
        for index, text in reversed(list(enumerate(texts)))
    ]
    n = n_tokens(sum(map(len, texts)))
    usage = {"prompt_tokens": n, "total_tokens": n}
    return {"object": "list", "data": entries, "model": simulation.name, "usage": usage}


def _written(text: str, *, as_base64: bool) -> list[float] | str:
    vector = simulated_embedding(text)
    if not as_base64:
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
