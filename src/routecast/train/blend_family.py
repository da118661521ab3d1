"""The few-label router as a family of the training pipeline."""

import math
from dataclasses import replace

import numpy as np

from routecast.routers.blend import win_probabilities_of_gaps
from routecast.routers.blend_kernel import describe
from routecast.train.blend import BlendSettings, Labels, fit_blend
from routecast.train.pair_labels import labels_between_sides
from routecast.train.registry import Family, Fit, Lesson


def fit_lesson(lesson: Lesson, settings: BlendSettings) -> Fit:
    """Learn from the comparisons between the sides; others say nothing about this pair."""
    labels = labels_between_sides(lesson, lesson.training)
    rows = labels.rows
    fit = fit_blend(
        describe([lesson.prompts[row] for row in rows.tolist()], lesson.embeddings[rows]),
        Labels(gaps=labels.gaps, weights=labels.weights, groups=lesson.groups[rows]),
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


FAMILY = Family(name="blend", settings=BlendSettings, fit=fit_lesson, cross_fits=True)
