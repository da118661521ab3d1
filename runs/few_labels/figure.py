"""The learning curves of every pair, as small multiples."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure
from runs.few_labels.blend_fits import BLEND
from runs.few_labels.cells import Cell
from runs.few_labels.fits import LENGTH, NEIGHBOURS

from routecast.data.files import whole_file
from routecast.evaluate.metrics import RANDOM_APGR

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_N_COLUMNS = 4
_MARGIN = 0.02  # of APGR; bands that are wider than all curves are cut
_STYLES: dict[str, dict[str, Any]] = {
    "mf": {"color": "#c44d00", "marker": "s"},
    "sw": {"color": "#00735a", "marker": "^"},
    NEIGHBOURS: {"color": "#6b5200", "marker": "v", "dashes": (1.5, 1.5)},
    LENGTH: {"color": "#6a7078", "dashes": (5, 2)},
    BLEND: {"color": "#0b5cad", "marker": "o", "linewidth": 1.9},
}
_RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#6a7078",
    "text.parse_math": False,
    "svg.hashsalt": "routecast",
    "svg.fonttype": "path",
}


def write_figure(cells: Sequence[Cell], path: Path) -> Path:
    """Draw the cells of one embedder as SVG; equal cells give equal bytes.

    The band is the 95% interval of `blend`, the thin dotted line a random order. The oracle and the
    halves of `blend` are left out.
    """
    with mpl.rc_context(_RC):
        figure = _draw(cells)
        with whole_file(path) as file:
            figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return path


def _draw(cells: Sequence[Cell]) -> Figure:
    titles = list(dict.fromkeys(cell.title for cell in cells))
    n_columns = min(_N_COLUMNS, len(titles))
    n_rows = -(-len(titles) // n_columns)
    figure = Figure(figsize=(2.7 * n_columns + 0.5, 2.1 * n_rows + 0.7), layout="constrained")
    grid = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
    for axes, title in zip(grid.flat, titles, strict=False):
        _draw_pair(axes, [cell for cell in cells if cell.title == title])
    drawn = [cell.routers[name].mean for cell in cells for name in _STYLES]
    grid.flat[0].set_ylim(min(*drawn, RANDOM_APGR) - _MARGIN, max(drawn) + _MARGIN)
    for axes in grid.flat[len(titles) :]:
        axes.set_axis_off()
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(
        handles[::-1], labels[::-1], loc="outside upper left", ncols=len(_STYLES) + 1, frameon=False
    )
    figure.supxlabel("labels", fontsize=9)
    figure.supylabel(f"APGR, embedder {cells[0].embedder}", fontsize=9)
    return figure


def _draw_pair(axes: "Axes", cells: Sequence[Cell]) -> None:
    n_labels = [cell.n_labels for cell in cells]
    axes.axhline(RANDOM_APGR, color="#6a7078", linewidth=0.9, dashes=(1, 2), label="random")
    low, high = zip(*(cell.routers[BLEND].interval for cell in cells), strict=True)
    axes.fill_between(n_labels, low, high, color=_STYLES[BLEND]["color"], alpha=0.13, linewidth=0)
    for name, style in _STYLES.items():
        means = [cell.routers[name].mean for cell in cells]
        drawn = {"linewidth": 1.1, "markersize": 3.2, **style}
        axes.plot(n_labels, means, label=name, markeredgewidth=0, **drawn)
    title, _, models = cells[0].title.partition(", ")
    axes.set_title(
        f"{title} (N = {cells[0].n_prompts:,})\n{_cut(models)}", fontsize=7.5, loc="left"
    )
    axes.set_xscale("log")
    axes.set_xticks([100, 300, 1_000, 3_000, 10_000], ["100", "300", "1,000", "3,000", "10,000"])
    axes.minorticks_off()
    axes.tick_params(labelbottom=True)


def _cut(models: str) -> str:
    """Shorten what an instruction-tuned model's name says beyond which model it is."""
    return " / ".join(name.replace("-Instruct", "").replace("-preview", "")[:24]
                      for name in models.split(" / "))  # fmt: skip
