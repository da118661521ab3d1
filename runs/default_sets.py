"""What the shipped router learns from, and what it is only measured on."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from routecast.data.comparisons import Comparisons
from routecast.data.leakage import prompt_hashes64
from routecast.data.outcomes import Outcomes, rescale_quality
from routecast.data.readers.registry import find_reader
from routecast.embed.protocol import Embedder
from routecast.evaluate.benchmarks import benchmark_names, load_benchmark
from routecast.train.overlap import OnOverlap, settle_overlap
from routecast.train.pipeline import TrainedRouter
from routecast.train.sources import LabelledSet, set_of_outcomes
from routecast.types import AnyArray, FloatArray, IntArray

BENCHMARK_FLAGS = ("in_routellm_mmlu_eval", "in_routellm_gsm8k_eval", "in_mt_bench")
MMLU_PRO = "MMLU-Pro evaluation results"

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
    "Meta-Llama-3.1-70B-Instruct",
    "llama-3.1-nemotron-51b-instruct",
    "llama-3.3-nemotron-super-49b-v1",
)
"""Flagships of 2024, and in the set that has none the largest models that answer in its format."""

WEAK = (
    "Mixtral-8x7B-Instruct-v0.1",
    "Meta-Llama-3-8B-Instruct",
    "Meta-Llama-3.1-8B-Instruct",
    "llama-3.1-8b-instruct",
    "Mistral-7B-Instruct-v0.2",
    "mistral-7b-instruct-v0.3",
    "Phi-3-mini-4k-instruct",
    "gemma-2-9b-it",
    "Qwen1.5-7B-Chat",
    "Qwen2-7B-Instruct",
    "qwen2.5-7b-instruct",
    "codegemma-7b",
    "gpt-3.5-turbo-0125",
    "claude-3-haiku-20240307",
)
"""Instruction-tuned models of 4 to 13 billion active parameters, and the small commercial ones."""

FAR: Sequence[tuple[str, str, str, tuple[float, float]]] = (
    (
        "routerdc_7models",
        "cognitivecomputations/dolphin-2.9-llama3-8b",
        "itpossible/Chinese-Mistral-7B-v0.1",
        (0.0, 1.0),
    ),
    (
        "javidlakha_llama3_1Bvs70B",
        "meta-llama/Llama-3.1-70B-Instruct",
        "meta-llama/Llama-3.2-1B-Instruct",
        (1.0, 5.0),
    ),
)
"""Sets that may not train what ships, with a pair of models: measured on, nothing else."""

BATTLES: Sequence[tuple[str, str, str, tuple[str, ...]]] = (
    (
        "alpacaeval",
        "alpacaeval2_vs_gpt4turbo",
        "gpt4_1106_preview",
        ("Mixtral-8x7B-Instruct-v0.1",),
    ),
    (
        "pandalm",
        "pandalm_human_999",
        "llama-7b",
        ("bloom-7b", "cerebras-gpt-6.7B", "opt-7b", "pythia-6.9b"),
    ),
)
"""Sets of preferences, measured on only: reader, file, the strong model and the weak ones. The
first may not train what ships; the second could, but its models are on neither side."""


@dataclass(frozen=True)
class Trial:
    """Prompts that training never saw, with the quality of either side's answers.

    Attributes:
        name: A benchmark, or the held-out prompts of the training sets.
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


def read_training_sets(folder: Path, embedder: Embedder) -> list[LabelledSet]:
    """Read the sets without benchmark questions, and of each the models listed above."""
    train = folder / "train"
    sets = []
    for name, licence, file in (
        (MMLU_PRO, "Apache-2.0", "mmlu_pro_34models"),
        ("ZeroEval, CRUX and MATH level 5", "Apache-2.0", "zeroeval_matrix"),
        ("LLMRouter example data", "MIT", "llmrouter_uiuc_train"),
    ):
        outcomes = _unflagged(find_reader("matrix")(train / f"{file}.parquet").table)
        if name == MMLU_PRO:  # one task, where other sets name theirs
            outcomes = replace(outcomes, table=outcomes.table.drop("group"))
        listed = [model for model in outcomes.models if model in STRONG + WEAK]
        one = set_of_outcomes(outcomes, models=listed, licence=licence)
        sets.append(replace(one, name=name))
    kept, report = settle_overlap(
        sets, _benchmark_questions(folder), embedder, on_overlap=OnOverlap.DROP, min_chars=1
    )
    print(f"left out: {report.n_overlapping:,} of {report.n_prompts:,} prompts without a flag")
    return kept


def _unflagged(outcomes: Outcomes) -> Outcomes:
    """Leave out the rows that the set itself marks as benchmark questions."""
    flags = [outcomes.table[flag].to_numpy() for flag in BENCHMARK_FLAGS]
    return outcomes.keep_rows(~np.logical_or.reduce(flags))


def _benchmark_questions(folder: Path) -> list[str]:
    """Every question of the three benchmarks, those on the decontamination lists too."""
    read = find_reader("routellm-eval")
    homes = [folder / "benchmarks" / "routellm" / name for name in ("mmlu", "gsm8k", "mt_bench")]
    return [prompt for home in homes for prompt in read(home, decontaminate=False).table.prompts]


def trials(folder: Path, trained: TrainedRouter) -> Iterator[Trial]:
    """Yield the held-out prompts, whose qualities are means over models, and sets far from them."""
    prepared = trained.prepared
    labels = prepared.labels_on(prepared.split.test)
    labels = labels.take(np.flatnonzero(~np.isnan(labels.strong_quality)))
    prompts = [prepared.prompts[row] for row in labels.prompt_index.tolist()]
    clusters = prepared.duplicates.labels[labels.prompt_index]
    own = "its own tasks, held out"
    yield Trial(own, prompts, labels.weak_quality, labels.strong_quality, clusters)
    for name in benchmark_names():
        pair = load_benchmark(name, folder / "benchmarks" / "routellm").pair
        weak, strong = pair.weak_quality, pair.strong_quality
        yield Trial(name, pair.prompts, weak, strong, pair.group_codes)
    yield from far_trials(folder, trained.artifact.training_prompt_hashes)


def far_trials(folder: Path, seen: AnyArray) -> Iterator[Trial]:
    """Yield sets that are only measured on, without the prompts whose hashes were seen."""
    for name, strong_model, weak_model, quality_range in FAR:
        path = folder / "train" / f"{name}.parquet"
        outcomes = rescale_quality(find_reader("matrix")(path, quality_range=quality_range).table)
        hashes = prompt_hashes64(outcomes.prompts)
        strong, weak = outcomes.quality(strong_model), outcomes.quality(weak_model)
        rows = np.flatnonzero(~np.isnan(strong - weak) & ~np.isin(hashes, seen))
        prompts = [outcomes.prompts[row] for row in rows.tolist()]
        clusters = np.unique(hashes[rows], return_inverse=True)[1].astype(np.int64)
        yield Trial(name, prompts, weak[rows], strong[rows], clusters)
    for reader, file, strong_model, weak_models in BATTLES:
        battles = find_reader(reader)(folder / "train" / f"{file}.parquet").table
        prompts, wins = mean_wins(battles, strong=strong_model, weak=weak_models)
        rows = np.flatnonzero(~np.isin(prompt_hashes64(prompts), seen))
        kept = [prompts[row] for row in rows.tolist()]
        yield Trial(file, kept, 1.0 - wins[rows], wins[rows], None)


def mean_wins(
    battles: Comparisons, *, strong: str, weak: Sequence[str]
) -> tuple[list[str], FloatArray]:
    """Return the different prompts, and how often the strong model won there, ties half."""
    won: dict[str, list[float]] = defaultdict(list)
    columns = ("prompt", "model_a", "model_b", "outcome")
    for prompt, model_a, model_b, outcome in battles.table.select(columns).iter_rows():
        if model_a == strong and model_b in weak:
            won[prompt].append(outcome)
        elif model_b == strong and model_a in weak:
            won[prompt].append(1.0 - outcome)
    return list(won), np.array([np.mean(outcomes) for outcomes in won.values()])
