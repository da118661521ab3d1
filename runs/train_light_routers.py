"""Train `mf` and `sw` on real data, and measure them on the three benchmarks.

    python -m runs.train_light_routers --data DIR [--minilm FOLDER] [--cache FOLDER]

Three training sets: (a) every pair of the models of MMLU-Pro's evaluation results, (b) AlpacaEval 2
and PandaLM, (c) 1,531 gold labels drawn from MMLU, five draws, measured on the rest. No question of
a benchmark is in (a) or (b). Settings are chosen on validation prompts of the training data. With
`--minilm` everything is done again on the vectors of all-MiniLM-L6-v2, which takes ten minutes to
embed on 2 cores the first time; `--cache` keeps them. No prompt's text is written.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from runs.neighbours import NearestNeighbours

from routecast.data.outcomes import Outcomes, PairOutcomes
from routecast.data.readers.registry import find_reader
from routecast.data.splits import split_by_prompt
from routecast.embed.cache import cached
from routecast.embed.protocol import Embedder, EmbedderIdentity
from routecast.embed.registry import load_embedder
from routecast.evaluate.benchmarks import STRONG, WEAK, benchmark_names, load_benchmark
from routecast.evaluate.intervals import MetricSamples, bootstrap_metrics
from routecast.evaluate.metrics import oracle_scores, routing_metrics
from routecast.evaluate.study import Figure
from routecast.routers.length import LengthRouter
from routecast.stats.bootstrap import percentile_interval
from routecast.train.overlap import OnOverlap, settle_overlap
from routecast.train.pipeline import TrainedRouter, TrainSettings, train_router
from routecast.train.sources import LabelledSet, set_of_comparisons, set_of_outcomes
from routecast.types import EmbeddingArray, FloatArray, IntArray

SEED = 20261121
DRAWS = (1, 2, 3, 4, 5)
N_GOLD = 1531
METRICS = ("apgr", "cpt_50", "cpt_80")
FAMILIES = ("mf", "sw")
BENCHMARK_FLAGS = ("in_routellm_mmlu_eval", "in_routellm_gsm8k_eval", "in_mt_bench")
UNNAMED = "merged-2026-02(unnamed)"

PAPER = {
    "mmlu": (
        ("BERT", "arena", ".502", "49.43", "77.80"),
        ("BERT", "arena + gold", ".572", "41.30", "72.20"),
        ("causal LLM", "arena", ".499", "48.88", "77.93"),
        ("causal LLM", "arena + gold", ".600", "35.49", "70.31"),
        ("MF", "arena", ".524", "45.00", "76.86"),
        ("MF", "arena + gold", ".597", "35.46", "71.40"),
        ("SW", "arena", ".473", "55.82", "80.25"),
        ("SW", "arena + gold", ".603", "35.40", "71.55"),
    ),
    "gsm8k": (
        ("BERT", "arena", ".438", "58.78", "83.84"),
        ("BERT", "arena + judge", ".531", "44.76", "79.09"),
        ("causal LLM", "arena", ".461", "56.09", "83.56"),
        ("causal LLM", "arena + judge", ".622", "33.64", "63.26"),
        ("MF", "arena", ".475", "53.59", "85.24"),
        ("MF", "arena + judge", ".565", "38.82", "72.62"),
        ("SW", "arena", ".475", "54.43", "82.11"),
        ("SW", "arena + judge", ".568", "41.21", "72.20"),
    ),
    "mt-bench": (
        ("BERT", "arena", ".391", "78.09", "87.64"),
        ("BERT", "arena + judge", ".751", "19.58", "34.02"),
        ("causal LLM", "arena", ".573", "28.82", "77.53"),
        ("causal LLM", "arena + judge", ".679", "31.50", "48.75"),
        ("MF", "arena", ".580", "25.32", "74.26"),
        ("MF", "arena + judge", ".802", "13.40", "31.31"),
        ("SW", "arena", ".610", "37.85", "58.99"),
        ("SW", "arena + judge", ".759", "23.21", "36.04"),
    ),
}
"""Ong et al. (2024), arXiv:2406.18665, tables 1 to 3: router, data, APGR, CPT(50%), CPT(80%)."""


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """What to learn from, and the models that stand for strong and for weak.

    Attributes:
        name: As the page calls it.
        sets: Without benchmark questions.
        strong: Stands for GPT-4-1106.
        weak: Stands for Mixtral-8x7B.
        fractions: Of training, validation and test.
        seed: Of the split and the fit.
    """

    name: str
    sets: Sequence[LabelledSet]
    strong: str
    weak: str
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
    seed: int = SEED


@dataclass(frozen=True)
class Target:
    """Prompts to measure on, with their vectors.

    Attributes:
        name: The benchmark.
        pair: Its outcomes.
        embeddings: Shape (n_prompts, dimension).
    """

    name: str
    pair: PairOutcomes
    embeddings: EmbeddingArray

    def take(self, rows: IntArray) -> "Target":
        """Return some of the prompts."""
        keep = np.isin(np.arange(len(self.pair)), rows)
        pair = replace(self.pair, outcomes=self.pair.outcomes.keep_rows(keep))
        return Target(self.name, pair, self.embeddings[keep])


@dataclass(frozen=True)
class Row:
    """One line of a table: figures of one router trained on one set."""

    data: str
    router: str
    embedder: str
    n_prompts: int
    figures: dict[str, Figure]
    worst_apgr: float | None = None


@dataclass
class Findings:
    """Rows by benchmark, and lines of text about the training."""

    rows: dict[str, list[Row]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def main() -> None:
    """Train, measure, and write the page."""
    arguments = _arguments()
    findings = Findings()
    embedders = {"static": load_embedder("static")}
    if arguments.minilm is not None:
        embedders["MiniLM"] = _minilm(arguments.minilm, arguments.cache)
    foreign = foreign_data(arguments.data, embedders["static"], findings)
    for label, embedder in embedders.items():
        targets = [
            Target(name, pair, embedder.embed(pair.prompts))
            for name in benchmark_names()
            for pair in [load_benchmark(name, arguments.data / "benchmarks" / "routellm").pair]
        ]
        if label == "static":
            measure_bounds(targets, findings)
        for one in foreign:
            measure_foreign(one, label, embedder, targets, findings)
        measure_gold(label, embedder, targets, findings)
    page = page_of(findings)
    arguments.output.write_text(page)
    print(page)


def foreign_data(
    folder: Path, embedder: Embedder, findings: Findings
) -> tuple[TrainingData, TrainingData]:
    """Read (a) and (b), and leave every benchmark question out."""
    read = find_reader("routellm-eval")
    homes = [folder / "benchmarks" / "routellm" / name for name in ("mmlu", "gsm8k", "mt_bench")]
    questions = [p for home in homes for p in read(home, decontaminate=False).table.prompts]
    outcomes: Outcomes = find_reader("matrix")(folder / "train/mmlu_pro_34models.parquet").table
    models = [name for name in outcomes.models if name != UNNAMED]
    exams = [set_of_outcomes(_unflagged(outcomes), models=models)]
    chats = []
    for name, file in (
        ("alpacaeval", "alpacaeval2_vs_gpt4turbo"),
        ("pandalm", "pandalm_human_999"),
    ):
        table = find_reader(name)(folder / "train" / f"{file}.parquet").table
        flagged = np.logical_or.reduce([table.table[flag].to_numpy() for flag in BENCHMARK_FLAGS])
        chats.append(set_of_comparisons(replace(table, table=table.table.filter(~flagged))))
    cleaned = []
    for sets in (exams, chats):
        kept, report = settle_overlap(
            sets, questions, embedder, on_overlap=OnOverlap.DROP, min_chars=1
        )
        cleaned.append(kept)
        n_left = sum(len(one.preferences.prompts) for one in cleaned[-1])
        findings.notes.append(
            f"{', '.join(one.name for one in sets)}: {n_left:,} prompts are left after the flagged "
            f"ones, and {report.n_overlapping:,} more that hold a benchmark question, went."
        )
    return (
        TrainingData(
            name="(a) MMLU-Pro, 33 models",
            sets=cleaned[0],
            strong="gpt-4o",
            weak="Mixtral-8x7B-Instruct-v0.1",
        ),
        TrainingData(
            name="(b) AlpacaEval 2 + PandaLM",
            sets=cleaned[1],
            strong="gpt4_1106_preview",
            weak="Mixtral-8x7B-Instruct-v0.1",
        ),
    )


def _unflagged(outcomes: Outcomes) -> Outcomes:
    flags = [outcomes.table[flag].to_numpy() for flag in BENCHMARK_FLAGS]
    return outcomes.keep_rows(~np.logical_or.reduce(flags))


def measure_bounds(targets: Sequence[Target], findings: Findings) -> None:
    """Measure what needs no training: the number of characters, and both answers known."""
    for target in targets:
        scores = {
            "length": LengthRouter().win_probabilities(target.pair.prompts),
            "oracle": oracle_scores(
                weak_quality=target.pair.weak_quality, strong_quality=target.pair.strong_quality
            ),
        }
        samples = _bootstrap(scores, target)
        for name, values in scores.items():
            figures = _figures([(values, target, samples, name)])
            row = Row("none", name, "-", len(target.pair), figures)
            findings.rows.setdefault(target.name, []).append(row)


def measure_foreign(
    one: TrainingData,
    label: str,
    embedder: Embedder,
    targets: Sequence[Target],
    findings: Findings,
) -> None:
    """Train on foreign data and measure on every benchmark."""
    scores: list[dict[str, FloatArray]] = [{} for _ in targets]
    for family in FAMILIES:
        trained = _train(one, family, embedder)
        findings.notes.append(_training_note(one, family, label, trained))
        for found, target in zip(scores, targets, strict=True):
            found[family] = _win_probabilities(trained, embedder, target)
            found["nearest neighbours"] = _neighbours(trained).scores(target.embeddings)
    for found, target in zip(scores, targets, strict=True):
        samples = _bootstrap(found, target)
        for name, values in found.items():
            figures = _figures([(values, target, samples, name)])
            row = Row(one.name, name, label, len(target.pair), figures)
            findings.rows.setdefault(target.name, []).append(row)


def measure_gold(
    label: str, embedder: Embedder, targets: Sequence[Target], findings: Findings
) -> None:
    """Train on gold labels of MMLU, draw by draw; measure on the rest of it and elsewhere."""
    mmlu, *others = targets
    parts: dict[tuple[str, str], list[tuple[FloatArray, Target, MetricSamples, str]]] = {}
    for draw in DRAWS:
        one, rest = draw_gold(mmlu, draw)
        found: dict[str, dict[str, FloatArray]] = {}
        for family in FAMILIES:
            trained = _train(one, family, embedder)
            findings.notes.append(_training_note(one, family, label, trained))
            for target in (rest, *others):
                scores = found.setdefault(target.name, {})
                scores[family] = _win_probabilities(trained, embedder, target)
                scores["nearest neighbours"] = _neighbours(trained).scores(target.embeddings)
        for target in (rest, *others):
            scores = found[target.name]
            if target is rest:
                scores["length"] = LengthRouter().win_probabilities(target.pair.prompts)
            samples = _bootstrap(scores, target)
            for name, values in scores.items():
                parts.setdefault((target.name, name), []).append((values, target, samples, name))
    for (benchmark, name), draws in parts.items():
        n_prompts = round(np.mean([len(target.pair) for _, target, _, _ in draws]))
        apgrs = [_figures([part])["apgr"].value for part in draws]
        row = Row(
            f"(c) {N_GOLD:,} gold labels of MMLU",
            name,
            "-" if name == "length" else label,
            n_prompts,
            _figures(draws),
            min(apgrs),
        )
        findings.rows.setdefault(benchmark, []).append(row)


def draw_gold(mmlu: Target, draw: int) -> tuple[TrainingData, Target]:
    """Draw labels by prompt, equal prompts together; return them and the rest."""
    n_prompts = len(mmlu.pair)
    share = N_GOLD / n_prompts
    split = split_by_prompt(mmlu.pair.prompts, fractions=(share, 0.0, 1.0 - share), seed=draw)
    gold = mmlu.take(split.train).pair.outcomes
    labels = set_of_outcomes(replace(gold, source=f"MMLU, draw {draw}"), models=[STRONG, WEAK])
    one = TrainingData(
        name=f"(c) gold labels, draw {draw}",
        sets=[labels],
        strong=STRONG,
        weak=WEAK,
        fractions=(0.9, 0.1, 0.0),
        seed=draw,
    )
    return one, mmlu.take(split.test)


def _train(one: TrainingData, family: str, embedder: Embedder) -> TrainedRouter:
    settings = TrainSettings(
        router=family,
        strong=(one.strong,),
        weak=(one.weak,),
        fractions=one.fractions,
        seed=one.seed,
    )
    return train_router(one.sets, settings, embedder=embedder)


def _win_probabilities(trained: TrainedRouter, embedder: Embedder, target: Target) -> FloatArray:
    """Score prompts as the saved artifact would, calibration and all, from vectors at hand."""
    rows = {prompt: row for row, prompt in enumerate(target.pair.prompts)}
    known = _Known(embedder.identity, rows, target.embeddings)
    return trained.artifact.router(known).win_probabilities(target.pair.prompts)


@dataclass(frozen=True)
class _Known:
    """An embedder that has the vectors of some texts at hand: any other text has the first."""

    identity: EmbedderIdentity
    rows: dict[str, int]
    embeddings: EmbeddingArray

    def embed(self, texts: Sequence[str]) -> EmbeddingArray:
        """Return their vectors, shape (n_texts, dimension)."""
        rows = np.array([self.rows.get(text, 0) for text in texts], dtype=np.int64)
        return np.asarray(self.embeddings[rows])


def _neighbours(trained: TrainedRouter) -> NearestNeighbours:
    """Remember the same labels that the routers were trained on."""
    prepared = trained.prepared
    labels = prepared.labels_on(prepared.split.train)
    return NearestNeighbours(prepared.embeddings[labels.prompt_index], labels.wins)


def _bootstrap(scores: dict[str, FloatArray], target: Target) -> MetricSamples:
    return bootstrap_metrics(
        scores,
        weak_quality=target.pair.weak_quality,
        strong_quality=target.pair.strong_quality,
        group_codes=target.pair.group_codes,
        n_resamples=10_000,
        seed=SEED,
    )


def _figures(
    parts: Sequence[tuple[FloatArray, Target, MetricSamples, str]],
) -> dict[str, Figure]:
    """Average the exact figures over draws; the intervals are of that average.

    Equal seeds resample the same groups of every draw, so the average of the draws' figures on a
    resample is the figure of that resample.
    """
    figures = {}
    for metric in METRICS:
        values = [
            getattr(
                routing_metrics(
                    scores,
                    weak_quality=target.pair.weak_quality,
                    strong_quality=target.pair.strong_quality,
                ),
                metric,
            )
            for scores, target, _, _ in parts
        ]
        samples = [samples.samples(name, metric) for _, _, samples, name in parts]
        interval = percentile_interval(np.mean(samples, axis=0))
        figures[metric] = Figure(value=float(np.mean(values)), low=interval.low, high=interval.high)
    return figures


def _training_note(one: TrainingData, family: str, label: str, trained: TrainedRouter) -> str:
    """Say what was fitted, what was chosen, and what it is worth on its own held-out prompts."""
    manifest, best = trained.artifact.manifest, trained.trials[0]
    chosen = best.settings.get("weight_decay", best.settings.get("gamma"))
    text = (
        f"{one.name}, {family}, {label}: {manifest.training.n_comparisons:,} comparisons over "
        f"{manifest.training.n_prompts:,} prompts; "
        f"{'weight decay' if family == 'mf' else 'gamma'} {chosen:g}, validation loss "
        f"{best.pair_loss:.4f}"
    )
    held_out = trained.held_out
    if held_out is None:
        return text
    measured = held_out.routing or held_out.wins
    metric = "apgr" if held_out.routing else "auroc"
    shown = ", ".join(
        f"{name} {figures[metric].value:.3f} [{figures[metric].low:.3f}, "
        f"{figures[metric].high:.3f}]"
        for name, figures in measured.figures.items()
        if metric in figures
    )
    return (
        f"{text}; {metric.upper()} on its own held-out prompts (N = {held_out.n_prompts}): {shown}"
    )


def _minilm(folder: Path, cache: Path | None) -> Embedder:
    embedder = load_embedder(f"sentence:{folder}")
    if cache is None:
        return embedder
    return cached(embedder, cache)


def page_of(findings: Findings) -> str:
    """Write the figures as a page for results/."""
    lines = [
        "# The two light routers on real data",
        "",
        "    python -m runs.train_light_routers --data DIR --minilm FOLDER --cache FOLDER",
        "",
        "GPT-4-1106 against Mixtral-8x7B. 95% intervals by bootstrap, 10,000 resamples; MMLU by "
        "its 57 subjects, so by far the widest for its size. (a) every pair of 33 models of "
        "MMLU-Pro as gold comparisons, each prompt of equal weight; GPT-4-1106 is not among them, "
        "so `gpt-4o` stands in for it, and `Mixtral-8x7B-Instruct-v0.1` for Mixtral. (b) "
        "AlpacaEval 2 and PandaLM, bound to `gpt4_1106_preview` and `Mixtral-8x7B-Instruct-v0.1` "
        "themselves. (c) "
        f"{N_GOLD:,} gold labels of the pair, drawn from MMLU by prompt: means over five draws, on "
        "the rest of MMLU; the worst draw in brackets after it. Settings were chosen on validation "
        "prompts of each training set, never on a benchmark. Nearest neighbours: the mean label of "
        "the 50 most similar training prompts.",
        "",
    ]
    for benchmark, rows in findings.rows.items():
        lines += [
            f"## {benchmark}",
            "",
            "| trained on | router | vectors | N | APGR | CPT(50%) | CPT(80%) |",
            "|---|---|---|---|---|---|---|",
            *_table(rows),
            "| none | random (analytic) | - | - | 0.500 | 50.0 | 80.0 |",
            *(
                f"| paper: {data} | {router} | - | - | {apgr} | {cpt_50} | {cpt_80} |"
                for router, data, apgr, cpt_50, cpt_80 in PAPER[benchmark]
            ),
            "",
        ]
    lines += ["## What was fitted", "", *(f"- {note}" for note in findings.notes)]
    return "\n".join(lines) + "\n"


def _table(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        cells = []
        for metric in METRICS:
            figure, scale = row.figures[metric], 1 if metric == "apgr" else 100
            digits = 3 if metric == "apgr" else 1
            value, low, high = (
                f"{scale * x:.{digits}f}" for x in (figure.value, figure.low, figure.high)
            )
            cells.append(f"{value} [{low}, {high}]")
        if row.worst_apgr is not None:
            cells[0] += f" ({row.worst_apgr:.3f})"
        names = f"{row.data} | {row.router} | {row.embedder} | {row.n_prompts:,}"
        yield f"| {names} | {' | '.join(cells)} |"


def _arguments() -> argparse.Namespace:
    home = Path(__file__).parents[1]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the shared data")
    parser.add_argument("--minilm", type=Path, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--cache", type=Path, help="folder to keep its vectors in")
    parser.add_argument("--output", type=Path, default=home / "results" / "light_routers.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
