"""Ridge regression of the gap between strong and weak on what a prompt is about and looks like.

With e the prompt's unit vector and s its surface counts, the expected gap is

    gap = intercept + f . coefficients,   f = (e - mean e, SURFACE_SCALE (s - mean s) / deviation s)

means and deviations being those of the training prompts. Each standardised count is kept within
three deviations, so that no prompt gets anywhere by its length alone. What counts is the smallest
of the gaps of the whole prompt and of what is left without parts that do not belong to it
(``routecast.routers.belonging``). Training is in ``routecast.train.ridge``.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, Self

import numpy as np

from routecast.embed.protocol import Embedder
from routecast.errors import ArtifactError
from routecast.routers.belonging import NOTHING_SUSPECTED, Belonging, Guard
from routecast.routers.binding import refuse_overlap
from routecast.routers.explanation import Explanation, explain_line
from routecast.routers.gaps import EDGE, win_probabilities_of_gaps
from routecast.routers.surface import SURFACE_NAMES, features_of, surface_features
from routecast.types import AnyArray, EmbeddingArray, FloatArray

SURFACE_SCALE: Final = 0.1
"""Makes the counts together less than half as long a vector as the embedding is."""

_MAX_DEVIATIONS: Final = 3.0
_SAME: Final = 1e-6


@dataclass(frozen=True, eq=False)
class FeatureScale:
    """How a prompt becomes features: measured on training prompts, their labels unseen.

    Attributes:
        embedding_mean: Shape (dimension,).
        surface_means: Shape (n_counts,), as in `SURFACE_NAMES`.
        surface_deviations: Above 0, same shape.
    """

    embedding_mean: FloatArray
    surface_means: FloatArray
    surface_deviations: FloatArray

    @classmethod
    def of(cls, embeddings: EmbeddingArray, surfaces: FloatArray) -> Self:
        """Measure training prompts; a count that never varies is left as it is."""
        deviations = surfaces.std(axis=0)
        return cls(
            embedding_mean=embeddings.mean(axis=0, dtype=np.float64),
            surface_means=surfaces.mean(axis=0),
            surface_deviations=np.where(deviations > 0, deviations, 1.0),
        )

    def apply(self, embeddings: EmbeddingArray, surfaces: FloatArray) -> FloatArray:
        """Return the features, shape (n_prompts, dimension + n_counts); of one prompt, one row."""
        counts = surfaces - self.surface_means
        counts /= self.surface_deviations
        np.maximum(counts, -_MAX_DEVIATIONS, out=counts)  # half the time of clip, for one prompt
        np.minimum(counts, _MAX_DEVIATIONS, out=counts)
        counts *= SURFACE_SCALE
        return np.concatenate([embeddings - self.embedding_mean, counts], axis=-1)


@dataclass(frozen=True, eq=False)
class Ridge:
    """A fitted line, and how sure it is.

    Attributes:
        scale: Of the features.
        coefficients: Shape (n_features,).
        intercept: The expected gap of a mean prompt, in [-1, 1].
        covariance: Of the coefficients given the labels, shape (n_features, n_features); None where
            nobody knows it, as of the default router.
        prior_variance: Of each coefficient before any label, 0 or more.
        intercept_variance: Of the intercept, 0 or more.
        belonging: How alike the parts of a prompt must be.
    """

    scale: FeatureScale
    coefficients: FloatArray
    intercept: float
    covariance: FloatArray | None
    prior_variance: float
    intercept_variance: float
    belonging: Belonging = NOTHING_SUSPECTED

    def gaps(self, features: FloatArray) -> FloatArray:
        """Return the expected gap per row of features, shape (n_prompts,)."""
        return np.asarray(self.intercept + features @ self.coefficients)

    def familiarity(self, features: FloatArray) -> FloatArray:
        """Return how much of the doubt about each prompt's gap the labels have settled, in [0, 1].

        It is 1 - f' covariance f / (prior_variance f' f), 0 for a prompt that has nothing in common
        with labelled ones, and 1 where all would be known; NaN without a covariance.
        """
        prior = self.prior_variance * np.einsum("ij,ij->i", features, features)
        left = self._variances(features) / np.maximum(prior, 1e-300)
        return np.asarray(np.clip(1.0 - left, 0.0, 1.0))

    def gap_deviations(self, features: FloatArray) -> FloatArray:
        """Return the standard deviation of the expected gap, shape (n_prompts,).

        It is that of the mean gap of prompts like this one, given the labels; a single answer
        varies more. NaN without a covariance.
        """
        return np.sqrt(self._variances(features) + self.intercept_variance)

    def _variances(self, features: FloatArray) -> FloatArray:
        if self.covariance is None:
            return np.full(len(features), np.nan)
        return np.asarray(np.einsum("ij,ij->i", features @ self.covariance, features))

    def bind(
        self, *, strong: Sequence[str], weak: Sequence[str], embedder: Embedder
    ) -> "BoundRidge":
        """Return the router of the one pair that it was trained on, whatever the names now are."""
        refuse_overlap(strong, weak)
        return BoundRidge(self, embedder, embedder.embed([""])[0])

    def tensors(self) -> dict[str, AnyArray]:
        """Return the arrays that an artifact stores, by name."""
        numbers = [self.intercept, self.prior_variance, self.intercept_variance]
        return {
            "embedding_mean": self.scale.embedding_mean,
            "surface_means": self.scale.surface_means,
            "surface_deviations": self.scale.surface_deviations,
            "coefficients": self.coefficients,
            "numbers": np.array(numbers),
            **self.belonging.tensors(),
        } | ({} if self.covariance is None else {"covariance": self.covariance.astype(np.float32)})

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, AnyArray]) -> Self:
        """Rebuild from what ``tensors`` returned.

        Raises:
            ArtifactError: If a tensor is missing, or their shapes do not fit together.
        """
        n_counts = len(SURFACE_NAMES)
        dimension = tensors["embedding_mean"].size if "embedding_mean" in tensors else 0
        n_features = dimension + n_counts
        expected: dict[str, tuple[int, ...]] = {
            "embedding_mean": (dimension,),
            "surface_means": (n_counts,),
            "surface_deviations": (n_counts,),
            "coefficients": (n_features,),
            "numbers": (3,),
        }
        if "covariance" in tensors:
            expected["covariance"] = (n_features, n_features)
        found = {name: tensors[name].shape for name in expected if name in tensors}
        if found != expected:
            raise ArtifactError(
                f"a ridge router has the tensors {found!r}; it needs {expected!r}: train it again"
            )
        arrays = {name: tensors[name].astype(np.float64) for name in expected}
        intercept, prior_variance, intercept_variance = arrays.pop("numbers").tolist()
        scale = FeatureScale(
            embedding_mean=arrays.pop("embedding_mean"),
            surface_means=arrays.pop("surface_means"),
            surface_deviations=arrays.pop("surface_deviations"),
        )
        if not (scale.surface_deviations > 0).all():
            raise ArtifactError("a deviation of a ridge router is not above 0; train it again")
        return cls(
            scale=scale,
            belonging=Belonging.from_tensors(tensors),
            covariance=arrays.pop("covariance", None),
            intercept=intercept,
            prior_variance=prior_variance,
            intercept_variance=intercept_variance,
            **arrays,
        )


@dataclass(frozen=True, eq=False)
class BoundRidge:
    """Turns prompts into win probabilities, (1 + expected gap) / 2.

    Attributes:
        ridge: What training found.
        embedder: Turns prompts into vectors.
        nothing: The vector of the empty text; a prompt that has it, emoji alone for example, was
            not read, so the router abstains.
    """

    ridge: Ridge
    embedder: Embedder
    nothing: EmbeddingArray

    def win_probabilities(self, prompts: Sequence[str]) -> FloatArray:
        """Return P(strong wins) per prompt, shape (n_prompts,), in (0, 1); NaN where it abstains.

        It abstains where the embedder reads nothing, and nowhere else.
        """
        return self._guard.scores(prompts, self._score)

    def win_probability(self, prompt: str) -> float:
        """Return what ``win_probabilities`` returns for this prompt alone, in less time."""
        return self._guard.score_one(prompt, self._score_one)

    @cached_property
    def _guard(self) -> Guard:
        return Guard(self.ridge.belonging, self.embedder)

    def _score(self, prompts: Sequence[str], embeddings: EmbeddingArray) -> FloatArray:
        """Return P(strong wins) of whole texts, whatever belongs to them."""
        gaps = self.ridge.gaps(self._features(prompts, embeddings))
        gaps[embeddings @ self.nothing > 1.0 - _SAME] = np.nan
        return win_probabilities_of_gaps(gaps)

    def _score_one(self, prompt: str, embedding: EmbeddingArray) -> float:
        """Return the same of one text."""
        if embedding.dot(self.nothing) > 1.0 - _SAME:
            return math.nan
        features = self.ridge.scale.apply(embedding, np.array(features_of(prompt)))
        gap = self.ridge.intercept + float(features.dot(self.ridge.coefficients))
        return min(max((1.0 + gap) / 2.0, EDGE), 1.0 - EDGE)

    def _features(self, prompts: Sequence[str], embeddings: EmbeddingArray) -> FloatArray:
        return self.ridge.scale.apply(embeddings, surface_features(prompts))

    def familiarity(self, prompts: Sequence[str]) -> FloatArray:
        """Return how much the labels say of each prompt, shape (n_prompts,), in [0, 1]."""
        return self.ridge.familiarity(self._features(prompts, self.embedder.embed(prompts)))

    def gap_deviations(self, prompts: Sequence[str]) -> FloatArray:
        """Return how far the expected gap may be off, shape (n_prompts,); see `Ridge`."""
        return self.ridge.gap_deviations(self._features(prompts, self.embedder.embed(prompts)))

    def explain(self, prompt: str) -> Explanation:
        """Return what each feature adds to the expected gap, also where the router abstains.

        Of a prompt with parts that do not belong to it, that is the gap of the text that decides.
        """
        texts = [prompt, *self._guard.parts(prompt)]
        embeddings = self.embedder.embed(texts)
        scores = self._score(texts, embeddings)
        decides = int(np.argmin(np.nan_to_num(scores, nan=np.inf)))
        features = self._features(texts, embeddings)[decides]
        terms = features * self.ridge.coefficients
        n_content = len(self.ridge.scale.embedding_mean)
        explanation = explain_line(
            self.ridge.intercept,
            float(terms[:n_content].sum()),
            terms[n_content:],
            features[n_content:],
        )
        return replace(explanation, n_left_out=len(prompt) - len(texts[decides]))

    def win_probabilities_from(
        self, prompts: Sequence[str], embeddings: EmbeddingArray
    ) -> FloatArray:
        """Return P(strong wins) for prompts whose embeddings are at hand, abstaining on none."""
        return win_probabilities_of_gaps(self.ridge.gaps(self._features(prompts, embeddings)))
