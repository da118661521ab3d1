"""Fitting `ridge`: the linear rival that every other learner of one's own traffic is held to.

The regression itself, averaged over noise levels and with each label predicted from the others in
closed form, is `fit_ridge`'s. Here the prompts become features, and what is left of the doubt about
the coefficients becomes a covariance: with t the expected ratio of signal to noise variance, v the
expected variance of a coefficient before any label, W the labels' weights over their mean and
U d U' = F' W F,

    covariance = v (1 + t F' W F)^-1 = U v (1 + t d)^-1 U'
                                            (Rasmussen and Williams, 2006, equation 2.8)
"""

import math
from dataclasses import dataclass
from typing import Final

from routecast.errors import DataError
from routecast.routers.ridge import FeatureScale, Ridge
from routecast.routers.surface import surface_features
from routecast.stats.ridge import RidgeFit, Variants, fit_ridge
from routecast.train.pair_labels import PromptLabels, labels_between_sides, placed
from routecast.train.registry import Family, Fit, Lesson
from routecast.train.suspected import SuspectedPrompts, suspected_prompts

MIN_LABELS: Final = 3


@dataclass(frozen=True, kw_only=True)
class RidgeSettings:
    """How to fit: nothing is to choose, since noise levels are averaged over."""

    seed: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedLine:
    """The regression of a lesson's labels on their prompts' features.

    Attributes:
        labels: Between the sides, one per prompt.
        scale: Of the features.
        fit: What was found; its variants are the prompts without parts that do not belong.
        suspected: These prompts.
    """

    labels: PromptLabels
    scale: FeatureScale
    fit: RidgeFit
    suspected: SuspectedPrompts


def fit_line(lesson: Lesson) -> FittedLine:
    """Learn from the comparisons between the sides; others say nothing about this pair.

    Raises:
        DataError: If there are fewer than 3 labelled prompts.
    """
    labels = labels_between_sides(lesson, lesson.training)
    rows = labels.rows
    if len(rows) < MIN_LABELS:
        raise DataError(f"{len(rows)} labelled prompts; {MIN_LABELS} are the fewest to learn from")
    embeddings = lesson.embeddings[rows]
    surfaces = surface_features([lesson.prompts[row] for row in rows.tolist()])
    scale = FeatureScale.of(embeddings, surfaces)
    suspected = suspected_prompts(lesson, rows)
    variants = scale.apply(suspected.embeddings, surface_features(suspected.texts))
    fit = fit_ridge(
        scale.apply(embeddings, surfaces),
        labels.gaps,
        weights=labels.weights,
        groups=lesson.groups[rows],
        folds=None if lesson.folds is None else lesson.folds[rows],
        variants=Variants(features=variants, rows=suspected.rows),
    )
    return FittedLine(labels=labels, scale=scale, fit=fit, suspected=suspected)


def fit_lesson(lesson: Lesson, settings: RidgeSettings) -> Fit:
    """Fit the line, and say how sure it is of which prompts.

    Raises:
        DataError: If there are fewer than 3 labelled prompts.
    """
    del settings
    line = fit_line(lesson)
    labels, fit = line.labels, line.fit
    variances = fit.prior_variance / (1.0 + fit.ratio * fit.lengths)  # along the directions
    model = Ridge(
        scale=line.scale,
        coefficients=fit.coefficients,
        intercept=fit.intercept,
        covariance=(fit.directions * variances) @ fit.directions.T,
        prior_variance=fit.prior_variance,
        intercept_variance=fit.intercept_variance,
        belonging=line.suspected.belonging,
    )
    return Fit(
        model=model,
        validation_loss=math.nan,
        record={"signal_share": fit.signal_share},
        cross_fitted=placed(
            line.suspected.smallest(fit.held_out, fit.variants_held_out), labels, lesson
        ),
        by_fold=None
        if fit.by_fold is None or fit.variants_by_fold is None
        else placed(line.suspected.smallest(fit.by_fold, fit.variants_by_fold), labels, lesson),
    )


FAMILY = Family(name="ridge", settings=RidgeSettings, fit=fit_lesson, cross_fits=True)
