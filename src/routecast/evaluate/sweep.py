"""APGR and CPT of many resamples at once: one walk down the scores, all resamples side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from routecast.evaluate.curve import descending_blocks
from routecast.evaluate.metrics import REACHED
from routecast.types import FloatArray, IntArray

_N_STEPS = 64  # per chunk: few enough that its arrays stay in a processor's cache


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreChunk:
    """A few steps of falling score; a step is one distinct score.

    Attributes:
        rows: Prompts by falling score, shape (n_rows,).
        gap: Strong minus weak quality of each, same shape.
        starts: Where in ``rows`` each step starts, shape (n_steps,).
    """

    rows: IntArray
    gap: FloatArray
    starts: IntArray

    def sizes_and_gains(self, counts: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return prompts and summed gap of each step, both of shape (n_steps, n_block).

        Args:
            counts: How often each prompt of the table occurs, shape (n_prompts, n_block).
        """
        sizes = counts[self.rows]  # (n_rows, n_block)
        gains = sizes * self.gap[:, None]
        if len(self.starts) < len(self.rows):
            gains = np.add.reduceat(gains, self.starts, axis=0)
            sizes = np.add.reduceat(sizes, self.starts, axis=0)
        return sizes, gains


def score_chunks(scores: FloatArray, gap: FloatArray) -> list[ScoreChunk]:
    """Cut the prompts into chunks of falling score.

    Args:
        scores: Win probability per prompt, shape (n_prompts,), none NaN.
        gap: Strong minus weak quality per prompt, same shape.
    """
    order, starts = descending_blocks(scores)
    bounds = np.append(starts, len(order))
    chunks = []
    for first in range(0, len(starts), _N_STEPS):
        last = min(first + _N_STEPS, len(starts))
        rows = order[bounds[first] : bounds[last]]
        chunks.append(
            ScoreChunk(rows=rows, gap=gap[rows], starts=starts[first:last] - starts[first])
        )
    return chunks


def resampled_metrics(
    counts: FloatArray,
    total: FloatArray,
    chunks: Sequence[ScoreChunk],
    gaps_recovered: Sequence[float],
) -> FloatArray:
    """Return the metrics of each resample.

    Args:
        counts: How often each prompt occurs, shape (n_prompts, n_block), as floats.
        total: Sum of the gaps of each resample, shape (n_block,); NaN where the models tie.
        chunks: The prompts by falling score.
        gaps_recovered: Shares of the gap for CPT.

    Returns:
        APGR and the CPTs, shape (n_block, 1 + n_gaps_recovered), equal to what
        `cost_quality_curve` gives when each prompt is repeated by its count. NaN where the
        models tie.
    """
    n_strong, area, recovered, best = np.zeros((4, counts.shape[1]))
    recovered[np.isnan(total)] = np.nan
    unit = 1.0 / total
    cpts = [_Cpt(gap_recovered, recovered.copy()) for gap_recovered in gaps_recovered]
    for chunk in chunks:
        sizes, ends = chunk.sizes_and_gains(counts)
        ends *= unit
        ends[0] += recovered
        for step in range(1, len(ends)):  # several times as fast as np.cumsum(..., axis=0)
            np.add(ends[step], ends[step - 1], out=ends[step])
        highest = ends.max(axis=0)  # `ends` is now PGR at the end of each step
        for cpt in cpts:
            cpt.look(sizes, ends, highest, start=(n_strong, recovered, best))
        area += sizes[0] * recovered + np.einsum("ij,ij->j", sizes, ends)
        area += np.einsum("ij,ij->j", sizes[1:], ends[:-1])
        recovered = ends[-1].copy()
        best = np.maximum(best, highest)
        n_strong += sizes.sum(axis=0)
    columns = [area / (2.0 * n_strong), *(cpt.n_strong / n_strong for cpt in cpts)]
    return np.stack(columns, axis=1)


class _Cpt:
    """Where each resample first recovers a share of the gap: `share_for_gap_recovered`.

    A step of m equal scores holds m cut points on a straight line; the first of them that
    reaches the target is found in closed form.
    """

    def __init__(self, gap_recovered: float, start: FloatArray) -> None:
        at_once = gap_recovered <= REACHED
        self.n_strong = start if at_once else np.full(len(start), np.nan)
        self._target = gap_recovered
        self._goal = np.full(len(start), np.inf if at_once else gap_recovered - REACHED)

    def look(
        self,
        sizes: FloatArray,
        ends: FloatArray,
        highest: FloatArray,
        *,
        start: tuple[FloatArray, FloatArray, FloatArray],
    ) -> None:
        """Note the resamples that arrive in this chunk.

        ``start`` holds prompts sent, PGR and highest PGR so far where the chunk starts.
        """
        hits = np.flatnonzero(highest >= self._goal)
        if not len(hits):
            return
        n_before, recovered, best = (values[hits] for values in start)
        sizes, goal = sizes[:, hits], self._goal[hits]
        points = np.vstack([recovered, ends[:, hits]])  # (n_steps + 1, n_hits)
        step = (points[1:] >= goal).argmax(axis=0)
        earlier = np.arange(len(sizes))[:, None] < step
        n_before = n_before + np.where(earlier, sizes, 0.0).sum(axis=0)
        best = np.maximum(best, np.where(earlier, points[1:], -np.inf).max(axis=0))
        columns = np.arange(len(hits))
        low, high = points[step, columns], points[step + 1, columns]
        per_prompt = (high - low) / sizes[step, columns]
        n_prompts = np.maximum(np.ceil((goal - low) / per_prompt), 1.0)
        before = np.maximum(best, low + (n_prompts - 1.0) * per_prompt)
        after = low + n_prompts * per_prompt
        part = np.minimum((self._target - before) / (after - before), 1.0)
        self.n_strong[hits] = n_before + n_prompts - 1.0 + part
        self._goal[hits] = np.inf
