"""Measure what each part of `blend` gains, beside `ridge` and the larger `blend` before it.

    python -m runs.study_small_blend --data DIR --output results/small_blend.md

DIR is the folder of labelled sets. Every router learns from the same draws of labels, and APGR is
exact on up to 4,000 other prompts. Figures of the larger `blend` are those of ``--former``, a file
of APGR by pair and number of labels that was measured on the same draws with the code before it was
replaced (commit 809dc58); they are kept with all others beside the page.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # read when numpy is loaded

import numpy as np
from runs.few_labels.cells import draw_split
from runs.few_labels.sets import ADDED_PAIRS, PAIRS, Sample, read_sample

from routecast.embed.registry import load_embedder
from routecast.evaluate.curve import cost_quality_curve
from routecast.evaluate.metrics import average_gap_recovered
from routecast.routers.blend import FORM, SLOPE_VARIANCE, Centres, lengths_of
from routecast.routers.ridge import FeatureScale
from routecast.stats.ridge import fit_ridge
from routecast.train.blend import SLOPE_MEAN, find_view
from routecast.types import EmbeddingArray, FloatArray, IntArray

N_LABELS = {100: 20, 300: 20, 1_000: 10}
"""How many draws, by number of labels."""

MIN_EVALUATED = 200
FORMER, RIDGE, BLEND, MEAN, LENGTH = "former", "ridge", "blend", "mean of blend and ridge", "length"
PLAIN, SLOPED, DIRECTED = "process", "process, slope", "process, directions"
LEARNERS = (PLAIN, SLOPED, DIRECTED, BLEND)
SHOWN = (RIDGE, *LEARNERS, MEAN, FORMER, LENGTH)
N_LINES = {RIDGE: 383, BLEND: 577, FORMER: 1_771}
_WIDTH = 1.4**0.5

Apgr = dict[str, dict[str, list[float]]]
"""APGR of each draw, by pair and number of labels (``TITLE|N``), and by router."""

INTRODUCTION = f"""\
APGR with few labels, static embedder: {N_LABELS[100]} draws with 100 and 300 labels, \
{N_LABELS[1_000]} with 1,000, on up to
4,000 other prompts of the set, where at least {MIN_EVALUATED} are left. Random is .500. Sets \
count alike, the pairs
of a set alike within it. `former` is the `blend` of 1,771 lines, on the surface counts of its \
time; all
others read those of today, which do not change with case or spaces. The other rows are
- `process`: a Gaussian process, exp(-.7 |e - e'|^2 - |s - s'|^2 FORM / 2) on the vectors e and the
  counts s of `ridge`, averaged over noise levels by evidence, as `ridge` is;
- `process, slope`: with a slope along the length, expected to be {SLOPE_MEAN} deviations per \
deviation;
- `process, directions`: on directions from the mean, in all and in 64, 16 and 4 principal ones;
- `blend`: with both."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all pairs, or take the figures that are there, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="measure; without it only the page is written")
    parser.add_argument("--former", type=Path, help="figures of the larger blend")
    parser.add_argument("--output", type=Path, default=Path("results/small_blend.md"))
    options = parser.parse_args(arguments)
    kept = options.output.with_suffix(".json")
    found: Apgr = json.loads(kept.read_text()) if kept.is_file() else {}
    if options.former is not None:
        for key, values in json.loads(options.former.read_text()).items():
            found.setdefault(key, {})[FORMER] = values
    if options.data is not None:
        for key, values_by_router in measure(options.data):
            found.setdefault(key, {}).update(values_by_router)
            write_json(kept, found)
    write_json(kept, found)
    page = "\n".join(page_lines(found))
    options.output.write_text(page)
    print(page)
    return 0


def write_json(path: Path, found: Apgr) -> None:
    """Keep the figures, a line for each router of a pair."""
    rows = (
        f"{json.dumps(key)}: {{\n"
        + ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in by_router.items())
        + "\n}"
        for key, by_router in found.items()
    )
    path.write_text("{" + ",\n".join(rows) + "}\n")


def measure(folder: Path) -> Iterator[tuple[str, dict[str, list[float]]]]:
    """Yield the APGR of all draws of each pair and number of labels."""
    embedder = load_embedder("static")
    pairs = (*PAIRS, *ADDED_PAIRS)
    samples = {pair.title: read_sample(pair, embedder, folder) for pair in pairs}
    for n_labels, n_draws in N_LABELS.items():
        for title, sample in samples.items():
            if len(sample.prompts) - n_labels < MIN_EVALUATED:
                continue
            rows: dict[str, list[float]] = {}
            for seed in range(n_draws):
                labelled, rest = draw_split(sample.keys, n_labels, seed)
                for name, scores in score_all(sample, labelled, rest).items():
                    rows.setdefault(name, []).append(apgr_of(scores, sample, rest))
            yield f"{title}|{n_labels}", rows
            print(title, n_labels, file=sys.stderr, flush=True)


def apgr_of(scores: FloatArray, sample: Sample, rest: IntArray) -> float:
    """Return the exact APGR of scores of the rest."""
    weak, strong = sample.weak[rest], sample.strong[rest]
    curve = cost_quality_curve(scores, weak_quality=weak, strong_quality=strong)
    return round(average_gap_recovered(curve), 5)


def score_all(sample: Sample, labelled: IntArray, rest: IntArray) -> dict[str, FloatArray]:
    """Return the expected gaps of the rest, by router."""
    gaps = (sample.strong - sample.weak)[labelled]
    seen = sample.embeddings[labelled], sample.surfaces[labelled]
    fresh = sample.embeddings[rest], sample.surfaces[rest]
    scale, view = FeatureScale.of(*seen), find_view(*seen)
    n_content = seen[0].shape[1]

    def plain(embeddings: EmbeddingArray, surfaces: FloatArray) -> EmbeddingArray:
        content, counts = np.split(scale.apply(embeddings, surfaces), [n_content], axis=1)
        return np.hstack([_WIDTH * content, FORM**0.5 * counts]).astype(np.float32)

    x, x_fresh = plain(*seen), plain(*fresh)
    seen_from, fresh_from = view.apply(*seen), view.apply(*fresh)
    scores = {
        RIDGE: line_of(scale.apply(*seen), gaps)(scale.apply(*fresh)),
        PLAIN: score(x, x_fresh, gaps, mean=0.0, variance=0.0),
        SLOPED: score(x, x_fresh, gaps, mean=SLOPE_MEAN, variance=SLOPE_VARIANCE),
        DIRECTED: score(seen_from, fresh_from, gaps, mean=0.0, variance=0.0),
        BLEND: score(seen_from, fresh_from, gaps, mean=SLOPE_MEAN, variance=SLOPE_VARIANCE),
    }
    scores[LENGTH] = np.array([len(sample.prompts[row]) for row in rest], np.float64)
    return {**scores, MEAN: (scores[RIDGE] + scores[BLEND]) / 2.0}


def score(
    x: EmbeddingArray, fresh: EmbeddingArray, gaps: FloatArray, *, mean: float, variance: float
) -> FloatArray:
    """Return the expected gaps of fresh prompts, as `fit_blend` finds them with all as centres.

    Args:
        x: Of labelled prompts, shape (n_labels, n_features).
        fresh: Of the others.
        gaps: Of the labelled ones.
        mean: Of the slope of length before any label.
        variance: Of the slope, over that of the smooth part.
    """
    centres, lengths, slope = Centres(x), lengths_of(x), mean * gaps.std()
    kernel = partial(_kernel, centres, variance=variance)
    values, vectors = np.linalg.eigh(kernel(x).astype(np.float64))
    kept = values > 1e-6 * values[-1]
    basis = vectors[:, kept] / np.sqrt(values[kept])
    line = line_of(kernel(x) @ basis, gaps - slope * lengths)
    return np.asarray(line(kernel(fresh) @ basis) + slope * lengths_of(fresh))


def _kernel(centres: Centres, x: EmbeddingArray, *, variance: float) -> EmbeddingArray:
    slopes = np.float32(variance) * np.outer(lengths_of(x), lengths_of(centres.x))
    return np.asarray(centres.likeness(x) + slopes)


def line_of(features: FloatArray, gaps: FloatArray) -> Callable[[FloatArray], FloatArray]:
    """Fit a line to labelled prompts' features; return what predicts by it."""
    n = len(gaps)
    fit = fit_ridge(features, gaps, weights=np.ones(n), groups=np.arange(n))
    return lambda fresh: np.asarray(fit.intercept + fresh @ fit.coefficients)


def page_lines(found: Apgr) -> Iterator[str]:
    """Yield the lines of the page."""
    yield "# `blend`, part by part"
    yield ""
    yield "    python -m runs.study_small_blend --data DIR --output results/small_blend.md"
    yield ""
    yield INTRODUCTION
    yield ""
    yield from mean_lines(found)
    yield from chosen_lines(found)
    yield from lines_of_code()
    yield "## Pair by pair"
    yield ""
    yield "Means over the draws, `blend` with its standard error."
    yield ""
    yield "| pair | labels | " + " | ".join(SHOWN) + " |"
    yield "|---|---|" + "---|" * len(SHOWN)
    for key, by_router in found.items():
        title, n_labels = key.rsplit("|", 1)
        shown = " | ".join(_shown(by_router, name) for name in SHOWN)
        yield f"| {title} | {int(n_labels):,} | {shown} |"
    yield ""


def mean_lines(found: Apgr) -> Iterator[str]:
    """Yield the means over sets, and how far `blend` is ahead of the others."""
    yield "## Means over sets"
    yield ""
    yield "| labels | sets | " + " | ".join(SHOWN) + " |"
    yield "|---|---|" + "---|" * len(SHOWN)
    for n_labels in N_LABELS:
        means = set_means(found, n_labels)
        shown = " | ".join(
            f"{np.mean([row[name] for row in means.values()]):.4f}" for name in SHOWN
        )
        yield f"| {n_labels:,} | {len(means)} | {shown} |"
    yield ""
    yield "`blend` ahead of others: mean over sets, its 95% interval (10,000 resamples of sets),"
    yield "and the set where it is furthest behind."
    yield ""
    yield "| labels | ahead of | by | interval | worst set | there |"
    yield "|---|---|---|---|---|---|"
    for n_labels in N_LABELS:
        means = set_means(found, n_labels)
        for other in (RIDGE, PLAIN, MEAN, FORMER, LENGTH):
            ahead = {name: row[BLEND] - row[other] for name, row in means.items()}
            low, high = interval_of(np.array(list(ahead.values())))
            worst = min(ahead, key=lambda name: ahead[name])
            mean = np.mean(list(ahead.values()))
            yield (
                f"| {n_labels:,} | {other} | {mean:+.4f} | [{low:+.4f}, {high:+.4f}] "
                f"| {worst} | {ahead[worst]:+.4f} |"
            )
    yield ""


def chosen_lines(found: Apgr) -> Iterator[str]:
    """Yield what comes out where the parts are chosen on the other sets alone."""
    yield "## Parts chosen on the other sets"
    yield ""
    yield "Each set is left out in turn, and the best of the four processes on the others, by the"
    yield "mean over their sets and numbers of labels, is measured on it."
    yield ""
    tables = {n_labels: set_means(found, n_labels) for n_labels in N_LABELS}
    names = list(dict.fromkeys(name for table in tables.values() for name in table))
    chosen = {name: best_without(name, tables) for name in names}
    counts = {one: list(chosen.values()).count(one) for one in LEARNERS}
    yield "Chosen: " + ", ".join(f"`{one}` {n} times" for one, n in counts.items() if n) + "."
    yield ""
    yield "| labels | chosen | blend | process | ridge | former |"
    yield "|---|---|---|---|---|---|"
    for n_labels, table in tables.items():
        left_out = np.mean([row[chosen[name]] for name, row in table.items()])
        others = (
            np.mean([row[k] for row in table.values()]) for k in (BLEND, PLAIN, RIDGE, FORMER)
        )
        shown = " | ".join(f"{value:.4f}" for value in (left_out, *others))
        yield f"| {n_labels:,} | {shown} |"
    yield ""


def best_without(name: str, tables: Mapping[int, Mapping[str, Mapping[str, float]]]) -> str:
    """Return the best process on all sets but one."""

    def worth(learner: str) -> float:
        return float(
            np.mean([
                np.mean([row[learner] for key, row in table.items() if key != name])
                for table in tables.values()
            ])
        )  # fmt: skip

    return max(LEARNERS, key=worth)


def lines_of_code() -> Iterator[str]:
    """Yield how long the routers' files are."""
    yield "## Lines"
    yield ""
    yield "| router | lines, to serve and to train, on 2026-12-01 |"
    yield "|---|---|"
    for name, n_lines in N_LINES.items():
        yield f"| {name} | {n_lines:,} |"
    yield ""
    yield "Both stand on the regression of `routecast.stats.ridge`, 220 lines of `former`."
    yield ""


def set_means(found: Apgr, n_labels: int) -> dict[str, dict[str, float]]:
    """Return the mean APGR by set and router."""
    rows: dict[str, list[Mapping[str, list[float]]]] = {}
    for key, by_router in found.items():
        title, number = key.rsplit("|", 1)
        if int(number) == n_labels:
            rows.setdefault(title.split(",")[0], []).append(by_router)
    return {
        name: {
            router: float(np.mean([np.mean(row.get(router, [np.nan])) for row in pairs]))
            for router in SHOWN
        }
        for name, pairs in rows.items()
    }


def interval_of(values: FloatArray) -> tuple[float, float]:
    """Return the 95% interval of a mean over sets."""
    drawn = np.random.default_rng(20261201).integers(len(values), size=(10_000, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), (0.025, 0.975))
    return float(low), float(high)


def _shown(by_router: Mapping[str, list[float]], name: str) -> str:
    values = by_router.get(name, [])
    if not values:
        return "-"
    mean = f"{np.mean(values):.3f}"
    if name != BLEND:
        return mean
    return f"{mean} ± {np.std(values, ddof=1) / len(values) ** 0.5:.3f}"


if __name__ == "__main__":
    sys.exit(main())
