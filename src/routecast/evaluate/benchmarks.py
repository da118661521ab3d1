"""The published benchmarks by name, each with the pair of models that it was made for."""

from dataclasses import dataclass
from pathlib import Path

from routecast.data.outcomes import Outcomes, PairOutcomes
from routecast.data.reading import Dropped
from routecast.errors import DataError

STRONG = "gpt-4-1106-preview"
WEAK = "mistralai/Mixtral-8x7B-Instruct-v0.1"
_FOLDERS = {"mmlu": "mmlu", "gsm8k": "gsm8k", "mt-bench": "mt_bench"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Benchmark:
    """Outcomes to evaluate routers on.

    Attributes:
        name: As users write it: ``mmlu``.
        outcomes: One row per prompt, decontaminated.
        strong: The strong model of the pair that results are published for.
        weak: The weak one.
        dropped: What the reader left out.
    """

    name: str
    outcomes: Outcomes
    strong: str
    weak: str
    dropped: tuple[Dropped, ...] = ()

    @property
    def pair(self) -> PairOutcomes:
        """The outcomes of the published pair."""
        return self.outcomes.pair(strong=self.strong, weak=self.weak)


def benchmark_names() -> tuple[str, ...]:
    """Return the names of the published benchmarks."""
    return tuple(_FOLDERS)


def load_benchmark(name: str, folder: str | Path) -> Benchmark:
    """Read a published benchmark, its decontamination list applied.

    Args:
        name: ``mmlu`` (14,037 prompts, the subject as group), ``gsm8k`` (1,307) or ``mt-bench``
            (72, quality from 1 to 10).
        folder: The folder that holds ``mmlu``, ``gsm8k`` and ``mt_bench`` as published.

    Raises:
        DataError: If the name is unknown, or the folder does not hold the benchmark.
        MissingExtraError: If polars is not installed.
    """
    if name not in _FOLDERS:
        raise DataError(f"unknown benchmark {name!r}; choose one of {list(_FOLDERS)!r}")
    home = Path(folder) / _FOLDERS[name]
    if not home.is_dir():
        raise DataError(
            f"there is no folder {_FOLDERS[name]!r} in {str(folder)!r}; name the folder that "
            f"holds the benchmarks as published: {sorted(_FOLDERS.values())!r}"
        )
    from routecast.data.readers.routellm_eval import read_routellm_eval

    result = read_routellm_eval(home)
    return Benchmark(
        name=name, outcomes=result.table, strong=STRONG, weak=WEAK, dropped=result.dropped
    )
