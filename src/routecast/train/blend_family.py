"""The few-label router as a family of the training pipeline."""

import math
from dataclasses import replace

from routecast.routers.blend_kernel import describe
from routecast.train.blend import BlendSettings, Labels, fit_blend
from routecast.train.pair_labels import labels_between_sides, placed
from routecast.train.registry import Family, Fit, Lesson


def fit_lesson(lesson: Lesson, settings: BlendSettings) -> Fit:
    """Learn from the comparisons between the sides; others say nothing about this pair."""
    labels = labels_between_sides(lesson, lesson.training)
    rows = labels.rows
    fit = fit_blend(
        describe([lesson.prompts[row] for row in rows.tolist()], lesson.embeddings[rows]),
        Labels(
            gaps=labels.gaps,
            weights=labels.weights,
            groups=lesson.groups[rows],
            folds=None if lesson.folds is None else lesson.folds[rows],
        ),
        settings=replace(settings, seed=lesson.seed),
    )
    return Fit(
        model=fit.model,
        validation_loss=math.nan,
        record={
            "signal_share": fit.signal_share,
            "least_familiarity": fit.model.least_familiarity,
        },
        cross_fitted=placed(fit.held_out_gaps, labels, lesson),
        by_fold=None if fit.gaps_by_fold is None else placed(fit.gaps_by_fold, labels, lesson),
    )


FAMILY = Family(name="blend", settings=BlendSettings, fit=fit_lesson, cross_fits=True)
