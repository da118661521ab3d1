"""What the shipped router learns from, and what it is only measured on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
from runs.few_labels.sets import PAIRS, read_labelled

from routecast.data.leakage import prompt_hashes64
from routecast.data.outcomes import Outcomes
from routecast.data.readers.registry import find_reader
from routecast.embed.protocol import Embedder
from routecast.evaluate.benchmarks import benchmark_names, load_benchmark
from routecast.routers.ridge import FeatureScale
from routecast.routers.surface import surface_features
from routecast.train.overlap import OnOverlap, settle_overlap
from routecast.train.sources import LabelledSet, set_of_outcomes
from routecast.types import AnyArray, EmbeddingArray, FloatArray, IntArray

BENCHMARK_FLAGS = ("in_routellm_mmlu_eval", "in_routellm_gsm8k_eval", "in_mt_bench")

SOURCES = (
    ("MMLU-Pro evaluation results", "mmlu_pro_34models", "Apache-2.0", None),
    ("CRUX of ZeroEval", "zeroeval_matrix", "Apache-2.0", "crux"),
    ("MATH level 5 of ZeroEval", "zeroeval_matrix", "Apache-2.0", "math-l5"),
    ("LLMRouter example data", "llmrouter_uiuc_train", "MIT", None),
    ("Arena-Hard-Auto", "arena_hard_v01_500", "Apache-2.0", None),
    ("M-IFEval", "m_ifeval", "Apache-2.0", None),
)
"""The sets whose licences allow weights to ship: name, file, licence, and the group of its rows."""

UNNAMED = "merged-2026-02(unnamed)"
"""A model of MMLU-Pro's results of which nobody says what it is: left out."""

STRONG = (
    "gpt-4o",
    "gpt-4o-2024-05-13",
    "gpt-4o-2024-08-06",
    "gpt-4-turbo-2024-04-09",
    "claude-3-5-sonnet-20240620",
    "claude-3-5-sonnet-20241022",
    "gemini-1.5-pro",
    "gemini-1.5-pro-002",
    "Mistral-Large-2",
    "mistral-large-2407",
    "Meta-Llama-3.1-70B-Instruct",
    "llama-3.1-70b-instruct",
    "llama-3.1-nemotron-51b-instruct",
    "llama-3.3-nemotron-super-49b-v1",
)
"""Flagships of 2024, and in the set that has none the largest models that answer in its format."""

WEAK = (
    "Mixtral-8x7B-Instruct-v0.1",
    "mixtral-8x22b-instruct-v0.1",
    "Meta-Llama-3-8B-Instruct",
    "Meta-Llama-3.1-8B-Instruct",
    "llama-3.1-8b-instruct",
    "hugging-quants/Meta-Llama-3.1-8B-Instruct-AWQ-INT4",
    "Mistral-7B-Instruct-v0.2",
    "mistral-7b-instruct-v0.3",
    "mistralai/Mistral-7B-Instruct-v0.3",
    "mistral-nemo-2407",
    "Phi-3-mini-4k-instruct",
    "gemma-2-9b-it",
    "Qwen1.5-7B-Chat",
    "Qwen2-7B-Instruct",
    "qwen2.5-7b-instruct",
    "Qwen/Qwen2.5-7B-Instruct-GPTQ-Int4",
    "CohereForAI/aya-23-8B",
    "codegemma-7b",
    "gpt-3.5-turbo-0125",
    "claude-3-haiku-20240307",
)
"""Instruction-tuned models of 4 to 39 billion active parameters, and the small commercial ones."""

TRAINED_NAMES = ("mmlu_pro", "crux", "math", "llmrouter")
BENCHMARK_PAIRS = ("mmlu", "gsm8k")
"""Pairs of the study of few labels that are left out here: sets that train, and benchmarks."""


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Outcomes of many models on the prompts of one set.

    Attributes:
        labelled: The set, its comparisons those of the models of either side.
        outcomes: Of all its models.
        embeddings: One unit vector per prompt, shape (n_prompts, dimension).
        surfaces: Counts, shape (n_prompts, n_counts).
    """

    labelled: LabelledSet
    outcomes: Outcomes
    embeddings: EmbeddingArray
    surfaces: FloatArray

    def __len__(self) -> int:
        """Return the number of prompts."""
        return len(self.outcomes.prompts)

    @property
    def name(self) -> str:
        """Name of the set."""
        return self.labelled.name

    def features(self, scale: FeatureScale) -> FloatArray:
        """Return the features of its prompts."""
        return scale.apply(self.embeddings, self.surfaces)

    @cached_property
    def hardness(self) -> FloatArray:
        """One less the mean quality of the weaker half of the models, shape (n_prompts,)."""
        qualities = self._qualities(self.outcomes.models)
        by_mean = np.argsort(np.nanmean(qualities, axis=0), kind="stable")
        weaker = qualities[:, by_mean[: len(by_mean) // 2]]
        return np.asarray(1.0 - np.nanmean(weaker, axis=1))

    @cached_property
    def sides(self) -> tuple[FloatArray, FloatArray]:
        """Mean quality of the weak and of the strong models, each of shape (n_prompts,)."""
        return self._mean_quality(WEAK), self._mean_quality(STRONG)

    def trial(self) -> "Trial":
        """Return the set as one to be measured on, when another fit left it out."""
        weak, strong = self.sides
        return Trial(f"{self.name}, left out", self.outcomes.prompts, weak, strong, None)

    def _mean_quality(self, models: Sequence[str]) -> FloatArray:
        known = [model for model in self.outcomes.models if model in models]
        return np.asarray(np.nanmean(self._qualities(known), axis=1))

    def _qualities(self, models: Sequence[str]) -> FloatArray:
        return np.column_stack([self.outcomes.quality(model) for model in models])


@dataclass(frozen=True)
class Trial:
    """Prompts that a fit never saw, with the quality of either side's answers.

    Attributes:
        name: The set and, where it has several, the pair.
        prompts: In row order.
        weak: Quality of the weak answers, shape (n_prompts,).
        strong: Quality of the strong answers, same shape.
        groups: One integer per row for rows that are resampled together, or None.
    """

    name: str
    prompts: Sequence[str]
    weak: FloatArray
    strong: FloatArray
    groups: IntArray | None

    @property
    def set_name(self) -> str:
        """The set, without the pair."""
        return self.name.partition(",")[0]


def read_training_sets(folder: Path, embedder: Embedder) -> list[TrainingSet]:
    """Read the sets without benchmark questions."""
    labelled = [
        _read(folder / "train" / f"{file}.parquet", name, licence, group)
        for name, file, licence, group in SOURCES
    ]
    kept, report = settle_overlap(
        labelled, _benchmark_questions(folder), embedder, on_overlap=OnOverlap.DROP, min_chars=1
    )
    print(f"left out: {report.n_overlapping:,} of {report.n_prompts:,} prompts without a flag")
    sets = []
    for one in kept:
        outcomes = one.outcomes
        if outcomes is None:
            raise TypeError(f"{one.name} has no outcomes")
        embeddings = embedder.embed(outcomes.prompts)
        sets.append(TrainingSet(one, outcomes, embeddings, surface_features(outcomes.prompts)))
    return sets


def _read(path: Path, name: str, licence: str, group: str | None) -> LabelledSet:
    """Read one set without the rows that it marks as benchmark questions."""
    with TemporaryDirectory() as scratch:
        table = pl.read_parquet(path)
        if any(column.startswith("strict|") for column in table.columns):  # several scores
            path = Path(scratch) / path.name
            table.select(pl.exclude("^(strict|correct)\\|.*$")).write_parquet(path)
        outcomes = find_reader("matrix")(path).table
    flags = [outcomes.table[flag].to_numpy() for flag in BENCHMARK_FLAGS]
    keep = ~np.logical_or.reduce(flags)
    if group is not None:
        keep &= (outcomes.table["group"] == group).to_numpy()
    outcomes = outcomes.keep_rows(keep)
    unknown = outcomes.table.columns
    dropped = [
        column
        for column in unknown
        if column.endswith(f"|{UNNAMED}")
        or (column.startswith("quality|") and outcomes.table[column].is_null().all())
    ]
    outcomes = replace(outcomes, table=outcomes.table.drop(dropped))
    listed = [model for model in outcomes.models if model in STRONG + WEAK]
    one = set_of_outcomes(outcomes, models=listed, soft=True, licence=licence)
    return replace(one, name=name)


def _benchmark_questions(folder: Path) -> list[str]:
    """Return every question of the benchmarks, those on the decontamination lists too."""
    read = find_reader("routellm-eval")
    homes = [folder / "benchmarks" / "routellm" / name for name in ("mmlu", "gsm8k", "mt_bench")]
    return [prompt for home in homes for prompt in read(home, decontaminate=False).table.prompts]


def far_trials(folder: Path, seen: AnyArray) -> Iterator[Trial]:
    """Yield the benchmarks and the sets that train nothing, without the prompts already seen.

    Args:
        folder: Of the shared data.
        seen: Hashes of the training prompts.
    """
    for name in benchmark_names():
        pair = load_benchmark(name, folder / "benchmarks" / "routellm").pair
        trial = Trial(name, pair.prompts, pair.weak_quality, pair.strong_quality, pair.group_codes)
        yield _unseen(trial, seen)
    for one in PAIRS:
        is_benchmark = one.name in BENCHMARK_PAIRS and one.reader == "routellm-eval"
        if one.name in TRAINED_NAMES or is_benchmark:
            continue
        rows = read_labelled(one, folder)
        yield _unseen(Trial(one.title, rows.prompts, rows.weak, rows.strong, None), seen)


def _unseen(trial: Trial, seen: AnyArray) -> Trial:
    hashes = prompt_hashes64(trial.prompts)
    rows = np.flatnonzero(~np.isin(hashes, seen))
    return Trial(
        trial.name,
        [trial.prompts[row] for row in rows.tolist()],
        trial.weak[rows],
        trial.strong[rows],
        None if trial.groups is None else trial.groups[rows],
    )
