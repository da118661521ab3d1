"""How alike two prompts are: in what they say times in how they look."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self

import numpy as np

from routecast.routers.blend_shapes import N_SHAPE_SLOTS, shape_keys
from routecast.routers.blend_terms import TermRows, TermScale, count_terms, multiply_terms
from routecast.routers.blend_topics import Topics
from routecast.routers.blend_words import N_WORD_SLOTS, word_keys
from routecast.routers.surface import SURFACE_NAMES, surface_features
from routecast.types import EmbeddingArray, FloatArray, IntArray

MAX_DEVIATIONS: Final = 4.0
"""Standard deviations at which a surface feature is cut off."""

LOG_LENGTH: Final = SURFACE_NAMES.index("log_words")
"""Which surface feature is the logarithm of the number of words."""

_SHAPE_SHARPNESS: Final = np.float32(4.0)
_WORD_SHARE, _TOPIC_SHARE = np.float32(2 / 5), np.float32(1 / 5)  # of content
_OFFSETS: Final = np.array([1.0, 0.0, 4.0 + np.log(2.0)], np.float32)  # half of form is of shapes
_MIXTURE_SHARES: Final = np.array([2 / 5 / 3, 1 / 2 / 3], np.float32)
_LEAST_DEVIATION = 1e-3  # of a feature that all labelled prompts share


@dataclass(frozen=True)
class SurfaceScale:
    """Mean and spread of the surface features of the labelled prompts.

    Attributes:
        means: Shape (17,).
        deviations: Standard deviations, positive, same shape.
    """

    means: FloatArray
    deviations: FloatArray

    @classmethod
    def of(cls, features: FloatArray) -> Self:
        """Measure features of shape (n_prompts, 17), one prompt or more."""
        return cls(features.mean(axis=0), np.maximum(features.std(axis=0), _LEAST_DEVIATION))

    def apply(self, features: FloatArray) -> FloatArray:
        """Return deviations from the mean, cut off at 4 standard deviations.

        They are divided by the square root of the number of features, so that the squared distance
        of two prompts is a mean over features.

        Args:
            features: Shape (n_prompts, 17), or of one prompt (17,).
        """
        scaled = (features - self.means) / self.deviations
        cut = np.clip(scaled, -MAX_DEVIATIONS, MAX_DEVIATIONS)
        return np.asarray(cut / len(SURFACE_NAMES) ** 0.5)


@dataclass(frozen=True, eq=False)
class Descriptions:
    """What is read off prompts, before it is compared with anything.

    Attributes:
        embeddings: Unit vectors, shape (n_prompts, dimension).
        features: Surface features, shape (n_prompts, 17).
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
        count_terms(prompts, word_keys, n_slots=N_WORD_SLOTS),
        count_terms(prompts, shape_keys, n_slots=N_SHAPE_SLOTS),
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
        surfaces: Scaled surface features, shape (n_prompts, 17).
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
        return np.asarray(self.surfaces[:, LOG_LENGTH] * len(SURFACE_NAMES) ** 0.5)

    @cached_property
    def columns(self) -> "Columns":
        """The same, laid out for products with other prompts."""
        squares = np.einsum("ij,ij->i", self.surfaces, self.surfaces)
        surfaces = [self.surfaces.T / 2, np.full((1, len(self)), -0.25), squares[None] / -4]
        terms = [_WORD_SHARE * self.words.columns, _SHAPE_SHARPNESS * self.shapes.columns]
        return Columns(
            embeddings=np.ascontiguousarray(self.embeddings.T),
            topics=_TOPIC_SHARE * np.ascontiguousarray(self.topics.T),
            surfaces=np.concatenate(surfaces, dtype=np.float32),
            terms=np.concatenate(terms, dtype=np.float32),
            n_word_slots=self.words.n_slots,
        )

    def take(self, rows: IntArray | slice) -> "PromptViews":
        """Return some of the prompts, by position or by slice."""
        return PromptViews(
            embeddings=self.embeddings[rows],
            topics=self.topics[rows],
            words=self.words.take(rows),
            surfaces=self.surfaces[rows],
            shapes=self.shapes.take(rows),
        )


@dataclass(frozen=True, eq=False)
class Columns:
    """Prompts as columns, with the kernel's factors in them, so that each view is one product.

    Attributes:
        embeddings: Shape (dimension, n_prompts).
        topics: Shares of topics, a fifth of each, shape (n_topics, n_prompts).
        surfaces: Rows that give -|s - s'|^2 / 4 times (s, |s|^2, 1), shape (17, n_prompts).
        terms: Two fifths of each word's weight, then 4 times each shape's, shape
            (n_word_slots + n_shape_slots, n_prompts).
        n_word_slots: How many of these rows are of words.
    """

    embeddings: EmbeddingArray
    topics: EmbeddingArray
    surfaces: EmbeddingArray
    terms: EmbeddingArray
    n_word_slots: int

    def __len__(self) -> int:
        """Return the number of prompts."""
        n_prompts: int = self.embeddings.shape[1]
        return n_prompts


def likenesses(left: PromptViews, right: PromptViews) -> tuple[EmbeddingArray, EmbeddingArray]:
    """Return how alike prompts are in content and in form, each of shape (n_left, n_right).

    In content, k_C = (2 k_E + 2 k_W + k_T) / 5, with k_E = (u + u^2 + u^4) / 3,
    u = exp(-|e - e'|^2 / 2), on embeddings, and cosines k_W of words and k_T of shares of topics.
    In form, k_F = (k_S + k_H) / 2, with k_S = (v + v^2 + v^4) / 3, v = exp(-|s - s'|^2 / 4), on
    scaled surface features, and k_H = exp(4 cosine - 4) on shapes.

    Returns:
        In [0, 1] and (0, 1] but for rounding, and 1 for a prompt with itself if it has a word.
    """
    columns = right.columns
    shape = (len(left), len(right))
    squares = np.einsum("ij,ij->i", left.surfaces, left.surfaces)[:, None]
    surfaces = [left.surfaces, squares, np.ones((len(left), 1))]
    exponents, words = np.empty((3, *shape), np.float32), np.empty(shape, np.float32)
    np.matmul(left.embeddings, columns.embeddings, out=exponents[0])
    np.matmul(
        np.concatenate(surfaces, axis=1, dtype=np.float32), columns.surfaces, out=exponents[1]
    )
    multiply_terms(left.shapes, columns.terms[columns.n_word_slots :], out=exponents[2])
    multiply_terms(left.words, columns.terms[: columns.n_word_slots], out=words)
    return likenesses_of_products(exponents, words=words, topics=left.topics @ columns.topics)


def likenesses_of_products(
    exponents: EmbeddingArray, *, words: EmbeddingArray, topics: EmbeddingArray
) -> tuple[EmbeddingArray, EmbeddingArray]:
    """Do the last part of `likenesses`, given the products with `Columns`; it overwrites them.

    Args:
        exponents: Of embeddings, of surface features and of shapes, shape (3, ...).
        words: Shape (...), for one prompt or many.
        topics: Same shape.
    """
    one_each = (-1, *(1,) * words.ndim)
    exponents -= _OFFSETS.reshape(one_each)
    kernels = np.exp(exponents, out=exponents)
    mixtures = kernels[:2]
    powers = mixtures * mixtures
    mixtures += powers
    powers *= powers
    mixtures += powers
    mixtures *= _MIXTURE_SHARES.reshape(one_each)
    words += topics
    words += mixtures[0]
    form = mixtures[1]
    form += kernels[2]
    return words, form


def mix_kernels(
    content: EmbeddingArray, form: EmbeddingArray, *, form_weight: float
) -> EmbeddingArray:
    """Return k_C (1 - w + w k_F): alike in content times, for the most part, alike in form.

    Products, means and exponentials of kernels are kernels (Rasmussen and Williams, Gaussian
    Processes for Machine Learning, 2006, section 4.2.4).

    Args:
        content: k_C of `likenesses`, shape (n_left, n_right).
        form: k_F, same shape.
        form_weight: w, in [0, 1]; what is left of 1 carries over between prompts of any form.
    """
    return content * (form_weight * form + (1.0 - form_weight))
