"""Prompts by falling score, cut into chunks, with sums over many resamples side by side.

A step is one distinct score: equal scores are taken together, in expectation. A chunk is a few
steps; its arrays stay in a processor's cache, and its sums are small matrix products.
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
        widths = np.stack(list(self.widths.values())).astype(per_row.dtype)
        inside = (widths @ per_row).astype(np.float64) / 2.0
        return {
            name: height * self.width_sums[name] + area
            for name, area in zip(self.widths, inside, strict=True)
        }

    def per_step(self, width: str, columns: IntArray) -> FloatArray:
        """Return the sum of a width in each step, for some resamples: (n_steps, n_columns)."""
        if self.drawn is None:
            return self.width_sums[width][None, columns]
        per_row = self.drawn[:, columns] * self.widths[width][:, None]
        if not self.chunk.has_ties:
            return per_row
        return _step_weights(self.chunk) @ per_row


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
    come = np.greater_equal.outer(np.arange(chunk.n_steps), chunk.step_of_row)  # by a step's end
    columns = np.stack(list(widths.values())).astype(counts.dtype)
    sums = (columns @ drawn).astype(np.float64)
    return Passing(
        chunk=chunk,
        drawn=drawn,
        sizes=_step_weights(chunk).astype(counts.dtype) @ drawn if chunk.has_ties else drawn,
        ranks=come.astype(counts.dtype) @ drawn,
        running={n: (come * values).astype(counts.dtype) @ drawn for n, values in running.items()},
        widths=widths,
        width_sums=dict(zip(widths, sums, strict=True)),
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
    columns = np.stack([*running.values(), *widths.values()])
    sums = np.zeros((len(columns), counts.shape[1]))
    for first in range(0, len(chunk.rows), _N_GATHERED):
        part = slice(first, first + _N_GATHERED)
        drawn = np.take(counts, chunk.rows[part], axis=0)
        sums += columns[:, part].astype(counts.dtype) @ drawn
    named = dict(zip((*running, *widths), sums, strict=True))
    return Passing(
        chunk=chunk,
        drawn=None,
        sizes=named[SENT][None, :],
        ranks=named[SENT][None, :],
        running={name: named[name][None, :] for name in running},
        widths=widths,
        width_sums={name: named[name] for name in widths},
        before=before,
    )


def _step_weights(chunk: StepChunk) -> FloatArray:
    """Return 1 where a row is in a step, shape (n_steps, n_rows)."""
    return np.equal.outer(np.arange(chunk.n_steps), chunk.step_of_row).astype(np.float64)


def _chunk_bounds(bounds: IntArray) -> Iterator[tuple[int, int]]:
    """Yield where chunks start and end, given where steps do."""
    first = 0
    while first < len(bounds) - 1:
        last = int(np.searchsorted(bounds, bounds[first] + _N_ROWS, side="right")) - 1
        last = max(last, first + 1)
        yield int(bounds[first]), int(bounds[last])
        first = last
