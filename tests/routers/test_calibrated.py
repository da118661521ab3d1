from collections.abc import Sequence

import numpy as np
import pytest

from routecast.routers.calibrated import CalibratedRouter, CalibrationMap
from routecast.routers.length import LengthRouter
from routecast.stats.isotonic import fit_isotonic
from routecast.stats.platt import PlattScaling
from routecast.types import FloatArray


class AbstainingRouter:
    def win_probabilities(self, prompts: Sequence[str]) -> FloatArray:
        return np.full(len(prompts), np.nan)


def test_the_map_is_applied_to_every_score() -> None:
    router = CalibratedRouter(LengthRouter(midpoint=1), PlattScaling(slope=2.0, intercept=0.0))
    # Length 4 scores 4 / 5, log-odds ln 4, doubled ln 16: 16 / 17.
    assert router.win_probabilities(["abcd"]) == pytest.approx([16 / 17])


def test_an_abstention_stays_one() -> None:
    router = CalibratedRouter(AbstainingRouter(), PlattScaling(slope=1.0, intercept=0.0))
    assert np.isnan(router.win_probabilities(["a", "b"])).all()
    assert np.isnan(router.win_probability("a"))


class QuickRouter(LengthRouter):
    """Counts who asks it for a single score."""

    n_asked = 0

    def win_probability(self, prompt: str) -> float:
        QuickRouter.n_asked += 1
        return float(self.win_probabilities([prompt])[0])


@pytest.mark.parametrize("kind", [LengthRouter, QuickRouter])
@pytest.mark.parametrize(
    "calibration",
    [
        PlattScaling(slope=2.0, intercept=0.0),
        fit_isotonic(np.array([0.1, 0.9]), np.array([0.0, 1.0])),
    ],
)
def test_one_prompt_is_mapped_as_a_list_of_one(
    kind: type[LengthRouter], calibration: CalibrationMap
) -> None:
    router = CalibratedRouter(kind(midpoint=1), calibration)
    n_before = QuickRouter.n_asked
    assert router.win_probability("abcd") == router.win_probabilities(["abcd"])[0]
    assert QuickRouter.n_asked - n_before == (kind is QuickRouter)
