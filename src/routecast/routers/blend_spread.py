"""How far a few-label router may be off at a prompt: the posterior spread of the expected gap."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from routecast.errors import ArtifactError
from routecast.types import AnyArray, EmbeddingArray, FloatArray

SPREAD_NAMES: Final = (
    *("spread_of_centres", "spread_of_length", "spread_of_ones"),
    *("spread_signs", "spread_prior"),
)
"""Tensors of an artifact; the first ones have none of them."""


@dataclass(frozen=True, eq=False)
class Spread:
    """The posterior variance of the expected gap as a sum of few signed squares.

    With k the kernel of a prompt with the centres and z = (1, l, k), l the log of its length in
    standard deviations, the variance is prior (1 + length l^2) + sum of signs (z . factor)^2.

    Attributes:
        of_centres: Factor of the kernel with each centre, shape (n_centres, n_squares).
        of_length: Factor of the length, shape (n_squares,).
        of_ones: Factor of 1, same shape.
        signs: 1 or -1, same shape; -1 takes away what the labels tell.
        prior: Variance of the gap at a prompt before any label, 0 or more.
        length_variance: Of the slope of length, over ``prior``, 0 or more.
    """

    of_centres: FloatArray
    of_length: FloatArray
    of_ones: FloatArray
    signs: FloatArray
    prior: float
    length_variance: float

    def deviations(
        self, kernel: FloatArray | EmbeddingArray, log_lengths: FloatArray
    ) -> FloatArray:
        """Return the standard deviation of the expected gap per prompt, 0 or more.

        Args:
            kernel: Of the prompts with the centres, shape (n_prompts, n_centres).
            log_lengths: Logs of the numbers of characters, in standard deviations, shape
                (n_prompts,).
        """
        known = kernel @ self.of_centres + np.outer(log_lengths, self.of_length) + self.of_ones
        prior = self.prior * (1.0 + self.length_variance * log_lengths**2)
        return np.sqrt(np.maximum(prior + (known * known) @ self.signs, 0.0))

    def tensors(self) -> dict[str, AnyArray]:
        """Return the arrays that an artifact stores, by name."""
        arrays: tuple[AnyArray, ...] = (
            self.of_centres.astype(np.float32),
            *(self.of_length, self.of_ones, self.signs),
            np.array([self.prior, self.length_variance]),
        )
        return dict(zip(SPREAD_NAMES, arrays, strict=True))

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, AnyArray], *, n_centres: int) -> Self | None:
        """Rebuild from what ``tensors`` returned; None if there is none of it.

        Raises:
            ArtifactError: If only some is there, or the shapes do not fit together.
        """
        found = {name: tensors[name].shape for name in SPREAD_NAMES if name in tensors}
        if not found:
            return None
        n_squares = tensors.get("spread_signs", np.empty(0)).size
        shapes = ((n_centres, n_squares), *[(n_squares,)] * 3, (2,))
        expected = dict(zip(SPREAD_NAMES, shapes, strict=True))
        if found != expected:
            raise ArtifactError(
                f"the spread of a blend router has the shapes {found!r}, and {n_centres} centres "
                f"need {expected!r}; train it again"
            )
        of_length, of_ones, signs = (tensors[name].astype(np.float64) for name in SPREAD_NAMES[1:4])
        prior, length_variance = tensors["spread_prior"].tolist()
        of_centres = tensors["spread_of_centres"].astype(np.float64)
        return cls(of_centres, of_length, of_ones, signs, prior, length_variance)
