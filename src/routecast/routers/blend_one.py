"""One prompt against the centres, for a gateway: what `likenesses` says, without rows of one.

A list of one takes half as long again: at this size most of the time goes into calls, not into
arithmetic. So the terms of both kinds are counted, weighed and fetched together, and the 15 surface
features become an array when they are scaled. From three prompts on, rows are the quicker way.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from routecast.routers.blend_kernel import (
    LOG_LENGTH,
    MAX_DEVIATIONS,
    Columns,
    Scales,
    likenesses_of_products,
)
from routecast.routers.blend_shapes import shape_keys
from routecast.routers.blend_terms import MAX_CHARACTERS
from routecast.routers.blend_words import word_slots
from routecast.routers.surface import SURFACE_NAMES, features_of
from routecast.types import EmbeddingArray

_UNIT: Final = len(SURFACE_NAMES) ** -0.5


@dataclass(frozen=True, eq=False)
class OneToAll:
    """Compares one prompt at a time with the centres.

    Attributes:
        columns: The centres.
        scales: What a prompt is measured against.
    """

    columns: Columns
    scales: Scales

    def likenesses(
        self, prompt: str, embedding: EmbeddingArray
    ) -> tuple[EmbeddingArray, EmbeddingArray, float]:
        """Return how alike the centres are in content and in form, and the log of the length.

        Args:
            prompt: Any text.
            embedding: Its unit vector, shape (dimension,).

        Returns:
            Two arrays of shape (n_centres,), see `likenesses` of `blend_kernel`, and the logarithm
            of the number of characters in standard deviations.
        """
        columns = self.columns
        exponents = np.empty((3, len(columns)), np.float32)
        np.matmul(embedding, columns.embeddings, out=exponents[0])
        topics = self.scales.topics.apply(embedding).dot(columns.topics)
        surface = self._surface(prompt)
        surface.dot(columns.surfaces, out=exponents[1])
        words = self._multiply_terms(prompt[:MAX_CHARACTERS], shapes=exponents[2])
        log_length = float(surface[LOG_LENGTH]) / _UNIT
        return *likenesses_of_products(exponents, words=words, topics=topics), log_length

    def _surface(self, prompt: str) -> EmbeddingArray:
        """Return the scaled surface features s, then |s|^2 and 1, shape (17,)."""
        edge = MAX_DEVIATIONS * _UNIT
        scaled = [
            min(max((feature - mean) * weight, -edge), edge)
            for feature, mean, weight in zip(features_of(prompt), *self._surface_scale, strict=True)
        ]
        squares = sum([value * value for value in scaled])
        return np.array([*scaled, squares, 1.0], np.float32)

    @cached_property
    def _surface_scale(self) -> tuple[list[float], list[float]]:
        """Means of the features, and one over their scaled deviations."""
        scale = self.scales.surface
        return scale.means.tolist(), (_UNIT / scale.deviations).tolist()

    def _multiply_terms(self, text: str, *, shapes: EmbeddingArray) -> EmbeddingArray:
        """Return the products of words, shape (n_centres,); write those of shapes."""
        n_word_slots = self.columns.n_word_slots
        shape_slots = shape_keys([text])
        shape_slots += n_word_slots
        n_times = np.bincount(np.concatenate([word_slots(text), shape_slots]).astype(np.int64))
        slots = n_times.nonzero()[0]
        weights = np.log(n_times.take(slots).astype(np.float32))
        weights += 1.0
        weights *= self._rarities.take(slots)
        n_words = int(slots.searchsorted(n_word_slots))
        of_words, of_shapes = weights[:n_words], weights[n_words:]
        fetched = self.columns.terms.take(slots, axis=0)
        _unit(of_shapes).dot(fetched[n_words:], out=shapes)
        products: EmbeddingArray = _unit(of_words).dot(fetched[:n_words])
        return products

    @cached_property
    def _rarities(self) -> EmbeddingArray:
        of_both = [self.scales.words.rarities, self.scales.shapes.rarities]
        return np.concatenate(of_both, dtype=np.float32)


def _unit(weights: EmbeddingArray) -> EmbeddingArray:
    """Scale to length 1; no weights stay none."""
    weights /= math.sqrt(weights.dot(weights)) or 1.0
    return weights
