"""The few-label router: a small Gaussian process of the gap between strong and weak.

Prompts that are alike, in what they are about and in how they look at once, have like gaps. With e
a prompt's unit vector less the labelled prompts' mean, P_d its part along their first d principal
directions, u(v) = v / |v|, and s the standardised surface counts, all as in `ridge`,

    x = (u(e), u(P_64 e) / 3^.5, u(P_16 e) / 3^.5, u(P_4 e) / 3^.5, FORM^.5 s)
    likeness(x, x') = exp(-|x - x'|^2 / 2)
    gap = intercept + slope l + likeness(x, centres) . coefficients

where l is the standardised log of the number of words. All directions together tell words apart,
the few first ones topics. The centres are labelled prompts. Before any label, likeness is the
covariance of the last part and SLOPE_VARIANCE that of the slope, both over the same variance (see
Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, section 2.7). Training is in
``routecast.train.blend``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self

import numpy as np

from routecast.embed.protocol import Embedder
from routecast.errors import ArtifactError
from routecast.routers.belonging import NOTHING_SUSPECTED, Belonging, Guard
from routecast.routers.binding import refuse_overlap
from routecast.routers.gaps import win_probabilities_of_gaps
from routecast.routers.ridge import SURFACE_SCALE, FeatureScale
from routecast.routers.surface import SURFACE_NAMES, features_of, surface_features
from routecast.types import AnyArray, EmbeddingArray, FloatArray

N_DIRECTIONS: Final = (64, 16, 4)
"""How many principal directions a prompt is seen in, finely to coarsely."""

FORM: Final = 4.0
"""Weight of the squared distance of the surface counts; that of the directions together is 2."""

SLOPE_VARIANCE: Final = 0.03
"""Of the slope along the standardised length, over the variance of the smooth part."""

N_FAMILIAR: Final = 5
"""Labelled prompts that a prompt's familiarity is the mean over."""

_LENGTH: Final = SURFACE_NAMES.index("log_words") - len(SURFACE_NAMES)  # column of x, from its end
_LENGTH_UNIT: Final = np.float32(FORM**0.5 * SURFACE_SCALE)
_BLOCK: Final = 256  # of prompts: what is computed of them stays in a core's cache
_SAME: Final = 1e-6
_NUMBERS: Final = (
    "intercept", "slope", "prior_variance", "intercept_variance", "least_familiarity",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class View:
    """How a prompt becomes x: measured on labelled prompts, their labels unseen.

    Attributes:
        scale: Means of the vectors and of the counts, and the counts' deviations.
        directions: Principal directions of the vectors, orthonormal columns, the longest first,
            shape (dimension, n_directions).
    """

    scale: FeatureScale
    directions: EmbeddingArray

    def apply(self, embeddings: EmbeddingArray, surfaces: FloatArray) -> EmbeddingArray:
        """Return x of each prompt, shape (n_prompts, n_features).

        Args:
            embeddings: Unit vectors, shape (n_prompts, dimension).
            surfaces: As in `surface_features`, shape (n_prompts, n_counts).
        """
        features = self.scale.apply(embeddings, surfaces).astype(np.float32)
        centred, counts = np.split(features, [embeddings.shape[1]], axis=1)
        coarse = centred @ self.directions
        share = np.float32(len(N_DIRECTIONS) ** -0.5)
        parts = [_unit(centred), *(share * _unit(coarse[:, :n]) for n in N_DIRECTIONS)]
        return np.hstack([*parts, np.float32(FORM**0.5) * counts])


@dataclass(frozen=True, eq=False)
class Centres:
    """Prompts that others are compared with.

    Attributes:
        x: Shape (n_centres, n_features).
    """

    x: EmbeddingArray

    def likeness(self, x: EmbeddingArray) -> EmbeddingArray:
        """Return exp(-|x - x'|^2 / 2), how alike prompts are, shape (n_prompts, n_centres)."""
        exponents: EmbeddingArray = x @ self.x.T
        exponents -= half_squares(x)[:, None]
        exponents -= self._half_squares
        return np.exp(exponents, out=exponents)

    def kernel(self, x: EmbeddingArray) -> EmbeddingArray:
        """Return the covariance of what is learned, over its variance, same shape."""
        kernel = self.likeness(x)
        kernel += np.float32(SLOPE_VARIANCE) * np.outer(lengths_of(x), lengths_of(self.x))
        return kernel

    @cached_property
    def _half_squares(self) -> EmbeddingArray:
        return half_squares(self.x)


@dataclass(frozen=True, eq=False)
class Blend:
    """What training found.

    Attributes:
        view: How prompts become x.
        centres: Labelled prompts that others are compared with.
        coefficients: Weight of each centre, shape (n_centres,).
        intercept: The gap far from all centres, about the mean gap, in [-1, 1].
        slope: Rise of the gap per standard deviation of the length.
        told: What the labels tell: |kernel(x) told|^2 is by how much they lessen the variance of
            the gap at x, shape (n_centres, n_told).
        prior_variance: Of the smooth part before any label, 0 or more.
        intercept_variance: Of the intercept, 0 or more.
        least_familiarity: The router abstains on prompts that are less familiar.
        belonging: How alike the parts of a prompt must be.
    """

    view: View
    centres: Centres
    coefficients: FloatArray
    intercept: float
    slope: float
    told: EmbeddingArray
    prior_variance: float
    intercept_variance: float
    least_familiarity: float
    belonging: Belonging = NOTHING_SUSPECTED

    def predict(self, x: EmbeddingArray) -> tuple[FloatArray, FloatArray]:
        """Return the expected gap and the familiarity of prompts, each of shape (n_prompts,).

        Familiarity is the mean likeness of the 5 nearest centres, in (0, 1]: 1 for a prompt that
        was labelled five times over, 0 for one that is like none.

        Args:
            x: As `View.apply` gives it.
        """
        gaps, familiarity = np.empty(len(x)), np.empty(len(x))
        for start in range(0, len(x), _BLOCK):
            rows = slice(start, start + _BLOCK)
            alike = self.centres.likeness(x[rows])
            line = self.intercept + self.slope * lengths_of(x[rows])
            gaps[rows] = line + alike @ self._weights
            familiarity[rows] = mean_of_largest(alike)
        return gaps, familiarity

    @cached_property
    def _weights(self) -> EmbeddingArray:
        return self.coefficients.astype(np.float32)

    def gap_deviations(self, x: EmbeddingArray) -> FloatArray:
        """Return the standard deviation of the expected gap of prompts, shape (n_prompts,).

        It is that of the mean gap of prompts like this one, given the labels; a single answer
        varies more. A prompt unlike any labelled one has about that of the gap before any label.
        """
        variances = self.prior_variance * (1.0 + SLOPE_VARIANCE * lengths_of(x) ** 2.0)
        for start in range(0, len(x), _BLOCK):
            rows = slice(start, start + _BLOCK)
            known = self.centres.kernel(x[rows]) @ self.told
            variances[rows] -= np.einsum("ij,ij->i", known, known)
        left = np.maximum(variances.astype(np.float64), 0.0)
        return np.sqrt(left + self.intercept_variance)

    def bind(
        self, *, strong: Sequence[str], weak: Sequence[str], embedder: Embedder
    ) -> "BoundBlend":
        """Return the router of the one pair that it was trained on, whatever the names now are."""
        refuse_overlap(strong, weak)
        return BoundBlend(self, embedder, embedder.embed([""])[0])

    def tensors(self) -> dict[str, AnyArray]:
        """Return the arrays that an artifact stores, by name."""
        return {
            "embedding_mean": self.view.scale.embedding_mean,
            "surface_means": self.view.scale.surface_means,
            "surface_deviations": self.view.scale.surface_deviations,
            "directions": self.view.directions,
            "centres": self.centres.x,
            "coefficients": self.coefficients,
            "told": self.told,
            **self.belonging.tensors(),
            **{name: np.array([getattr(self, name)]) for name in _NUMBERS},
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, AnyArray]) -> Self:
        """Rebuild from what ``tensors`` returned.

        Raises:
            ArtifactError: If a tensor is missing, or their shapes do not fit together.
        """
        _check(tensors)
        arrays = {name: array.astype(np.float64) for name, array in tensors.items()}
        scale = FeatureScale(
            embedding_mean=arrays["embedding_mean"],
            surface_means=arrays["surface_means"],
            surface_deviations=arrays["surface_deviations"],
        )
        return cls(
            view=View(scale, tensors["directions"].astype(np.float32)),
            centres=Centres(tensors["centres"].astype(np.float32)),
            coefficients=arrays["coefficients"],
            told=tensors["told"].astype(np.float32),
            belonging=Belonging.from_tensors(tensors),
            **{name: float(arrays[name][0]) for name in _NUMBERS},
        )


def _check(tensors: Mapping[str, AnyArray]) -> None:
    """Refuse tensors that do not fit together."""

    def width(name: str) -> int:
        return int(tensors[name].shape[-1]) if name in tensors else 0

    dimension, n_centres = width("embedding_mean"), width("coefficients")
    n_counts, n_directions = len(SURFACE_NAMES), width("directions")
    n_features = dimension + sum(min(n, n_directions) for n in N_DIRECTIONS) + n_counts
    expected = {
        "embedding_mean": (dimension,),
        "surface_means": (n_counts,),
        "surface_deviations": (n_counts,),
        "directions": (dimension, n_directions),
        "centres": (n_centres, n_features),
        "coefficients": (n_centres,),
        "told": (n_centres, width("told")),
        **dict.fromkeys(_NUMBERS, (1,)),
    }
    found = {name: tensors[name].shape for name in expected if name in tensors}
    if found != expected:
        raise ArtifactError(
            f"a blend router has the tensors {found!r}; it needs {expected!r}: train it again"
        )
    if not (tensors["surface_deviations"] > 0).all():
        raise ArtifactError("a deviation of a blend router is not above 0; train it again")


@dataclass(frozen=True, eq=False)
class BoundBlend:
    """Turns prompts into win probabilities, (1 + expected gap) / 2.

    Attributes:
        blend: What training found.
        embedder: Turns prompts into vectors.
        nothing: The vector of the empty text; a prompt that has it, emoji alone for example, was
            not read, so the router abstains.
    """

    blend: Blend
    embedder: Embedder
    nothing: EmbeddingArray

    def win_probabilities(self, prompts: Sequence[str]) -> FloatArray:
        """Return P(strong wins) per prompt, shape (n_prompts,), in (0, 1); NaN where it abstains.

        It abstains where the embedder reads nothing, and where a prompt is less familiar than all
        but one in 200 of the labelled prompts are to the others. Parts of a prompt that do not
        belong to it count only where they lower what it returns.
        """
        return self._guard.scores(prompts, self._score)

    def win_probability(self, prompt: str) -> float:
        """Return the same for one prompt, in less time."""
        return self._guard.score_one(prompt, self._score_one)

    @cached_property
    def _guard(self) -> Guard:
        return Guard(self.blend.belonging, self.embedder)

    def _score(self, prompts: Sequence[str], embeddings: EmbeddingArray) -> FloatArray:
        """Return P(strong wins) of whole texts, whatever belongs to them."""
        return self._win_probabilities(embeddings, surface_features(prompts))

    def _score_one(self, prompt: str, embedding: EmbeddingArray) -> float:
        """Return the same of one text."""
        return float(self._win_probabilities(embedding[None], np.array([features_of(prompt)]))[0])

    def _win_probabilities(self, embeddings: EmbeddingArray, surfaces: FloatArray) -> FloatArray:
        gaps, familiarity = self.blend.predict(self.blend.view.apply(embeddings, surfaces))
        is_unread = embeddings @ self.nothing > 1.0 - _SAME
        gaps[is_unread | (familiarity < self.blend.least_familiarity)] = np.nan
        return win_probabilities_of_gaps(gaps)

    def _x(self, prompts: Sequence[str], embeddings: EmbeddingArray) -> EmbeddingArray:
        return self.blend.view.apply(embeddings, surface_features(prompts))

    def familiarity(self, prompts: Sequence[str]) -> FloatArray:
        """Return how much each prompt is like labelled ones, shape (n_prompts,), in [0, 1]."""
        return self.blend.predict(self._x(prompts, self.embedder.embed(prompts)))[1]

    def gap_deviations(self, prompts: Sequence[str]) -> FloatArray:
        """Return how far the expected gap may be off, shape (n_prompts,); see `Blend`."""
        return self.blend.gap_deviations(self._x(prompts, self.embedder.embed(prompts)))

    def win_probabilities_from(
        self, prompts: Sequence[str], embeddings: EmbeddingArray
    ) -> FloatArray:
        """Return P(strong wins) for prompts whose embeddings are at hand, abstaining on none."""
        return win_probabilities_of_gaps(self.blend.predict(self._x(prompts, embeddings))[0])


def lengths_of(x: EmbeddingArray) -> EmbeddingArray:
    """Return l, the standardised log of the number of words of prompts, shape (n_prompts,)."""
    return np.asarray(x[:, _LENGTH] / _LENGTH_UNIT)


def half_squares(x: EmbeddingArray) -> EmbeddingArray:
    """Return |x|^2 / 2 per row."""
    return np.asarray(np.float32(0.5) * np.einsum("ij,ij->i", x, x))


def mean_of_largest(likeness: EmbeddingArray) -> FloatArray:
    """Return the mean of the 5 largest values of each row, or of all where there are fewer."""
    n_kept = min(N_FAMILIAR, likeness.shape[1])
    largest = np.partition(likeness, -n_kept, axis=1)[:, -n_kept:]
    return np.asarray(largest.mean(axis=1, dtype=np.float64))


def _unit(rows: EmbeddingArray) -> EmbeddingArray:
    """Return the directions of rows; a row of about 0 stays so."""
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return np.asarray(rows / np.maximum(lengths, np.float32(1e-9))[:, None])
