"""Parts of a prompt that do not belong to the request, such as are put there to lift its score.

Two places are looked at: the first ten words, and what comes after the first forty. Each is
compared, by the cosine of their vectors, with the 200 characters that follow the first ten words.
Where it is less alike than in most labelled prompts, the prompt is scored without that part too,
and the smallest score counts: what does not belong can lower a score, and not lift it. It takes an
embedder that is quick with one text (`EmbedsOne`); with others nothing is suspected.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from routecast.errors import ArtifactError
from routecast.types import AnyArray, EmbeddingArray, FloatArray

N_FIRST: Final = 10
"""First words that may not belong to what follows."""

N_HEAD: Final = 40
"""First words to which what follows may not belong."""

SUSPECT_FIRST: Final = 0.2
SUSPECT_TAIL: Final = 0.1
"""Shares of the labelled prompts that are suspected, of those that are long enough to be."""

NEVER: Final = -2.0
"""A likeness that no text falls below."""

_MIN_REST: Final = 6  # words that follow; of less, nothing can be told
_N_COMPARED: Final = 200  # characters
_NAME: Final = "belonging"

EmbedOne = Callable[[str], EmbeddingArray]
"""Gives a text's unit vector, shape (dimension,)."""


@dataclass(frozen=True)
class Belonging:
    """The likeness that parts of a prompt must have to the rest of it, in [-1, 1] or `NEVER`.

    Attributes:
        first: Of the first ten words.
        tail: Of the last 200 characters, after the first forty words.
    """

    first: float = NEVER
    tail: float = NEVER

    @classmethod
    def of(cls, prompts: Sequence[str], embed_one: EmbedOne) -> Self:
        """Measure labelled prompts, their labels unseen."""
        found = np.array([_likenesses(prompt, embed_one) for prompt in prompts])
        first, tail = found.reshape(-1, 2).T
        return cls(_quantile(first, SUSPECT_FIRST), _quantile(tail, SUSPECT_TAIL))

    def belonging_parts(self, prompt: str, embed_one: EmbedOne) -> list[str]:
        """Return the prompt without what is suspected; nothing where nothing is.

        Args:
            prompt: Any text.
            embed_one: Of the router's embedder.

        Returns:
            The prompt without its first ten words, if these are suspected; then the first forty
            words of what is left, if what comes later is.
        """
        if self == NOTHING_SUSPECTED:
            return []
        first, tail = _likenesses(prompt, embed_one)
        parts = []
        if first < self.first:
            prompt = _after(prompt, N_FIRST)
            parts.append(prompt)
        if tail < self.tail:
            parts.append(prompt[: len(prompt) - len(_after(prompt, N_HEAD))])
        return parts

    def guarded(
        self,
        prompts: Sequence[str],
        *,
        score: Callable[[Sequence[str]], FloatArray],
        embed_one: EmbedOne,
    ) -> FloatArray:
        """Return scores that parts which do not belong cannot lift.

        Args:
            prompts: What to score.
            score: Scores any texts, shape (n_texts,); NaN where a text cannot be scored.
            embed_one: Of the router's embedder.

        Returns:
            The smallest score that is known of each prompt and its belonging parts, shape
            (n_prompts,).
        """
        scores = score(prompts)
        parts = [self.belonging_parts(prompt, embed_one) for prompt in prompts]
        rows = [row for row, those in enumerate(parts) for _ in those]
        if rows:
            np.fmin.at(scores, rows, score([part for those in parts for part in those]))
        return scores

    def guarded_one(
        self, prompt: str, *, score_one: Callable[[str], float], embed_one: EmbedOne
    ) -> float:
        """Return the same of one prompt."""
        score = score_one(prompt)
        for part in self.belonging_parts(prompt, embed_one):
            score = float(np.fmin(score, score_one(part)))
        return score

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


def _after(prompt: str, n_words: int) -> str:
    """Return what follows the first words; nothing where that is less than six words."""
    parts = prompt.split(None, n_words)
    if len(parts) <= n_words or len(parts[-1].split(None, _MIN_REST)) < _MIN_REST:
        return ""
    return parts[-1]


def _likenesses(prompt: str, embed_one: EmbedOne) -> tuple[float, float]:
    """Return how alike the first words, and the last ones, are to those between; NaN if too few."""
    rest = _after(prompt, N_FIRST)
    if not rest:
        return np.nan, np.nan
    middle = embed_one(rest[:_N_COMPARED])
    first = embed_one(prompt[: len(prompt) - len(rest)]).dot(middle)
    tail = _after(rest, N_HEAD - N_FIRST)
    return float(first), float(embed_one(tail[-_N_COMPARED:]).dot(middle)) if tail else np.nan


def _quantile(likeness: FloatArray, share: float) -> float:
    known = likeness[~np.isnan(likeness)]
    return float(np.quantile(known, share)) if len(known) else NEVER
