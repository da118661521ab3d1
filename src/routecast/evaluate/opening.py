"""A benchmark by what the user calls it: a published one's name, or a file."""

from dataclasses import dataclass, replace
from pathlib import Path

from routecast.errors import ConfigError
from routecast.evaluate.benchmarks import (
    FOLDERS,
    Benchmark,
    benchmark_names,
    choose_pair,
    load_benchmark,
    open_outcomes,
)
from routecast.evaluate.download import download_benchmark, is_downloaded, read_publication
from routecast.evaluate.scoring import Watch


@dataclass(frozen=True, kw_only=True)
class Opening:
    """Where benchmarks are, and which models of theirs are meant.

    Attributes:
        folder: Folder of the published benchmarks, or None.
        downloads: Folder where those are kept that were downloaded.
        fetch: Whether to download what is neither here nor there.
        strong: Name of the strong model; None for the published one, or a file's better one.
        weak: Name of the weak model; likewise.
        quality_range: The scale of a file's qualities.
    """

    folder: Path | None
    downloads: Path
    fetch: bool = False
    strong: str | None = None
    weak: str | None = None
    quality_range: tuple[float, float] = (0.0, 1.0)


def open_benchmark(name: str, opening: Opening, *, watch: Watch | None = None) -> Benchmark:
    """Open a published benchmark, or any file of outcomes.

    Args:
        name: ``mmlu``, ``gsm8k``, ``mt-bench``, or a file.
        opening: Where to look.
        watch: Called as a download goes on.

    Raises:
        ConfigError: If a published benchmark is nowhere, or a file's pair is not named.
        DataError: If it cannot be fetched or read, or a model is not in it.
        MissingExtraError: If polars is not installed.
    """
    strong, weak = opening.strong, opening.weak
    if name not in benchmark_names():
        return open_outcomes(name, strong=strong, weak=weak, quality_range=opening.quality_range)
    benchmark = load_benchmark(name, opening.folder or _downloaded(name, opening, watch))
    if strong is None and weak is None:
        return benchmark
    strong, weak = choose_pair(benchmark.outcomes, strong=strong, weak=weak)
    return replace(benchmark, strong=strong, weak=weak)


def _downloaded(name: str, opening: Opening, watch: Watch | None) -> Path:
    """Return the folder that holds a downloaded benchmark."""
    publication = read_publication()
    folder = opening.downloads / publication.commit[:12]
    if opening.fetch:
        download_benchmark(
            publication,
            FOLDERS[name],
            folder,
            watch=None
            if watch is None
            else lambda done, total: watch(f"fetch {name}", done, total),
        )
    elif not is_downloaded(publication, FOLDERS[name], folder):
        raise ConfigError(
            f"benchmark {name!r} needs its files: name their folder with --data, or fetch them "
            "with --download"
        )
    return folder
