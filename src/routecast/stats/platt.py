"""Platt scaling: a strictly increasing map from one probability to a calibrated one."""

import math
from dataclasses import dataclass

import numpy as np

from routecast.types import FloatArray

_FIT_EDGE = 1e-12  # a score of exactly 0 or 1 must not outweigh all others in a fit
_LOWEST, _HIGHEST = 2.0**-1022, 1.0 - 2.0**-53  # the floats next to 0 (normal ones) and to 1
_MOST_NEGATIVE = -709.0  # exp(709) is the last that is finite
_MIN_SLOPE = 1e-3
_RIDGE = 1e-6
_TOLERANCE = 1e-20  # of Newton's decrement, about twice the loss that is left to gain
_MAX_STEPS = 100


@dataclass(frozen=True)
class PlattScaling:
    """The map p -> sigmoid(slope * logit(p) + intercept).

    Strictly increasing as a formula. In double precision, probabilities that lie further apart
    than about 1e-15 / slope, relative to their distance from the nearer of 0 and 1, stay apart;
    0 and 1 themselves count as the floats next to them.

    Attributes:
        slope: Positive, so that the order of prompts never changes. Below 1 it shrinks towards
            the base rate.
        intercept: Log-odds of the base rate when the slope is near 0.
    """

    slope: float
    intercept: float

    def __post_init__(self) -> None:
        """Refuse a map that would turn the order of prompts round."""
        if not (self.slope > 0 and np.isfinite(self.slope) and np.isfinite(self.intercept)):
            raise ValueError(
                f"slope {self.slope!r} and intercept {self.intercept!r} must be finite, "
                "and the slope above 0"
            )

    def apply(self, probabilities: FloatArray) -> FloatArray:
        """Return calibrated probabilities, shape (n_prompts,) as given; NaN stays NaN.

        Each is mapped by itself. So equal ones stay equal to the last bit, alone or among others,
        and a gateway's single one costs a fifth of what array functions would.
        """
        return np.array([self.apply_one(one) for one in probabilities.tolist()], dtype=np.float64)

    def apply_one(self, probability: float) -> float:
        """Return one calibrated probability; NaN stays NaN."""
        # min and max keep a NaN that they are given first
        inside = min(max(probability, _LOWEST), _HIGHEST)
        log_odds = self.slope * math.log(inside / (1.0 - inside)) + self.intercept
        return 1.0 / (1.0 + math.exp(-max(log_odds, _MOST_NEGATIVE)))


def sigmoid(values: FloatArray) -> FloatArray:
    """Return 1 / (1 + exp(-x)) elementwise: without overflow, and exact far below 0 too."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.maximum(values, _MOST_NEGATIVE))), dtype=np.float64)


def log_odds(probabilities: FloatArray) -> FloatArray:
    """Return log(p / (1 - p)) elementwise, finite: 0 and 1 count as the floats next to them."""
    clipped = np.minimum(np.maximum(probabilities, _LOWEST), _HIGHEST)  # faster than np.clip
    return np.asarray(np.log(clipped / (1.0 - clipped)), dtype=np.float64)


def fit_platt(
    probabilities: FloatArray, targets: FloatArray, *, weights: FloatArray | None = None
) -> PlattScaling:
    """Fit slope and intercept by maximum likelihood on soft targets.

    Platt's correction of the targets is left out: it is meant for hard labels on the training
    sample, and these targets are soft and held out. A tiny ridge (1e-6 per unit weight) keeps
    separable samples finite. Probabilities nearer to 0 or 1 than 1e-12 count as that far.

    Args:
        probabilities: Uncalibrated win probabilities, shape (n_prompts,), in [0, 1].
        targets: What happened, shape (n_prompts,), in [0, 1]; a tie is 0.5.
        weights: Weight per prompt, shape (n_prompts,), positive; all 1 when None.

    Returns:
        The fitted map. When higher scores do not win more often, the best slope is not positive;
        it is then set to 0.001, which sends every prompt to the base rate and keeps the order.

    Raises:
        ValueError: If the sample is empty, or shapes differ, or a value is out of range.

    References:
        Platt (1999), "Probabilistic outputs for support vector machines".
    """
    weights = np.ones_like(probabilities) if weights is None else weights
    check_sample(probabilities, targets, weights)
    inside = np.clip(probabilities, _FIT_EDGE, 1.0 - _FIT_EDGE)
    features = np.stack([log_odds(inside), np.ones_like(inside)])  # (2, n)
    weights = weights / weights.sum()
    slope, intercept = _newton(features, targets, weights, start=np.array([1.0, 0.0]))
    if slope < _MIN_SLOPE:
        base_rate = np.clip(np.sum(weights * targets), _FIT_EDGE, 1 - _FIT_EDGE)
        mean_log_odds = float(np.sum(weights * features[0]))
        slope = _MIN_SLOPE
        intercept = float(log_odds(np.asarray(base_rate))) - slope * mean_log_odds
    return PlattScaling(slope=float(slope), intercept=float(intercept))


def check_sample(probabilities: FloatArray, targets: FloatArray, weights: FloatArray) -> None:
    """Refuse what no calibration can be fitted on.

    Raises:
        ValueError: As `fit_platt` says.
    """
    if not (probabilities.shape == targets.shape == weights.shape) or probabilities.ndim != 1:
        raise ValueError(
            f"probabilities {probabilities.shape}, targets {targets.shape} and weights "
            f"{weights.shape} must be vectors of one length"
        )
    if probabilities.size == 0:
        raise ValueError("an empty sample cannot be calibrated on; give at least one prompt")
    for name, values in (("probabilities", probabilities), ("targets", targets)):
        if not (np.all(values >= 0) and np.all(values <= 1)):
            raise ValueError(f"{name} must lie in [0, 1]")
    if not (np.all(weights > 0) and np.all(np.isfinite(weights))):
        raise ValueError("weights must be finite and positive")


def _newton(
    features: FloatArray, targets: FloatArray, weights: FloatArray, *, start: FloatArray
) -> FloatArray:
    """Minimise the weighted logistic loss by damped Newton steps; features are (2, n)."""

    def loss(parameters: FloatArray) -> float:
        margins = parameters @ features
        fits = np.logaddexp(0.0, margins) - targets * margins
        return float(weights @ fits + 0.5 * _RIDGE * parameters @ parameters)

    parameters, lowest = start, loss(start)
    for _ in range(_MAX_STEPS):
        fitted = sigmoid(parameters @ features)
        gradient = features @ (weights * (fitted - targets)) + _RIDGE * parameters
        curvature = (features * (weights * fitted * (1 - fitted))) @ features.T
        step = np.linalg.solve(curvature + _RIDGE * np.eye(2), gradient)
        decrement = float(gradient @ step)
        if decrement < _TOLERANCE:
            return parameters - step
        part = 1.0
        # The loss is a difference of terms as large as the margins, and rounded as they are.
        slack = 1e-15 * (1.0 + float(weights @ np.abs(parameters @ features)))
        while loss(parameters - part * step) > lowest - 1e-4 * part * decrement + slack:
            part /= 2.0
        parameters = parameters - part * step
        lowest = loss(parameters)
    raise ValueError(f"Platt scaling did not converge in {_MAX_STEPS} steps")
