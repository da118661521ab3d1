"""Fitting ``knn``: clusters of labelled prompts, and how much length says beside them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from routecast.errors import ConfigError, DataError
from routecast.routers.knn import Knn
from routecast.train.knn_clusters import (
    Clusters,
    Surroundings,
    gather_clusters,
    without_group,
    without_itself,
)
from routecast.train.pair_labels import PromptLabels, labels_between_sides, placed
from routecast.train.registry import Family, Fit, Lesson
from routecast.types import EmbeddingArray, FloatArray, IntArray

CHOSEN: Final = -math.inf
"""Stands for a setting that the labels choose."""

SHARPNESSES: Final = (3.0, 5.0, 8.0, 12.0, 20.0, 30.0)
LENGTH_WEIGHTS: Final = (0.0, 0.25, 0.5, 1.0)
"""What is chosen from."""


@dataclass(frozen=True, kw_only=True)
class KnnSettings:
    """How to fit. The defaults are for labels of one's own traffic.

    The router that ships, for a cold start, has others (results/default_router.md).

    Attributes:
        n_centres: Clusters that the labelled prompts are gathered in; with fewer prompts, each is
            one.
        sharpness: How fast a cluster counts less as its centre is less alike; `CHOSEN` for the one
            of `SHARPNESSES` with which labelled prompts are best predicted from the others.
        prior: How much the mean gap counts, as a share of what the clusters count for the median
            labelled prompt.
        length_weight: Spread of the gap that length explains, as a share of the spread that the
            clusters explain; `CHOSEN` for one of `LENGTH_WEIGHTS`, likewise.
        length_far_share: Share of what length says that is left where nothing labelled is near.
        seed: Of the clusters.
    """

    n_centres: int = 512
    sharpness: float = CHOSEN
    prior: float = 0.1
    length_weight: float = CHOSEN
    length_far_share: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what no neighbourhood can be made of."""
        if self.n_centres < 1:
            raise ConfigError(f"n_centres {self.n_centres!r} must be 1 or more")
        for name, choosable in (("sharpness", True), ("prior", False), ("length_weight", True)):
            value = getattr(self, name)
            if choosable and value == CHOSEN:
                continue
            if not (math.isfinite(value) and value >= 0.0):
                also = ", or 'chosen'" if choosable else ""
                raise ConfigError(f"{name} {value!r} must be a number of 0.0 or more{also}")
        if not 0.0 <= self.length_far_share <= 1.0:
            raise ConfigError(f"length_far_share {self.length_far_share!r} must be from 0 to 1")

    def by_sharpness(self) -> dict[float, list["KnnSettings"]]:
        """Return what is chosen from, by sharpness; itself alone if nothing is left to choose."""
        sharpnesses = SHARPNESSES if self.sharpness == CHOSEN else (self.sharpness,)
        weights = LENGTH_WEIGHTS if self.length_weight == CHOSEN else (self.length_weight,)
        return {
            sharpness: [replace(self, sharpness=sharpness, length_weight=one) for one in weights]
            for sharpness in sharpnesses
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class KnnFit:
    """A fitted router and what it says of prompts whose label it must not use.

    Attributes:
        model: The router.
        settings: What it was fitted with, nothing left to choose.
        held_out_gaps: Expected gap of each labelled prompt, given the other groups' labels, shape
            (n_labels,).
        squared_error: Weighted mean square of these less the labels' gaps. It is the least of all
            settings that could be chosen.
        gaps_by_fold: Expected gaps given the other folds' labels; None without folds.
    """

    model: Knn
    settings: KnnSettings
    held_out_gaps: FloatArray
    squared_error: float
    gaps_by_fold: FloatArray | None = None


def fit_lesson(lesson: Lesson, settings: KnnSettings) -> Fit:
    """Learn from the comparisons between the sides; others say nothing about this pair.

    Where there are none for validation, the training prompts are judged by their held-out gaps.
    """
    labels = labels_between_sides(lesson, lesson.training)
    prompts = [lesson.prompts[row] for row in labels.rows.tolist()]
    fit = fit_knn(
        prompts,
        lesson.embeddings[labels.rows],
        labels,
        settings=replace(settings, seed=lesson.seed),
        groups=lesson.groups[labels.rows],
        folds=None if lesson.folds is None else lesson.folds[labels.rows],
    )
    chosen = {name: getattr(fit.settings, name) for name in ("sharpness", "length_weight")}
    is_whole = not len(lesson.validation)
    return Fit(
        model=fit.model,
        validation_loss=math.nan,
        chosen=chosen,
        cross_fitted=placed(fit.held_out_gaps, labels, lesson) if is_whole else None,
        by_fold=None if fit.gaps_by_fold is None else placed(fit.gaps_by_fold, labels, lesson),
    )


def fit_knn(
    prompts: list[str],
    embeddings: EmbeddingArray,
    labels: PromptLabels,
    *,
    settings: KnnSettings | None = None,
    clusters: Clusters | None = None,
    groups: IntArray | None = None,
    folds: IntArray | None = None,
) -> KnnFit:
    """Fit the router.

    Where settings are `CHOSEN`, all that they are chosen from are fitted, and the one is kept with
    the least squared error of labelled prompts, each predicted without its group's labels.

    Args:
        prompts: Labelled prompts, each once.
        embeddings: Their unit vectors, shape (n_labels, dimension).
        labels: Their gaps and weights.
        settings: How; the defaults when None.
        clusters: What `gather_clusters` gave for these vectors, where other settings are tried on
            the same clusters; made here when None.
        groups: Prompts of one group, near-duplicates say, are not predicted from one another; one
            label per prompt, shape (n_labels,). None where each is alone.
        folds: Likewise, for ``gaps_by_fold``; None for none.

    Raises:
        DataError: If there are fewer than 3 prompts.
    """
    settings = settings or KnnSettings()
    if len(prompts) < 3:
        raise DataError(f"{len(prompts)} labelled prompts; 3 are the fewest to learn from")
    task = _Task(
        prompts,
        embeddings,
        labels.gaps,
        labels.weights / labels.weights.mean(),
        np.arange(len(prompts)) if groups is None else groups,
        clusters or gather_clusters(embeddings, n_centres=settings.n_centres, seed=settings.seed),
    )
    best = min(task.fits(settings), key=lambda fit: fit.squared_error)
    if folds is None:
        return best
    by_fold = next(replace(task, groups=folds).fits(best.settings))
    return replace(best, gaps_by_fold=by_fold.held_out_gaps)


@dataclass(frozen=True, eq=False)
class _Task:
    """Labelled prompts, and what the fits with different settings have in common."""

    prompts: list[str]
    embeddings: EmbeddingArray
    gaps: FloatArray
    weights: FloatArray  # 1 on average
    groups: IntArray
    clusters: Clusters

    def fits(self, settings: KnnSettings) -> Iterator[KnnFit]:
        """Yield a fit for each of the settings that are chosen from."""
        start = self._without_scales()
        lengths = start.standard_lengths(self.prompts)
        mean_gaps = self._mean_gaps_without(start.base_gap)
        values = self.weights * (self.gaps - start.base_gap)
        given = (self.embeddings, self.clusters, values, self.weights)
        for sharpness, candidates in settings.by_sharpness().items():
            around = without_itself(*given, sharpness=sharpness)
            apart = without_group(around, *given, groups=self.groups, sharpness=sharpness)
            sums = apart.sums + (start.base_gap - mean_gaps) * apart.masses  # about their own mean
            for one in candidates:
                model = self._scaled(start, around, one)
                held_out = mean_gaps + model.departures(sums, apart.masses, lengths)
                error = float(np.average((held_out - self.gaps) ** 2, weights=self.weights))
                yield KnnFit(model=model, settings=one, held_out_gaps=held_out, squared_error=error)

    def _without_scales(self) -> Knn:
        """Return the router but for its sharpness, and as yet without prior and slope."""
        places, n_centres = self.clusters.places, len(self.clusters.centres)
        base_gap = float(np.average(self.gaps, weights=self.weights))
        values = self.weights * (self.gaps - base_gap)
        logs = np.log1p(np.array([len(prompt) for prompt in self.prompts], dtype=np.float64))
        return Knn(
            centres=self.clusters.centres,
            gap_sums=np.bincount(places, values, n_centres).astype(np.float64),
            masses=np.bincount(places, self.weights, n_centres).astype(np.float64),
            sharpness=math.nan,
            prior=0.0,
            base_gap=base_gap,
            length_slope=0.0,
            length_mean=float(np.average(logs, weights=self.weights)),
            length_deviation=_deviation(logs, self.weights) or 1.0,
            length_far_share=0.0,
        )

    def _scaled(self, start: Knn, around: Surroundings, settings: KnnSettings) -> Knn:
        """Set what depends on how much there is around a labelled prompt."""
        least = float(np.finfo(np.float32).tiny)  # where nothing counts, the mean gap does
        prior = max(settings.prior * float(np.median(around.masses)), least)
        nearby = around.sums / (around.masses + prior)
        return replace(
            start,
            sharpness=settings.sharpness,
            prior=prior,
            length_slope=settings.length_weight * _deviation(nearby, self.weights),
            length_far_share=settings.length_far_share,
        )

    def _mean_gaps_without(self, base_gap: float) -> FloatArray:
        """Return the mean gap of the other groups, per prompt; of all where there are no others."""
        _, places = np.unique(self.groups, return_inverse=True)
        left = len(self.gaps) - np.bincount(places, self.weights)
        sums = len(self.gaps) * base_gap - np.bincount(places, self.weights * self.gaps)
        means = np.full(len(left), base_gap)
        if len(left) > 1:
            np.divide(sums, left, out=means)
        return means[places]


def _deviation(values: FloatArray, weights: FloatArray) -> float:
    mean = np.average(values, weights=weights)
    return float(np.sqrt(np.average((values - mean) ** 2, weights=weights)))


FAMILY = Family(
    name="knn",
    settings=KnnSettings,
    fit=fit_lesson,
    cross_fits=True,
    named={name: {"chosen": CHOSEN} for name in ("sharpness", "length_weight")},
    calibrates_evenly=True,
)
