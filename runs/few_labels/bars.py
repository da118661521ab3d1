"""What was asked for beforehand, and what must never happen."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from runs.few_labels.blend_fits import BLEND
from runs.few_labels.cells import Cell
from runs.few_labels.fits import LENGTH, MEMBERS

from routecast.evaluate.metrics import RANDOM_APGR

TOLERANCE = 0.01
"""How far `blend` may be below length, or below its best member, in the mean over splits."""

FEW, MANY = 300, 1_531
MAX_CALIBRATION_ERROR = 0.05

FURTHER_SEED = 1_000
"""Of the further draws, and of those after it."""


@dataclass(frozen=True)
class Bar:
    """APGR that was asked for on one pair.

    Attributes:
        title: Of the pair.
        n_labels: With so many labels.
        asked: APGR in the mean over splits.
        embedder: Asked of this one; empty where either will do.
    """

    title: str
    n_labels: int
    asked: float
    embedder: str = ""


_MMLU, _GSM8K = (
    f"{name}, gpt-4-1106-preview / Mixtral-8x7B-Instruct-v0.1" for name in ("mmlu", "gsm8k")
)
BARS = (
    Bar(_MMLU, FEW, 0.625),
    Bar(_MMLU, MANY, 0.650),
    Bar(_MMLU, MANY, 0.640, "static"),
    Bar(_GSM8K, FEW, 0.610),
)


@dataclass(frozen=True)
class Lag:
    """How far `blend` is behind another router on one pair.

    Attributes:
        cell: Where.
        router: Behind which.
        lag: APGR, in the mean over splits; below 0 where `blend` is ahead.
    """

    cell: Cell
    router: str
    lag: float

    @property
    def ahead(self) -> tuple[float, float]:
        """95% interval of what `blend` is ahead by; NaN where that was not measured."""
        return self.cell.routers[self.router].ahead or (math.nan, math.nan)


def asked_of(bar: Bar, cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells that a bar is about."""
    return [
        cell
        for cell in cells
        if (cell.title, cell.n_labels) == (bar.title, bar.n_labels)
        and bar.embedder in ("", cell.embedder)
    ]


def lags(cells: Sequence[Cell], routers: Sequence[str]) -> list[Lag]:
    """Return how far `blend` is behind the best of some routers, with few labels, worst first."""
    found = [best(cell, routers) for cell in cells if cell.n_labels == FEW]
    return sorted(found, key=lambda one: -one.lag)


def best(cell: Cell, routers: Sequence[str]) -> Lag:
    """Return how far `blend` is behind the best of some routers."""
    name = max(routers, key=lambda name: cell.routers[name].mean)
    return Lag(cell, name, cell.routers[name].mean - cell.routers[BLEND].mean)


def too_far(cells: Sequence[Cell]) -> dict[str, list[Lag]]:
    """Return where `blend` lags by more than it may, by what it must not lag behind."""
    return {
        title: [one for one in lags(cells, names) if one.lag > TOLERANCE]
        for title, names in (("length", (LENGTH,)), ("its best member", MEMBERS))
    }


def calibration_errors(cells: Sequence[Cell]) -> list[float]:
    """Return the mean calibration error of each cell with many labels."""
    return [float(np.mean(cell.calibration_errors)) for cell in cells if cell.n_labels == MANY]


def shortfalls(cells: Sequence[Cell]) -> list[str]:
    """Say where `blend` is not ahead of length, or of a random order, by more than noise.

    In the mean over the cells it must be: the lower ends of the 95% intervals of what it is ahead
    by are above 0 in the mean, as if all cells were off in the same direction. And on no cell may
    the whole interval be below 0.
    """
    return list(_shortfalls(cells))


def _shortfalls(cells: Sequence[Cell]) -> Iterator[str]:
    of_length = [Lag(cell, LENGTH, math.nan).ahead for cell in cells]
    of_chance = [tuple(end - RANDOM_APGR for end in cell.routers[BLEND].interval) for cell in cells]
    for name, ahead in (("length", of_length), ("a random order", of_chance)):
        low = float(np.mean([ends[0] for ends in ahead]))
        if not low > 0:
            yield f"blend is not surely ahead of {name}: in the mean, by {low:+.3f} or more"
        for cell, ends in zip(cells, ahead, strict=True):
            if ends[1] < 0:
                yield f"blend is behind {name} on {cell.title} with {cell.n_labels:,} labels"
