"""Fitting ``knn``: clusters of labelled prompts, and how much length says beside them."""

import math
from dataclasses import dataclass, replace

import numpy as np

from routecast.errors import ConfigError, DataError
from routecast.routers.knn import Knn, kernel_of
from routecast.train.pair_labels import PromptLabels, labels_between_sides
from routecast.train.registry import Family, Fit, Lesson
from routecast.types import EmbeddingArray, FloatArray, IntArray

_ROUNDS = 15
_BLOCK = 4_096


@dataclass(frozen=True, kw_only=True)
class KnnSettings:
    """How to fit. The defaults are those of the router that ships (results/default_router.md).

    Attributes:
        n_centres: Clusters that the labelled prompts are gathered in.
        sharpness: How fast a cluster counts less as its centre is less alike.
        prior: How much the mean gap counts, as a share of what the clusters count for the median
            labelled prompt.
        length_weight: Spread of the gap that length explains, as a share of the spread that the
            clusters explain.
        length_far_share: Share of what length says that is left where nothing labelled is near.
        seed: Of the clusters.
    """

    n_centres: int = 512
    sharpness: float = 50.0
    prior: float = 30.0
    length_weight: float = 0.25
    length_far_share: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what no neighbourhood can be made of."""
        if self.n_centres < 1:
            raise ConfigError(f"n_centres {self.n_centres!r} must be 1 or more")
        for name, least in (("sharpness", 0.0), ("prior", 0.0), ("length_weight", 0.0)):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= least):
                raise ConfigError(f"{name} {value!r} must be a number of {least} or more")
        if not 0.0 <= self.length_far_share <= 1.0:
            raise ConfigError(f"length_far_share {self.length_far_share!r} must be from 0 to 1")


@dataclass(frozen=True, eq=False)
class Clusters:
    """Labelled prompts that are alike, put together.

    Attributes:
        centres: Unit vectors, shape (n_centres, dimension), float32.
        places: Each prompt's cluster, shape (n_prompts,); no cluster is empty.
    """

    centres: EmbeddingArray
    places: IntArray


def fit_lesson(lesson: Lesson, settings: KnnSettings) -> Fit:
    """Learn from the comparisons between the sides; others say nothing about this pair."""
    labels = labels_between_sides(lesson, lesson.training)
    prompts = [lesson.prompts[row] for row in labels.rows.tolist()]
    embeddings = lesson.embeddings[labels.rows]
    model = fit_knn(prompts, embeddings, labels, settings=replace(settings, seed=lesson.seed))
    return Fit(model=model, validation_loss=math.nan)


def fit_knn(
    prompts: list[str],
    embeddings: EmbeddingArray,
    labels: PromptLabels,
    *,
    settings: KnnSettings | None = None,
    clusters: Clusters | None = None,
) -> Knn:
    """Fit the router.

    Args:
        prompts: Labelled prompts, each once.
        embeddings: Their unit vectors, shape (n_labels, dimension).
        labels: Their gaps and weights.
        settings: How; the defaults when None.
        clusters: What `gather_clusters` gave for these vectors, where other settings are tried on
            the same clusters; made here when None.

    Raises:
        DataError: If there are fewer than 3 prompts.
    """
    settings = settings or KnnSettings()
    if len(prompts) < 3:
        raise DataError(f"{len(prompts)} labelled prompts; 3 are the fewest to learn from")
    clusters = clusters or gather_clusters(
        embeddings, n_centres=settings.n_centres, seed=settings.seed
    )
    centres, places = clusters.centres, clusters.places
    weights = labels.weights / labels.weights.mean()
    base_gap = float(np.average(labels.gaps, weights=weights))
    sums = weights * (labels.gaps - base_gap)
    n_centres = len(centres)
    logs = np.log1p(np.array([len(prompt) for prompt in prompts], dtype=np.float64))
    length_mean = float(np.average(logs, weights=weights))
    model = Knn(
        centres=centres,
        gap_sums=np.bincount(places, sums, n_centres).astype(np.float64),
        masses=np.bincount(places, weights, n_centres).astype(np.float64),
        sharpness=settings.sharpness,
        prior=0.0,
        base_gap=base_gap,
        length_slope=0.0,
        length_mean=length_mean,
        length_deviation=_deviation(logs, weights) or 1.0,
        length_far_share=settings.length_far_share,
    )
    sums_without, masses_without = _without_itself(model, embeddings, places, sums, weights)
    least = float(np.finfo(np.float32).tiny)  # where nothing counts, the mean gap does
    prior = max(settings.prior * float(np.median(masses_without)), least)
    nearby = sums_without / (masses_without + prior)
    slope = settings.length_weight * _deviation(nearby, weights)
    return replace(model, prior=prior, length_slope=slope)


def gather_clusters(embeddings: EmbeddingArray, *, n_centres: int, seed: int) -> Clusters:
    """Gather unit vectors, shape (n_prompts, dimension), in at most ``n_centres`` clusters.

    Spherical k-means, from distinct prompts drawn at random; scipy's and scikit-learn's are for
    Euclidean distances, and the former needs minutes where this needs seconds.

    References:
        Dhillon and Modha (2001), Concept Decompositions for Large Sparse Text Data.
    """
    vectors = np.ascontiguousarray(embeddings, dtype=np.float32)
    distinct = np.unique(vectors, axis=0)
    generator = np.random.default_rng(seed)
    n_centres = min(n_centres, len(distinct))
    centres = distinct[generator.choice(len(distinct), n_centres, replace=False)]
    for _ in range(_ROUNDS):
        nearest = _nearest(vectors, centres)
        order = np.argsort(nearest, kind="stable")
        _, starts, places = np.unique(nearest[order], return_index=True, return_inverse=True)
        sums = np.add.reduceat(vectors[order], starts, axis=0)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = sums / np.maximum(lengths, np.finfo(np.float32).tiny)
    ordered = np.empty(len(vectors), dtype=np.int64)
    ordered[order] = places
    return Clusters(centres, ordered)


def _nearest(vectors: EmbeddingArray, centres: EmbeddingArray) -> IntArray:
    """Return the position of the centre with the largest cosine, shape (n_vectors,)."""
    nearest = np.empty(len(vectors), dtype=np.int64)
    for start in range(0, len(vectors), _BLOCK):
        rows = slice(start, start + _BLOCK)
        nearest[rows] = (vectors[rows] @ centres.T).argmax(axis=1)
    return nearest


def _without_itself(
    model: Knn,
    embeddings: EmbeddingArray,
    places: IntArray,
    sums: FloatArray,
    weights: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Return the kernel sums of gaps and weights around each prompt, its own label left out."""
    nearby, masses = np.empty(len(embeddings)), np.empty(len(embeddings))
    for start in range(0, len(embeddings), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(embeddings)))
        kernel = kernel_of(embeddings[rows] @ model.centres.T, model.sharpness)
        own = kernel[np.arange(len(rows)), places[rows]]
        nearby[rows] = kernel @ model.gap_sums - own * sums[rows]
        masses[rows] = kernel @ model.masses - own * weights[rows]
    return nearby, np.maximum(masses, 0.0)


def _deviation(values: FloatArray, weights: FloatArray) -> float:
    mean = np.average(values, weights=weights)
    return float(np.sqrt(np.average((values - mean) ** 2, weights=weights)))


FAMILY = Family(name="knn", settings=KnnSettings, fit=fit_lesson, calibrates_evenly=True)
