"""What every embedder offers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from routecast.types import EmbeddingArray


@dataclass(frozen=True, kw_only=True)
class EmbedderIdentity:
    """What pins an embedder.

    The digest decides, see `gives_vectors_of`. The name tells the user what was meant and where it
    was then: a folder that was moved, or the same model under its hub id, is the same embedder.

    Attributes:
        name: As users write it: ``static``, ``sentence:ID_OR_FOLDER``, ``openai:MODEL``.
        revision: Version of the weights, for people; empty when nobody numbers them.
        dimension: Length of one vector.
        digest: SHA-256 over the files that decide the vectors, in hexadecimal.
    """

    name: str
    revision: str
    dimension: int
    digest: str

    def shareable(self) -> "EmbedderIdentity":
        """Return what others may see: of a folder of the user's own, its last name alone."""
        kind, _, where = self.name.partition(":")
        if kind != "sentence" or self.revision:
            return self
        return replace(self, name=f"sentence:{Path(where).name or 'model'}")

    def gives_vectors_of(self, pinned: "EmbedderIdentity") -> bool:
        """Return whether this embedder may stand in for a pinned one: same digest and dimension."""
        return (self.digest, self.dimension) == (pinned.digest, pinned.dimension)


class Embedder(Protocol):
    """Turns texts into unit vectors."""

    @property
    def identity(self) -> EmbedderIdentity:
        """What an artifact pins, so that a router never reads foreign vectors."""
        ...

    def embed(self, texts: Sequence[str]) -> EmbeddingArray:
        """Return one finite unit vector per text, shape (n_texts, dimension).

        Any text is accepted: empty, very long, with control characters or lone surrogates.
        """
        ...


@runtime_checkable
class EmbedsOne(Protocol):
    """An embedder that takes less time for a single text than for a list of one."""

    def embed_one(self, text: str) -> EmbeddingArray:
        """Return the vector that ``embed`` gives this text, shape (dimension,)."""
        ...


@runtime_checkable
class PoolsTokens(Protocol):
    """An embedder whose vector of a text is that of its tokens, in any order."""

    def token_vectors(self, text: str) -> EmbeddingArray:
        """Return the vectors of a text's tokens in their order, shape (n_tokens, dimension)."""
        ...

    def pool(self, vectors: EmbeddingArray) -> EmbeddingArray:
        """Return the unit vector of tokens with these vectors, shape (dimension,)."""
        ...


def one_by_one(embedder: Embedder) -> Callable[[str], EmbeddingArray]:
    """Return the quickest way to the vector of a single text, shape (dimension,)."""
    if isinstance(embedder, EmbedsOne):
        return embedder.embed_one
    return lambda text: embedder.embed([text])[0]


@dataclass(frozen=True, kw_only=True)
class Cut:
    """What is left out of a text.

    Attributes:
        n_characters: Characters that are not read.
        n_tokens: Tokens of the characters that are read which are left out all the same.
    """

    n_characters: int
    n_tokens: int

    def __bool__(self) -> bool:
        """Return whether anything is left out."""
        return self.n_characters > 0 or self.n_tokens > 0


@runtime_checkable
class CutsTexts(Protocol):
    """An embedder, or a router of texts, that reads very long texts in part, and says so."""

    def cut(self, text: str) -> Cut:
        """Say what is left out of a text."""
        ...
