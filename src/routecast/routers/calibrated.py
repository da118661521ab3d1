"""A router whose win probabilities mean what they say."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from routecast.routers.protocol import Router, ScoresOne
from routecast.stats.isotonic import IsotonicScaling
from routecast.stats.platt import PlattScaling
from routecast.types import FloatArray

CalibrationMap = PlattScaling | IsotonicScaling
"""A strictly increasing map from score to win probability; ``apply`` leaves NaN as NaN."""


@dataclass(frozen=True)
class CalibratedRouter:
    """Passes another router's scores through a strictly increasing map.

    Attributes:
        router: Gives the uncalibrated win probabilities.
        calibration: The map, fitted on held-out prompts.
    """

    router: Router
    calibration: CalibrationMap

    def win_probabilities(self, prompts: Sequence[str]) -> FloatArray:
        """Return calibrated win probabilities, shape (n_prompts,), in [0, 1]; NaN stays NaN.

        Raises:
            TypeError: If ``prompts`` is one text, whose letters would each be scored.
        """
        if isinstance(prompts, str):
            raise TypeError("prompts is one text; give a list of texts: [prompt]")
        return self.calibration.apply(self.router.win_probabilities(prompts))

    def win_probability(self, prompt: str) -> float:
        """Return the same for one prompt, in less time where the router can."""
        return self.calibration.apply_one(self._score_one(prompt))

    @cached_property
    def _score_one(self) -> Callable[[str], float]:
        router = self.router
        if isinstance(router, ScoresOne):
            return router.win_probability
        return lambda prompt: float(router.win_probabilities([prompt])[0])
