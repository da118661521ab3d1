"""What every router offers."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from routecast.routers.explanation import Explanation
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


@runtime_checkable
class ScoresOne(Protocol):
    """A router that scores a single prompt in less time than a list of one: for a gateway."""

    def win_probability(self, prompt: str) -> float:
        """Return what ``win_probabilities`` returns for this prompt alone."""
        ...


@runtime_checkable
class StatesDoubt(Protocol):
    """A router that also knows how far its expected gap may be off."""

    def gap_deviations(self, prompts: Sequence[str]) -> FloatArray:
        """Return the standard deviation of the expected gap per prompt, shape (n_prompts,).

        The gap is the quality of strong minus that of weak, in [-1, 1], as it was learned, before
        any calibration. It is that of the mean over prompts like this one, 0 or more; NaN where it
        is not known.
        """
        ...


@runtime_checkable
class Explains(Protocol):
    """A router that can say which features of a prompt count, and how much."""

    def explain(self, prompt: str) -> Explanation:
        """Return what the prompt's win probability is made of, before any calibration."""
        ...
