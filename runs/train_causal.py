"""Fine-tune a small causal LM as a router on a CPU, and say what came of it.

    python -m runs.train_causal task --data DIR --base FOLDER
    python -m runs.train_causal preferences --data DIR --base FOLDER [--draws 3]

`--base` is what `runs/pretrain_tiny_llama.py` made. `task` is one that the code must be able to
learn: is the prompt a question of mathematics? `preferences` are real labels: gold labels of MMLU,
and MMLU-Pro answered by GPT-4o and Mixtral-8x7B, measured on the three benchmarks. No prompt's text
is written. On 2 busy cores 15 minutes, and 15 minutes a training.
"""

import argparse
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
import torch
from runs.neighbours import NearestNeighbours
from runs.train_light_routers import (
    N_GOLD,
    PAPER,
    Findings,
    Row,
    Target,
    TrainingData,
    _bootstrap,
    _figures,
    _table,
    draw_gold,
    foreign_data,
)

from routecast.artifacts import load_router, save_artifact
from routecast.data.leakage import prompt_hashes64
from routecast.data.outcomes import Outcomes
from routecast.data.readers.registry import find_reader
from routecast.embed.protocol import Embedder
from routecast.embed.registry import load_embedder
from routecast.evaluate.benchmarks import benchmark_names, load_benchmark
from routecast.evaluate.intervals import MetricSamples
from routecast.routers.causal import BoundCausal
from routecast.routers.causal_template import default_template
from routecast.routers.length import LengthRouter
from routecast.stats.bootstrap import percentile_interval
from routecast.train.pipeline import TrainedRouter, TrainSettings, train_router
from routecast.train.sources import set_of_outcomes
from routecast.types import FloatArray

SEED = 20261121
LENGTH = 128
N_SCORED = 4000
TEMPLATE = "Query:\n{query}\nLabel:"
"""Short, for a model that understands no instruction anyway; ours has 60 tokens more."""

_OF_NUMBERS = re.compile(
    "math|arithm|number|decimal|calcul|count|geometr|algebra|equation|probab|statist|integer|"
    "numer|puzzle|riddle|logic|measure|time|unit|financ",
    re.IGNORECASE,
)


Part = tuple[FloatArray, Target, MetricSamples, str]
"""Scores of one draw on one benchmark, with their resamples and the router's name."""


@dataclass(frozen=True, eq=False)
class Question:
    """Prompts that are or are not about mathematics."""

    prompts: Sequence[str]
    is_mathematics: FloatArray
    sources: Sequence[str]


@dataclass
class Report:
    """Lines of the page."""

    task: list[str] = field(default_factory=list)
    rows: dict[str, list[Row]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def main() -> None:
    """Train, measure, write the page."""
    arguments = _arguments()
    embedder, report = load_embedder("static"), Report()
    with TemporaryDirectory() as workspace:
        if arguments.part == "task":
            learn_the_task(arguments, embedder, Path(workspace), report)
        else:
            learn_preferences(arguments, embedder, Path(workspace), report)
    write(arguments, report)


def learn_the_task(
    arguments: argparse.Namespace, embedder: Embedder, workspace: Path, report: Report
) -> None:
    """Train on whether prompts are about mathematics; measure on held-out prompts."""
    question = read_question(arguments.data)
    table = pl.DataFrame(
        {
            "prompt": question.prompts,
            "quality|mathematics": question.is_mathematics,
            "quality|other": 1.0 - question.is_mathematics,
        }
    )
    one = TrainingData(
        name="is it mathematics?",
        sets=[set_of_outcomes(Outcomes(table=table, source="prompts by topic"))],
        strong="mathematics",
        weak="other",
    )
    start_s = time.perf_counter()
    trained = train(one, embedder, arguments, workspace, n_steps=arguments.n_task_steps)
    elapsed_s = time.perf_counter() - start_s
    scores, prompts = held_out_scores(trained, workspace, report)
    row_of = {prompt: row for row, prompt in enumerate(question.prompts)}
    rows = np.array([row_of[prompt] for prompt in prompts])
    truth = question.is_mathematics[rows] > 0.5
    shown = {
        "causal": scores > 0.5,
        "nearest neighbours": neighbour_scores(trained, embedder, prompts) > 0.5,
        "length": best_length_cut(trained, prompts),
        "base rate": np.full(len(truth), bool(question.is_mathematics.mean() > 0.5)),
    }
    report.task += [f"| {name} | {accuracy(found == truth)} |" for name, found in shown.items()]
    sources = [question.sources[row] for row in rows.tolist()]
    for source in sorted(set(sources)):
        of_source = np.array([one == source for one in sources])
        hits = (shown["causal"] == truth)[of_source]
        report.notes.append(f"The task, {source}: {accuracy(hits)}, N = {len(hits)}.")
    manifest = trained.artifact.manifest
    report.notes.append(
        f"The task: {manifest.settings['n_steps_taken']} steps of 16 rows, the best after "
        f"{manifest.settings['best_step']}, {elapsed_s / 60:.0f} minutes with scoring, on a "
        f"machine that others used too; {len(question.prompts):,} prompts, "
        f"{manifest.training.n_prompts:,} of them trained on, N = {len(prompts)} held out."
    )


def read_question(folder: Path) -> Question:
    """Collect as many prompts about mathematics as about other things, by where they are from."""
    train_folder = folder / "train"
    exams = pl.read_parquet(train_folder / "mmlu_pro_34models.parquet").filter(
        ~pl.col("in_routellm_mmlu_eval")
    )
    outcomes = find_reader("matrix")(train_folder / "mmlu_pro_34models.parquet").table.table
    texts = dict(zip(outcomes["question_id"].to_list(), outcomes["prompt"].to_list(), strict=True))
    named = [(texts[number], area) for number, area in exams["question_id", "category"].iter_rows()]
    zero = pl.read_parquet(train_folder / "zeroeval_matrix.parquet")
    traffic = pl.read_parquet(train_folder / "arena_topic_prompts.parquet")
    grade_school = pl.read_ndjson(folder / "benchmarks/routellm/gsm8k/train.jsonl")
    parts = {
        ("MMLU-Pro, mathematics", True): [text for text, area in named if area == "math"],
        ("GSM8K's training part", True): grade_school["question"].to_list(),
        ("MATH, level 5", True): zero.filter(pl.col("task") == "math-l5")["query"].to_list(),
        ("MMLU-Pro, other subjects", False): [text for text, area in named if area != "math"],
        ("chat traffic, topics without numbers", False): [
            text
            for topic, text in traffic["topic", "prompt"].iter_rows()
            if not _OF_NUMBERS.search(topic)
        ],
    }
    sizes = {True: 500, False: 750}
    generator, seen = np.random.default_rng(SEED), set[int]()
    prompts: list[str] = []
    sources: list[str] = []
    labels: list[float] = []
    for (source, is_mathematics), found in parts.items():
        marks = prompt_hashes64(found).tolist()
        fresh = dict.fromkeys(t for t, mark in zip(found, marks, strict=True) if mark not in seen)
        seen |= set(marks)
        pool = list(fresh)
        drawn = generator.permutation(len(pool))[: sizes[is_mathematics]].tolist()
        prompts += [pool[row] for row in drawn]
        sources += [source] * len(drawn)
        labels += [float(is_mathematics)] * len(drawn)
    return Question(prompts, np.array(labels), sources)


def train(
    one: TrainingData,
    embedder: Embedder,
    arguments: argparse.Namespace,
    workspace: Path,
    *,
    n_steps: int,
) -> TrainedRouter:
    """Fine-tune the base model by the pipeline that `routecast train` uses."""
    template = workspace / "template.txt"
    template.write_text(TEMPLATE)
    options: dict[str, Any] = {
        "base": str(arguments.base),
        "template": str(template),
        "length": LENGTH,
        "n_steps": n_steps,
        "batch": 16,
        "learning_rate": arguments.learning_rate,
        "weight_decay": 0.01,
        "eval_steps": 50 if arguments.part == "task" else 40,
        "patience": 4,
    }
    settings = TrainSettings(
        router="causal",
        strong=(one.strong,),
        weak=(one.weak,),
        options=options,
        fractions=one.fractions,
        seed=one.seed,
    )
    return train_router(one.sets, settings, embedder=embedder, device="cpu")


def held_out_scores(
    trained: TrainedRouter, workspace: Path, report: Report
) -> tuple[FloatArray, list[str]]:
    """Score the test prompts by the saved artifact, and compare with the one in memory."""
    rows = trained.prepared.split.test
    prompts = [trained.prepared.prompts[row] for row in rows.tolist()]
    save_artifact(trained.artifact, workspace / "router")
    loaded = load_router(str(workspace / "router"), device="cpu").router
    scores = loaded.win_probabilities(prompts)
    embedder = load_embedder("static")
    again = trained.artifact.router(embedder, device="cpu").win_probabilities(prompts)
    report.notes.append(
        f"Saved and loaded, the largest difference of a win probability is "
        f"{np.abs(scores - again).max():.1e} on N = {len(prompts)} prompts."
    )
    report.notes.append(prefix_note(trained, prompts))
    return scores, prompts


def prefix_note(trained: TrainedRouter, prompts: Sequence[str]) -> str:
    """Time scoring with the instruction's cache and without, our long instruction, one thread."""
    classifier: Any = trained.artifact.model_folder
    bounds = {}
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for name in ("shared", "anew"):
        bounds[name] = bound_with_default_template(classifier.path)
        if name == "anew":
            bounds[name]._prefix.is_shared = False
    times_s: dict[str, list[float]] = {"shared": [], "anew": []}
    logits = {}
    for _ in range(3):
        for name, bound in bounds.items():
            start_s = time.perf_counter()
            logits[name] = bound.label_logits(prompts[:200])
            times_s[name].append(time.perf_counter() - start_s)
    torch.set_num_threads(n_threads)
    gain = float(np.median(times_s["anew"]) / np.median(times_s["shared"]))
    worst = float(np.abs(logits["shared"] - logits["anew"]).max())
    n_prefix = len(bounds["shared"]._prefix.ids)
    return (
        f"With the instruction that ships ({n_prefix} tokens) and its cache shared, scoring takes "
        f"1/{gain:.2f} of the time that it takes when every prompt reads the instruction anew "
        f"(N = {min(200, len(prompts))} prompts, one thread, medians of 3 alternating runs); the "
        f"largest difference of a logit is {worst:.1e}."
    )


def bound_with_default_template(folder: Path) -> BoundCausal:
    """Load the model to be asked by the instruction that ships."""
    from routecast.routers.causal import CausalClassifier
    from routecast.routers.causal_labels import WIN
    from routecast.routers.model_folder import ModelFolder

    template = default_template("win")
    classifier = CausalClassifier(ModelFolder(folder), WIN, template, length=256, device="cpu")
    return classifier.bind(strong=("a",), weak=("b",), embedder=load_embedder("static"))


def neighbour_scores(
    trained: TrainedRouter, embedder: Embedder, prompts: Sequence[str]
) -> FloatArray:
    """Return the mean label of the 50 most similar training prompts."""
    known = trained.prepared.labels_on(trained.prepared.split.train)
    vectors = trained.prepared.embeddings[known.prompt_index]
    return NearestNeighbours(vectors, known.wins).scores(embedder.embed(list(prompts)))


def best_length_cut(
    trained: TrainedRouter, prompts: Sequence[str]
) -> "np.typing.NDArray[np.bool_]":
    """Call prompts mathematics by their length alone, the cut chosen on the training prompts."""
    known = trained.prepared.labels_on(trained.prepared.split.train)
    texts = [trained.prepared.prompts[row] for row in known.prompt_index.tolist()]
    lengths, truth = np.array([len(text) for text in texts]), known.wins > 0.5
    cuts = np.unique(lengths)
    below = [(float(((lengths < cut) == truth).mean()), int(cut), True) for cut in cuts]
    above = [(float(((lengths >= cut) == truth).mean()), int(cut), False) for cut in cuts]
    _, cut, is_below = max(below + above)
    tested = np.array([len(prompt) for prompt in prompts])
    found: np.typing.NDArray[np.bool_] = tested < cut if is_below else tested >= cut
    return found


def accuracy(hits: "np.typing.NDArray[np.bool_]") -> str:
    """Return a share with its 95% interval, prompts resampled."""
    generator = np.random.default_rng(SEED)
    draws = generator.binomial(len(hits), hits.mean(), 10_000) / len(hits)
    interval = percentile_interval(draws)
    return f"{hits.mean():.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def learn_preferences(
    arguments: argparse.Namespace, embedder: Embedder, workspace: Path, report: Report
) -> None:
    """Train on gold labels of MMLU, and on MMLU-Pro; measure on the benchmarks."""
    targets = [
        Target(name, pair, embedder.embed(pair.prompts))
        for name in benchmark_names()
        for pair in [load_benchmark(name, arguments.data / "benchmarks" / "routellm").pair]
    ]
    measure_exams(arguments, embedder, workspace, targets, report)
    write(arguments, report)
    foreign = {name: list(rows) for name, rows in report.rows.items()}
    mmlu, *others = targets
    parts: dict[tuple[str, str], list[Part]] = {}
    for draw in range(1, arguments.draws + 1):
        one, rest = draw_gold(mmlu, draw)
        trained = train(one, embedder, arguments, workspace, n_steps=arguments.n_gold_steps)
        report.notes.append(training_note(one, trained))
        sample = drawn(rest)
        for target in (sample, *others):
            scores = scores_on(trained, target, embedder)
            if target is sample:
                scores["length"] = LengthRouter().win_probabilities(target.pair.prompts)
            samples = _bootstrap(scores, target)
            for name, values in scores.items():
                parts.setdefault((target.name, name), []).append((values, target, samples, name))
        report.rows = {name: [*rows, *gold_rows(parts, name)] for name, rows in foreign.items()}
        write(arguments, report)


def drawn(target: Target) -> Target:
    """Return a random sample of a long benchmark: scoring takes most of the time here."""
    rows = np.random.default_rng(SEED).permutation(len(target.pair))[:N_SCORED]
    return target.take(rows)


def gold_rows(parts: dict[tuple[str, str], list[Part]], benchmark: str) -> list[Row]:
    """Return the lines of the gold labels: means over the draws, intervals of these means."""
    vectors = {"length": "-", "nearest neighbours": "static", "causal": "-"}
    return [
        Row(
            f"{N_GOLD:,} gold labels of MMLU, {len(draws)} draws",
            name,
            vectors[name],
            round(np.mean([len(target.pair) for _, target, _, _ in draws])),
            _figures(draws),
            min(_figures([part])["apgr"].value for part in draws),
        )
        for (place, name), draws in parts.items()
        if place == benchmark
    ]


def measure_exams(
    arguments: argparse.Namespace,
    embedder: Embedder,
    workspace: Path,
    targets: Sequence[Target],
    report: Report,
) -> None:
    """Train on MMLU-Pro's outcomes of one pair, without questions of the benchmarks."""
    exams, _ = foreign_data(arguments.data, embedder, Findings())
    outcomes = [one.outcomes for one in exams.sets if one.outcomes is not None]
    sets = [set_of_outcomes(one, models=[exams.strong, exams.weak]) for one in outcomes]
    one_pair = replace(exams, name="MMLU-Pro, gpt-4o and Mixtral-8x7B", sets=sets)
    trained = train(one_pair, embedder, arguments, workspace, n_steps=arguments.n_gold_steps)
    report.notes.append(training_note(one_pair, trained))
    for target in map(drawn, targets):
        scores = scores_on(trained, target, embedder)
        scores["length"] = LengthRouter().win_probabilities(target.pair.prompts)
        samples = _bootstrap(scores, target)
        for name, values in scores.items():
            vectors = "static" if name == "nearest neighbours" else "-"
            figures = _figures([(values, target, samples, name)])
            data = "none" if name == "length" else one_pair.name
            row = Row(data, name, vectors, len(target.pair), figures)
            report.rows.setdefault(target.name, []).append(row)


def scores_on(trained: TrainedRouter, target: Target, embedder: Embedder) -> dict[str, FloatArray]:
    """Score a benchmark by the router and by the neighbours of its training prompts."""
    router = trained.artifact.router(embedder, device="cpu")
    known = trained.prepared.labels_on(trained.prepared.split.train)
    vectors = trained.prepared.embeddings[known.prompt_index]
    return {
        "causal": router.win_probabilities(target.pair.prompts),
        "nearest neighbours": NearestNeighbours(vectors, known.wins).scores(target.embeddings),
    }


def training_note(one: TrainingData, trained: TrainedRouter) -> str:
    """Say what was fitted."""
    manifest, best = trained.artifact.manifest, trained.trials[0]
    balance = ", ".join(
        f"{name} {share:.2f}" for name, share in manifest.settings["label_balance"].items()
    )
    text = (
        f"{one.name}: {manifest.training.n_prompts:,} prompts ({balance}), best step "
        f"{manifest.settings['best_step']} of {manifest.settings['n_steps_taken']}, validation "
        f"loss between the sides {best.pair_loss:.4f}"
    )
    if trained.held_out is None or trained.held_out.routing is None:
        return f"{text}."
    shown = ", ".join(
        f"{name} {figures['apgr'].value:.3f} [{figures['apgr'].low:.3f}, "
        f"{figures['apgr'].high:.3f}]"
        for name, figures in trained.held_out.routing.figures.items()
        if "apgr" in figures
    )
    return f"{text}; APGR on its own held-out prompts (N = {trained.held_out.n_prompts}): {shown}."


def write(arguments: argparse.Namespace, report: Report) -> None:
    """Write the page as far as it is."""
    lines = [
        "# A small causal LM as a router",
        "",
        "    python runs/pretrain_tiny_llama.py --data DIR --output FOLDER",
        f"    python -m runs.train_causal {arguments.part} --data DIR --base FOLDER",
        "",
        "A Llama of 2.6 million weights, made from scratch on the shared prompts (no benchmark "
        "question among them), because no pretrained causal LM could be had here. Full "
        f"fine-tuning, learning rate {arguments.learning_rate:g}, batch 16, {LENGTH} tokens (head "
        "and tail of longer prompts), a template of a few tokens. 95% intervals.",
        "",
    ]
    if report.task:
        lines += [
            "## A task that it must learn: is the prompt a question of mathematics?",
            "",
            "Real prompts of five sources, as many of either kind; held-out accuracy.",
            "",
            "| router | accuracy |",
            "|---|---|",
            *report.task,
            "",
        ]
    if report.rows:
        lines += [f"Of MMLU, {N_SCORED:,} prompts drawn at random are scored.", ""]
    for benchmark, rows in report.rows.items():
        lines += [
            f"## {benchmark}, GPT-4-1106 against Mixtral-8x7B",
            "",
            "| trained on | router | vectors | N | APGR | CPT(50%) | CPT(80%) |",
            "|---|---|---|---|---|---|---|",
            *_table(rows),
            "| none | random (analytic) | - | - | 0.500 | 50.0 | 80.0 |",
            *(
                f"| paper: {data} | {router} (8B) | - | - | {apgr} | {cpt_50} | {cpt_80} |"
                for router, data, apgr, cpt_50, cpt_80 in PAPER[benchmark]
                if router == "causal LLM"
            ),
            "",
        ]
    lines += ["## Notes", "", *(f"- {note}" for note in report.notes)]
    name = "causal_task.md" if arguments.part == "task" else "causal.md"
    (arguments.output / name).write_text("\n".join(lines) + "\n")


def _arguments() -> argparse.Namespace:
    home = Path(__file__).parents[1]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("part", choices=("task", "preferences"))
    parser.add_argument("--data", type=Path, required=True, help="folder of the shared data")
    parser.add_argument("--base", type=Path, required=True, help="folder of the small model")
    parser.add_argument("--draws", type=int, default=3, help="draws of gold labels")
    parser.add_argument("--n-task-steps", type=int, default=500)
    parser.add_argument("--n-gold-steps", type=int, default=120)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--output", type=Path, default=home / "results", help="folder of pages")
    return parser.parse_args()


if __name__ == "__main__":
    main()
