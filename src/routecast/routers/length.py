"""The length baseline: longer prompts go to the strong model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from routecast.types import FloatArray


@dataclass(frozen=True)
class LengthRouter:
    """Scores a prompt by its number of characters, n / (n + midpoint).

    Only the order means anything: it is the baseline that a learnt router has to beat, and not
    a probability.

    Attributes:
        midpoint: Number of characters that scores 0.5.
    """

    midpoint: int = 500

    def win_probabilities(self, prompts: Sequence[str]) -> FloatArray:
        """Return a strictly increasing function of length, shape (n_prompts,), in [0, 1)."""
        n_characters = np.fromiter((len(prompt) for prompt in prompts), np.float64, len(prompts))
        return n_characters / (n_characters + self.midpoint)
