"""How alike two prompts are: in what they say times in how they look."""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from routecast.routers.surface import SURFACE_NAMES
from routecast.types import EmbeddingArray, FloatArray, IntArray

MAX_DEVIATIONS: Final = 4.0
"""Standard deviations at which a surface feature is cut off."""

_LOG_LENGTH: Final = SURFACE_NAMES.index("log_characters")
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
class PromptViews:
    """The two views of prompts that the kernel compares.

    Attributes:
        embeddings: Unit vectors, shape (n_prompts, dimension).
        surfaces: Scaled surface features, shape (n_prompts, 15).
    """

    embeddings: EmbeddingArray
    surfaces: FloatArray

    def __len__(self) -> int:
        """Return the number of prompts."""
        return len(self.embeddings)

    @property
    def log_lengths(self) -> FloatArray:
        """Logarithms of the numbers of characters, in standard deviations, shape (n_prompts,)."""
        return np.asarray(self.surfaces[:, _LOG_LENGTH] * len(SURFACE_NAMES) ** 0.5)

    def take(self, rows: IntArray | slice) -> "PromptViews":
        """Return some of the prompts, by position or by slice."""
        return PromptViews(self.embeddings[rows], self.surfaces[rows])


def product_kernel(left: PromptViews, right: PromptViews) -> FloatArray:
    """Return how alike each prompt on the left is to each on the right, shape (n_left, n_right).

    The kernel is k_E k_S with two mixtures of Gaussian kernels of three widths each,
    k_E = (u + u^2 + u^4) / 3 with u = exp(-|e - e'|^2 / 2) on embeddings, and
    k_S = (v + v^2 + v^4) / 3 with v = exp(-|s - s'|^2 / 4) on scaled surface features.
    Products and means of kernels are kernels (Rasmussen and Williams, Gaussian Processes for
    Machine Learning, 2006, section 4.2.4).

    Returns:
        Symmetric in its arguments, in (0, 1], and 1 for a prompt with itself.
    """
    cosines = np.minimum(left.embeddings @ right.embeddings.T, 1.0).astype(np.float64)
    a, b = left.surfaces, right.surfaces
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2.0 * (a @ b.T)
    return _mixture(np.exp(cosines - 1.0)) * _mixture(np.exp(np.maximum(squares, 0.0) / -4.0))


def _mixture(values: FloatArray) -> FloatArray:
    squared = values * values
    return (values + squared + squared * squared) / 3.0
