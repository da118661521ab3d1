"""A chart of characters for a terminal, in plain ASCII."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from routecast.types import FloatArray

_STEPS_PER_CELL = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """A line, or a point where it has one place.

    Attributes:
        symbol: One character.
        x: Places in the order of the path, shape (n_points,), at least one.
        y: Same shape.
    """

    symbol: str
    x: FloatArray
    y: FloatArray


def draw_chart(lines: Sequence[Line], *, width: int = 60, height: int = 15) -> list[str]:
    """Draw lines over one another, later ones on top, with labelled axes.

    Args:
        lines: In their own units, y a share from 0 to 1; the axes end at the least and greatest
            values, which must differ.
        width: Columns of the plot, at least 2; labels on its left take 7 more.
        height: Rows of the plot, at least 2.

    Returns:
        ``height`` rows with percent on the left, the axis, and a row of labels.
    """
    x_low, x_high = _ends([line.x for line in lines])
    y_low, y_high = _ends([line.y for line in lines])
    cells = [[" "] * width for _ in range(height)]
    for line in lines:
        x, y = _dense(line, n_steps=_STEPS_PER_CELL * width)
        columns = np.rint((x - x_low) / (x_high - x_low) * (width - 1)).astype(int)
        rows = np.rint((y_high - y) / (y_high - y_low) * (height - 1)).astype(int)
        for column, row in zip(columns.tolist(), rows.tolist(), strict=True):
            cells[row][column] = line.symbol
    labels = [""] * height
    for row in (0, (height - 1) // 2, height - 1):
        labels[row] = f"{y_high - (y_high - y_low) * row / (height - 1):.0%}"
    ends = f"{x_low:.2f}", f"{x_high:.2f}"
    return [
        *(
            f"{label:>5} |{''.join(cell)}".rstrip()
            for label, cell in zip(labels, cells, strict=True)
        ),
        f"      +{'-' * width}",
        f"       {ends[0]}{ends[1]:>{width - len(ends[0])}}",
    ]


def _ends(values: Sequence[FloatArray]) -> tuple[float, float]:
    joined = np.concatenate(values)
    return float(joined.min()), float(joined.max())


def _dense(line: Line, *, n_steps: int) -> tuple[FloatArray, FloatArray]:
    """Return places along the path, close enough to leave no gap, its points among them."""
    own = np.arange(len(line.x), dtype=np.float64)
    places = np.union1d(own, np.linspace(0.0, len(line.x) - 1, n_steps))
    return np.interp(places, own, line.x), np.interp(places, own, line.y)
