"""Choosing the shipped router's settings on sets left out in turn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
from runs.default_sets import Trial
from runs.neighbours import NearestNeighbours

from routecast.artifacts import MetricRecord
from routecast.embed.protocol import Embedder
from routecast.evaluate.intervals import bootstrap_metrics
from routecast.evaluate.metrics import oracle_scores, routing_metrics
from routecast.routers.length import LengthRouter
from routecast.train.knn import KnnSettings, fit_knn
from routecast.train.knn_clusters import Clusters, gather_clusters
from routecast.train.pair_labels import PromptLabels
from routecast.train.pipeline import FRACTIONS, TrainSettings
from routecast.train.prepare import prepare
from routecast.train.sources import LabelledSet
from routecast.types import EmbeddingArray, FloatArray

SEED = 20261121
CLUSTER_SEEDS = (SEED, SEED + 1, SEED + 2)

CANDIDATES: Mapping[str, tuple[Any, ...]] = {
    "n_centres": (256, 512),
    "sharpness": (30.0, 50.0),
    "prior": (0.1, 1.0, 3.0, 10.0, 30.0),
    "length_weight": (0.1, 0.25, 0.5),
    "length_far_share": (0.05, 0.1, 0.2, 1.0),
}
"""Every setting of the family: its own defaults are for other ends, and may change."""

MOST_FAR_SHARE = 0.2
"""What ships leaves no more than this of length where nothing that it knows is near."""

METRICS = ("apgr", "cpt_50", "cpt_80")


@dataclass(frozen=True)
class Choice:
    """Settings, and what each combination got on the sets left out in turn.

    Attributes:
        options: The chosen combination.
        standard_error: Of the highest mean APGR, over prompts.
        left_out: APGR by set, mean over seeds of the clusters, one mapping per combination.
        by_length: APGR of the number of characters, by set.
        records: Figures of the chosen combination and of the baselines, on each set left out.
    """

    options: Mapping[str, Any]
    standard_error: float
    left_out: Sequence[tuple[Mapping[str, Any], Mapping[str, float]]]
    by_length: Mapping[str, float]
    records: Sequence[MetricRecord]


@dataclass(frozen=True)
class Fold:
    """One set left out: the labels of the others, and its own to measure on."""

    known: PromptLabels
    known_prompts: list[str]
    known_embeddings: EmbeddingArray
    trial: Trial
    embeddings: EmbeddingArray
    _gathered: dict[tuple[int, int], Clusters] = field(default_factory=dict)

    def scores(self, options: Mapping[str, Any], *, seed: int = SEED) -> FloatArray:
        """Fit on the others and score the set's own prompts."""
        own = KnnSettings(**options, seed=seed)
        clusters = self._gathered.get((own.n_centres, seed))
        if clusters is None:
            clusters = gather_clusters(self.known_embeddings, n_centres=own.n_centres, seed=seed)
            self._gathered[own.n_centres, seed] = clusters
        fit = fit_knn(
            self.known_prompts, self.known_embeddings, self.known, settings=own, clusters=clusters
        )
        return fit.model.predict(self.trial.prompts, self.embeddings)

    def apgr(self, options: Mapping[str, Any]) -> float:
        """Measure fits with some settings, mean over seeds of the clusters."""
        weak, strong = self.trial.weak, self.trial.strong
        found = [
            routing_metrics(
                self.scores(options, seed=seed), weak_quality=weak, strong_quality=strong
            ).apgr
            for seed in CLUSTER_SEEDS
        ]
        return float(np.mean(found))

    def apgr_of_length(self) -> float:
        """Measure the number of characters."""
        scores = LengthRouter().win_probabilities(self.trial.prompts)
        weak, strong = self.trial.weak, self.trial.strong
        return routing_metrics(scores, weak_quality=weak, strong_quality=strong).apgr

    def standard_error(self, options: Mapping[str, Any]) -> float:
        """Bootstrap the APGR of a fit over prompts."""
        samples = bootstrap_metrics(
            {"default": self.scores(options)},
            weak_quality=self.trial.weak,
            strong_quality=self.trial.strong,
            group_codes=self.trial.groups,
            seed=SEED,
        )
        return float(samples.samples("default").std())


def choose_settings(
    sets: Sequence[LabelledSet], settings: TrainSettings, embedder: Embedder
) -> Choice:
    """Leave each set out in turn, fit on the others' training prompts, measure on its own.

    Among settings within one standard error of the highest mean nothing is known to be better. So
    the most modest of them is taken: the largest prior, then the least of length far from all
    labels, then the highest mean. (Breiman et al., 1984, Classification and Regression Trees, take
    the simplest.)
    """
    folds = _folds(sets, settings, embedder)
    by_length = {fold.trial.name: fold.apgr_of_length() for fold in folds}
    left_out = []
    for values in product(*CANDIDATES.values()):
        options = dict(zip(CANDIDATES, values, strict=True))
        left_out.append((options, {fold.trial.name: fold.apgr(options) for fold in folds}))
    modest = [one for one in left_out if one[0]["length_far_share"] <= MOST_FAR_SHARE]
    best, highest = max(modest, key=lambda one: mean_apgr(one[1]))
    errors = [fold.standard_error(best) for fold in folds]
    error = float(np.linalg.norm(errors)) / len(errors)
    level = [one for one in modest if mean_apgr(one[1]) >= mean_apgr(highest) - error]
    chosen, _ = max(
        level, key=lambda one: (one[0]["prior"], -one[0]["length_far_share"], mean_apgr(one[1]))
    )
    records = []
    for fold in folds:
        neighbours = NearestNeighbours(fold.known_embeddings, fold.known.wins)
        scores = {
            "default": fold.scores(chosen),
            "nearest neighbours": neighbours.scores(fold.embeddings),
        }
        records += measure(fold.trial, scores)
    return Choice(chosen, error, left_out, by_length, records)


def mean_apgr(apgr_by_set: Mapping[str, float]) -> float:
    """Return the mean over the sets left out."""
    return float(np.mean(list(apgr_by_set.values())))


def _folds(sets: Sequence[LabelledSet], settings: TrainSettings, embedder: Embedder) -> list[Fold]:
    prepared = prepare(
        sets,
        strong=settings.strong,
        weak=settings.weak,
        fractions=settings.fractions or FRACTIONS,
        seed=settings.seed,
        embedder=embedder,
    )
    labels = prepared.labels_on(prepared.split.train)
    homes = np.array([_home(group) for group in labels.groups])
    has_quality = ~np.isnan(labels.strong_quality)
    folds = []
    for home in sorted(set(homes.tolist())):
        own = labels.take(np.flatnonzero((homes == home) & has_quality))
        others = labels.take(
            np.flatnonzero((homes != home) & ~np.isin(labels.prompt_index, own.prompt_index))
        )
        rows, places = np.unique(others.prompt_index, return_inverse=True)
        totals = np.bincount(places, others.weight).astype(np.float64)
        wins = np.bincount(places, others.weight * others.wins) / totals
        prompts = [prepared.prompts[row] for row in own.prompt_index.tolist()]
        clusters = prepared.duplicates.labels[own.prompt_index]
        folds.append(
            Fold(
                PromptLabels(rows=rows, wins=wins, weights=totals),
                [prepared.prompts[row] for row in rows.tolist()],
                prepared.embeddings[rows],
                Trial(f"{home}, left out", prompts, own.weak_quality, own.strong_quality, clusters),
                prepared.embeddings[own.prompt_index],
            )
        )
    return folds


def _home(group: str | None) -> str:
    """Name the set that a label's task belongs to; MMLU-Pro has no tasks here."""
    if group is None:
        return "MMLU-Pro"
    name, _, task = group.partition(": ")
    return {"crux": "CRUX", "math-l5": "MATH level 5"}.get(task, name)


def measure(trial: Trial, scores: Mapping[str, FloatArray]) -> list[MetricRecord]:
    """Measure scores beside the baselines that need no training, with intervals."""
    weak, strong = trial.weak, trial.strong
    scores = {
        **scores,
        "length": LengthRouter().win_probabilities(trial.prompts),
        "oracle": oracle_scores(weak_quality=weak, strong_quality=strong),
    }
    samples = bootstrap_metrics(
        scores, weak_quality=weak, strong_quality=strong, group_codes=trial.groups, seed=SEED
    )
    records = []
    for label, values in scores.items():
        exact = routing_metrics(values, weak_quality=weak, strong_quality=strong)
        for metric in METRICS:
            interval = samples.interval(label, metric)
            records.append(
                MetricRecord(
                    benchmark=trial.name,
                    metric=f"{label} {metric}",
                    value=getattr(exact, metric),
                    low=interval.low,
                    high=interval.high,
                    n_prompts=len(trial.prompts),
                )
            )
    return records
