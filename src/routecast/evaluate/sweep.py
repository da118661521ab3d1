"""The figures of one router on many resamples at once, in one walk down its scores.

Each equals what `exact_figures` gives when every prompt is repeated by its count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from routecast.evaluate.crossing import COST, GoalWatch, PlaceWatch
from routecast.evaluate.curve import equal_but_for_rounding
from routecast.evaluate.discrimination import N_CALIBRATION_BINS, win_labels
from routecast.evaluate.dollars import costs_more
from routecast.evaluate.fixed import FixedBlock
from routecast.evaluate.metrics import strong_quality_target
from routecast.evaluate.names import (
    APGR,
    APGR_ELEVEN_QUANTILES,
    APGR_TEN_THRESHOLDS,
    APGR_USD,
    AUROC,
    CALLS,
    ECE,
    SAVED_SHARE,
    SAVED_USD_PER_1K,
)
from routecast.evaluate.pair import PairArrays
from routecast.evaluate.steps import SENT, RealArray, StepChunk, passings, step_chunks
from routecast.types import FloatArray

SHARES = np.linspace(0.0, 1.0, 101)
"""Shares of strong calls at which bands are taken."""

_TENTHS = slice(5, 100, 10)  # of SHARES: .05, .15 ... .95
_QUANTILES = np.linspace(0.0, 1.0, 11)[-2::-1, None]  # .9, .8 ... 0
_N_ROWS = 256  # summed at a time
_EDGES = np.arange(1, N_CALIBRATION_BINS)[:, None]  # bins from the highest score down


@dataclass(frozen=True, kw_only=True, eq=False)
class ResampleTotals:
    """What resamples sum to, whatever the router; each of shape (n_resamples,).

    Attributes:
        n_rows: Number of prompts.
        weak: Summed quality of the weak model.
        strong: Summed quality of the strong model.
        gap: Strong minus weak; NaN where the models tie.
        weak_cost: Summed cost of the weak model, or None if unknown.
        strong_cost: Likewise.
    """

    n_rows: FloatArray
    weak: FloatArray
    strong: FloatArray
    gap: FloatArray
    weak_cost: FloatArray | None
    strong_cost: FloatArray | None


@dataclass(frozen=True, kw_only=True, eq=False)
class ResampleBlock:
    """Some resamples of the prompts.

    Attributes:
        counts: How often each prompt occurs, shape (n_prompts, n_block).
        totals: What they sum to.
    """

    counts: RealArray
    totals: ResampleTotals


def resample_totals(counts: RealArray, pair: PairArrays) -> ResampleTotals:
    """Sum up what does not depend on a router.

    Args:
        counts: How often each prompt occurs, shape (n_prompts, n_block).
        pair: What the two models did.
    """
    columns = [np.ones(len(counts)), pair.weak_quality, pair.strong_quality, pair.gap]
    if pair.weak_cost_usd is not None and pair.strong_cost_usd is not None:
        columns += [pair.weak_cost_usd, pair.strong_cost_usd]
    n_rows, weak, strong, gap, *costs = resampled_sums(np.stack(columns), counts)
    return ResampleTotals(
        n_rows=n_rows,
        weak=weak,
        strong=strong,
        gap=np.where(equal_but_for_rounding(weak, strong), np.nan, gap),
        weak_cost=costs[0] if costs else None,
        strong_cost=costs[1] if costs else None,
    )


def joined_totals(blocks: Sequence[ResampleTotals]) -> ResampleTotals:
    """Put blocks of resamples behind one another."""
    columns: dict[str, Any] = {}
    for field in fields(ResampleTotals):
        parts = [getattr(block, field.name) for block in blocks]
        columns[field.name] = None if parts[0] is None else np.concatenate(parts)
    return ResampleTotals(**columns)


def resampled_sums(columns: FloatArray, counts: RealArray) -> FloatArray:
    """Sum columns over each resample, in double precision.

    Args:
        columns: Values per prompt, shape (n_columns, n_prompts).
        counts: How often each prompt occurs, shape (n_prompts, n_block).

    Returns:
        Shape (n_columns, n_block).
    """
    sums = np.zeros((len(columns), counts.shape[1]))
    for first in range(0, len(counts), _N_ROWS):
        part = slice(first, first + _N_ROWS)
        sums += columns[:, part] @ counts[part].astype(np.float64)
    return sums


@dataclass(frozen=True, kw_only=True, eq=False)
class RouterSteps:
    """A router's prompts by falling score, and what is summed on the way down.

    Attributes:
        chunks: The prompts.
        running: Per prompt, shape (n_prompts,), by name: ``gap``, ``wins`` (1, 0, -1), and for
            probabilities ``excess`` over the label.
        widths: ``cost``, strong minus weak, where known.
        fixed: The prompts without a score, or None.
    """

    chunks: Sequence[StepChunk]
    running: Mapping[str, FloatArray]
    widths: Mapping[str, FloatArray]
    fixed: FixedBlock | None = None


def router_steps(
    scores: FloatArray,
    pair: PairArrays,
    *,
    is_probability: bool = False,
    fixed: FixedBlock | None = None,
) -> RouterSteps:
    """Order the prompts of one router.

    Args:
        scores: Win probability per prompt, shape (n_prompts,), none NaN.
        pair: What the two models did.
        is_probability: Whether to sum up what the calibration error needs.
        fixed: The prompts without a score; None where every prompt has one.
    """
    gap, wins = pair.gap, np.sign(pair.gap)
    running = {"gap": gap}
    if not np.array_equal(gap, wins):
        running["wins"] = wins
    if is_probability:
        labels = win_labels(weak_quality=pair.weak_quality, strong_quality=pair.strong_quality)
        running["excess"] = scores - labels
    extra = pair.extra_cost_usd
    return RouterSteps(
        chunks=step_chunks(scores),
        running=running,
        widths={} if extra is None else {COST: extra},
        fixed=fixed,
    )


def resampled_apgr(steps: RouterSteps, block: ResampleBlock) -> FloatArray:
    """Return APGR on each resample, shape (n_block,); NaN where the models tie."""
    area = np.zeros(block.counts.shape[1])
    gap = {"gap": steps.running["gap"]}
    for passing in passings(steps.chunks, block.counts, running=gap):
        area += passing.areas("gap")[SENT]
    return area / (block.totals.n_rows * block.totals.gap)


def resampled_figures(
    steps: RouterSteps, block: ResampleBlock, *, cpts: Mapping[str, float]
) -> tuple[dict[str, FloatArray], FloatArray]:
    """Return the figures of one router on each resample, and its curve.

    Args:
        steps: The router's prompts by falling score.
        block: The resamples.
        cpts: Shares of the gap for CPT by the metric's name.

    Returns:
        Each figure by name, shape (n_block,), NaN where undefined, without those that are sums
        over prompts and without the normalised APGR; and the mean quality at `SHARES`, shape
        (101, n_block).
    """
    targets = _goals(block.totals, cpts)
    walk = _walk(steps, block, np.stack(list(targets.values())))
    if steps.fixed is not None:
        _keep_reachable(walk.goals, steps.fixed, steps.widths, block)
    n_rows, gap = block.totals.n_rows, block.totals.gap
    found = {APGR: walk.gap_area / (n_rows * gap)}
    found |= dict(zip(targets, walk.goals.sent / n_rows, strict=True))
    gains = walk.places.between()[: len(SHARES)]  # (101, n_block)
    found[APGR_TEN_THRESHOLDS] = gains[_TENTHS].mean(axis=0) / gap
    found[APGR_ELEVEN_QUANTILES] = _eleven_quantiles(walk.places, block.totals)
    if block.totals.weak_cost is not None and block.totals.strong_cost is not None:
        costs = dict(zip(targets, walk.goals.cost, strict=True))
        found |= _dollars(walk.cost_area, costs, block.totals, cpts)
    signed = walk.totals["wins" if "wins" in walk.totals else "gap"]
    found[AUROC] = _auroc(walk.win_area, signed, n_rows)
    if walk.edges is not None:
        found[ECE] = _calibration_error(walk.edges, walk.totals["excess"], n_rows)
    return found, (block.totals.weak + gains) / n_rows


@dataclass(frozen=True, kw_only=True, eq=False)
class _Walk:
    """Sums of a whole walk, each of shape (n_block,), and what was watched."""

    gap_area: FloatArray
    cost_area: FloatArray
    win_area: FloatArray
    totals: Mapping[str, FloatArray]
    goals: GoalWatch
    places: PlaceWatch
    edges: PlaceWatch | None


def _walk(steps: RouterSteps, block: ResampleBlock, targets: FloatArray) -> _Walk:
    n_rows = block.totals.n_rows
    goals = GoalWatch(
        targets, unit=np.where(np.isnan(block.totals.gap), 1.0, 1.0 / block.totals.gap)
    )
    places = PlaceWatch(_places(n_rows), "gap")
    edges = PlaceWatch(_EDGES * n_rows / N_CALIBRATION_BINS, "excess")
    gap_area, cost_area, win_area = np.zeros((3, len(n_rows)))
    after: dict[str, FloatArray] = {}
    for passing in passings(steps.chunks, block.counts, running=steps.running, widths=steps.widths):
        areas = passing.areas("gap")
        gap_area += areas[SENT]
        cost_area += areas.get(COST, 0.0)
        if "wins" in steps.running:
            win_area += passing.areas("wins")[SENT]
        goals.look(passing)
        places.look(passing)
        if "excess" in steps.running:
            edges.look(passing)
        after = passing.after()
    places.close(after)
    return _Walk(
        gap_area=gap_area,
        cost_area=cost_area,
        win_area=win_area if "wins" in steps.running else gap_area,
        totals=after,
        goals=goals,
        places=places,
        edges=edges if "excess" in steps.running else None,
    )


def _keep_reachable(
    goals: GoalWatch, fixed: FixedBlock, widths: Mapping[str, FloatArray], block: ResampleBlock
) -> None:
    """Move goals that lie inside the block without a score to where a threshold reaches them."""
    extra = widths.get(COST, np.zeros(len(fixed.rows)))
    columns = np.stack([fixed.rows * 1.0, fixed.rows * extra])
    n_fixed, fixed_cost = resampled_sums(columns, block.counts)
    sent = fixed.reachable(goals.sent, n_fixed=n_fixed, n_rows=block.totals.n_rows)
    moved = np.where(np.isnan(sent), np.nan, fixed_cost)
    goals.cost = np.where(sent == goals.sent, goals.cost, moved)
    goals.sent = sent


def _goals(totals: ResampleTotals, cpts: Mapping[str, float]) -> dict[str, FloatArray]:
    """Shares of the gap to reach, by metric, each of shape (n_block,)."""
    goals = {name: np.where(np.isnan(totals.gap), np.nan, share) for name, share in cpts.items()}
    for name, fraction in CALLS.items():
        goals[name] = strong_quality_target(fraction, weak=totals.weak, strong=totals.strong)
    return goals


def _places(n_rows: FloatArray) -> FloatArray:
    """Where to look: at shares, and at the lowest score sent for each quantile of the scores."""
    last = n_rows - 1.0
    return np.concatenate([SHARES[:, None] * n_rows, last - np.ceil(_QUANTILES * last - 1e-9)])


def _eleven_quantiles(places: PlaceWatch, totals: ResampleTotals) -> FloatArray:
    """`apgr_eleven_quantiles`: scores at or above a quantile are sent whole steps at a time."""
    rows = slice(len(SHARES), None)
    start = np.zeros((1, len(totals.n_rows)))
    sent = np.concatenate([start, (places.n_before + places.sizes)[rows]])  # (11, n_block)
    gains = np.concatenate([start, places.sum_after[rows]])
    area = (np.diff(sent, axis=0) * (gains[1:] + gains[:-1]) / 2.0).sum(axis=0)
    return np.asarray(area / (totals.n_rows * totals.gap))


def _dollars(
    area: FloatArray,
    costs: Mapping[str, FloatArray],
    totals: ResampleTotals,
    cpts: Mapping[str, float],
) -> dict[str, FloatArray]:
    """The figures with costs, from the extra cost at each goal."""
    if totals.weak_cost is None or totals.strong_cost is None:
        return {}
    spread = totals.strong_cost - totals.weak_cost
    dearer = costs_more(weak=totals.weak_cost, strong=totals.strong_cost)
    extra = np.where(dearer, spread, np.nan)
    saved = spread - costs["calls_95"]
    bill = np.where(totals.strong_cost > 0, totals.strong_cost, np.nan)
    figures = {APGR_USD: area / (extra * totals.gap)}
    figures |= {f"{name}_usd": costs[name] / extra for name in cpts}
    return figures | {SAVED_USD_PER_1K: 1000.0 * saved / totals.n_rows, SAVED_SHARE: saved / bill}


def _auroc(win_area: FloatArray, signed: FloatArray, n_rows: FloatArray) -> FloatArray:
    """AUROC from the area under wins minus losses.

    With w wins and l losses in a step, summed over pairs of steps: each win beats the losses
    below it and half of those beside it. Wins w = (n + s) / 2 for n prompts and signed wins s, so
    that the sum over pairs is the area under the wins less half the square of all wins.
    """
    wins = (n_rows + signed) / 2.0
    pairs = wins * (n_rows - wins)
    won = (n_rows**2 / 2.0 + win_area) / 2.0 - wins**2 / 2.0
    return np.where(pairs > 0, won / np.where(pairs > 0, pairs, 1.0), np.nan)


def _calibration_error(edges: PlaceWatch, total: FloatArray, n_rows: FloatArray) -> FloatArray:
    """`expected_calibration_error` from the excess summed up to each edge of the bins.

    Scores fall here and rise there: a step is above an edge when its middle rank from the top
    does not pass the edge's.
    """
    doubled_middle = 2.0 * edges.n_before + edges.sizes  # (14, n_block)
    above = doubled_middle * N_CALIBRATION_BINS <= 2.0 * _EDGES * n_rows
    at_edges = np.where(above, edges.sum_after, edges.sum_before)
    bounded = np.concatenate([np.zeros((1, len(total))), at_edges, total[None, :]])
    return np.asarray(np.abs(np.diff(bounded, axis=0)).sum(axis=0) / n_rows)
