"""Measure `ridge`, the rival of every other learner, on the draws of the study of few labels.

    python -m runs.study_ridge --data DIR --output results/ridge.md

DIR is the folder of labelled sets. `blend`, nearest neighbours and length are those of
``results/few_labels.json``, measured on the same draws of labels and the same other prompts.
Nothing is chosen here: `ridge` has no settings.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from runs.few_labels.blend_fits import BLEND
from runs.few_labels.cells import Cell, figures_of, measure_splits
from runs.few_labels.fits import LENGTH, NEIGHBOURS, ORACLE, RIDGE
from runs.few_labels.sets import PAIRS, read_sample
from runs.study_few_labels import read_cells

from routecast.embed.registry import load_embedder
from routecast.types import FloatArray

KNOWN = Path(__file__).parents[1] / "results" / "few_labels.json"
N_LABELS = (100, 300, 1_000)
SHOWN = (RIDGE, BLEND, NEIGHBOURS, LENGTH, ORACLE)

INTRODUCTION = """\
APGR of `ridge` beside what the study of few labels measured on the same draws (ten to a cell, so
far as the study has as many): static embedder, means over the draws with their standard errors,
on up to 4,000 prompts of the set that were not drawn. Random is .500."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all pairs and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("results/ridge.md"))
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args(arguments)
    known = [
        cell
        for cell in read_cells(KNOWN)
        if cell.embedder == "static" and not cell.first_seed and cell.n_labels in N_LABELS
    ]
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    found: dict[tuple[str, int], tuple[float, ...]] = {}
    titles = list(dict.fromkeys(cell.title for cell in known))
    with ProcessPoolExecutor(options.jobs) as pool:
        cells_of = [[cell for cell in known if cell.title == title] for title in titles]
        measured = pool.map(_measure, titles, cells_of, [options.data] * len(titles))
        for title, apgr in zip(titles, measured, strict=True):
            found |= {(title, n_labels): values for n_labels, values in apgr.items()}
            print(title, file=sys.stderr)
    page = "\n".join(page_lines(known, found))
    options.output.write_text(page)
    print(page)
    return 0


def _measure(title: str, cells: Sequence[Cell], data: Path) -> dict[int, tuple[float, ...]]:
    """Return APGR on each draw, by number of labels."""
    embedder = load_embedder("static")
    (pair,) = (pair for pair in PAIRS if pair.title == title)
    sample = read_sample(pair, embedder, data)
    return {
        cell.n_labels: figures_of(
            measure_splits(
                sample,
                embedder.identity,
                n_labels=cell.n_labels,
                n_splits=cell.n_splits,
                first_seed=0,
                routers=(RIDGE,),
            )
        )[RIDGE].apgr
        for cell in cells
    }


def page_lines(
    cells: Sequence[Cell], found: dict[tuple[str, int], tuple[float, ...]]
) -> Iterator[str]:
    """Yield the lines of the page: means over sets of equal weight, then pair by pair."""
    yield "# `ridge`, the rival"
    yield ""
    yield "    python -m runs.study_ridge --data DIR --output results/ridge.md"
    yield ""
    yield INTRODUCTION
    yield ""
    yield "Means over sets, each of equal weight; `blend` ahead with the standard error over sets."
    yield ""
    yield "| labels | sets | " + " | ".join(SHOWN) + " | `blend` ahead |"
    yield "|---|---|" + "---|" * (len(SHOWN) + 1)
    for n_labels in N_LABELS:
        means = _set_means([cell for cell in cells if cell.n_labels == n_labels], found)
        ahead = means[:, 1] - means[:, 0]
        error = ahead.std(ddof=1) / len(ahead) ** 0.5
        shown = " | ".join(f"{mean:.3f}" for mean in means.mean(axis=0))
        yield f"| {n_labels:,} | {len(means)} | {shown} | {ahead.mean():+.3f} ± {error:.3f} |"
    yield ""
    yield "| pair | labels | N | " + " | ".join(SHOWN) + " |"
    yield "|---|---|---|" + "---|" * len(SHOWN)
    for cell in cells:
        shown = " | ".join(_shown(values) for values in _apgr(cell, found))
        yield f"| {cell.title} | {cell.n_labels:,} | {cell.n_evaluated:,} | {shown} |"
    yield ""


def _apgr(
    cell: Cell, found: dict[tuple[str, int], tuple[float, ...]]
) -> Iterator[tuple[float, ...]]:
    """Yield the APGR of each draw, by router."""
    for name in SHOWN:
        yield found[cell.title, cell.n_labels] if name == RIDGE else cell.routers[name].apgr


def _set_means(
    cells: Sequence[Cell], found: dict[tuple[str, int], tuple[float, ...]]
) -> FloatArray:
    """Return the mean APGR of each set and router, shape (n_sets, n_routers)."""
    return np.array([
        np.mean(
            [[np.mean(v) for v in _apgr(cell, found)] for cell in cells if cell.set_name == name],
            axis=0,
        )
        for name in dict.fromkeys(cell.set_name for cell in cells)
    ])  # fmt: skip


def _shown(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1) / len(values) ** 0.5:.3f}"


if __name__ == "__main__":
    sys.exit(main())
