"""Learning the demo's router from its labelled questions, and choosing its threshold on them.

Arrays go straight to the fit: the tables of `routecast train` need the extra ``lab``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from routecast.artifacts import LoadedRouter
from routecast.calibrate.probability import choose_calibration
from routecast.calibrate.quantiles import win_probability_quantiles
from routecast.calibrate.threshold import SampleOutcomes, ThresholdChoice, choose_threshold
from routecast.demo.questions import MODEL_NAMES, AnswerTable, Question
from routecast.embed.protocol import Embedder
from routecast.embed.registry import load_embedder
from routecast.policy.goals import Goal
from routecast.routers.calibrated import CalibratedRouter
from routecast.routers.protocol import Router
from routecast.routers.surface import surface_features
from routecast.train.blend import Labels, fit_blend
from routecast.types import FloatArray

LEARNER: Final = "blend"
GOAL: Final = Goal("min_quality", 0.9)

_TIMEOUT_MS = 10_000.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Learned:
    """A router, and where its strong model begins.

    Attributes:
        loaded: The router, ready to serve.
        choice: Its threshold with what the learned questions say of it, each scored without its
            own label.
    """

    loaded: LoadedRouter
    choice: ThresholdChoice

    @property
    def route(self) -> dict[str, str | float]:
        """Settings of the route that serves it; a busy machine may take its time to score."""
        cut = self.choice.cut
        tie = {"tie_share": cut.tie_share} if cut.tie_share < 1 else {}
        return {"threshold": cut.threshold, "router_timeout_ms": _TIMEOUT_MS, **tie}


def learn(questions: Sequence[Question]) -> Learned:
    """Learn from questions whose answers are graded, and meet the goal on them."""
    table = AnswerTable.of(questions)
    gaps = table.strong_quality - table.weak_quality
    embedder = load_embedder("static")
    router, cross_fitted = _fit([asked.prompt for asked in questions], gaps, embedder)
    calibration = choose_calibration(cross_fitted, (1.0 + gaps) / 2.0).calibration
    win_probabilities = calibration.apply(cross_fitted)
    loaded = LoadedRouter(
        name=LEARNER,
        router=CalibratedRouter(router, calibration),
        win_probability_quantiles=win_probability_quantiles(win_probabilities),
        calibration_sample=f"{len(questions)} cross-fitted questions",
        manifest=None,
        embedder=embedder,
    )
    outcomes = SampleOutcomes(
        strong=MODEL_NAMES["strong"],
        weak=MODEL_NAMES["weak"],
        strong_quality=table.strong_quality,
        weak_quality=table.weak_quality,
    )
    return Learned(
        loaded=loaded, choice=choose_threshold(win_probabilities, GOAL, outcomes=outcomes)
    )


def _fit(prompts: list[str], gaps: FloatArray, embedder: Embedder) -> tuple[Router, FloatArray]:
    """Return the router, and each prompt's score without its own label: the one choice of learner.

    Args:
        prompts: No two nearly the same.
        gaps: Strong minus weak quality, shape (n_prompts,).
        embedder: What the router reads prompts by.
    """
    labels = Labels(gaps=gaps, weights=np.ones(len(gaps)), groups=np.arange(len(gaps)))
    fit = fit_blend(embedder.embed(prompts), surface_features(prompts), labels)
    router = fit.model.bind(
        strong=(MODEL_NAMES["strong"],), weak=(MODEL_NAMES["weak"],), embedder=embedder
    )
    return router, np.clip((1.0 + fit.held_out_gaps) / 2.0, 0.0, 1.0)
