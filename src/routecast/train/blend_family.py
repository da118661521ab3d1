"""The few-label router as a family of the training pipeline."""

import math
from dataclasses import replace

import numpy as np

from routecast.routers.blend import win_probabilities_of_gaps
from routecast.train.blend import BlendSettings, Labels, fit_blend
from routecast.train.registry import Family, Fit, Lesson
from routecast.types import FloatArray, IntArray


def fit_lesson(lesson: Lesson, settings: BlendSettings) -> Fit:
    """Learn from the comparisons between the sides; others say nothing about this pair."""
    rows, gaps, weights = _gaps(lesson)
    fit = fit_blend(
        [lesson.prompts[row] for row in rows.tolist()],
        lesson.embeddings[rows],
        Labels(gaps=gaps, weights=weights, groups=lesson.groups[rows]),
        settings=replace(settings, seed=lesson.seed),
    )
    cross_fitted = np.full(len(lesson.prompts), np.nan)
    cross_fitted[rows] = win_probabilities_of_gaps(fit.held_out_gaps)
    return Fit(
        model=fit.model,
        validation_loss=math.nan,
        record={
            "signal_share": fit.signal_share,
            "least_familiarity": fit.model.least_familiarity,
        },
        cross_fitted=cross_fitted,
    )


def _gaps(lesson: Lesson) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return prompts with a comparison between the sides, their mean gaps and summed weights."""
    training = lesson.training
    side = np.array(
        [(name in lesson.strong) - (name in lesson.weak) for name in training.models], np.int64
    )
    side_a, side_b = side[training.model_a_index], side[training.model_b_index]
    met = np.flatnonzero(side_a * side_b < 0)
    gaps = side_a[met] * (2.0 * training.outcome[met].astype(np.float64) - 1.0)
    weights = training.weight[met].astype(np.float64)
    rows, places = np.unique(training.prompt_index[met], return_inverse=True)
    totals: FloatArray = np.bincount(places, weights).astype(np.float64)
    return rows.astype(np.int64), np.bincount(places, weights * gaps) / totals, totals


FAMILY = Family(
    name="blend", settings=BlendSettings, fit=fit_lesson, cross_fits=True, learns_margins=True
)
