from collections.abc import Sequence

import numpy as np
import pytest

from routecast.routers.calibrated import CalibratedRouter
from routecast.routers.length import LengthRouter
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
