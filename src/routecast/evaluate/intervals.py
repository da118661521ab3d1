"""Bootstrap intervals of routing metrics, paired across routers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from routecast.evaluate.curve import check_scored
from routecast.evaluate.sweep import resampled_metrics, score_chunks
from routecast.stats.bootstrap import Interval, percentile_interval, resample_counts
from routecast.types import FloatArray, IntArray

APGR = "apgr"
N_RESAMPLES = 10_000


@dataclass(frozen=True, kw_only=True, eq=False)
class MetricSamples:
    """Metrics of several routers on the same resamples of the prompts.

    Attributes:
        routers: Names of the routers.
        metrics: ``apgr``, then ``cpt_50`` and the like.
        values: Shape (n_resamples, n_routers, n_metrics); NaN where the two models tie.
    """

    routers: tuple[str, ...]
    metrics: tuple[str, ...]
    values: FloatArray

    def samples(self, router: str, metric: str = APGR) -> FloatArray:
        """Return one router's metric on each resample, shape (n_resamples,)."""
        return self.values[:, self.routers.index(router), self.metrics.index(metric)]

    def interval(self, router: str, metric: str = APGR, *, level: float = 0.95) -> Interval:
        """Return the percentile interval of one router's metric."""
        return percentile_interval(self.samples(router, metric), level=level)

    def difference(
        self, router: str, other: str, metric: str = APGR, *, level: float = 0.95
    ) -> Interval:
        """Return the interval of one router's metric minus another's on the same resamples."""
        gaps = self.samples(router, metric) - self.samples(other, metric)
        return percentile_interval(gaps, level=level)


def bootstrap_metrics(
    scores: Mapping[str, FloatArray],
    *,
    weak_quality: FloatArray,
    strong_quality: FloatArray,
    group_codes: IntArray | None = None,
    gaps_recovered: Sequence[float] = (0.5, 0.8),
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> MetricSamples:
    """Compute APGR and CPT of several routers on the same resamples of the prompts.

    Equal scores, copies of one prompt among them, are taken in expectation, as on the curve.

    Args:
        scores: Win probability per prompt, shape (n_prompts,), by router.
        weak_quality: Quality of the weak model's answers, same shape.
        strong_quality: Quality of the strong model's answers, same shape.
        group_codes: Resample these groups of prompts, not prompts: one integer each, same shape.
        gaps_recovered: Shares of the gap for CPT: 0.5 gives ``cpt_50``.
        n_resamples: How many resamples.
        seed: Equal seeds give equal resamples.

    Raises:
        ValueError: As `cost_quality_curve` says.
    """
    for router_scores in scores.values():
        check_scored(router_scores, weak_quality=weak_quality, strong_quality=strong_quality)
    gap = strong_quality - weak_quality
    walks = [score_chunks(router_scores, gap) for router_scores in scores.values()]
    metrics = (APGR, *(f"cpt_{100 * share:g}" for share in gaps_recovered))
    values = np.empty((n_resamples, len(walks), len(metrics)))
    scale = float(max(np.abs(weak_quality).max(), np.abs(strong_quality).max()))
    done = 0
    for block in resample_counts(
        len(gap), n_resamples=n_resamples, seed=seed, group_codes=group_codes
    ):
        rows = slice(done, done + len(block))
        counts = np.ascontiguousarray(block.T, dtype=np.float64)  # (n_prompts, n_block)
        total = np.einsum("i,ij->j", gap, counts)
        total[np.abs(total) <= 1e-12 * scale * counts.sum(axis=0)] = np.nan
        for router, chunks in enumerate(walks):
            values[rows, router] = resampled_metrics(counts, total, chunks, gaps_recovered)
        done += len(block)
    return MetricSamples(routers=tuple(scores), metrics=metrics, values=values)
