"""Figures by group of prompts, and by category of groups."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from routecast.evaluate.exact import exact_figures
from routecast.evaluate.fixed import FixedBlock
from routecast.evaluate.intervals import bootstrap_metrics
from routecast.evaluate.names import APGR, AUROC, CPTS
from routecast.evaluate.pair import PairArrays
from routecast.evaluate.study import BoolArray, Figure, SubsetStudy
from routecast.types import FloatArray, IntArray

METRICS = (APGR, *CPTS, AUROC)
N_RESAMPLES = 500
MAX_SUBSETS = 200
MIN_PROMPTS = 10


def subset_studies(
    scores: Mapping[str, FloatArray],
    groups: Sequence[str | None],
    *,
    weak_quality: FloatArray,
    strong_quality: FloatArray,
    fixed: Mapping[str, FixedBlock] | None = None,
    categories: Mapping[str, str] | None = None,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    watch: Callable[[int, int], None] | None = None,
) -> tuple[SubsetStudy, ...]:
    """Compute the main figures of all routers on each part of the prompts.

    Intervals resample prompts inside a group, and groups inside a category.

    Args:
        scores: Win probability per prompt, shape (n_prompts,), none NaN, by router.
        groups: Group of each prompt; None is none.
        weak_quality: Quality of the weak model's answers, same shape.
        strong_quality: Quality of the strong model's answers, same shape.
        fixed: The prompts without a score, by router that has such.
        categories: Category of each group that has one.
        n_resamples: How many resamples.
        seed: Equal seeds give equal resamples.
        watch: Called with the parts that are done, and how many there are.

    Returns:
        Categories, then groups, each by name; those of fewer than ten prompts are left out.
        Nothing if there are more than two hundred: then groups are conversations, not subjects.
    """
    studies = []
    named = [
        *(("category", *entry) for entry in _categories(groups, categories or {})),
        *(("group", name, rows, None) for name, rows in _groups(groups)),
    ]
    if len(named) > MAX_SUBSETS:
        return ()
    for n_done, (kind, name, rows, codes) in enumerate(named, start=1):
        quality = {"weak_quality": weak_quality[rows], "strong_quality": strong_quality[rows]}
        inside = {router: values[rows] for router, values in scores.items()}
        blocks = {router: block.take(rows) for router, block in (fixed or {}).items()}
        studies.append(
            SubsetStudy(
                kind=kind,
                name=name,
                n_prompts=int(rows.sum()),
                weak_quality=float(quality["weak_quality"].mean()),
                strong_quality=float(quality["strong_quality"].mean()),
                metrics=_metrics(
                    inside,
                    **quality,
                    fixed=blocks,
                    group_codes=codes,
                    n_resamples=n_resamples,
                    seed=seed,
                ),
            )
        )
        if watch is not None:
            watch(n_done, len(named))
    return tuple(studies)


def _groups(groups: Sequence[str | None]) -> Iterator[tuple[str, BoolArray]]:
    labels = np.array([group if group is not None else "" for group in groups], dtype=object)
    known = np.array([group is not None for group in groups])
    for name in sorted({group for group in groups if group is not None}):
        rows = known & (labels == name)
        if rows.sum() >= MIN_PROMPTS:
            yield name, rows


def _categories(
    groups: Sequence[str | None], categories: Mapping[str, str]
) -> Iterator[tuple[str, BoolArray, IntArray]]:
    """Yield name, rows, and the group of each of those rows."""
    of_row = [categories.get(group) if group is not None else None for group in groups]
    codes = {group: code for code, group in enumerate(sorted(set(filter(None, groups))))}
    for name in sorted({category for category in of_row if category is not None}):
        rows = np.array([category == name for category in of_row])
        inside = [codes[group] for group, here in zip(groups, rows, strict=True) if here and group]
        yield name, rows, np.array(inside, dtype=np.int64)


def _metrics(
    scores: Mapping[str, FloatArray],
    *,
    weak_quality: FloatArray,
    strong_quality: FloatArray,
    fixed: Mapping[str, FixedBlock],
    group_codes: IntArray | None,
    n_resamples: int,
    seed: int,
) -> dict[str, dict[str, Figure]]:
    samples = bootstrap_metrics(
        scores,
        weak_quality=weak_quality,
        strong_quality=strong_quality,
        group_codes=group_codes,
        fixed=fixed,
        n_resamples=n_resamples,
        seed=seed,
    )
    pair = PairArrays(weak_quality=weak_quality, strong_quality=strong_quality)
    metrics: dict[str, dict[str, Figure]] = {}
    for router, values in scores.items():
        exact = exact_figures(values, pair, fixed=fixed.get(router))
        metrics[router] = {}
        for metric in METRICS:
            interval = samples.interval(router, metric)
            metrics[router][metric] = Figure(
                value=exact[metric], low=interval.low, high=interval.high
            )
    return metrics
