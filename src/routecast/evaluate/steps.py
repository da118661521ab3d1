"""Prompts by falling score, cut into chunks, with sums over many resamples side by side.

A step is one distinct score: equal scores are taken together, in expectation. A chunk is a few
steps: its arrays stay in a processor's cache.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from routecast.evaluate.curve import descending_blocks
from routecast.types import FloatArray, IntArray

RealArray = npt.NDArray[np.floating[Any]]
"""Counts, and sums within a chunk, in the precision that `count_type` chose."""

SENT = "sent"
"""Name of the number of prompts sent to the strong model."""

_N_ROWS = 96  # per chunk, below 128, unless one step has more
_N_GATHERED = 512  # rows of a large step at a time, to bound memory
_GRID = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class StepChunk:
    """A few steps of falling score.

    Attributes:
        rows: Prompts by falling score, shape (n_rows,).
        step_of_row: Step of each, from 0, rising, same shape.
    """

    rows: IntArray
    step_of_row: IntArray

    @property
    def n_steps(self) -> int:
        """Number of distinct scores."""
        return int(self.step_of_row[-1]) + 1

    @property
    def has_ties(self) -> bool:
        """Whether a step has more than one prompt."""
        return self.n_steps < len(self.rows)

    def by_step(self, rows: RealArray) -> RealArray:
        """Sum rows, shape (n_rows, n_columns), to steps: (n_steps, n_columns)."""
        if not self.has_ties:
            return rows
        starts = np.flatnonzero(np.diff(self.step_of_row, prepend=-1))
        return np.asarray(np.add.reduceat(rows, starts, axis=0))


@dataclass(frozen=True, kw_only=True, eq=False)
class Passing:
    """A chunk on the way down, in every resample: what it adds, and what came before it.

    Attributes:
        chunk: Which.
        drawn: How often each of its prompts occurs, shape (n_rows, n_block); None for a chunk of
            one step, whose sums say it all.
        sizes: Prompts in each step, shape (n_steps, n_block).
        ranks: Prompts of the chunk by the end of each step, same shape.
        running: Of each named value, the chunk's sum by the end of each step, same shape.
        widths: Of each named width, the value per prompt, shape (n_rows,).
        width_sums: Its sum over the chunk, shape (n_block,).
        before: Sums over all earlier chunks, shape (n_block,): of ``sent`` prompts, and of each
            value and width by its name.
    """

    chunk: StepChunk
    drawn: RealArray | None
    sizes: RealArray
    ranks: RealArray
    running: Mapping[str, RealArray]
    widths: Mapping[str, FloatArray]
    width_sums: Mapping[str, FloatArray]
    before: Mapping[str, FloatArray]

    def after(self) -> dict[str, FloatArray]:
        """Return ``before`` for the chunk that follows."""
        added = {name: sums[-1] for name, sums in self.running.items()} | dict(self.width_sums)
        return {name: self.before[name] + values for name, values in added.items()}

    def areas(self, heights: str) -> dict[str, FloatArray]:
        """Return the area under a running sum over each width, by exact trapezoid.

        Args:
            heights: Name of the running sum.

        Returns:
            By name of the width, shape (n_block,).
        """
        height = self.before[heights]
        running = self.running[heights]
        if self.drawn is None:
            return {name: (height + running[0] / 2.0) * w for name, w in self.width_sums.items()}
        doubled = running.copy()  # twice the height in the middle of each step
        doubled[1:] += running[:-1]
        per_row = doubled[self.chunk.step_of_row] if self.chunk.has_ties else doubled
        per_row *= self.drawn
        inside = {
            name: per_row.sum(axis=0) if name == SENT else _weighted(values, per_row)
            for name, values in self.widths.items()
        }
        return {name: height * self.width_sums[name] + area / 2.0 for name, area in inside.items()}

    def per_step(self, width: str, columns: IntArray) -> FloatArray:
        """Return the sum of a width in each step, for some resamples: (n_steps, n_columns)."""
        if self.drawn is None:
            return self.width_sums[width][None, columns]
        per_row = self.drawn[:, columns] * self.widths[width][:, None]
        return np.asarray(self.chunk.by_step(per_row), dtype=np.float64)


def count_type(*columns: FloatArray) -> type[np.float32] | type[np.float64]:
    """Choose the precision of counts: single where it sums the columns without rounding.

    Single precision is twice as fast and holds whole numbers up to 2^24: multiples of 1/64 up to
    16, as right-or-wrong and grades are, are summed exactly over any chunk.
    """
    for values in columns:
        on_grid = values * _GRID
        if (np.abs(on_grid) > 16 * _GRID).any() or (on_grid != np.rint(on_grid)).any():
            return np.float64
    return np.float32


def step_chunks(scores: FloatArray) -> list[StepChunk]:
    """Cut prompts into chunks of falling score.

    Args:
        scores: Win probability per prompt, shape (n_prompts,), none NaN.
    """
    order, starts = descending_blocks(scores)
    bounds = np.append(starts, len(order))
    step = np.repeat(np.arange(len(starts)), np.diff(bounds))
    return [
        StepChunk(rows=order[first:last], step_of_row=step[first:last] - step[first])
        for first, last in _chunk_bounds(bounds)
    ]


def passings(
    chunks: Sequence[StepChunk],
    counts: RealArray,
    *,
    running: Mapping[str, FloatArray],
    widths: Mapping[str, FloatArray] | None = None,
) -> Iterator[Passing]:
    """Walk down the chunks on all resamples side by side.

    Args:
        chunks: The prompts by falling score.
        counts: How often each prompt occurs, shape (n_prompts, n_block).
        running: Values per prompt, shape (n_prompts,), to be summed up to each step, by name.
        widths: Values per prompt, same shape, to lay along an x-axis, by name; ``sent``, the
            number of prompts, is always one.
    """
    widths = {SENT: np.ones(len(counts))} | dict(widths or {})
    before = {name: np.zeros(counts.shape[1]) for name in (*running, *widths)}
    for chunk in chunks:
        passing = (_pass_one_step if chunk.n_steps == 1 else _pass_steps)(
            chunk,
            counts,
            running={name: values[chunk.rows] for name, values in running.items()},
            widths={name: values[chunk.rows] for name, values in widths.items()},
            before=before,
        )
        yield passing
        before = passing.after()


def _pass_steps(
    chunk: StepChunk,
    counts: RealArray,
    *,
    running: Mapping[str, FloatArray],
    widths: Mapping[str, FloatArray],
    before: Mapping[str, FloatArray],
) -> Passing:
    drawn = np.take(counts, chunk.rows, axis=0)  # (n_rows, n_block)
    sizes = chunk.by_step(drawn)
    ranks = _accumulated(sizes.copy())
    sums = {name: _weighted(values, drawn) for name, values in widths.items() if name != SENT}
    return Passing(
        chunk=chunk,
        drawn=drawn,
        sizes=sizes,
        ranks=ranks,
        running={
            name: _accumulated(chunk.by_step(drawn * values.astype(drawn.dtype)[:, None]))
            for name, values in running.items()
        },
        widths=widths,
        width_sums={SENT: ranks[-1].astype(np.float64)} | sums,
        before=before,
    )


def _pass_one_step(
    chunk: StepChunk,
    counts: RealArray,
    *,
    running: Mapping[str, FloatArray],
    widths: Mapping[str, FloatArray],
    before: Mapping[str, FloatArray],
) -> Passing:
    """Sum one step, which may hold most of the prompts: gather its rows a few at a time."""
    columns = {**running, **widths}
    sums = {name: np.zeros(counts.shape[1]) for name in columns}
    for first in range(0, len(chunk.rows), _N_GATHERED):
        part = slice(first, first + _N_GATHERED)
        drawn = np.take(counts, chunk.rows[part], axis=0)
        for name, values in columns.items():
            sums[name] += _weighted(values[part], drawn)
    return Passing(
        chunk=chunk,
        drawn=None,
        sizes=sums[SENT][None, :],
        ranks=sums[SENT][None, :],
        running={name: sums[name][None, :] for name in running},
        widths=widths,
        width_sums={name: sums[name] for name in widths},
        before=before,
    )


def _weighted(values: FloatArray, drawn: RealArray) -> FloatArray:
    """Sum rows by weight, shape (n_block,); not by BLAS, whose threads fight with ours."""
    sums = np.einsum("i,ij->j", values.astype(drawn.dtype), drawn)
    return np.asarray(sums, dtype=np.float64)


def _accumulated(rows: RealArray) -> RealArray:
    """Sum up along the rows in place; several times as fast as ``np.cumsum(..., axis=0)``."""
    for row in range(1, len(rows)):
        np.add(rows[row], rows[row - 1], out=rows[row])
    return rows


def _chunk_bounds(bounds: IntArray) -> Iterator[tuple[int, int]]:
    """Yield where chunks start and end, given where steps do."""
    first = 0
    while first < len(bounds) - 1:
        last = int(np.searchsorted(bounds, bounds[first] + _N_ROWS, side="right")) - 1
        last = max(last, first + 1)
        yield int(bounds[first]), int(bounds[last])
        first = last
