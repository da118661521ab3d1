"""Matrix factorisation as a family of the training pipeline."""

import math
from dataclasses import replace

from routecast.train.battles import ModelScores
from routecast.train.mf import MfSettings, fit_mf
from routecast.train.registry import Family, Fit, Lesson


def fit_lesson(lesson: Lesson, settings: MfSettings) -> Fit:
    """Fit all models of the lesson; the step with the lowest validation loss is kept."""
    fit = fit_mf(
        lesson.embeddings,
        lesson.training,
        validation=lesson.validation if len(lesson.validation) else None,
        settings=replace(settings, seed=lesson.seed),
        on_step=lesson.on_step,
        tiers=lesson.tiers,
        checkpoint=lesson.checkpoint,
        resume=lesson.checkpoint is not None,
    )
    losses = fit.validation_losses
    return Fit(
        model=fit.model,
        validation_loss=losses[fit.best_step] if losses else math.nan,
        scores=ModelScores(names=fit.model.model_names, of=fit.model.scores),
        record={"best_step": fit.best_step},
    )


FAMILY = Family(
    name="mf",
    settings=MfSettings,
    fit=fit_lesson,
    search={"weight_decay": (1e-5, 1e-4, 1e-3, 1e-2)},
)
