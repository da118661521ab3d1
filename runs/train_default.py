"""Train the router that ships in the package, and measure it.

    python runs/train_default.py --data DIR [--output DIR] [--results FILE]

It learns from the outcomes of many models on four sets whose licences allow weights to ship, with
every prompt left out that is in one of the three benchmarks. Which models stand for strong and for
weak is stated below. The weight decay is chosen, and the scores are calibrated, on validation
prompts of these sets, never on a benchmark. Takes about two minutes on 2 cores.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np

from routecast.artifacts import Manifest, MetricRecord, save_artifact
from routecast.data.comparisons import Comparisons
from routecast.data.outcomes import Outcomes
from routecast.data.readers.registry import find_reader
from routecast.embed.protocol import Embedder
from routecast.embed.registry import load_embedder
from routecast.evaluate.benchmarks import benchmark_names, load_benchmark
from routecast.evaluate.intervals import bootstrap_metrics
from routecast.evaluate.metrics import oracle_scores, routing_metrics
from routecast.routers.length import LengthRouter
from routecast.train.neighbours import NearestNeighbours
from routecast.train.overlap import OnOverlap, settle_overlap
from routecast.train.pipeline import TrainedRouter, TrainSettings, train_router
from routecast.train.sources import LabelledSet, set_of_comparisons, set_of_outcomes
from routecast.types import FloatArray, IntArray

SEED = 20261121
WEIGHT_DECAYS = (1e-6, 1e-5, 1e-4, 1e-3, 3e-3, 1e-2)
BENCHMARK_FLAGS = ("in_routellm_mmlu_eval", "in_routellm_gsm8k_eval", "in_mt_bench")
METRICS = ("apgr", "cpt_50", "cpt_80")
MMLU_PRO = "MMLU-Pro evaluation results"
TableT = TypeVar("TableT", Outcomes, Comparisons)

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


def main() -> None:
    """Read, train, measure, save."""
    arguments = _arguments()
    embedder = load_embedder("static")
    sets = read_training_sets(arguments.data, embedder)
    settings = TrainSettings(
        router="mf",
        strong=STRONG,
        weak=WEAK,
        options={"weight_decay": WEIGHT_DECAYS},
        even_groups=True,
        seed=SEED,
    )
    trained = train_router(sets, settings, embedder=embedder)
    for tried in trained.trials:
        print(f"{tried.settings}: validation loss {tried.pair_loss:.5f}")
    metrics = [
        record
        for trial in trials(arguments.data, trained)
        for record in evaluate(trained, embedder, trial)
    ]
    manifest = msgspec.structs.replace(trained.artifact.manifest, metrics=tuple(metrics))
    save_artifact(replace(trained.artifact, manifest=manifest), arguments.output)
    page = _results_page(manifest, trained.trials[0].pair_loss)
    arguments.results.write_text(page)
    print(page)


def read_training_sets(folder: Path, embedder: Embedder) -> list[LabelledSet]:
    """Read the four sets without benchmark questions, and of each the models listed above."""
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
    battles = _unflagged(find_reader("pandalm")(train / "pandalm_human_999.parquet").table)
    one = set_of_comparisons(battles, even_prompts=True, licence="Apache-2.0")
    sets.append(replace(one, name="PandaLM test set"))
    kept, report = settle_overlap(
        sets, _benchmark_questions(folder), embedder, on_overlap=OnOverlap.DROP, min_chars=1
    )
    print(f"left out: {report.n_overlapping:,} of {report.n_prompts:,} prompts without a flag")
    return kept


def _unflagged(table: TableT) -> TableT:
    """Leave out the rows that the set itself marks as benchmark questions."""
    flagged = np.logical_or.reduce([table.table[flag].to_numpy() for flag in BENCHMARK_FLAGS])
    return replace(table, table=table.table.filter(~flagged))


def _benchmark_questions(folder: Path) -> list[str]:
    """Every question of the three benchmarks, those on the decontamination lists too."""
    read = find_reader("routellm-eval")
    homes = [folder / "benchmarks" / "routellm" / name for name in ("mmlu", "gsm8k", "mt_bench")]
    return [prompt for home in homes for prompt in read(home, decontaminate=False).table.prompts]


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


def trials(folder: Path, trained: TrainedRouter) -> Iterator[Trial]:
    """Yield the held-out prompts, whose qualities are means over models, and the benchmarks."""
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


def evaluate(trained: TrainedRouter, embedder: Embedder, trial: Trial) -> list[MetricRecord]:
    """Measure the router beside its baselines."""
    weak, strong = trial.weak, trial.strong
    prepared = trained.prepared
    known = prepared.labels_on(prepared.split.train)
    neighbours = NearestNeighbours(prepared.embeddings[known.prompt_index], known.wins)
    scores = {
        "default": trained.artifact.router(embedder).win_probabilities(trial.prompts),
        "length": LengthRouter().win_probabilities(trial.prompts),
        "nearest neighbours": neighbours.scores(embedder.embed(trial.prompts)),
        "oracle": oracle_scores(weak_quality=weak, strong_quality=strong),
    }
    samples = bootstrap_metrics(
        scores, weak_quality=weak, strong_quality=strong, group_codes=trial.groups, seed=SEED
    )
    records = []
    for label, values in scores.items():
        exact = routing_metrics(values, weak_quality=weak, strong_quality=strong)
        for metric in METRICS:
            interval = samples.interval(label, metric)
            records.append(
                MetricRecord(
                    benchmark=trial.name,
                    metric=f"{label} {metric}",
                    value=getattr(exact, metric),
                    low=interval.low,
                    high=interval.high,
                    n_prompts=len(trial.prompts),
                )
            )
    return records


def _results_page(manifest: Manifest, validation_loss: float) -> str:
    """Write the figures as a page for results/."""
    lines = [
        "# The default router, as shipped",
        "",
        "    python runs/train_default.py --data DIR",
        "",
        f"Trained on {manifest.training.n_comparisons:,} comparisons of {len(manifest.strong)} "
        f"strong and {len(manifest.weak)} weak models and of PandaLM's five, over "
        f"{manifest.training.n_prompts:,} prompts, none of them in a benchmark; log loss of "
        f"strong against weak on validation prompts {validation_loss:.4f} (chance "
        f"{np.log(2):.4f}). On the benchmarks the pair is GPT-4-1106 "
        "against Mixtral-8x7B; GPT-4-1106 is in no training set. 95% intervals by bootstrap, "
        "10,000 resamples (MMLU: by subject). Settings and calibration are from validation "
        "prompts; the held-out prompts below served nothing else.",
        "",
        "| benchmark | N | router | APGR | CPT(50%) | CPT(80%) |",
        "|---|---|---|---|---|---|",
    ]
    rows: dict[tuple[str, int, str], dict[str, str]] = {}
    for record in manifest.metrics:
        label, _, metric = record.metric.rpartition(" ")
        scale = 1 if metric == "apgr" else 100
        digits = 3 if metric == "apgr" else 1
        low, high = (f"{scale * bound:.{digits}f}" for bound in (record.low, record.high))
        cell = f"{scale * record.value:.{digits}f} [{low}, {high}]"
        rows.setdefault((record.benchmark, record.n_prompts, label), {})[metric] = cell
    for (benchmark, n_prompts, label), cells in rows.items():
        figures = " | ".join(cells[metric] for metric in ("apgr", "cpt_50", "cpt_80"))
        lines.append(f"| {benchmark} | {n_prompts:,} | {label} | {figures} |")
        if label == "oracle":
            lines.append(
                f"| {benchmark} | {n_prompts:,} | random (analytic) | 0.500 | 50.0 | 80.0 |"
            )
    return "\n".join(lines) + "\n"


def _arguments() -> argparse.Namespace:
    home = Path(__file__).parents[1]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the shared data")
    parser.add_argument(
        "--output", type=Path, default=home / "src" / "routecast" / "models" / "default"
    )
    parser.add_argument("--results", type=Path, default=home / "results" / "default_router.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
