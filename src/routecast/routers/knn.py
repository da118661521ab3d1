"""Nearest labelled prompts, compressed: a smooth mean over the centres of clusters, and length.

The gap of a prompt is read from the labelled prompts around it, each counting by how alike it is:
the estimator of Nadaraya and Watson. Labelled prompts are replaced by the centres of their
clusters, so that scoring costs one small matrix product whatever the number of labels. A rise of
the gap with length is added, because that is the one thing that carries over to traffic of another
kind. Both shrink where the prompt is unlike what is labelled, and the mean gap of all is left: the
first wholly, the second to a small share of itself, both wholly where a text is far longer than any
labelled one.

References:
    Nadaraya (1964), On Estimating Regression; Watson (1964), Smooth Regression Analysis.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self, TypeVar

import numpy as np

from routecast.embed.protocol import Embedder, one_by_one
from routecast.errors import ArtifactError
from routecast.routers.binding import refuse_overlap
from routecast.types import AnyArray, EmbeddingArray, FloatArray

MAX_DEVIATIONS: Final = 3.0
"""Lengths farther from the mean than so many standard deviations count as that far; a text that is
longer than that counts less and less, and at twice as many deviations not at all."""

_BLOCK = 4_096
_NUMBERS = (
    "sharpness",
    "prior",
    "base_gap",
    "length_slope",
    "length_mean",
    "length_deviation",
    "length_far_share",
)
_EDGE = 1e-6
_MAX_EXPONENT = 80.0  # exp of it and of its negative are numbers in float32
NumberT = TypeVar("NumberT", float, FloatArray)


@dataclass(frozen=True, eq=False)
class Knn:
    """What training found.

    Attributes:
        centres: Unit vectors of the clusters' centres, shape (n_centres, dimension), float32.
        gap_sums: Summed weighted gaps of each cluster's prompts, less ``base_gap``, shape
            (n_centres,).
        masses: Summed weights of each cluster's prompts, above 0, same shape.
        sharpness: A centre at cosine c counts exp(sharpness (c - 1)).
        prior: Mass, in the kernel's unit, that the mean gap of all prompts counts with, above 0.
        base_gap: That mean gap, in [-1, 1].
        length_slope: Rise of the gap per standard deviation of the log of length, where a prompt
            is among labelled ones.
        length_mean: Of log(1 + characters).
        length_deviation: Its standard deviation, above 0.
        length_far_share: Share of that rise which is left where nothing labelled is near, 0 to 1.
    """

    centres: EmbeddingArray
    gap_sums: FloatArray
    masses: FloatArray
    sharpness: float
    prior: float
    base_gap: float
    length_slope: float
    length_mean: float
    length_deviation: float
    length_far_share: float

    def predict(self, prompts: Sequence[str], embeddings: EmbeddingArray) -> FloatArray:
        """Return the expected gap of prompts, strong minus weak, shape (n_prompts,)."""
        if len(prompts) == 1:
            return np.array([self.predict_one(prompts[0], embeddings[0])])
        lengths = self.standard_lengths(prompts)
        gaps = np.empty(len(prompts))
        for start in range(0, len(prompts), _BLOCK):
            rows = slice(start, start + _BLOCK)
            kernel = kernel_of(embeddings[rows] @ self.centres.T, self.sharpness)
            gap_sums, masses = (kernel @ self._sums).T.astype(np.float64)  # (n_rows,) each
            gaps[rows] = self.departures(gap_sums, masses, lengths[rows])
        gaps += self.base_gap
        return gaps

    def departures(
        self, gap_sums: FloatArray, masses: FloatArray, lengths: FloatArray
    ) -> FloatArray:
        """Return how far the gaps of prompts are from the mean gap, shape (n_prompts,).

        Args:
            gap_sums: Kernel sum of gaps less the mean gap, over the labelled prompts around each.
            masses: Kernel sum of their weights, same shape.
            lengths: See `standard_lengths`, same shape.
        """
        reach = np.clip(2.0 - lengths / MAX_DEVIATIONS, 0.0, 1.0)
        return reach * self._nearby(gap_sums, masses, np.minimum(lengths, MAX_DEVIATIONS))

    def predict_one(self, prompt: str, embedding: EmbeddingArray) -> float:
        """Do the same for one prompt, in a third of the time: no array for each single number."""
        kernel = self._steep_centres.dot(embedding)
        if self.sharpness > _MAX_EXPONENT:
            kernel -= self.sharpness - _MAX_EXPONENT
        sums: list[float] = np.exp(kernel, out=kernel).dot(self._faded_sums).tolist()
        gap_sum, mass = sums
        length = (math.log1p(len(prompt)) - self.length_mean) / self.length_deviation
        length = max(length, -MAX_DEVIATIONS)
        if length <= MAX_DEVIATIONS:
            return self.base_gap + self._nearby(gap_sum, mass, length)
        reach = max(2.0 - length / MAX_DEVIATIONS, 0.0)
        return self.base_gap + reach * self._nearby(gap_sum, mass, MAX_DEVIATIONS)

    def _nearby(self, gap_sums: NumberT, masses: NumberT, lengths: NumberT) -> NumberT:
        """Return how far the gap is from the mean gap, for one prompt or many."""
        familiarity = masses / (masses + self.prior)  # in [0, 1)
        left = self.length_far_share + (1.0 - self.length_far_share) * familiarity
        return gap_sums / (masses + self.prior) + self.length_slope * left * lengths

    @cached_property
    def _sums(self) -> EmbeddingArray:
        """Gap sums and masses side by side, shape (n_centres, 2), float32 like the kernel."""
        return np.stack([self.gap_sums, self.masses], axis=1).astype(np.float32)

    @cached_property
    def _steep_centres(self) -> EmbeddingArray:
        """Centres times the sharpness: what is subtracted in the exponent is left to the sums."""
        return self.centres * np.float32(self.sharpness)

    @cached_property
    def _faded_sums(self) -> EmbeddingArray:
        return self._sums * np.float32(math.exp(-min(self.sharpness, _MAX_EXPONENT)))

    def standard_lengths(self, prompts: Sequence[str]) -> FloatArray:
        """Return the log of each length in standard deviations from the mean, -3 at least."""
        logs = np.log1p(np.fromiter(map(len, prompts), np.float64, len(prompts)))
        logs -= self.length_mean
        logs /= self.length_deviation
        return np.maximum(logs, -MAX_DEVIATIONS, out=logs)

    def bind(self, *, strong: Sequence[str], weak: Sequence[str], embedder: Embedder) -> "BoundKnn":
        """Return the router of the one pair that it was trained on, whatever the names now are."""
        refuse_overlap(strong, weak)
        return BoundKnn(self, embedder)

    def tensors(self) -> dict[str, AnyArray]:
        """Return the arrays that an artifact stores, by name."""
        arrays: dict[str, AnyArray] = {
            "centres": self.centres.astype(np.float32),
            "gap_sums": self.gap_sums,
            "masses": self.masses,
        }
        return {**arrays, **{name: np.array([getattr(self, name)]) for name in _NUMBERS}}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, AnyArray]) -> Self:
        """Rebuild from what ``tensors`` returned.

        Raises:
            ArtifactError: If a tensor is missing, or their shapes do not fit together.
        """
        missing = sorted({"centres", "gap_sums", "masses", *_NUMBERS} - tensors.keys())
        if missing:
            raise ArtifactError(f"a knn router needs the tensors {missing!r}, which are missing")
        n_centres = len(tensors["masses"])
        expected = {
            "centres": (n_centres, *tensors["centres"].shape[1:2]),
            "gap_sums": (n_centres,),
            "masses": (n_centres,),
            **dict.fromkeys(_NUMBERS, (1,)),
        }
        shapes = {name: tensors[name].shape for name in expected}
        if shapes != expected:
            raise ArtifactError(
                f"the tensors of a knn router have the shapes {shapes!r}, and {n_centres} centres "
                f"need {expected!r}; train it again"
            )
        return cls(
            centres=tensors["centres"].astype(np.float32),
            gap_sums=tensors["gap_sums"].astype(np.float64),
            masses=tensors["masses"].astype(np.float64),
            **{name: float(tensors[name][0]) for name in _NUMBERS},
        )


@dataclass(frozen=True, eq=False)
class BoundKnn:
    """Turns prompts into win probabilities, (1 + expected gap) / 2.

    Attributes:
        knn: What training found.
        embedder: Turns prompts into vectors.
    """

    knn: Knn
    embedder: Embedder

    def win_probabilities(self, prompts: Sequence[str]) -> FloatArray:
        """Return P(strong wins) per prompt, shape (n_prompts,), in (0, 1); it never abstains."""
        return self.win_probabilities_from(prompts, self.embedder.embed(prompts))

    def win_probabilities_from(
        self, prompts: Sequence[str], embeddings: EmbeddingArray
    ) -> FloatArray:
        """Return P(strong wins) for prompts whose embeddings are at hand."""
        if len(prompts) == 1:
            return np.array([self._win_probability(prompts[0], embeddings[0])])
        wins = self.knn.predict(prompts, embeddings)
        wins += 1.0
        wins /= 2.0
        np.maximum(wins, _EDGE, out=wins)
        return np.minimum(wins, 1.0 - _EDGE, out=wins)

    def win_probability(self, prompt: str) -> float:
        """Return P(strong wins) for one prompt."""
        return self._win_probability(prompt, self._embed_one(prompt))

    @cached_property
    def _embed_one(self) -> Callable[[str], EmbeddingArray]:
        return one_by_one(self.embedder)

    def _win_probability(self, prompt: str, embedding: EmbeddingArray) -> float:
        win = (self.knn.predict_one(prompt, embedding) + 1.0) / 2.0
        return min(max(win, _EDGE), 1.0 - _EDGE)


def kernel_of(cosines: EmbeddingArray, sharpness: float) -> EmbeddingArray:
    """Return exp(sharpness (cosine - 1)), in (0, 1], 1 for the same direction; any shape."""
    cosines -= 1.0
    cosines *= sharpness
    return np.asarray(np.exp(cosines, out=cosines))
