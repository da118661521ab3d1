"""What routers are evaluated on: the published benchmarks by name, or any file of outcomes."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from routecast.data.files import require_file
from routecast.data.outcomes import Outcomes, PairOutcomes
from routecast.data.readers.context import ReadOptions
from routecast.data.readers.native import native_kind
from routecast.data.readers.registry import guess_format
from routecast.data.readers.whole import read_outcomes_as
from routecast.data.reading import Dropped
from routecast.data.sources import open_file
from routecast.errors import ConfigError, DataError
from routecast.evaluate.mmlu import MMLU_CATEGORIES

STRONG = "gpt-4-1106-preview"
WEAK = "mistralai/Mixtral-8x7B-Instruct-v0.1"
FOLDERS = {"mmlu": "mmlu", "gsm8k": "gsm8k", "mt-bench": "mt_bench"}
"""Folder of each published benchmark, by its name."""

_PARENTS = (Path(), Path("routellm"), Path("benchmarks") / "routellm", Path("evals"))
_N_LISTED = 40


@dataclass(frozen=True, kw_only=True, eq=False)
class Benchmark:
    """Outcomes to evaluate routers on.

    Attributes:
        name: As users write it: ``mmlu``; of a file, its name without the ending.
        outcomes: One row per prompt, decontaminated where a list for that was published.
        strong: The strong model of the pair.
        weak: The weak one.
        dropped: What the reader left out.
        categories: Category of each group, where groups have one: of MMLU's subjects.
    """

    name: str
    outcomes: Outcomes
    strong: str
    weak: str
    dropped: tuple[Dropped, ...] = ()
    categories: Mapping[str, str] = field(default_factory=dict)

    @property
    def pair(self) -> PairOutcomes:
        """The outcomes of the two models, where both are known."""
        return self.outcomes.pair(strong=self.strong, weak=self.weak)


def benchmark_names() -> tuple[str, ...]:
    """Return the names of the published benchmarks."""
    return tuple(FOLDERS)


def load_benchmark(name: str, folder: str | Path) -> Benchmark:
    """Read a published benchmark, its decontamination list applied.

    Args:
        name: ``mmlu`` (14,037 prompts, the subject as group), ``gsm8k`` (1,307) or ``mt-bench``
            (72, quality from 1 to 10).
        folder: The folder that holds ``mmlu``, ``gsm8k`` and ``mt_bench`` as published, one that
            holds it as ``benchmarks/routellm`` or ``routellm``, or a benchmark's own folder.

    Raises:
        DataError: If the name is unknown, or the folder does not hold the benchmark.
        MissingExtraError: If polars is not installed.
    """
    if name not in FOLDERS:
        raise DataError(f"unknown benchmark {name!r}; choose one of {list(FOLDERS)!r}")
    from routecast.data.readers.routellm_eval import read_routellm_eval

    result = read_routellm_eval(_home(name, Path(folder)))
    return Benchmark(
        name=name,
        outcomes=result.table,
        strong=STRONG,
        weak=WEAK,
        dropped=result.dropped,
        categories=MMLU_CATEGORIES if name == "mmlu" else {},
    )


def _home(name: str, folder: Path) -> Path:
    """Find a benchmark's folder in, below, or at the one that the user named."""
    wanted = FOLDERS[name]
    if not folder.is_dir():
        raise DataError(f"there is no folder {str(folder)!r}; check the path")
    for parent in _PARENTS:
        if (folder / parent / wanted).is_dir():
            return folder / parent / wanted
    if folder.resolve().name == wanted:
        return folder
    raise DataError(
        f"there is no folder {wanted!r} in {str(folder)!r}; name the folder that holds the "
        f"benchmarks as published: {sorted(FOLDERS.values())!r}"
    )


def open_outcomes(
    path: str | Path,
    *,
    strong: str | None = None,
    weak: str | None = None,
    quality_range: tuple[float, float] = (0.0, 1.0),
) -> Benchmark:
    """Read any file of outcomes as a benchmark.

    Args:
        path: Outcomes in our columns, or a wide table as ``data import`` reads it.
        strong: The strong model; may be left out where the file has two models, and the other is
            named, or their names are not needed: the one of higher mean quality is strong.
        weak: The weak model; likewise.
        quality_range: The scale of the qualities.

    Raises:
        ConfigError: If the file has more than two models and the pair is not named.
        DataError: If the file cannot be read, holds no outcomes, or a model is not in it.
        MissingExtraError: If polars is not installed.
    """
    options = ReadOptions(answers=False, quality_range=quality_range)
    path = require_file(path)
    result = read_outcomes_as(_format_of(path), path, options=options, skip_bad=False)
    strong, weak = choose_pair(result.table, strong=strong, weak=weak)
    return Benchmark(
        name=path.stem, outcomes=result.table, strong=strong, weak=weak, dropped=result.dropped
    )


def choose_pair(
    outcomes: Outcomes, *, strong: str | None = None, weak: str | None = None
) -> tuple[str, str]:
    """Return the strong and the weak model of an evaluation.

    Args:
        outcomes: The models to choose from.
        strong: Name of the strong model, or None.
        weak: Name of the weak model, or None.

    Raises:
        ConfigError: If more than two models leave it open.
        DataError: If a model is unknown (the message lists the nearest names), or there is one
            model only.
    """
    models = outcomes.models
    if strong is not None and weak is not None:
        return strong, weak
    if len(models) == 1:
        raise DataError(
            f"{outcomes.source} has one model, {models[0]!r}; an evaluation needs the qualities of "
            "two: a strong and a weak one"
        )
    if len(models) > 2:
        raise ConfigError(
            f"{outcomes.source} has {len(models)} models, so name the pair with --strong and "
            f"--weak; it has {_listed(models)}"
        )
    for named in (strong, weak):
        if named is not None:
            outcomes.quality(named)  # refuses unknown names with the nearest
    if strong is not None:
        return strong, next(model for model in models if model != strong)
    if weak is not None:
        return next(model for model in models if model != weak), weak
    first, second = models
    pair = outcomes.pair(strong=first, weak=second)
    better = pair.strong_quality.mean() >= pair.weak_quality.mean()
    return (first, second) if better else (second, first)


def _listed(models: tuple[str, ...]) -> str:
    shown = sorted(models)[:_N_LISTED]
    more = f" and {len(models) - len(shown)} more" if len(models) > len(shown) else ""
    return f"{shown!r}{more}"


def _format_of(path: Path) -> str:
    """Name the layout of a file of outcomes, or say what it is instead."""
    columns = open_file(path).columns
    if native_kind(columns) == "outcomes" or any(c.startswith("quality|") for c in columns):
        return "native"
    known = guess_format(columns)
    if known is not None and known.kind == "outcomes":
        return known.name
    what = "comparisons" if native_kind(columns) == "comparisons" or known else "no outcomes"
    nearest = difflib.get_close_matches("quality|", columns, n=3, cutoff=0.3)
    hint = f" (nearest are {nearest!r})" if nearest else ""
    raise DataError(
        f"{path.name} holds {what}: its columns are {list(columns[:12])!r}{hint}; an evaluation "
        "needs 'prompt' and 'quality|MODEL' for two models"
    )
