"""Bootstrap intervals of routing metrics, paired across routers."""

import os
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from routecast.evaluate.curve import check_scored
from routecast.evaluate.discrimination import check_probabilities, log_losses, win_labels
from routecast.evaluate.dollars import check_costs
from routecast.evaluate.fixed import FixedBlock
from routecast.evaluate.metrics import RANDOM_APGR, REACHED, oracle_scores
from routecast.evaluate.names import APGR, APGR_NORMALISED, BRIER, CPTS, ECE, LOG_LOSS
from routecast.evaluate.pair import PairArrays
from routecast.evaluate.steps import RealArray, count_type
from routecast.evaluate.study import Figure
from routecast.evaluate.sweep import (
    SHARES,
    ResampleBlock,
    ResampleTotals,
    RouterSteps,
    joined_totals,
    resample_totals,
    resampled_apgr,
    resampled_figures,
    resampled_sums,
    router_steps,
)
from routecast.stats.bootstrap import (
    CountArray,
    Interval,
    percentile_interval,
    pivotal_interval,
    resample_counts,
)
from routecast.types import FloatArray, IntArray

N_RESAMPLES = 10_000
_N_TRANSPOSED = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class MetricSamples:
    """Metrics of several routers on the same resamples of the prompts.

    Attributes:
        routers: Names of the routers.
        metrics: Names of the metrics: ``apgr``, ``cpt_50`` and the others of `exact_figures`.
        values: Shape (n_resamples, n_routers, n_metrics); NaN where undefined, as most are where
            the two models tie, and where a router has no such metric.
        quality: Mean quality at `SHARES`, shape (n_resamples, n_routers, 101).
        totals: What the resamples sum to, whatever the router.
    """

    routers: tuple[str, ...]
    metrics: tuple[str, ...]
    values: FloatArray
    quality: FloatArray
    totals: ResampleTotals

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


def figure_of(metric: str, value: float, samples: FloatArray) -> Figure:
    """Return a metric's value with the 95% interval of its resamples.

    Args:
        metric: Its name. The calibration error, which binning noise makes larger on resamples, has
            a pivotal interval; all others have percentiles.
        value: On the sample itself.
        samples: On each resample, shape (n_resamples,).
    """
    interval = pivotal_interval(value, samples) if metric == ECE else percentile_interval(samples)
    return Figure(value=value, low=interval.low, high=interval.high)


def figure_of_difference(value: float, samples: FloatArray) -> Figure:
    """Return a difference of one metric with the 95% percentiles of its resamples."""
    interval = percentile_interval(samples)
    return Figure(value=value, low=interval.low, high=interval.high)


def bootstrap_metrics(
    scores: Mapping[str, FloatArray],
    *,
    weak_quality: FloatArray,
    strong_quality: FloatArray,
    weak_cost_usd: FloatArray | None = None,
    strong_cost_usd: FloatArray | None = None,
    group_codes: IntArray | None = None,
    probabilities: Collection[str] = (),
    fixed: Mapping[str, FixedBlock] | None = None,
    gaps_recovered: Sequence[float] = tuple(CPTS.values()),
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> MetricSamples:
    """Compute the figures of several routers on the same resamples of the prompts.

    Equal scores, copies of one prompt among them, are taken in expectation, as on the curve.

    Args:
        scores: Win probability per prompt, shape (n_prompts,), by router.
        weak_quality: Quality of the weak model's answers, same shape.
        strong_quality: Quality of the strong model's answers, same shape.
        weak_cost_usd: US dollars of the weak model's answers, same shape, or None if unknown.
        strong_cost_usd: Likewise; both or neither.
        group_codes: Resample these groups of prompts, not prompts: one integer each, same shape.
        probabilities: Those names in ``scores`` whose scores are win probabilities.
        fixed: The prompts without a score, by router that has such.
        gaps_recovered: Shares of the gap for CPT: 0.5 gives ``cpt_50``.
        n_resamples: How many resamples.
        seed: Equal seeds give equal resamples.

    Raises:
        ValueError: As `cost_quality_curve`, `dollar_curve` and `log_loss` say.
    """
    pair = PairArrays(
        weak_quality=weak_quality,
        strong_quality=strong_quality,
        weak_cost_usd=weak_cost_usd,
        strong_cost_usd=strong_cost_usd,
    )
    _check(scores, pair, probabilities, fixed or {})
    cpts = {f"cpt_{100 * share:g}": share for share in gaps_recovered}
    fixed = fixed or {}
    walks = {
        name: router_steps(
            values,
            pair,
            is_probability=name in probabilities and name not in fixed,
            fixed=fixed.get(name),
        )
        for name, values in scores.items()
    }
    judged = [
        _Judged.of(name, scores[name], pair, fixed.get(name))
        for name in scores
        if name in probabilities
    ]
    oracle = router_steps(
        oracle_scores(weak_quality=weak_quality, strong_quality=strong_quality), pair
    )
    exact_type = count_type(pair.gap)
    blocks, totals = [], []
    with ThreadPoolExecutor(_n_threads(len(walks))) as pool:
        for drawn in resample_counts(
            len(weak_quality), n_resamples=n_resamples, seed=seed, group_codes=group_codes
        ):
            counts = _transposed(drawn, exact_type)
            block = ResampleBlock(counts=counts, totals=resample_totals(counts, pair))
            totals.append(block.totals)
            blocks.append(_block_samples(pool, block, walks, oracle, cpts))
            for one in judged:
                blocks[-1][one.name][0].update(one.figures(block))
    return _joined(blocks, totals)


RouterSamples = tuple[dict[str, FloatArray], FloatArray]
"""Figures by name, each of shape (n_block,), and quality along the curve, (101, n_block)."""


def _block_samples(
    pool: ThreadPoolExecutor,
    block: ResampleBlock,
    walks: Mapping[str, RouterSteps],
    oracle: RouterSteps,
    cpts: Mapping[str, float],
) -> dict[str, RouterSamples]:
    """Walk down every router's scores; numpy lets go of the lock, so threads help."""
    best = pool.submit(resampled_apgr, oracle, block)
    found = {
        name: pool.submit(resampled_figures, steps, block, cpts=cpts)
        for name, steps in walks.items()
    }
    samples = {name: future.result() for name, future in found.items()}
    room = best.result() - RANDOM_APGR
    room[~(room > REACHED)] = np.nan
    for figures, _ in samples.values():
        figures[APGR_NORMALISED] = (figures[APGR] - RANDOM_APGR) / room
    return samples


def _joined(
    blocks: Sequence[Mapping[str, RouterSamples]], totals: Sequence[ResampleTotals]
) -> MetricSamples:
    """Put blocks of resamples behind one another, NaN where a router lacks a metric."""
    routers = tuple(blocks[0])
    metrics = tuple(dict.fromkeys(name for found, _ in blocks[0].values() for name in found))
    n_blocks = [next(iter(block.values()))[1].shape[1] for block in blocks]
    values = np.full((sum(n_blocks), len(routers), len(metrics)), np.nan)
    quality = np.empty((sum(n_blocks), len(routers), len(SHARES)))
    stops = np.cumsum(n_blocks)
    for block, start, stop in zip(blocks, stops - n_blocks, stops, strict=True):
        for router, (found, curve) in enumerate(block.values()):
            quality[start:stop, router] = curve.T
            for name, samples in found.items():
                values[start:stop, router, metrics.index(name)] = samples
    return MetricSamples(
        routers=routers,
        metrics=metrics,
        values=values,
        quality=quality,
        totals=joined_totals(totals),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Judged:
    """A router's probabilities on the prompts that it scored.

    Attributes:
        name: Of the router.
        losses: Per scored prompt, by metric.
        rows: Where those prompts are, shape (n_prompts,); None where all are scored.
        pair: The outcomes of those prompts.
        steps: Those prompts by falling score; None where all are scored, and the calibration error
            comes from the walk over all.
    """

    name: str
    losses: Mapping[str, FloatArray]
    rows: npt.NDArray[np.bool_] | None
    pair: PairArrays
    steps: RouterSteps | None

    @classmethod
    def of(
        cls, name: str, scores: FloatArray, pair: PairArrays, fixed: FixedBlock | None
    ) -> "_Judged":
        """Leave out the prompts without a score."""
        if fixed is None:
            losses = _row_losses(scores, pair)
            return cls(name=name, losses=losses, rows=None, pair=pair, steps=None)
        rows = ~fixed.rows
        scores, pair = scores[rows], pair.take(rows)
        return cls(
            name=name,
            losses=_row_losses(scores, pair),
            rows=rows,
            pair=pair,
            steps=router_steps(scores, pair, is_probability=True),
        )

    def figures(self, block: ResampleBlock) -> dict[str, FloatArray]:
        """Return what is undefined, NaN, on a resample without any scored prompt."""
        if self.rows is None or self.steps is None:
            return _mean_losses(self.losses, block)
        counts = block.counts[self.rows]
        with np.errstate(divide="ignore", invalid="ignore"):
            scored = ResampleBlock(counts=counts, totals=resample_totals(counts, self.pair))
            found, _ = resampled_figures(self.steps, scored, cpts={})
            return _mean_losses(self.losses, scored) | {ECE: found[ECE]}


def _row_losses(win_probabilities: FloatArray, pair: PairArrays) -> dict[str, FloatArray]:
    """What each prompt adds to the log loss and to the Brier score."""
    labels = win_labels(weak_quality=pair.weak_quality, strong_quality=pair.strong_quality)
    return {
        LOG_LOSS: log_losses(win_probabilities, labels),
        BRIER: (win_probabilities - labels) ** 2,
    }


def _mean_losses(losses: Mapping[str, FloatArray], block: ResampleBlock) -> dict[str, FloatArray]:
    """Mean losses of each resample; infinite just where an infinite loss is drawn."""
    rows = np.stack(list(losses.values()))  # (n_losses, n_prompts)
    finite = np.isfinite(rows)
    sums = resampled_sums(np.where(finite, rows, 0.0), block.counts)
    if not finite.all():
        sums[resampled_sums(~finite * 1.0, block.counts) > 0] = np.inf
    return dict(zip(losses, sums / block.totals.n_rows, strict=True))


def _transposed(drawn: CountArray, real: type[np.float32] | type[np.float64]) -> RealArray:
    """Return counts as floats of shape (n_prompts, n_block); by tiles, which is faster."""
    counts = np.empty(drawn.shape[::-1], dtype=real)
    for first in range(0, len(drawn), _N_TRANSPOSED):
        part = slice(first, first + _N_TRANSPOSED)
        counts[:, part] = drawn[part].T
    return counts


def _n_threads(n_routers: int) -> int:
    return min(n_routers + 1, os.cpu_count() or 1, 4)


def _check(
    scores: Mapping[str, FloatArray],
    pair: PairArrays,
    probabilities: Collection[str],
    fixed: Mapping[str, FixedBlock],
) -> None:
    """Refuse what no figure is defined on."""
    quality = {"weak_quality": pair.weak_quality, "strong_quality": pair.strong_quality}
    if not scores:
        raise ValueError("there are no scores; give those of at least one router")
    for name, values in scores.items():
        check_scored(values, **quality)
        if name in probabilities:
            scored = ~fixed[name].rows if name in fixed else slice(None)
            check_probabilities(values[scored], win_labels(**quality)[scored])
        if pair.weak_cost_usd is not None and pair.strong_cost_usd is not None:
            check_costs(
                values, weak_cost_usd=pair.weak_cost_usd, strong_cost_usd=pair.strong_cost_usd
            )
