"""Fitting the few-label router: Gaussian-process regression of the gap on labelled prompts.

The gap of a prompt is taken to be a mean plus a smooth function of the prompt plus noise, with a
slight rise with length as what is expected before any label says otherwise. How much
of the spread is signal is not chosen but averaged over, weighted by how well each value explains
the labels (the evidence), so that a hundred noisy labels shrink towards the mean gap by themselves.
Each labelled prompt's own gap is also predicted from the others' alone, in closed form, so that
calibration and abstention need no labels of their own.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from routecast.errors import ConfigError, DataError
from routecast.routers.blend import Blend, mean_of_largest
from routecast.routers.blend_kernel import (
    Descriptions,
    PromptViews,
    Scales,
    SurfaceScale,
    likenesses,
    mix_kernels,
)
from routecast.routers.blend_spread import Spread
from routecast.routers.blend_terms import TermScale
from routecast.stats.eigen import symmetric_eigen
from routecast.stats.ridge import RidgeFit, fit_ridge
from routecast.train.blend_topics import find_topics
from routecast.types import FloatArray, IntArray

ABSTAIN_QUANTILE: Final = 0.005
"""Share of labelled prompts that are less familiar to the others than the router accepts."""

LENGTH_SLOPE: Final = 0.03
"""Rise of the gap that is expected of longer prompts before any label, in its standard deviations
per standard deviation of the log of length. Near the mean correlation of the two over all labelled
sets that are known, on which it was chosen: .036; .030 without MMLU, .019 without GSM8K."""

LENGTH_VARIANCE: Final = 0.03
"""How far the slope of length may be from what is expected: its variance over the kernel's."""

FORM_WEIGHT: Final = 0.85
"""How much of what is learned about a prompt carries over only to prompts of a like form."""

N_SQUARES: Final = 256
"""Directions that the spread of the expected gap is kept by; others hardly lessen it."""

_BLOCK = 1_024
_LEAST_EIGENVALUE = 1e-7  # of the largest; below it a direction is rounding error


@dataclass(frozen=True, kw_only=True)
class BlendSettings:
    """How to fit.

    Attributes:
        n_centres: Labelled prompts that others are compared with; with more labels than that, all
            labels are learned from, at centres drawn among them (Nystroem's approximation).
        seed: Of the draw, and of the topics.
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


def fit_blend(
    prompts: Descriptions,
    labels: Labels,
    *,
    settings: BlendSettings | None = None,
) -> BlendFit:
    """Fit the router.

    Args:
        prompts: Labelled prompts, each once, see `describe`.
        labels: Their gaps.
        settings: How; the defaults when None.

    Raises:
        DataError: If there are fewer than 3 prompts.
    """
    settings = settings or BlendSettings()
    if len(prompts) < 3:
        raise DataError(f"{len(prompts)} labelled prompts; 3 are the fewest to learn from")
    scales = _scales(prompts, seed=settings.seed)
    views = scales.apply(prompts)
    chosen = _draw(len(prompts), settings)
    centres = views.take(chosen)
    basis = _basis(_kernel(centres, centres))  # (n_centres, n_directions)
    slope = LENGTH_SLOPE * float(labels.gaps.std())
    expected = slope * views.log_lengths
    ridge = fit_ridge(
        _project(views, centres, basis),
        labels.gaps - expected,
        weights=labels.weights,
        groups=labels.groups,
        folds=labels.folds,
    )
    coefficients = basis @ ridge.coefficients
    model = Blend(
        centres=centres,
        scales=scales,
        coefficients=coefficients,
        intercept=ridge.intercept,
        length_slope=slope + LENGTH_VARIANCE * float(centres.log_lengths @ coefficients),
        least_familiarity=_least_familiarity(centres, labels.groups[chosen]),
        form_weight=FORM_WEIGHT,
        spread=_spread(ridge, basis, centres),
    )
    return BlendFit(
        model=model,
        held_out_gaps=ridge.held_out + expected,
        gaps_by_fold=None if ridge.by_fold is None else ridge.by_fold + expected,
        signal_share=ridge.signal_share,
    )


def _scales(prompts: Descriptions, *, seed: int) -> Scales:
    """Measure the labelled prompts, their labels unseen."""
    return Scales(
        surface=SurfaceScale.of(prompts.features),
        topics=find_topics(prompts.embeddings, seed=seed),
        words=TermScale.of(prompts.words),
        shapes=TermScale.of(prompts.shapes),
    )


def _draw(n_prompts: int, settings: BlendSettings) -> IntArray:
    """Draw the centres, ascending; all prompts where they are few enough."""
    if n_prompts <= settings.n_centres:
        return np.arange(n_prompts)
    generator = np.random.default_rng(settings.seed)
    return np.sort(generator.choice(n_prompts, settings.n_centres, replace=False))


def _kernel(left: PromptViews, right: PromptViews) -> FloatArray:
    """Return the kernel of what is learned: of the centres' part and of the slope of length."""
    slope = LENGTH_VARIANCE * np.outer(left.log_lengths, right.log_lengths)
    content, form = likenesses(left, right)
    return mix_kernels(content, form, form_weight=FORM_WEIGHT) + slope


def _basis(kernel: FloatArray) -> FloatArray:
    """Return B with B'KB = 1, so that the features k(x, centres) B have the kernel K at centres."""
    values, vectors = symmetric_eigen(kernel)
    kept = values > _LEAST_EIGENVALUE * values[-1]
    return np.asarray(vectors[:, kept] / np.sqrt(values[kept]))


def _project(views: PromptViews, centres: PromptViews, basis: FloatArray) -> FloatArray:
    """Return the features of prompts, shape (n_prompts, n_directions), block by block."""
    features = np.empty((len(views), basis.shape[1]))
    for start in range(0, len(views), _BLOCK):
        rows = slice(start, start + _BLOCK)
        features[rows] = _kernel(views.take(rows), centres) @ basis
    return features


def _spread(ridge: RidgeFit, basis: FloatArray, centres: PromptViews) -> Spread:
    """Return the spread in terms of the kernel with the centres, rather than of the features."""
    directions = ridge.directions[:, :N_SQUARES]
    of_centres = basis @ directions[1:]
    return Spread(
        of_centres=of_centres,
        of_length=LENGTH_VARIANCE * (centres.log_lengths @ of_centres),
        of_ones=directions[0],
        signs=ridge.signs[:N_SQUARES],
        prior=ridge.prior_variance,
        length_variance=LENGTH_VARIANCE,
    )


def _least_familiarity(centres: PromptViews, groups: IntArray) -> float:
    """Return how familiar all but one in 200 centres are to the centres of other groups."""
    familiarity = np.empty(len(centres))
    for start in range(0, len(centres), _BLOCK):
        rows = slice(start, start + _BLOCK)
        content, form = likenesses(centres.take(rows), centres)
        alike = content * form
        alike[groups[rows, None] == groups] = 0.0
        familiarity[rows] = mean_of_largest(alike)
    return float(np.quantile(familiarity, ABSTAIN_QUANTILE, method="lower"))
