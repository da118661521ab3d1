"""The few-label router: kernel regression of the gap between strong and weak.

Wherever the models were labelled on prompts like this one, in content and in form at once, the gap
there counts. Training is in ``routecast.train.blend``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from routecast.embed.protocol import Embedder
from routecast.errors import ArtifactError
from routecast.routers.binding import refuse_overlap
from routecast.routers.blend_kernel import PromptViews, SurfaceScale, product_kernel
from routecast.routers.surface import SURFACE_NAMES, surface_features
from routecast.types import AnyArray, EmbeddingArray, FloatArray

N_FAMILIAR = 5
"""Labelled prompts that a prompt's familiarity is the mean over."""

_BLOCK = 512
_EDGE = 1e-3  # a win probability is never closer to 0 or 1 before calibration
_SAME = 1e-6
_WEIGHTS = ("embeddings", "surfaces", "coefficients", "surface_means", "surface_deviations")
_NUMBERS = ("intercept", "length_slope", "least_familiarity")


@dataclass(frozen=True, eq=False)
class Blend:
    """What training found.

    Attributes:
        centres: Labelled prompts that others are compared with.
        scale: Of the surface features.
        coefficients: Weight of each centre, shape (n_centres,).
        intercept: The gap far from all centres, about the mean gap, in [-1, 1].
        length_slope: Rise of the gap per standard deviation of the log of length, beside what the
            centres say.
        least_familiarity: The router abstains on prompts that are less familiar.
    """

    centres: PromptViews
    scale: SurfaceScale
    coefficients: FloatArray
    intercept: float
    length_slope: float
    least_familiarity: float

    def views(self, prompts: Sequence[str], embeddings: EmbeddingArray) -> PromptViews:
        """Return what the kernel compares, given the prompts' embeddings."""
        return PromptViews(embeddings, self.scale.apply(surface_features(prompts)))

    def predict(self, views: PromptViews) -> tuple[FloatArray, FloatArray]:
        """Return the expected gap and the familiarity of prompts, each of shape (n_prompts,).

        Familiarity is the mean kernel with the 5 most alike centres, in (0, 1]: 1 for a prompt that
        was labelled five times over, 0 for one that is like none.
        """
        gaps, familiarity = np.empty(len(views)), np.empty(len(views))
        for start in range(0, len(views), _BLOCK):
            rows = slice(start, start + _BLOCK)
            kernel = product_kernel(views.take(rows), self.centres)
            known = kernel @ self.coefficients
            gaps[rows] = self.intercept + self.length_slope * views.log_lengths[rows] + known
            familiarity[rows] = mean_of_largest(kernel)
        return gaps, familiarity

    def bind(
        self, *, strong: Sequence[str], weak: Sequence[str], embedder: Embedder
    ) -> "BoundBlend":
        """Return the router of the one pair that it was trained on, whatever the names now are."""
        refuse_overlap(strong, weak)
        return BoundBlend(self, embedder, embedder.embed([""])[0])

    def tensors(self) -> dict[str, AnyArray]:
        """Return the arrays that an artifact stores, by name."""
        return {
            "embeddings": self.centres.embeddings.astype(np.float32),
            "surfaces": self.centres.surfaces.astype(np.float32),
            "coefficients": self.coefficients,
            "surface_means": self.scale.means,
            "surface_deviations": self.scale.deviations,
            "intercept": np.array([self.intercept]),
            "length_slope": np.array([self.length_slope]),
            "least_familiarity": np.array([self.least_familiarity]),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, AnyArray]) -> Self:
        """Rebuild from what ``tensors`` returned.

        Raises:
            ArtifactError: If a tensor is missing, or their shapes do not fit together.
        """
        missing = sorted({*_WEIGHTS, *_NUMBERS} - tensors.keys())
        if missing:
            raise ArtifactError(f"a blend router needs the tensors {missing!r}, which are missing")
        n_centres, n_features = len(tensors["coefficients"]), len(SURFACE_NAMES)
        expected = {
            "embeddings": (n_centres, *tensors["embeddings"].shape[1:2]),
            "surfaces": (n_centres, n_features),
            "coefficients": (n_centres,),
            "surface_means": (n_features,),
            "surface_deviations": (n_features,),
            **dict.fromkeys(_NUMBERS, (1,)),
        }
        shapes = {name: tensors[name].shape for name in expected}
        if shapes != expected:
            raise ArtifactError(
                f"the tensors of a blend router have the shapes {shapes!r}, and {n_centres} "
                f"centres with {n_features} surface features need {expected!r}; train it again"
            )
        surfaces, coefficients, means, deviations = (
            tensors[name].astype(np.float64) for name in _WEIGHTS[1:]
        )
        return cls(
            centres=PromptViews(tensors["embeddings"].astype(np.float32), surfaces),
            scale=SurfaceScale(means, deviations),
            coefficients=coefficients,
            **{name: float(tensors[name][0]) for name in _NUMBERS},
        )


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
        but one in 200 of the labelled prompts are to the others.
        """
        embeddings = self.embedder.embed(prompts)
        gaps, familiarity = self.blend.predict(self.blend.views(prompts, embeddings))
        unread = embeddings @ self.nothing > 1.0 - _SAME
        gaps[unread | (familiarity < self.blend.least_familiarity)] = np.nan
        return win_probabilities_of_gaps(gaps)

    def familiarity(self, prompts: Sequence[str]) -> FloatArray:
        """Return how much each prompt is like labelled ones, shape (n_prompts,), in (0, 1]."""
        return self.blend.predict(self.blend.views(prompts, self.embedder.embed(prompts)))[1]

    def win_probabilities_from(
        self, prompts: Sequence[str], embeddings: EmbeddingArray
    ) -> FloatArray:
        """Return P(strong wins) for prompts whose embeddings are at hand, abstaining on none."""
        return win_probabilities_of_gaps(
            self.blend.predict(self.blend.views(prompts, embeddings))[0]
        )


def mean_of_largest(kernel: FloatArray) -> FloatArray:
    """Return the mean of the 5 largest values of each row, or of all where there are fewer."""
    n_kept = min(N_FAMILIAR, kernel.shape[1])
    largest = np.partition(kernel, -n_kept, axis=1)[:, -n_kept:]
    return np.asarray(largest.mean(axis=1))


def win_probabilities_of_gaps(gaps: FloatArray) -> FloatArray:
    """Return (1 + gap) / 2, kept inside (0, 1); NaN stays NaN."""
    return np.clip((1.0 + gaps) / 2.0, _EDGE, 1.0 - _EDGE)
