"""The default embedder: static token vectors distilled from MiniLM, pooled.

A text's vector is the sum of its tokens' vectors, scaled to length 1 (so it is their mean, too).
No model runs, so it takes microseconds, and it knows words but not their order.
"""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

import numpy as np

from routecast.embed.protocol import Cut, EmbedderIdentity
from routecast.embed.static_folder import StaticFolder, read_static_folder
from routecast.embed.wordpiece import WordPieceTokenizer, without_surrogates
from routecast.types import EmbeddingArray

MAX_BYTES: Final = 12_288
"""Bytes of UTF-8 that are read of one text: the first 6,144 and the last 6,144."""

MAX_TOKENS: Final = 2_048
"""Tokens that are pooled of what was read: the first 1,024 and the last 1,024."""

_BLOCK_ROWS = 64
_BLOCK_TEXTS = 64  # tokenised before they are pooled: each of the two has its own use of caches


class StaticEmbedder:
    """Embeds texts by static token vectors. Safe to share between threads.

    Every text has a vector, and it does not depend on the other texts of the call:

    - Of a text of more than 12,288 bytes of UTF-8, the first 6,144 and the last 6,144 bytes are
      read, as if a space stood between; a character on either edge is left out whole.
    - Of more than 2,048 tokens, the first 1,024 and the last 1,024 are pooled.
    - Halves of surrogate pairs are joined; lone surrogates and control characters are dropped.
    - Special and unknown tokens count for nothing. A text without other tokens (empty, white
      space, an alphabet that the vocabulary lacks) has MiniLM's vector of the empty text.

    Memory: 31 MB of vectors, about 20 MB of tokenizer, and learned words of at most 35 MB.
    """

    def __init__(self, folder: StaticFolder) -> None:
        """Serve what `read_static_folder` read."""
        self._identity = folder.identity
        self._tokenizer = WordPieceTokenizer(folder.tokenizer_json)
        self._vectors = folder.vectors
        self._nothing = folder.nothing

    @property
    def identity(self) -> EmbedderIdentity:
        """Name, revision, dimension and digest of the files."""
        return self._identity

    def embed(self, texts: Sequence[str]) -> EmbeddingArray:
        """Return one unit vector per text, shape (n_texts, dimension), float32."""
        embeddings = np.empty((len(texts), self._identity.dimension), dtype=np.float32)
        for start in range(0, len(texts), _BLOCK_TEXTS):
            block = [self.token_ids(text) for text in texts[start : start + _BLOCK_TEXTS]]
            for row, ids in enumerate(block, start):
                embeddings[row] = self.pool(self._vectors_of(ids))
        return embeddings

    def embed_one(self, text: str) -> EmbeddingArray:
        """Return the unit vector of one text, shape (dimension,), float32."""
        return self.pool(self.token_vectors(text))

    def token_ids(self, text: str) -> list[int]:
        """Return the ids of the tokens that are read; over 2,048, the middle is not pooled."""
        return self._tokenizer.token_ids(_joined(*_ends(text)))

    def whole_words(self) -> tuple[str, ...]:
        """Return the vocabulary's words of two ASCII letters or more, each of which is a token."""
        vocabulary = self._tokenizer.vocabulary
        return tuple(w for w in vocabulary if len(w) > 1 and w.isascii() and w.isalpha())

    def forget(self) -> None:
        """Forget every learned word, so that the next texts are embedded as at first sight."""
        self._tokenizer.forget()

    def cut(self, text: str) -> Cut:
        """Say what the vector of a text leaves out; of a text up to 2,048 bytes, nothing."""
        if 4 * len(text) <= MAX_TOKENS:
            return Cut(n_characters=0, n_tokens=0)
        head, tail = _ends(text)
        n_tokens = len(self._tokenizer.token_ids(_joined(head, tail)))
        return Cut(
            n_characters=len(text) - len(head) - len(tail) if tail else 0,
            n_tokens=max(0, n_tokens - MAX_TOKENS),
        )

    def token_vectors(self, text: str) -> EmbeddingArray:
        """Return the vectors of the tokens that are pooled, shape (n_tokens, dimension)."""
        return self._vectors_of(self.token_ids(text))

    def _vectors_of(self, ids: list[int]) -> EmbeddingArray:
        if len(ids) > MAX_TOKENS:
            ids = ids[: MAX_TOKENS // 2] + ids[-MAX_TOKENS // 2 :]
        return self._vectors.take(ids, axis=0)

    def pool(self, vectors: EmbeddingArray) -> EmbeddingArray:
        """Return the unit vector of tokens with these vectors, shape (dimension,)."""
        total = _sum_rows(vectors)
        norm = float(total.dot(total)) ** 0.5
        if norm <= 0:
            return self._nothing.copy()
        total /= norm
        return total


def _ends(text: str) -> tuple[str, str]:
    """Return the head and the tail that are read; a text that is read whole has no tail."""
    half = MAX_BYTES // 2
    if len(text) > MAX_BYTES:
        head, tail = _utf8(text[:half]), _utf8(text[-half:])
    elif text.isascii():
        return text, ""
    else:
        head = tail = _utf8(text)
        if len(head) <= MAX_BYTES:
            return head.decode(), ""
    return head[:half].decode(errors="ignore"), tail[-half:].decode(errors="ignore")


def _joined(head: str, tail: str) -> str:
    return f"{head} {tail}" if tail else head


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return without_surrogates(text).encode()


def _sum_rows(rows: EmbeddingArray) -> EmbeddingArray:
    """Sum over rows, long arrays in blocks, so that float32 errors stay below 1e-6 of the sum."""
    n_blocks = len(rows) // _BLOCK_ROWS
    if n_blocks < 2:
        total: EmbeddingArray = np.add.reduce(rows, axis=0)
        return total
    n_whole = n_blocks * _BLOCK_ROWS
    blocks = rows[:n_whole].reshape(n_blocks, _BLOCK_ROWS, -1)
    total = np.add.reduce(np.add.reduce(blocks, axis=1), axis=0)
    total += np.add.reduce(rows[n_whole:], axis=0)
    return total


def load_static(folder: Path | None = None) -> StaticEmbedder:
    """Load a static embedder.

    Args:
        folder: What ``runs/distill_static.py`` wrote; None for the one inside the package.

    Raises:
        ArtifactError: If a file is missing or changed, or the format is newer.
    """
    shipped = Path(str(files("routecast"))) / "models" / "static"
    return StaticEmbedder(read_static_folder(shipped if folder is None else folder))
