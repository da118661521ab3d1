"""Parts of a prompt that do not belong to the request, such as are put there to lift its score.

Two places are looked at: the first ten tokens, and the last fifty after the first forty. Each is
compared, by the cosine of their vectors, with the fifty that follow the first ten. Where it is less
alike than in most labelled prompts, the prompt is scored without its first ten words, or without
what comes after the first forty, too, and the smallest score counts: what does not belong can lower
a score, and not lift it. It takes an embedder of tokens (`PoolsTokens`); with others nothing is
suspected.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self

import numpy as np

from routecast.embed.protocol import Embedder, PoolsTokens, one_by_one
from routecast.errors import ArtifactError
from routecast.types import AnyArray, EmbeddingArray, FloatArray

N_FIRST: Final = 10
"""First words, or tokens, that may not belong to what follows."""

N_HEAD: Final = 40
"""First words, or tokens, to which what follows may not belong."""

SUSPECT_FIRST: Final = 0.2
SUSPECT_TAIL: Final = 0.1
"""Shares of the labelled prompts that are suspected, of those that are long enough to be."""

NEVER: Final = -2.0
"""A likeness that no text falls below."""

_MIN_REST: Final = 6  # words that follow; of less, nothing can be told
_N_COMPARED: Final = 50  # tokens
_NAME: Final = "belonging"


@dataclass(frozen=True)
class Belonging:
    """The likeness that parts of a prompt must have to the rest of it, in [-1, 1] or `NEVER`.

    Attributes:
        first: Of the first ten tokens.
        tail: Of the last fifty tokens.
    """

    first: float = NEVER
    tail: float = NEVER

    @classmethod
    def of(cls, prompts: Sequence[str], embedder: Embedder) -> Self:
        """Measure labelled prompts, their labels unseen."""
        if not isinstance(embedder, PoolsTokens):
            return cls()
        found = [_likenesses(embedder.token_vectors(prompt), embedder) for prompt in prompts]
        first, tail = np.array(found).reshape(-1, 2).T
        return cls(_quantile(first, SUSPECT_FIRST), _quantile(tail, SUSPECT_TAIL))

    def tensors(self) -> dict[str, AnyArray]:
        """Return the array that an artifact stores; none where nothing is suspected."""
        return {} if self == NOTHING_SUSPECTED else {_NAME: np.array([self.first, self.tail])}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, AnyArray]) -> Self:
        """Rebuild from what ``tensors`` returned.

        Raises:
            ArtifactError: If the array has another shape.
        """
        if _NAME not in tensors:
            return cls()
        if tensors[_NAME].shape != (2,):
            raise ArtifactError(
                f"the tensor {_NAME!r} has the shape {tensors[_NAME].shape!r}; it needs (2,): "
                "train the router again"
            )
        return cls(*tensors[_NAME].tolist())


NOTHING_SUSPECTED: Final = Belonging()


@dataclass(frozen=True, eq=False)
class Guard:
    """Scores prompts so that parts which do not belong cannot lift them.

    Attributes:
        belonging: How alike the parts of a prompt must be.
        embedder: Of the router.
    """

    belonging: Belonging
    embedder: Embedder

    def scores(
        self,
        prompts: Sequence[str],
        score: Callable[[Sequence[str], EmbeddingArray], FloatArray],
    ) -> FloatArray:
        """Return the smallest score that is known of each prompt and its belonging parts.

        Args:
            prompts: What to score.
            score: Scores texts by themselves and their vectors, shape (n_texts,); NaN where a text
                cannot be scored.

        Returns:
            Shape (n_prompts,).
        """
        if self._tokens is None:
            return score(prompts, self.embedder.embed(prompts))
        embeddings = np.empty((len(prompts), self.embedder.identity.dimension), np.float32)
        rows, parts = [], []
        for row, prompt in enumerate(prompts):
            vectors = self._tokens.token_vectors(prompt)
            embeddings[row] = self._tokens.pool(vectors)
            found = self._parts(prompt, vectors, self._tokens)
            rows += [row] * len(found)
            parts += found
        scores = score(prompts, embeddings)
        if parts:
            np.fmin.at(scores, rows, score(parts, self.embedder.embed(parts)))
        return scores

    def score_one(self, prompt: str, score: Callable[[str, EmbeddingArray], float]) -> float:
        """Return the same of one prompt, given what scores one text by itself and its vector."""
        tokens = self._tokens
        if tokens is None:
            return score(prompt, self._embed_one(prompt))
        vectors = tokens.token_vectors(prompt)
        smallest = score(prompt, tokens.pool(vectors))
        for part in self._parts(prompt, vectors, tokens):
            smallest = float(np.fmin(smallest, score(part, self._embed_one(part))))
        return smallest

    def parts(self, prompt: str) -> list[str]:
        """Return the prompt without what is suspected; nothing where nothing is.

        That is the prompt without its first ten words, if these are suspected; then the first forty
        words of what is left, if what comes later is.
        """
        if self._tokens is None:
            return []
        return self._parts(prompt, self._tokens.token_vectors(prompt), self._tokens)

    def _parts(self, prompt: str, vectors: EmbeddingArray, tokens: PoolsTokens) -> list[str]:
        with_tail = self.belonging.tail > NEVER
        first, tail = _likenesses(vectors, tokens, with_tail=with_tail)
        parts = []
        if first < self.belonging.first:
            prompt = _after(prompt, N_FIRST)
            parts.append(prompt)
        if tail < self.belonging.tail:
            parts.append(prompt[: len(prompt) - len(_after(prompt, N_HEAD))])
        return [part for part in parts if part]

    @cached_property
    def _tokens(self) -> PoolsTokens | None:
        """The embedder of tokens; None where nothing is suspected."""
        if self.belonging == NOTHING_SUSPECTED or not isinstance(self.embedder, PoolsTokens):
            return None
        return self.embedder

    @cached_property
    def _embed_one(self) -> Callable[[str], EmbeddingArray]:
        return one_by_one(self.embedder)


def _after(prompt: str, n_words: int) -> str:
    """Return what follows the first words; nothing where that is less than six words."""
    parts = prompt.split(None, n_words)
    if len(parts) <= n_words or len(parts[-1].split(None, _MIN_REST)) < _MIN_REST:
        return ""
    return parts[-1]


def _likenesses(
    vectors: EmbeddingArray, tokens: PoolsTokens, *, with_tail: bool = True
) -> tuple[float, float]:
    """Return how alike the first and the last tokens are to those between; NaN if too few."""
    if len(vectors) < N_FIRST + _MIN_REST:
        return np.nan, np.nan
    middle = tokens.pool(vectors[N_FIRST : N_FIRST + _N_COMPARED])
    first = float(tokens.pool(vectors[:N_FIRST]).dot(middle))
    if not with_tail or len(vectors) < N_HEAD + _MIN_REST:
        return first, np.nan
    return first, float(tokens.pool(vectors[N_HEAD:][-_N_COMPARED:]).dot(middle))


def _quantile(likeness: FloatArray, share: float) -> float:
    known = likeness[~np.isnan(likeness)]
    return float(np.quantile(known, share)) if len(known) else NEVER
