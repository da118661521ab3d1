"""Calibrating a router on the validation labels, and what its artifact keeps of that sample."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from routecast.artifacts import CalibrationRecord, OutcomesRecord, record_map
from routecast.calibrate.probability import choose_calibration
from routecast.calibrate.quantiles import win_probability_quantiles
from routecast.calibrate.threshold import SampleOutcomes, outcomes_along_quantiles
from routecast.routers.calibrated import CalibrationMap
from routecast.stats.platt import fit_platt
from routecast.train.prepare import Prepared
from routecast.train.sides import PairLabels
from routecast.types import FloatArray, IntArray


def calibrate_scores(
    scores: FloatArray,
    prepared: Prepared,
    *,
    cross_fitted: bool = False,
    has_outcomes: bool = False,
    even_groups: bool = False,
    evenly: bool = False,
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
        even_groups: Let each group of labels count alike.
        evenly: Use Platt scaling, whatever cross-validation says; for scores that are never NaN.
        seed: Of the folds of the cross-validation.

    Returns:
        What the artifact keeps, and every prompt's win probability, shape (n_prompts,).
    """
    positions = unseen_prompts(prepared, cross_fitted=cross_fitted)
    kind = "cross-fitted" if cross_fitted else "held-out"
    labels = prepared.labels_on(positions)
    rows = labels.prompt_index
    weights = label_weights(labels, even_groups=even_groups)
    calibration = _fit_map(scores, labels, weights, prepared, evenly=evenly, seed=seed)
    calibrated = calibration.apply(scores)
    sample, outcomes = f"{len(positions):,} {kind} prompts of the training data", None
    sampled, sample_weights = calibrated[positions], None
    if even_groups:
        n_groups = len(set(labels.groups))
        sample = f"{len(rows):,} {kind} prompts of {n_groups} tasks, each task of equal weight"
        sampled, sample_weights = calibrated[rows], weights
    elif has_outcomes:
        sampled, outcomes = calibrated[rows], _outcomes_record(calibrated[rows], labels, prepared)
    record = CalibrationRecord(
        sample=sample,
        n_prompts=len(sampled),
        map=record_map(calibration),
        win_probability_quantiles=tuple(
            win_probability_quantiles(sampled, weights=sample_weights).tolist()
        ),
        abstained_share=float(np.average(np.isnan(sampled), weights=sample_weights)),
        outcomes=outcomes,
    )
    return record, calibrated


def _fit_map(
    scores: FloatArray,
    labels: PairLabels,
    weights: FloatArray,
    prepared: Prepared,
    *,
    evenly: bool,
    seed: int,
) -> CalibrationMap:
    """Fit the map from scores of every prompt to what some labels say."""
    rows = labels.prompt_index
    if evenly:
        return fit_platt(scores[rows], labels.wins, weights=weights)
    return choose_calibration(
        scores[rows],
        labels.wins,
        weights=weights,
        groups=prepared.duplicates.labels[rows],
        seed=seed,
    ).calibration


def calibrate_by_fold(
    scores: FloatArray,
    prepared: Prepared,
    folds: IntArray,
    *,
    even_groups: bool = False,
    evenly: bool = False,
    seed: int,
) -> FloatArray:
    """Calibrate the training prompts of each fold on the labels of the others, to report on them.

    Args:
        scores: Cross-fitted scores of every prompt, shape (n_prompts,).
        prepared: The prompts and their labels.
        folds: Fold of each prompt, same shape.
        even_groups: As in `calibrate_scores`; so are the others.
        evenly: As there.
        seed: As there.

    Returns:
        Win probability of every prompt, shape (n_prompts,).
    """
    calibrated = np.full(len(scores), np.nan)
    labels = prepared.labels_on(prepared.split.train)
    weights = label_weights(labels, even_groups=even_groups)
    for fold in np.unique(folds):
        others = np.flatnonzero(folds[labels.prompt_index] != fold)
        chosen = _fit_map(
            scores, labels.take(others), weights[others], prepared, evenly=evenly, seed=seed
        )
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


def label_weights(labels: PairLabels, *, even_groups: bool) -> FloatArray:
    """Return how much each label counts: its own weight, or such that groups count alike."""
    return even_weights(labels.groups) if even_groups else labels.weight


def even_weights(groups: Sequence[str | None]) -> FloatArray:
    """Return weights, shape (n_labels,), that add up to 1 in each group; None is a group too."""
    counts = Counter(groups)
    return np.array([1.0 / counts[group] for group in groups], dtype=np.float64)
