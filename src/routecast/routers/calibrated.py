"""A router whose win probabilities mean what they say."""

from collections.abc import Sequence
from dataclasses import dataclass

from routecast.routers.protocol import Router
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
