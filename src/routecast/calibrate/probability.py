"""Make win probabilities mean what they say, without changing the order of prompts.

Two maps are tried. Platt scaling has two numbers and wins on small samples; isotonic regression
follows any rising curve and wins on large ones. Cross-validated log loss chooses.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from routecast.routers.calibrated import CalibrationMap
from routecast.stats.isotonic import fit_isotonic
from routecast.stats.platt import fit_platt
from routecast.types import FloatArray, IntArray

N_FOLDS = 10
_Fit = Callable[[FloatArray, FloatArray, FloatArray], CalibrationMap]


@dataclass(frozen=True, kw_only=True, eq=False)
class CalibrationChoice:
    """The map that was chosen, fitted on the whole sample, and why.

    Attributes:
        calibration: The map; its ``apply`` leaves NaN as NaN.
        kind: Which of the two it is.
        platt_log_loss: Mean log loss of Platt scaling on the folds that it was not fitted on,
            weighted, in nats; NaN when the sample is too small to have folds.
        isotonic_log_loss: The same of the isotonic map.
        n_folds: Folds of the cross-validation; 0 when there was none.
        n_prompts: Rows that were fitted on.
        n_abstained: Rows left out because their score is NaN.
    """

    calibration: CalibrationMap
    kind: Literal["platt", "isotonic"]
    platt_log_loss: float
    isotonic_log_loss: float
    n_folds: int
    n_prompts: int
    n_abstained: int


def choose_calibration(
    scores: FloatArray,
    targets: FloatArray,
    *,
    weights: FloatArray | None = None,
    groups: Sequence[Hashable] | IntArray | None = None,
    seed: int = 0,
) -> CalibrationChoice:
    """Fit Platt scaling and isotonic regression, and keep the one that predicts better.

    The sample must be prompts that the router was not trained on.

    Args:
        scores: Uncalibrated win probabilities, shape (n_prompts,), in [0, 1]; rows of NaN (the
            router abstains) are left out.
        targets: What happened, shape (n_prompts,), in [0, 1]: 1 when strong won, 0.5 a tie.
        weights: Weight per prompt, shape (n_prompts,), positive; all 1 when None.
        groups: One label per row; rows of one group (one prompt, one conversation) are never on
            both sides of a fold. Each row is its own group when None.
        seed: Decides the folds: ten, or as many as there are groups where those are fewer.

    Returns:
        The map with the lower cross-validated log loss, Platt when they are equal or when there
        are fewer than two groups.

    Raises:
        ValueError: If no score is a number, or shapes differ, or a value is out of range.
    """
    known = ~np.isnan(scores)
    weights = np.ones_like(scores) if weights is None else weights
    codes = _codes(groups, len(scores))
    if not len(scores) == len(targets) == len(weights) == len(codes):
        raise ValueError(
            f"{len(scores)} scores, {len(targets)} targets, {len(weights)} weights and "
            f"{len(codes)} groups; give one of each per prompt"
        )
    sample = scores[known], targets[known], weights[known]
    folds = _folds(codes[known], seed)
    platt, isotonic = (_held_out_loss(fit, sample, folds) for fit in (_platt, _isotonic))
    is_isotonic = isotonic < platt
    return CalibrationChoice(
        calibration=(_isotonic if is_isotonic else _platt)(*sample),
        kind="isotonic" if is_isotonic else "platt",
        platt_log_loss=platt,
        isotonic_log_loss=isotonic,
        n_folds=int(folds.max(initial=0)) + 1 if folds.any() else 0,
        n_prompts=int(known.sum()),
        n_abstained=int((~known).sum()),
    )


def _platt(scores: FloatArray, targets: FloatArray, weights: FloatArray) -> CalibrationMap:
    return fit_platt(scores, targets, weights=weights)


def _isotonic(scores: FloatArray, targets: FloatArray, weights: FloatArray) -> CalibrationMap:
    return fit_isotonic(scores, targets, weights=weights)


def _codes(groups: Sequence[Hashable] | IntArray | None, n_rows: int) -> IntArray:
    """Number the groups in the order of their first rows, shape (n_rows,)."""
    if groups is None:
        return np.arange(n_rows)
    numbers: dict[Hashable, int] = {}
    labels = groups.tolist() if isinstance(groups, np.ndarray) else groups
    return np.array([numbers.setdefault(label, len(numbers)) for label in labels], dtype=np.int64)


def _folds(codes: IntArray, seed: int) -> IntArray:
    """Deal whole groups, shuffled, to the folds in turn; all 0 when there is one group."""
    distinct, codes = np.unique(codes, return_inverse=True)
    ranks: IntArray = np.random.default_rng(seed).permutation(len(distinct))
    return ranks[codes] % N_FOLDS


def _held_out_loss(
    fit: _Fit, sample: tuple[FloatArray, FloatArray, FloatArray], folds: IntArray
) -> float:
    """Return the weighted mean log loss on the folds left out in turn; NaN with fewer than two."""
    scores, targets, weights = sample
    fitted = np.full_like(scores, np.nan)
    for fold in np.unique(folds) if folds.any() else ():
        inside = folds == fold
        fitted[inside] = fit(*(column[~inside] for column in sample)).apply(scores[inside])
    with np.errstate(divide="ignore", invalid="ignore"):
        losses = -np.where(targets > 0, targets * np.log(fitted), 0.0)
        losses -= np.where(targets < 1, (1.0 - targets) * np.log1p(-fitted), 0.0)
    return float(losses @ weights / weights.sum()) if folds.any() else float("nan")
