"""Calibrating a router on the validation labels, and what its artifact keeps of that sample."""

import numpy as np

from routecast.artifacts import CalibrationRecord, OutcomesRecord, record_map
from routecast.calibrate.probability import choose_calibration
from routecast.calibrate.quantiles import win_probability_quantiles
from routecast.calibrate.threshold import SampleOutcomes, outcomes_along_quantiles
from routecast.routers.calibrated import CalibrationMap
from routecast.train.pair_labels import PairLabels
from routecast.train.prepare import Prepared
from routecast.types import FloatArray, IntArray


def calibrate_scores(
    scores: FloatArray,
    prepared: Prepared,
    *,
    cross_fitted: bool = False,
    has_outcomes: bool = False,
    seed: int,
) -> tuple[CalibrationRecord, FloatArray]:
    """Calibrate on labels that the scores do not know.

    Args:
        scores: Of every prompt, shape (n_prompts,), in [0, 1]; NaN where the router abstains.
        prepared: The prompts and their split.
        cross_fitted: Whether each training prompt's score was made without its label; calibration
            is on these then, and else on the validation prompts.
        has_outcomes: Whether every label comes with qualities, so that quality along the thresholds
            can be kept.
        seed: Of the folds of the cross-validation.

    Returns:
        What the artifact keeps, and every prompt's win probability, shape (n_prompts,).
    """
    positions = unseen_prompts(prepared, cross_fitted=cross_fitted)
    kind = "cross-fitted" if cross_fitted else "held-out"
    labels = prepared.labels_on(positions)
    rows = labels.prompt_index
    calibration = _fit_map(scores, labels, prepared, seed=seed)
    calibrated = calibration.apply(scores)
    sample, outcomes = f"{len(positions):,} {kind} prompts of the training data", None
    sampled = calibrated[positions]
    if has_outcomes:
        sampled, outcomes = calibrated[rows], _outcomes_record(calibrated[rows], labels, prepared)
    record = CalibrationRecord(
        sample=sample,
        n_prompts=len(sampled),
        map=record_map(calibration),
        win_probability_quantiles=tuple(win_probability_quantiles(sampled).tolist()),
        abstained_share=float(np.isnan(sampled).mean()),
        outcomes=outcomes,
    )
    return record, calibrated


def _fit_map(
    scores: FloatArray, labels: PairLabels, prepared: Prepared, *, seed: int
) -> CalibrationMap:
    """Fit the map from scores of every prompt to what some labels say."""
    rows = labels.prompt_index
    return choose_calibration(
        scores[rows],
        labels.wins,
        weights=labels.weight,
        groups=prepared.duplicates.labels[rows],
        seed=seed,
    ).calibration


def calibrate_by_fold(
    scores: FloatArray,
    prepared: Prepared,
    folds: IntArray,
    *,
    seed: int,
) -> FloatArray:
    """Calibrate the training prompts of each fold on the labels of the others, to report on them.

    Args:
        scores: Cross-fitted scores of every prompt, shape (n_prompts,).
        prepared: The prompts and their labels.
        folds: Fold of each prompt, same shape.
        seed: As in `calibrate_scores`.

    Returns:
        Win probability of every prompt, shape (n_prompts,).
    """
    calibrated = np.full(len(scores), np.nan)
    labels = prepared.labels_on(prepared.split.train)
    for fold in np.unique(folds):
        others = np.flatnonzero(folds[labels.prompt_index] != fold)
        chosen = _fit_map(scores, labels.take(others), prepared, seed=seed)
        calibrated[folds == fold] = chosen.apply(scores[folds == fold])
    return calibrated


def unseen_prompts(prepared: Prepared, *, cross_fitted: bool) -> IntArray:
    """Return the prompts whose labels no score of theirs knows."""
    return prepared.split.train if cross_fitted else prepared.split.validation


def _outcomes_record(
    win_probabilities: FloatArray, labels: PairLabels, prepared: Prepared
) -> OutcomesRecord:
    """Say what quality routing has on the unseen prompts, so that goals can be read from it."""
    return outcomes_along_quantiles(
        win_probabilities,
        SampleOutcomes(
            strong=", ".join(prepared.sides.strong),
            weak=", ".join(prepared.sides.weak),
            strong_quality=labels.strong_quality,
            weak_quality=labels.weak_quality,
        ),
    )
