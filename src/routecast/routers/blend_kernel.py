"""How alike two prompts are: in what they say times in how they look."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self

import numpy as np

from routecast.routers.blend_terms import (
    N_SHAPE_SLOTS,
    N_WORD_SLOTS,
    TermRows,
    TermScale,
    count_terms,
    shapes_of,
    term_cosines,
    words_of,
)
from routecast.routers.blend_topics import Topics
from routecast.routers.surface import SURFACE_NAMES, surface_features
from routecast.types import EmbeddingArray, FloatArray, IntArray

MAX_DEVIATIONS: Final = 4.0
"""Standard deviations at which a surface feature is cut off."""

_LOG_LENGTH: Final = SURFACE_NAMES.index("log_characters")
_SHAPE_SHARPNESS: Final = 4.0
_LEAST_DEVIATION = 1e-3  # of a feature that all labelled prompts share


@dataclass(frozen=True)
class SurfaceScale:
    """Mean and spread of the surface features of the labelled prompts.

    Attributes:
        means: Shape (15,).
        deviations: Standard deviations, positive, same shape.
    """

    means: FloatArray
    deviations: FloatArray

    @classmethod
    def of(cls, features: FloatArray) -> Self:
        """Measure features of shape (n_prompts, 15), one prompt or more."""
        return cls(features.mean(axis=0), np.maximum(features.std(axis=0), _LEAST_DEVIATION))

    def apply(self, features: FloatArray) -> FloatArray:
        """Return deviations from the mean, cut off at 4 standard deviations.

        They are divided by the square root of the number of features, so that the squared distance
        of two prompts is a mean over features.
        """
        scaled = (features - self.means) / self.deviations
        cut = np.clip(scaled, -MAX_DEVIATIONS, MAX_DEVIATIONS)
        return np.asarray(cut / len(SURFACE_NAMES) ** 0.5)


@dataclass(frozen=True, eq=False)
class Descriptions:
    """What is read off prompts, before it is compared with anything.

    Attributes:
        embeddings: Unit vectors, shape (n_prompts, dimension).
        features: Surface features, shape (n_prompts, 15).
        words: Counts of words.
        shapes: Counts of shapes of words, and of each two that follow one another.
    """

    embeddings: EmbeddingArray
    features: FloatArray
    words: TermRows
    shapes: TermRows

    def __len__(self) -> int:
        """Return the number of prompts."""
        return len(self.embeddings)

    def take(self, rows: IntArray | slice) -> "Descriptions":
        """Return some of the prompts, by position or by slice."""
        return Descriptions(
            self.embeddings[rows],
            self.features[rows],
            self.words.take(rows),
            self.shapes.take(rows),
        )


def describe(prompts: Sequence[str], embeddings: EmbeddingArray) -> Descriptions:
    """Read prompts whose unit vectors are given, shape (n_prompts, dimension)."""
    return Descriptions(
        embeddings,
        surface_features(prompts),
        count_terms(prompts, words_of, n_slots=N_WORD_SLOTS),
        count_terms(prompts, shapes_of, n_slots=N_SHAPE_SLOTS),
    )


@dataclass(frozen=True, eq=False)
class Scales:
    """What descriptions are measured against: the labelled prompts, their labels unseen.

    Attributes:
        surface: Mean and spread of the surface features.
        topics: Topics.
        words: How rare words are.
        shapes: How rare shapes are.
    """

    surface: SurfaceScale
    topics: Topics
    words: TermScale
    shapes: TermScale

    def apply(self, descriptions: Descriptions) -> "PromptViews":
        """Return what the kernel compares."""
        return PromptViews(
            embeddings=descriptions.embeddings,
            topics=self.topics.apply(descriptions.embeddings),
            words=self.words.apply(descriptions.words),
            surfaces=self.surface.apply(descriptions.features),
            shapes=self.shapes.apply(descriptions.shapes),
        )


@dataclass(frozen=True, eq=False)
class PromptViews:
    """The views of prompts that the kernel compares.

    Attributes:
        embeddings: Unit vectors, shape (n_prompts, dimension).
        topics: Shares of topics, shape (n_prompts, n_topics); rows have length 1.
        words: Unit vectors of words.
        surfaces: Scaled surface features, shape (n_prompts, 15).
        shapes: Unit vectors of shapes.
    """

    embeddings: EmbeddingArray
    topics: EmbeddingArray
    words: TermRows
    surfaces: FloatArray
    shapes: TermRows

    def __len__(self) -> int:
        """Return the number of prompts."""
        return len(self.embeddings)

    @property
    def log_lengths(self) -> FloatArray:
        """Logarithms of the numbers of characters, in standard deviations, shape (n_prompts,)."""
        return np.asarray(self.surfaces[:, _LOG_LENGTH] * len(SURFACE_NAMES) ** 0.5)

    @cached_property
    def squares(self) -> FloatArray:
        """Squared lengths of the scaled surface features, shape (n_prompts,)."""
        return np.asarray(np.einsum("ij,ij->i", self.surfaces, self.surfaces))

    def take(self, rows: IntArray | slice) -> "PromptViews":
        """Return some of the prompts, by position or by slice."""
        return PromptViews(
            embeddings=self.embeddings[rows],
            topics=self.topics[rows],
            words=self.words.take(rows),
            surfaces=self.surfaces[rows],
            shapes=self.shapes.take(rows),
        )


def likenesses(left: PromptViews, right: PromptViews) -> tuple[FloatArray, FloatArray]:
    """Return how alike prompts are in content and in form, each of shape (n_left, n_right).

    In content, k_C = (2 k_E + 2 k_W + k_T) / 5, with k_E = (u + u^2 + u^4) / 3,
    u = exp(-|e - e'|^2 / 2), on embeddings, and cosines k_W of words and k_T of shares of topics.
    In form, k_F = (k_S + k_H) / 2, with k_S = (v + v^2 + v^4) / 3, v = exp(-|s - s'|^2 / 4), on
    scaled surface features, and k_H = exp(4 cosine - 4) on shapes.

    Returns:
        Symmetric in the arguments, in [0, 1] and (0, 1], and 1 for a prompt with itself if it has a
        word.
    """
    cosines = np.minimum(left.embeddings @ right.embeddings.T, 1.0).astype(np.float64)
    squares = left.squares[:, None] + right.squares - 2.0 * (left.surfaces @ right.surfaces.T)
    content = 2.0 * _mixture(np.exp(cosines - 1.0))
    content += 2.0 * term_cosines(left.words, right.words)
    content += np.minimum(left.topics @ right.topics.T, 1.0)
    form = _mixture(np.exp(np.maximum(squares, 0.0) / -4.0))
    form += np.exp(_SHAPE_SHARPNESS * (term_cosines(left.shapes, right.shapes) - 1.0))
    return content / 5.0, form / 2.0


def mix_kernels(content: FloatArray, form: FloatArray, *, form_weight: float) -> FloatArray:
    """Return k_C (1 - w + w k_F): alike in content times, for the most part, alike in form.

    Products, means and exponentials of kernels are kernels (Rasmussen and Williams, Gaussian
    Processes for Machine Learning, 2006, section 4.2.4).

    Args:
        content: k_C of `likenesses`, shape (n_left, n_right).
        form: k_F, same shape.
        form_weight: w, in [0, 1]; what is left of 1 carries over between prompts of any form.
    """
    return content * (form_weight * form + (1.0 - form_weight))


def _mixture(values: FloatArray) -> FloatArray:
    squared = values * values
    return (values + squared + squared * squared) / 3.0
