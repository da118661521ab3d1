"""Fine-tune all-MiniLM-L6-v2 as `bert` on real data, and measure it on the three benchmarks.

    python runs/train_bert.py --data DIR --base FOLDER --cache FOLDER [--seeds 1,2,3,4,5]

Two training sets: (a) 1,531 gold labels drawn from MMLU, the draws of runs/train_light_routers.py,
measured on the rest of it; (b) MMLU-Pro and ZeroEval without any question of a benchmark. `blend`
and `mf` learn from the same labels, for comparison. Learning rates are chosen on validation prompts
of the training set. Made for a CPU: fewer tokens and steps than the paper's. The scores are kept in
the cache, so that a stopped run goes on, and tables are made from them; no prompt's text is written
anywhere. About an hour on 3 busy cores.
"""

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from routecast.data.outcomes import Outcomes, PairOutcomes
from routecast.data.readers.registry import find_reader
from routecast.data.splits import split_by_prompt
from routecast.embed.registry import load_embedder
from routecast.evaluate.benchmarks import STRONG, WEAK, benchmark_names, load_benchmark
from routecast.evaluate.intervals import MetricSamples, bootstrap_metrics
from routecast.evaluate.metrics import oracle_scores, routing_metrics
from routecast.evaluate.study import Figure
from routecast.routers.length import LengthRouter
from routecast.stats.bootstrap import percentile_interval
from routecast.train.neighbours import NearestNeighbours
from routecast.train.overlap import OnOverlap, settle_overlap
from routecast.train.pipeline import TrainedRouter, TrainSettings, train_router
from routecast.train.sources import LabelledSet, set_of_outcomes
from routecast.types import FloatArray, IntArray

SEED = 20261121
N_GOLD = 1531
METRICS = ("apgr", "cpt_50", "cpt_80")
BENCHMARK_FLAGS = ("in_routellm_mmlu_eval", "in_routellm_gsm8k_eval", "in_mt_bench")
STRONG_MODELS = (
    "gpt-4o", "gemini-1.5-pro-002", "gpt-4o-2024-05-13", "gpt-4-turbo-2024-04-09",
    "claude-3-opus-20240229", "Meta-Llama-3.1-70B-Instruct",
)  # fmt: skip
WEAK_MODELS = ("Mixtral-8x7B-Instruct-v0.1", "Meta-Llama-3-8B-Instruct", "gpt-3.5-turbo-0125")
BERT = {"length": 128, "batch": 16, "patience": 4, "int8": True}
GOLD, FOREIGN = "(a) 1,531 gold labels of MMLU", "(b) MMLU-Pro + ZeroEval"
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    GOLD: {**BERT, "n_steps": 160, "eval_steps": 20, "learning_rate": (3e-5, 1e-4)},
    FOREIGN: {**BERT, "n_steps": 160, "eval_steps": 40, "learning_rate": 5e-5},
}


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """What to learn from, and what to measure on.

    Attributes:
        name: As the page calls it.
        sets: Without benchmark questions, or without those that are measured on.
        strong: Models of the data that stand for strong.
        weak: Likewise for weak.
        fractions: Of training, validation and test.
        seed: Of the draw, the split and the fit.
        targets: Outcomes to measure on, by benchmark.
    """

    name: str
    sets: Sequence[LabelledSet]
    strong: tuple[str, ...]
    weak: tuple[str, ...]
    fractions: tuple[float, float, float]
    seed: int
    targets: Mapping[str, PairOutcomes]


def main() -> None:
    """Train what the cache lacks, then write the page."""
    arguments = _arguments()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    benchmarks = {
        name: load_benchmark(name, arguments.data / "benchmarks" / "routellm").pair
        for name in benchmark_names()
    }
    every = [*gold_lessons(benchmarks, arguments.seeds)]
    every += [*foreign_lessons(arguments.data, benchmarks, arguments.foreign_seeds)]
    for lessons in every:
        for family in ("bert", "neighbours", "mf", "blend"):
            learn(lessons, family, arguments)


def gold_lessons(benchmarks: Mapping[str, PairOutcomes], seeds: Sequence[int]) -> Iterator[Lessons]:
    """Draw labels from MMLU by prompt, equal prompts together; the rest of it is measured on."""
    mmlu = benchmarks["mmlu"]
    share = N_GOLD / len(mmlu)
    for seed in seeds:
        split = split_by_prompt(mmlu.prompts, fractions=(share, 0.0, 1.0 - share), seed=seed)
        gold = _take(mmlu, split.train).outcomes
        yield Lessons(
            name=GOLD,
            sets=[set_of_outcomes(replace(gold, source="MMLU"), models=[STRONG, WEAK])],
            strong=(STRONG,),
            weak=(WEAK,),
            fractions=(0.9, 0.1, 0.0),
            seed=seed,
            targets={**benchmarks, "mmlu": _take(mmlu, split.test)},
        )


def foreign_lessons(
    folder: Path, benchmarks: Mapping[str, PairOutcomes], seeds: Sequence[int]
) -> Iterator[Lessons]:
    """Read MMLU-Pro and ZeroEval, and leave every question of a benchmark out."""
    read = find_reader("routellm-eval")
    homes = [folder / "benchmarks/routellm" / name for name in ("mmlu", "gsm8k", "mt_bench")]
    questions = [p for home in homes for p in read(home, decontaminate=False).table.prompts]
    sets = []
    for file in ("mmlu_pro_34models", "zeroeval_matrix"):
        table: Outcomes = find_reader("matrix")(folder / "train" / f"{file}.parquet").table
        flags = [table.table[flag].to_numpy() for flag in BENCHMARK_FLAGS]
        clean = table.keep_rows(~np.logical_or.reduce(flags))
        models = [name for name in (*STRONG_MODELS, *WEAK_MODELS) if name in clean.models]
        sets.append(set_of_outcomes(clean, models=models))
    kept, _ = settle_overlap(
        sets, questions, load_embedder("static"), on_overlap=OnOverlap.DROP, min_chars=1
    )
    for seed in seeds:
        yield Lessons(
            name=FOREIGN,
            sets=kept,
            strong=_present(STRONG_MODELS, kept),
            weak=_present(WEAK_MODELS, kept),
            fractions=(0.8, 0.1, 0.1),
            seed=seed,
            targets=benchmarks,
        )


def _present(names: Sequence[str], sets: Sequence[LabelledSet]) -> tuple[str, ...]:
    return tuple(name for name in names if any(name in one.preferences.models for one in sets))


def learn(lessons: Lessons, family: str, arguments: argparse.Namespace) -> None:
    """Train and score once; the cache keeps scores of benchmarks, and what was fitted."""
    place = arguments.cache / f"{'gold' if lessons.name == GOLD else 'foreign'}-{lessons.seed}"
    path = place.with_name(f"{place.name}-{family}.npz")
    if path.is_file():
        return
    start_s = time.perf_counter()
    trained = _train(lessons, "mf" if family == "neighbours" else family, arguments.base)
    training_s = time.perf_counter() - start_s
    scores = {name: _scores(trained, family, pair) for name, pair in lessons.targets.items()}
    elapsed_s = time.perf_counter() - start_s
    note = {
        "settings": _without_places(trained.artifact.manifest.settings),
        "n_prompts": trained.artifact.manifest.training.n_prompts,
        "trials": [
            {"learning_rate": one.settings.get("learning_rate"), "loss": one.pair_loss}
            for one in trained.trials
        ],
        "training_s": training_s,
        "scoring_s": elapsed_s - training_s,
        "held_out": _held_out(trained),
    }
    path.with_suffix(".json").write_text(json.dumps(note, indent=1))
    with path.open("wb") as file:
        np.savez_compressed(file, **{name.replace("-", "_"): s for name, s in scores.items()})
    print(f"{path.name}: {elapsed_s:.0f} s", note["trials"], flush=True)


def _train(lessons: Lessons, family: str, base: Path) -> TrainedRouter:
    options = {**OPTIONS[lessons.name], "base": str(base)} if family == "bert" else {}
    settings = TrainSettings(
        router=family,
        strong=lessons.strong,
        weak=lessons.weak,
        options=options,
        fractions=lessons.fractions,
        seed=lessons.seed,
    )
    return train_router(lessons.sets, settings, embedder=load_embedder("static"), device="cpu")


def _scores(trained: TrainedRouter, family: str, pair: PairOutcomes) -> FloatArray:
    embedder = load_embedder("static")
    if family != "neighbours":
        return trained.artifact.router(embedder, device="cpu").win_probabilities(pair.prompts)
    prepared = trained.prepared
    labels = prepared.labels_on(prepared.split.train)
    known = NearestNeighbours(prepared.embeddings[labels.prompt_index], labels.wins)
    return known.scores(embedder.embed(pair.prompts))


def _held_out(trained: TrainedRouter) -> dict[str, Any] | None:
    held_out = trained.held_out
    if held_out is None or held_out.routing is None:
        return None
    return {"n_prompts": held_out.n_prompts} | {
        name: [figures["apgr"].value, figures["apgr"].low, figures["apgr"].high]
        for name, figures in held_out.routing.figures.items()
    }


def _without_places(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in ("base", "device")}


def _take(pair: PairOutcomes, rows: IntArray) -> PairOutcomes:
    keep = np.isin(np.arange(len(pair)), rows)
    return replace(pair, outcomes=pair.outcomes.keep_rows(keep))


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


def _arguments() -> argparse.Namespace:
    home = Path(__file__).parents[1]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the shared data")
    parser.add_argument("--base", type=Path, required=True, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--cache", type=Path, required=True, help="folder to keep scores in")
    parser.add_argument("--seeds", type=_numbers, default=[1, 2, 3, 4, 5], help="of (a)")
    parser.add_argument("--foreign-seeds", type=_numbers, default=[1], help="of (b)")
    parser.add_argument("--output", type=Path, default=home / "results" / "bert.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
