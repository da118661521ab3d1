"""Fitting the few-label router: a Gaussian process of the gap on labelled prompts.

With k the kernel of a prompt with the centres, K that among the centres and B such that B' K B = 1,
the process is the line f . w, f = k B, with independent normal w: nothing is approximated where all
labelled prompts are centres, and with more of them it is Nystroem's approximation (Rasmussen and
Williams, 2006, section 8.1). `fit_ridge` finds w, averaged over noise levels by evidence, and
predicts each labelled prompt's gap from the others' alone, so that calibration and abstention need
no labels of their own. With F the labelled prompts' features, W their weights, v the variance of w
before any label, t its ratio to that of the noise and U d U' = F' W F, the labels lessen the
variance of the gap by

    v sum_i t d_i / (1 + t d_i) (f . U_i)^2     (the same, equation 2.8, in the directions U)
"""

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from routecast.errors import ConfigError, DataError
from routecast.routers.blend import (
    N_DIRECTIONS,
    SLOPE_VARIANCE,
    Blend,
    Centres,
    View,
    lengths_of,
    mean_of_largest,
)
from routecast.routers.ridge import FeatureScale
from routecast.routers.surface import surface_features
from routecast.stats.eigen import symmetric_eigen
from routecast.stats.ridge import RidgeFit, Variants, fit_ridge
from routecast.train.pair_labels import labels_between_sides, placed
from routecast.train.registry import Family, Fit, Lesson
from routecast.train.suspected import SuspectedPrompts, nothing_suspected, suspected_prompts
from routecast.types import EmbeddingArray, FloatArray, IntArray

ABSTAIN_QUANTILE: Final = 0.005
"""Share of labelled prompts that are less familiar to the others than the router accepts."""

SLOPE_MEAN: Final = 0.015
"""Expected slope before any label, in standard deviations of the gap per standard deviation of the
length. Over thirteen labelled sets the two correlate by .027 +- .018 in the mean; that is shrunk by
its own noise, as a set may well be unlike these."""

N_TOLD: Final = 256
"""Directions in which the labels' effect on the variance is kept; others hardly have any."""

_MIN_LABELS: Final = 3
_BLOCK: Final = 1_024
_LEAST_EIGENVALUE: Final = 1e-6  # of the largest; below it a direction is rounding error


@dataclass(frozen=True, kw_only=True)
class BlendSettings:
    """How to fit.

    Attributes:
        n_centres: Labelled prompts that others are compared with; with more labels than that, all
            labels are learned from, at centres drawn among them.
        seed: Of the draw.
    """

    n_centres: int = 1_000
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what nothing can be compared with."""
        if self.n_centres < 1:
            raise ConfigError(f"n_centres {self.n_centres!r} must be 1 or more")


@dataclass(frozen=True, kw_only=True, eq=False)
class Labels:
    """What is learned from: one gap per prompt.

    Attributes:
        gaps: Mean gap, strong minus weak, shape (n_labelled,), in [-1, 1].
        weights: How much each counts, positive, same shape.
        groups: Prompts of one group, near-duplicates say, are not predicted from one another; one
            label per prompt, same shape.
        folds: Likewise the fold of each prompt; None for no prediction by folds.
    """

    gaps: FloatArray
    weights: FloatArray
    groups: IntArray
    folds: IntArray | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class BlendFit:
    """A fitted router and what it says of prompts whose label it must not use.

    Attributes:
        model: The router.
        held_out_gaps: Expected gap of each labelled prompt, given the other groups' labels, shape
            (n_labelled,).
        gaps_by_fold: Likewise given the other folds' labels; None without folds.
        signal_share: Expected share of signal in the variance of one gap, in [0, 1).
    """

    model: Blend
    held_out_gaps: FloatArray
    gaps_by_fold: FloatArray | None
    signal_share: float


def fit_lesson(lesson: Lesson, settings: BlendSettings) -> Fit:
    """Learn from the comparisons between the sides; others say nothing about this pair."""
    labels = labels_between_sides(lesson, lesson.training)
    rows = labels.rows
    suspected = suspected_prompts(lesson, rows)
    fit = fit_blend(
        lesson.embeddings[rows],
        surface_features([lesson.prompts[row] for row in rows.tolist()]),
        Labels(
            gaps=labels.gaps,
            weights=labels.weights,
            groups=lesson.groups[rows],
            folds=None if lesson.folds is None else lesson.folds[rows],
        ),
        suspected=suspected,
        settings=replace(settings, seed=lesson.seed),
    )
    return Fit(
        model=replace(fit.model, belonging=suspected.belonging),
        validation_loss=math.nan,
        record={
            "signal_share": fit.signal_share,
            "least_familiarity": fit.model.least_familiarity,
        },
        cross_fitted=placed(fit.held_out_gaps, labels, lesson),
        by_fold=None if fit.gaps_by_fold is None else placed(fit.gaps_by_fold, labels, lesson),
    )


def fit_blend(
    embeddings: EmbeddingArray,
    surfaces: FloatArray,
    labels: Labels,
    *,
    suspected: SuspectedPrompts | None = None,
    settings: BlendSettings | None = None,
) -> BlendFit:
    """Fit the router.

    Args:
        embeddings: Unit vectors of labelled prompts, each once, shape (n_labelled, dimension).
        surfaces: Their `surface_features`, shape (n_labelled, n_counts).
        labels: Their gaps.
        suspected: These prompts without parts that do not belong; none when None.
        settings: How; the defaults when None.

    Raises:
        DataError: If there are fewer than 3 prompts.
    """
    settings = settings or BlendSettings()
    if len(embeddings) < _MIN_LABELS:
        raise DataError(
            f"{len(embeddings)} labelled prompts; {_MIN_LABELS} are the fewest to learn from"
        )
    view = find_view(embeddings, surfaces)
    x = view.apply(embeddings, surfaces)
    chosen = _draw(len(x), settings)
    centres = Centres(x[chosen])
    basis = _basis(centres.kernel(centres.x))  # (n_centres, n_directions)
    slope = SLOPE_MEAN * float(labels.gaps.std())
    expected = slope * lengths_of(x).astype(np.float64)
    suspected = suspected or nothing_suspected(embeddings)
    of_texts = view.apply(suspected.embeddings, surface_features(suspected.texts))
    ridge = fit_ridge(
        _features(x, centres, basis),
        labels.gaps - expected,
        weights=labels.weights,
        groups=labels.groups,
        folds=labels.folds,
        variants=Variants(features=_features(of_texts, centres, basis), rows=suspected.rows),
    )
    expected_of_texts = slope * lengths_of(of_texts).astype(np.float64)

    def as_served(gaps: FloatArray, gaps_of_texts: FloatArray) -> FloatArray:
        return suspected.smallest(gaps + expected, gaps_of_texts + expected_of_texts)

    coefficients = basis @ ridge.coefficients
    model = Blend(
        view=view,
        centres=centres,
        coefficients=coefficients,
        intercept=ridge.intercept,
        slope=slope + SLOPE_VARIANCE * float(lengths_of(centres.x) @ coefficients),
        told=_told(ridge, basis),
        prior_variance=ridge.prior_variance,
        intercept_variance=ridge.intercept_variance,
        least_familiarity=_least_familiarity(centres, labels.groups[chosen]),
    )
    return BlendFit(
        model=model,
        held_out_gaps=as_served(ridge.held_out, ridge.variants_held_out),
        gaps_by_fold=None
        if ridge.by_fold is None or ridge.variants_by_fold is None
        else as_served(ridge.by_fold, ridge.variants_by_fold),
        signal_share=ridge.signal_share,
    )


def find_view(embeddings: EmbeddingArray, surfaces: FloatArray) -> View:
    """Measure prompts: no more directions than they can have."""
    scale = FeatureScale.of(embeddings, surfaces)
    centred = embeddings - scale.embedding_mean
    _, axes = symmetric_eigen(centred.T @ centred)
    n_kept = min(max(N_DIRECTIONS), len(embeddings) - 1)
    return View(scale, axes[:, ::-1][:, :n_kept].astype(np.float32))


def _draw(n_prompts: int, settings: BlendSettings) -> IntArray:
    """Draw the centres, ascending; all prompts where they are few enough."""
    if n_prompts <= settings.n_centres:
        return np.arange(n_prompts)
    generator = np.random.default_rng(settings.seed)
    return np.sort(generator.choice(n_prompts, settings.n_centres, replace=False))


def _basis(kernel: EmbeddingArray) -> FloatArray:
    """Return B with B'KB = 1, so that the features k(x, centres) B have the kernel K at centres."""
    values, vectors = symmetric_eigen(kernel.astype(np.float64))
    kept = values > _LEAST_EIGENVALUE * values[-1]
    return np.asarray(vectors[:, kept] / np.sqrt(values[kept]))


def _features(x: EmbeddingArray, centres: Centres, basis: FloatArray) -> FloatArray:
    """Return the features of prompts, shape (n_prompts, n_directions), block by block."""
    features = np.empty((len(x), basis.shape[1]))
    for start in range(0, len(x), _BLOCK):
        rows = slice(start, start + _BLOCK)
        features[rows] = centres.kernel(x[rows]) @ basis
    return features


def _told(ridge: RidgeFit, basis: FloatArray) -> EmbeddingArray:
    """Return the directions in which labels lessen the variance, those of most effect first."""
    known = ridge.ratio * ridge.lengths
    effects = np.sqrt(ridge.prior_variance * known / (1.0 + known))[::-1][:N_TOLD]
    return np.asarray(basis @ ridge.directions[:, ::-1][:, :N_TOLD] * effects, dtype=np.float32)


def _least_familiarity(centres: Centres, groups: IntArray) -> float:
    """Return how familiar all but one in 200 centres are to the centres of other groups."""
    alike = centres.likeness(centres.x)
    alike[groups[:, None] == groups] = 0.0
    return float(np.quantile(mean_of_largest(alike), ABSTAIN_QUANTILE, method="lower"))


FAMILY = Family(name="blend", settings=BlendSettings, fit=fit_lesson, cross_fits=True)
