"""Fitting a family with each combination of settings, and judging each on validation data."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from routecast.embed.protocol import Embedder
from routecast.routers.protocol import Router
from routecast.stats.platt import fit_platt
from routecast.train.calibrating import unseen_prompts
from routecast.train.prepare import Prepared
from routecast.train.progress import Progress, Watch
from routecast.train.registry import (
    Family,
    Fit,
    Lesson,
    ReadsEmbeddings,
    ReadsPromptsAndEmbeddings,
    Step,
)
from routecast.types import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True)
class TrialFit:
    """One combination of settings that was tried.

    Attributes:
        settings: Of the family, by name; what the labels chose, where they were to choose.
        pair_loss: Log loss of the validation labels between strong and weak, in nats, after Platt
            scaling on the same labels. The settings with the lowest are kept: other pairs of
            models may want other settings.
        validation_loss: Mean logistic loss of all validation comparisons; NaN without any.
    """

    settings: Mapping[str, Any]
    pair_loss: float
    validation_loss: float


@dataclass(frozen=True, kw_only=True, eq=False)
class TriedFit:
    """A combination of settings with what it gave.

    Attributes:
        trial: The settings and their losses.
        fit: The fitted model.
        bound: The model as a router between the sides.
    """

    trial: TrialFit
    fit: Fit
    bound: Router


def fit_all(
    family: Family,
    candidates: Sequence[Mapping[str, Any]],
    prepared: Prepared,
    *,
    embedder: Embedder,
    seed: int,
    checkpoint: Path | None = None,
    device: str | None = None,
    environ: Mapping[str, str] | None = None,
    watch: Watch | None = None,
) -> list[TriedFit]:
    """Fit each combination of settings, and say what each is worth on validation data.

    Args:
        family: What to fit.
        candidates: Combinations of its settings, at least one.
        prepared: The prompts and their split.
        embedder: Gave the vectors.
        seed: Of the fits.
        checkpoint: A folder for what fits need to go on after an interruption, or None.
        device: Where a neural network is trained; None picks.
        environ: Where a router that asks an endpoint looks up ``env:NAME`` for its key.
        watch: Called as the work goes on.

    Returns:
        The best first: the lowest loss of the validation labels between strong and weak; of the
        training labels where each is predicted from the others.
    """
    sides = prepared.sides
    lesson = replace(
        lesson_of(prepared),
        seed=seed,
        device=device,
        environ=environ or {},
        embedder=embedder,
    )
    tried = []
    for number, options in enumerate(candidates, start=1):
        stage = "fitting" if len(candidates) == 1 else f"fitting {number} of {len(candidates)}"
        own = family.settings(**options)
        on_step = _on_step(stage, watch)
        kept = checkpoint and checkpoint / f"fit-{number}"
        fit = family.fit(replace(lesson, on_step=on_step, checkpoint=kept), own)
        bound = fit.model.bind(strong=sides.strong, weak=sides.weak, embedder=embedder)
        trial = TrialFit(
            settings={name: getattr(own, name) for name in family.settings_names()},
            pair_loss=_pair_loss(bound, fit, prepared),
            validation_loss=fit.validation_loss,
        )
        tried.append(TriedFit(trial=trial, fit=fit, bound=bound))
    return sorted(tried, key=lambda one: (math.isnan(one.trial.pair_loss), one.trial.pair_loss))


def lesson_of(prepared: Prepared) -> Lesson:
    """Return what a family learns from; the seed is 0."""
    training, validation = prepared.lesson_parts()
    sides = prepared.sides
    return Lesson(
        prompts=prepared.prompts,
        embeddings=prepared.embeddings,
        training=training,
        validation=validation,
        strong=sides.strong,
        weak=sides.weak,
        seed=0,
        groups=prepared.duplicates.labels,
        folds=prepared.folds,
        tiers=sides.tiers,
        weak_quality=_weak_quality(prepared),
    )


def _weak_quality(prepared: Prepared) -> FloatArray | None:
    """Return the weak models' mean quality per prompt; of test prompts, nothing."""
    seen = np.union1d(prepared.split.train, prepared.split.validation)
    labels = prepared.labels_on(seen.astype(np.int64))
    known = labels.take(np.flatnonzero(~np.isnan(labels.weak_quality)))
    if not len(known):
        return None
    n_prompts = len(prepared.prompts)
    counts = np.bincount(known.prompt_index, minlength=n_prompts).astype(np.float64)
    sums = np.bincount(known.prompt_index, known.weak_quality, minlength=n_prompts)
    qualities: FloatArray = np.full(n_prompts, np.nan)
    np.divide(sums, counts, out=qualities, where=counts > 0)
    return qualities


def score_prompts(bound: Router, fit: Fit, prepared: Prepared, rows: IntArray) -> FloatArray:
    """Score some prompts, repeated ones too: from their vectors where the router takes them.

    Training prompts are scored without their own labels where the fit says how.
    """
    distinct, position = np.unique(rows, return_inverse=True)
    if fit.cross_fitted is None:
        return _scores_of(bound, prepared, distinct)[position]
    scores = fit.cross_fitted[distinct]
    others = np.flatnonzero(np.isnan(scores))
    if len(others):
        scores[others] = _scores_of(bound, prepared, distinct[others])
    return np.asarray(scores[position])


def score_test_prompts(bound: Router, prepared: Prepared) -> FloatArray:
    """Score the test prompts as the router will when it is used, NaN where it abstains."""
    rows = prepared.split.test
    if not len(rows):
        return np.empty(0)
    if isinstance(bound, ReadsPromptsAndEmbeddings):  # from vectors it abstains on none
        prompts = [prepared.prompts[row] for row in rows.tolist()]
        return np.asarray(bound.win_probabilities(prompts), dtype=np.float64)
    return _scores_of(bound, prepared, rows)


def _scores_of(bound: Router, prepared: Prepared, rows: IntArray) -> FloatArray:
    prompts = [prepared.prompts[row] for row in rows.tolist()]
    if isinstance(bound, ReadsEmbeddings):
        scores = bound.win_probabilities_of(prepared.embeddings[rows])
    elif isinstance(bound, ReadsPromptsAndEmbeddings):
        scores = bound.win_probabilities_from(prompts, prepared.embeddings[rows])
    else:
        scores = bound.win_probabilities(prompts)
    return np.asarray(scores, dtype=np.float64)


def _pair_loss(bound: Router, fit: Fit, prepared: Prepared) -> float:
    """Return the loss of the unseen labels between the sides; NaN if none has a score."""
    labels = prepared.labels_on(unseen_prompts(prepared, cross_fitted=fit.cross_fitted is not None))
    scores = score_prompts(bound, fit, prepared, labels.prompt_index)
    known = ~np.isnan(scores)
    if not known.any():
        return math.nan
    scores, wins, weights = (
        scores[known],
        labels.wins[known],
        labels.weight[known],
    )
    fitted = np.clip(fit_platt(scores, wins, weights=weights).apply(scores), 1e-12, 1 - 1e-12)
    losses = -(wins * np.log(fitted) + (1.0 - wins) * np.log1p(-fitted))
    return float(np.average(losses, weights=weights))


def _on_step(stage: str, watch: Watch | None) -> Step | None:
    if watch is None:
        return None

    def on_step(step: int, training_loss: float, validation_loss: float | None) -> None:
        watch(
            Progress(
                stage=stage,
                n_done=step + 1,
                training_loss=training_loss,
                validation_loss=validation_loss,
            )
        )

    return on_step
