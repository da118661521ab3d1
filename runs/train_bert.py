"""Fine-tune all-MiniLM-L6-v2 as `bert` on real data, and measure it on the three benchmarks.

    python -m runs.train_bert --data DIR --base FOLDER --cache FOLDER [--seeds 1,2,3,4,5]

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
from runs.neighbours import NearestNeighbours

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
from routecast.train.overlap import OnOverlap, settle_overlap
from routecast.train.pipeline import TrainedRouter, TrainSettings, train_router
from routecast.train.sources import LabelledSet, set_of_outcomes
from routecast.types import FloatArray, IntArray

SEED = 20261121
N_RESAMPLES = 4000
N_GOLD = 1531
METRICS = ("apgr", "cpt_50", "cpt_80")
BENCHMARK_FLAGS = ("in_routellm_mmlu_eval", "in_routellm_gsm8k_eval", "in_mt_bench")
STRONG_MODELS = (
    "gpt-4o", "gemini-1.5-pro-002", "gpt-4o-2024-05-13", "gpt-4-turbo-2024-04-09",
    "claude-3-opus-20240229", "Meta-Llama-3.1-70B-Instruct",
)  # fmt: skip
WEAK_MODELS = ("Mixtral-8x7B-Instruct-v0.1", "Meta-Llama-3-8B-Instruct", "gpt-3.5-turbo-0125")
BERT = {"length": 128, "batch": 16, "patience": 4, "int8": True}
FAMILIES = ("bert", "neighbours", "mf", "blend")
PAPER = {
    "mmlu": (("arena", ".502", "49.43", "77.80"), ("arena + gold", ".572", "41.30", "72.20")),
    "gsm8k": (("arena", ".438", "58.78", "83.84"), ("arena + judge", ".531", "44.76", "79.09")),
    "mt-bench": (("arena", ".391", "78.09", "87.64"), ("arena + judge", ".751", "19.58", "34.02")),
}
"""BERT-base of Ong et al. (2024), arXiv:2406.18665, tables 1 to 3: data, APGR, CPT(50%), (80%)."""

GOLD, FOREIGN = "(a) 1,531 gold labels of MMLU", "(b) MMLU-Pro + ZeroEval"
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    GOLD: {**BERT, "n_steps": 160, "eval_steps": 20, "learning_rate": (3e-5, 1e-4)},
    FOREIGN: {**BERT, "n_steps": 160, "eval_steps": 40, "learning_rate": 5e-5},
}


INTRODUCTION = f"""\
GPT-4-1106 against Mixtral-8x7B. The base is all-MiniLM-L6-v2 (23 million weights), fully
fine-tuned on a busy CPU, so with fewer tokens and steps than the paper's BERT-base: 128 tokens
(head and tail of longer prompts), batches of 16, at most 160 steps, stopped by the validation
loss. Scored by the int8 copy.

(a) 1,531 gold labels of the pair, drawn from MMLU by prompt, the same draws as in
[light_routers.md](light_routers.md), measured on the rest of MMLU: means over the draws, the worst
in brackets. The learning rate was chosen of 3e-5 and 1e-4 by the log loss of each draw's 153
validation prompts (draw 5 tried 1e-4 alone, and draws 2 and 4 were left out, for want of time).

(b) MMLU-Pro and ZeroEval without the benchmarks' questions, learning rate 5e-5;
strong and weak are sets of models of about the pair's strength, each prompt's label the mean over
their pairs: {", ".join(STRONG_MODELS)} against {", ".join(WEAK_MODELS)}.

`mf`, `blend` and nearest neighbours (the mean label of the 50 most similar prompts) learned from
the same labels on `static` vectors; where `blend` abstains, the strong model is asked. 95%
intervals by bootstrap, {N_RESAMPLES:,} resamples, MMLU by its 57 subjects; *minus length* is the
paired difference of APGR to the number of characters. (b) is one fit, so its interval holds nothing
of the luck of a seed.
"""


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
        for family in FAMILIES:
            learn(lessons, family, arguments)
    page = page_of(every, arguments.cache)
    arguments.output.write_text(page, encoding="utf-8")
    print(page)


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
    path = _kept(arguments.cache, lessons, family)
    if path.is_file():
        return
    start_s = time.perf_counter()
    trained = _train(lessons, "mf" if family == "neighbours" else family, arguments.base)
    training_s = time.perf_counter() - start_s
    scores: dict[str, Any] = {
        name.replace("-", "_"): _scores(trained, family, pair)
        for name, pair in lessons.targets.items()
    }
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
        np.savez_compressed(file, **scores)
    print(f"{path.name}: {elapsed_s:.0f} s", note["trials"], flush=True)


def _kept(cache: Path, lessons: Lessons, family: str) -> Path:
    kind = "gold" if lessons.name == GOLD else "foreign"
    return cache / f"{kind}-{lessons.seed}-{family}.npz"


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


def page_of(every: Sequence[Lessons], cache: Path) -> str:
    """Write the figures as a page for results/."""
    seeds = ",".join(str(one.seed) for one in every if one.name == GOLD)
    lines = [
        "# `bert` on real data",
        "",
        f"    python -m runs.train_bert --data DIR --base FOLDER --cache FOLDER --seeds {seeds}",
        "",
        INTRODUCTION,
        "",
    ]
    for benchmark in benchmark_names():
        lines += [
            f"## {benchmark}",
            "",
            "| trained on | router | N | APGR | minus length | CPT(50%) | CPT(80%) |",
            "|---|---|---|---|---|---|---|",
        ]
        for name in (GOLD, FOREIGN):
            lines += _rows(name, [one for one in every if one.name == name], benchmark, cache)
        lines += [
            "| none | random (analytic) | - | 0.500 | - | 50.0 | 80.0 |",
            *(
                f"| paper: {data} | BERT-base | - | {apgr} | - | {cpt_50} | {cpt_80} |"
                for data, apgr, cpt_50, cpt_80 in PAPER[benchmark]
            ),
            "",
        ]
    lines += ["## What was fitted", "", *(_fitted(one, cache) for one in every), ""]
    return "\n".join(lines)


def _rows(name: str, draws: Sequence[Lessons], benchmark: str, cache: Path) -> Iterator[str]:
    """Average exact figures over draws; equal seeds resample the same groups of every draw."""
    if not draws:
        return
    parts: list[tuple[dict[str, FloatArray], PairOutcomes, MetricSamples]] = []
    for one in draws:
        pair = one.targets[benchmark]
        scores = {
            family: np.load(_kept(cache, one, family))[benchmark.replace("-", "_")]
            for family in FAMILIES
        }
        scores = {name: np.nan_to_num(values, nan=1.0) for name, values in scores.items()}
        scores["length"] = LengthRouter().win_probabilities(pair.prompts)
        scores["oracle"] = oracle_scores(
            weak_quality=pair.weak_quality, strong_quality=pair.strong_quality
        )
        samples = bootstrap_metrics(
            scores,
            weak_quality=pair.weak_quality,
            strong_quality=pair.strong_quality,
            group_codes=pair.group_codes,
            n_resamples=N_RESAMPLES,
            seed=SEED,
        )
        parts.append((scores, pair, samples))
    n_prompts = round(np.mean([len(pair) for _, pair, _ in parts]))
    for router in (*FAMILIES, "length", "oracle"):
        figures = {metric: _figure(parts, router, metric) for metric in METRICS}
        minus = _figure(parts, router, "apgr", other="length")
        apgrs = [_exact(scores[router], pair, "apgr") for scores, pair, _ in parts]
        worst = f" ({min(apgrs):.3f})" if len(parts) > 1 else ""
        yield (
            f"| {name if router in FAMILIES else 'none'} | {router} | {n_prompts:,} | "
            f"{_cell(figures['apgr'])}{worst} | "
            f"{'-' if router in ('length', 'oracle') else _cell(minus, signed=True)} | "
            f"{_cell(figures['cpt_50'], percent=True)} | {_cell(figures['cpt_80'], percent=True)} |"
        )


def _figure(
    parts: Sequence[tuple[dict[str, FloatArray], PairOutcomes, MetricSamples]],
    router: str,
    metric: str,
    *,
    other: str | None = None,
) -> Figure:
    values = [_exact(scores[router], pair, metric) for scores, pair, _ in parts]
    drawn = [samples.samples(router, metric) for _, _, samples in parts]
    if other is not None:
        values = [
            value - _exact(scores[other], pair, metric)
            for value, (scores, pair, _) in zip(values, parts, strict=True)
        ]
        drawn = [
            own - samples.samples(other, metric)
            for own, (_, _, samples) in zip(drawn, parts, strict=True)
        ]
    interval = percentile_interval(np.mean(drawn, axis=0))
    return Figure(value=float(np.mean(values)), low=interval.low, high=interval.high)


def _exact(scores: FloatArray, pair: PairOutcomes, metric: str) -> float:
    metrics = routing_metrics(
        scores, weak_quality=pair.weak_quality, strong_quality=pair.strong_quality
    )
    return float(getattr(metrics, metric))


def _cell(figure: Figure, *, signed: bool = False, percent: bool = False) -> str:
    pattern = "{:.1f}" if percent else "{:+.3f}" if signed else "{:.3f}"
    scale = 100 if percent else 1
    value, low, high = (pattern.format(scale * x) for x in (figure.value, figure.low, figure.high))
    return f"{value} [{low}, {high}]"


def _fitted(lessons: Lessons, cache: Path) -> str:
    """Say how one fit of `bert` went."""
    note = json.loads(_kept(cache, lessons, "bert").with_suffix(".json").read_text())
    settings, balance = note["settings"], note["settings"]["label_balance"]
    check = settings["int8_check"]
    trials = ", ".join(f"{one['learning_rate']:g}: {one['loss']:.4f}" for one in note["trials"])
    text = (
        f"- {lessons.name}, seed {lessons.seed}: {note['n_prompts']:,} training prompts (strong "
        f"wins {balance['strong']:.0%}, ties {balance['tie']:.0%}, weak wins {balance['weak']:.0%}"
        f"); validation loss by learning rate {trials}; weights of step {settings['best_step']} of "
        f"{settings['n_steps_taken']}; int8 against torch on {check['n_prompts']:,} prompts: mean "
        f"difference {check['mean_difference']:.4f}, largest {check['largest_difference']:.4f}"
    )
    held_out = note["held_out"]
    if held_out is None:
        return text
    shown = ", ".join(
        f"{name} {figure[0]:.3f} [{figure[1]:.3f}, {figure[2]:.3f}]"
        for name, figure in held_out.items()
        if name != "n_prompts"
    )
    return f"{text}; APGR on its own held-out prompts (N = {held_out['n_prompts']}): {shown}"


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
