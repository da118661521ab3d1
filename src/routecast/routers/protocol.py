"""What every router offers."""

from collections.abc import Sequence
from typing import Protocol

from routecast.types import FloatArray


class Router(Protocol):
    """Scores prompts, and nothing else: threshold, models and network are the caller's."""

    def win_probabilities(self, prompts: Sequence[str]) -> FloatArray:
        """Return P(strong wins), ties counted half, per prompt.

        Args:
            prompts: Texts to score. Empty text is allowed.

        Returns:
            Win probability per prompt, shape (n_prompts,), in [0, 1]. NaN means that the router
            abstains; callers then use their configured fallback and log it.
        """
        ...
