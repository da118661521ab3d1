"""The causal LM router as a family of the training pipeline."""

from dataclasses import replace

import numpy as np

from routecast.errors import ConfigError, DataError
from routecast.train.causal import LabelledQueries, fit_causal
from routecast.train.causal_settings import CausalSettings
from routecast.train.pair_labels import PromptLabels, labels_between_sides
from routecast.train.registry import Family, Fit, Lesson
from routecast.types import FloatArray


def fit_lesson(lesson: Lesson, settings: CausalSettings) -> Fit:
    """Learn from the comparisons between the sides; others say nothing about this pair.

    Raises:
        ConfigError: If grades are asked for, and the labels say who won and not how well the weak
            model did.
        DataError: If the sides never met on a training prompt.
    """
    training = labels_between_sides(lesson, lesson.training)
    if not len(training):
        raise DataError(
            "strong and weak never met on a training prompt; label more prompts, or try another "
            "--seed"
        )
    fitted = fit_causal(
        _queries(lesson, training, settings),
        validation=_queries(lesson, labels_between_sides(lesson, lesson.validation), settings),
        settings=replace(settings, seed=lesson.seed),
        device=lesson.device,
        checkpoint=lesson.checkpoint,
        on_step=lesson.on_step,
    )
    tuned = fitted.tuned
    return Fit(
        model=fitted.classifier,
        validation_loss=tuned.validation_loss,
        record={
            **fitted.classifier.record(),
            "base": fitted.base,
            "base_revision": fitted.revision,
            "learning_rate": settings.fine_tuning().learning_rate,
            "label_balance": training.balance(),
            "best_step": tuned.best_step,
            "n_steps_taken": tuned.n_steps,
            "micro_batch_used": tuned.micro_batch,
        },
    )


def _queries(lesson: Lesson, labels: PromptLabels, settings: CausalSettings) -> LabelledQueries:
    values, rows, weights = labels.wins, labels.rows, labels.weights
    if settings.labels == "grade":
        values = _weak_qualities(lesson)[rows]
        known = ~np.isnan(values)
        values, rows, weights = values[known], rows[known], weights[known]
    texts = [lesson.prompts[row] for row in rows.tolist()]
    return LabelledQueries(texts=texts, values=values, weights=weights)


def _weak_qualities(lesson: Lesson) -> FloatArray:
    if lesson.weak_quality is None or np.isnan(lesson.weak_quality).all():
        raise ConfigError(
            "labels='grade' learns how good the weak model's answers are, and comparisons do not "
            "say that; give --outcomes, or take --set labels=win"
        )
    return lesson.weak_quality


FAMILY = Family(
    name="causal", settings=CausalSettings, fit=fit_lesson, private=("base", "template")
)
