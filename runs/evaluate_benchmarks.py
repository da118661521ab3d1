"""Evaluate routers on the three published benchmarks, beside the paper's own table.

    python runs/evaluate_benchmarks.py --data DIR [--router NAME=FOLDER ...] [--output FILE]
        [--figures FOLDER]

The default router is always there, and so are the baselines; and on what is left of MMLU after
drawing 1,531 labels, every family trained on those labels. Writes results/benchmarks.md and one
figure per benchmark; neither holds a prompt's text. Takes about three minutes on 2 cores.
"""

import argparse
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

import numpy as np

from routecast.artifacts import save_artifact
from routecast.data.splits import split_by_prompt
from routecast.embed.cache import cached, user_cache_folder
from routecast.embed.protocol import Embedder
from routecast.embed.registry import load_embedder
from routecast.evaluate.benchmarks import Benchmark, benchmark_names, load_benchmark
from routecast.evaluate.plots import write_curve_pictures
from routecast.evaluate.run import evaluate_routers
from routecast.evaluate.score_cache import ScoreCache
from routecast.evaluate.study import Figure, RouterStudy, Study, SubsetStudy
from routecast.evaluate.subsets import N_RESAMPLES as SUBSET_RESAMPLES
from routecast.train.pipeline import TrainSettings, train_router
from routecast.train.sources import LabelledSet, set_of_outcomes

SIGNIFICANT = 0.05
N_OWN_LABELS = 1531
OWN_LABELS = "mmlu-own-labels"
DRAW = 1
LIGHT_FAMILIES = ("blend", "mf", "ridge", "sw")  # the transformers have pages of their own


@dataclass(frozen=True)
class PaperRow:
    """One line of the paper's results: shares of calls in percent, and APGR; no intervals."""

    router: str
    data: str
    cpt_50: float
    cpt_80: float
    apgr: float


PAPER: Mapping[str, tuple[PaperRow, ...]] = {
    "mmlu": (
        PaperRow("random", "", 50.07, 79.93, 0.500),
        PaperRow("BERT", "arena", 49.43, 77.80, 0.502),
        PaperRow("BERT", "arena + gold", 41.30, 72.20, 0.572),
        PaperRow("causal LLM", "arena", 48.88, 77.93, 0.499),
        PaperRow("causal LLM", "arena + gold", 35.49, 70.31, 0.600),
        PaperRow("MF", "arena", 45.00, 76.86, 0.524),
        PaperRow("MF", "arena + gold", 35.46, 71.40, 0.597),
        PaperRow("SW", "arena", 55.82, 80.25, 0.473),
        PaperRow("SW", "arena + gold", 35.40, 71.55, 0.603),
    ),
    "gsm8k": (
        PaperRow("random", "", 50.00, 80.08, 0.497),
        PaperRow("BERT", "arena", 58.78, 83.84, 0.438),
        PaperRow("BERT", "arena + judge", 44.76, 79.09, 0.531),
        PaperRow("causal LLM", "arena", 56.09, 83.56, 0.461),
        PaperRow("causal LLM", "arena + judge", 33.64, 63.26, 0.622),
        PaperRow("MF", "arena", 53.59, 85.24, 0.475),
        PaperRow("MF", "arena + judge", 38.82, 72.62, 0.565),
        PaperRow("SW", "arena", 54.43, 82.11, 0.475),
        PaperRow("SW", "arena + judge", 41.21, 72.20, 0.568),
    ),
    "mt-bench": (
        PaperRow("random", "", 49.03, 78.08, 0.500),
        PaperRow("BERT", "arena", 78.09, 87.64, 0.391),
        PaperRow("BERT", "arena + judge", 19.58, 34.02, 0.751),
        PaperRow("causal LLM", "arena", 28.82, 77.53, 0.573),
        PaperRow("causal LLM", "arena + judge", 31.50, 48.75, 0.679),
        PaperRow("MF", "arena", 25.32, 74.26, 0.580),
        PaperRow("MF", "arena + judge", 13.40, 31.31, 0.802),
        PaperRow("SW", "arena", 37.85, 58.99, 0.610),
        PaperRow("SW", "arena + judge", 23.21, 36.04, 0.759),
    ),
}
"""Ong et al. (2024), arXiv:2406.18665, on the same pair of models."""

READING = """
## How to read this

- **APGR** is the mean share of the gap between weak and strong quality that routing recovers,
  exact, over all cut points; 0.5 is a random order. **CPT(x%)** is the share of strong calls, in
  percent, that recovers x% of the gap. *As published* is APGR by the 11 quantile cuts of the
  authors' code, for comparing with their figures; *of the oracle* is (APGR - 0.5) / (oracle - 0.5).
- Brackets are 95% intervals of {n_resamples:,} paired bootstrap resamples. On MMLU whole subjects
  are resampled, not prompts, because a router may be right or wrong about a subject as a whole; by
  category with {n_subset_resamples:,} resamples. The paper gives no intervals.
- `length` is the number of characters of the prompt. `oracle` knows both answers.
  `ridge-own-labels` learned from the same benchmark, each fold of it from the other folds: it is
  what labels from one's own traffic give to ridge regression, and no fair rival of routers that
  never saw these tasks.
- `{own_labels}` is what is left of MMLU after {n_own_labels:,} of its labels, the size of the
  paper's "gold" set, were drawn at random, equal prompts on one side; routers with "own labels" in
  their name learned from those alone, with the `static` embedder. One draw;
  results/light_routers.md has the means over five, and MiniLM beside it.
- The paper's routers saw 65,000 arena battles, and with "gold" 1,500 labels from MMLU's own
  validation set, with "judge" 120,000 judged pairs of answers of these two models.
- p is corrected by Holm over all differences of one benchmark.
"""


def main() -> None:
    """Evaluate, draw, write."""
    arguments = _arguments()
    routers = {"default": "default", **dict(arguments.router)}
    embeddings = user_cache_folder(os.environ, home=Path.home())
    embedders = [cached(load_embedder(name), embeddings) for name in arguments.embedder]
    use_cache = not arguments.no_cache
    studies = list(studies_of(arguments.data, routers, embedders, use_cache=use_cache))
    studies.append(own_label_study(arguments.data))
    page = results_page(studies, arguments.figures.name)
    arguments.figures.mkdir(parents=True, exist_ok=True)
    for study in studies:
        _draw(study, arguments.figures / f"{study.benchmark}.svg")
    arguments.output.write_text(page, encoding="utf-8")
    print(page)


def studies_of(
    folder: Path, routers: Mapping[str, str], embedders: Sequence[Embedder], *, use_cache: bool
) -> Iterator[Study]:
    """Evaluate the routers on each published benchmark."""
    kept = user_cache_folder(os.environ, home=Path.home()).parent
    for name in benchmark_names():
        print(f"evaluating on {name}", flush=True)
        yield evaluate_routers(
            load_benchmark(name, folder),
            routers,
            cache=ScoreCache(kept / "scores") if use_cache else None,
            embedders=embedders,
        )


def own_label_study(folder: Path) -> Study:
    """Train every family on labels drawn from MMLU, and evaluate on the rest of it."""
    mmlu = load_benchmark("mmlu", folder)
    share = N_OWN_LABELS / len(mmlu.outcomes)
    drawn = split_by_prompt(
        mmlu.outcomes.prompts, fractions=(share, 0.0, 1.0 - share), seed=DRAW
    ).train
    is_drawn = np.isin(np.arange(len(mmlu.outcomes)), drawn)
    labels = set_of_outcomes(mmlu.outcomes.keep_rows(is_drawn), models=[mmlu.strong, mmlu.weak])
    rest = replace(mmlu, name=OWN_LABELS, outcomes=mmlu.outcomes.keep_rows(~is_drawn))
    with TemporaryDirectory() as workspace:
        routers = {"default": "default"}
        for family in LIGHT_FAMILIES:
            print(f"training {family} on {N_OWN_LABELS:,} labels of MMLU", flush=True)
            place = Path(workspace) / family
            _train(family, labels, mmlu, place)
            routers[f"{family}, own labels"] = str(place)
        print(f"evaluating on {OWN_LABELS}", flush=True)
        return evaluate_routers(rest, routers)


def _train(family: str, labels: LabelledSet, mmlu: Benchmark, place: Path) -> None:
    settings = TrainSettings(
        router=family,
        strong=(mmlu.strong,),
        weak=(mmlu.weak,),
        fractions=(0.9, 0.1, 0.0),
        seed=DRAW,
    )
    save_artifact(
        train_router([labels], settings, embedder=load_embedder("static")).artifact, place
    )


def _draw(study: Study, path: Path) -> None:
    with TemporaryDirectory() as workspace:
        write_curve_pictures(study, workspace)
        copyfile(Path(workspace) / "curve.svg", path)


def results_page(studies: Sequence[Study], figures: str) -> str:
    """Return the page: what it shows, how to read it, then each benchmark."""
    first = studies[0]
    parts = [
        "# Routers on the published benchmarks\n",
        "Made by `python runs/evaluate_benchmarks.py --data DIR`; strong is "
        f"`{first.strong}`, weak is `{first.weak}`.\n",
        "## What it shows\n",
        *(f"- {finding}" for study in studies for finding in findings(study)),
        READING.format(
            n_resamples=first.n_resamples,
            n_subset_resamples=SUBSET_RESAMPLES,
            own_labels=OWN_LABELS,
            n_own_labels=N_OWN_LABELS,
        ),
        *(benchmark_section(study, figures) for study in studies),
    ]
    return "\n".join(parts)


def findings(study: Study) -> Iterator[str]:
    """Say what one benchmark tells of the routers, good or bad, by its intervals."""
    length = _router(study, "length").metrics["apgr"].value
    own = _router(study, "ridge-own-labels").metrics["apgr"]
    best = max(PAPER[_published(study)], key=lambda row: row.apgr)
    for router in study.routers:
        if router.is_baseline:
            continue
        apgr = router.metrics["apgr"]
        verdicts = []
        for found in study.differences:
            if found.router == router.name and found.other in ("random", "length"):
                other = {"random": "a random order", "length": "the prompt's length"}[found.other]
                verdicts.append(_verdict(found.holm_p_value, found.figure.value) + other)
        yield (
            f"**{study.benchmark}** ({len(study.prompts):,} prompts): `{router.name}` reaches APGR "
            f"{_interval(apgr, 3)}, {' and '.join(verdicts)} (length alone: {length:.3f})."
        )
    yield (
        f"**{study.benchmark}**: with labels of the same benchmark, ridge regression reaches "
        f"{_interval(own, 3)}; the paper's best is {best.apgr:.3f} ({best.router}, {best.data})."
    )
    for warning in study.warnings:
        if not warning.startswith(("left out", "not told from a random order")):
            yield f"**{study.benchmark}**: {warning}."


def _verdict(p_value: float, difference: float) -> str:
    if not p_value <= SIGNIFICANT:
        return "not told apart from "
    return "better than " if difference > 0 else "worse than "


def benchmark_section(study: Study, figures: str) -> str:
    """Return one benchmark: figure, our routers, differences, the paper's routers, categories."""
    dropped = [warning for warning in study.warnings if warning.startswith("left out")]
    parts = [
        f"## {study.benchmark}\n",
        f"![Quality against the share of strong calls]({figures}/{study.benchmark}.svg)\n",
        f"N = {len(study.prompts):,}; weak alone {_quality(study.weak_quality.mean())}, "
        f"strong alone {_quality(study.strong_quality.mean())}; {'; '.join(dropped)}.\n",
        *router_table(study),
        "",
        *difference_table(study),
        "\nThe paper's routers on this benchmark, as printed there:\n",
        *paper_table(_published(study)),
    ]
    categories = [part for part in study.subsets if part.kind == "category"]
    if categories:
        parts += ["\nAPGR by category, whole subjects resampled:\n", *subset_table(categories)]
    return "\n".join(parts) + "\n"


def router_table(study: Study) -> Iterator[str]:
    """Yield the table of our routers and of the baselines."""
    yield "| router | APGR | as published | of the oracle | CPT(50%) | CPT(80%) | AUROC | ECE |"
    yield "|---|---|---|---|---|---|---|---|"
    for router in study.routers:
        metrics = router.metrics
        if "apgr" not in metrics:
            continue
        name = f"*{router.name}*" if router.is_baseline else f"**{router.name}**"
        cells = [
            _interval(metrics["apgr"], 3),
            _number(metrics.get("apgr_eleven_quantiles"), 3),
            _number(metrics.get("apgr_normalised"), 3),
            _interval(metrics["cpt_50"], 1, scale=100),
            _interval(metrics["cpt_80"], 1, scale=100),
            _interval(metrics["auroc"], 3) if "auroc" in metrics else "",
            _interval(metrics["ece"], 3) if "ece" in metrics else "",
        ]
        yield f"| {name} | {' | '.join(cells)} |"


def difference_table(study: Study) -> Iterator[str]:
    """Yield the differences of APGR between routers."""
    yield "| router | against | difference of APGR | p, corrected |"
    yield "|---|---|---|---|"
    for found in study.differences:
        yield (
            f"| {found.router} | {found.other} | {_interval(found.figure, 3)} | "
            f"{found.holm_p_value:.4f} |"
        )


def paper_table(benchmark: str) -> Iterator[str]:
    """Yield the paper's own lines for a benchmark."""
    yield "| router | trained on | APGR | CPT(50%) | CPT(80%) |"
    yield "|---|---|---|---|---|"
    for row in PAPER[benchmark]:
        calls = f"{row.cpt_50:.1f} | {row.cpt_80:.1f}"
        yield f"| {row.router} | {row.data} | {row.apgr:.3f} | {calls} |"


def subset_table(parts: Sequence[SubsetStudy]) -> Iterator[str]:
    """Yield APGR of each router by part of a benchmark."""
    names = list(parts[0].metrics)
    yield f"| category | N | {' | '.join(names)} |"
    yield "|---|---|" + "---|" * len(names)
    for part in parts:
        cells = [_interval(part.metrics[name]["apgr"], 2) for name in names]
        yield f"| {part.name} | {part.n_prompts:,} | {' | '.join(cells)} |"


def _published(study: Study) -> str:
    """Name the benchmark that a study is on, or on a part of."""
    return "mmlu" if study.benchmark == OWN_LABELS else study.benchmark


def _router(study: Study, name: str) -> RouterStudy:
    return next(router for router in study.routers if router.name == name)


def _interval(figure: Figure, n_digits: int, *, scale: float = 1.0) -> str:
    if math.isnan(figure.value):
        return "-"
    value = f"{scale * figure.value:.{n_digits}f}"
    if figure.low == figure.high or math.isnan(figure.low):
        return value
    return f"{value} [{scale * figure.low:.{n_digits}f}, {scale * figure.high:.{n_digits}f}]"


def _number(figure: Figure | None, n_digits: int) -> str:
    return "" if figure is None or math.isnan(figure.value) else f"{figure.value:.{n_digits}f}"


def _quality(value: float) -> str:
    return f"{value:.2f}" if value > 1 else f"{value:.3f}"


def _named_router(text: str) -> tuple[str, str]:
    name, separator, folder = text.partition("=")
    if not separator or not name or not Path(folder).is_dir():
        raise argparse.ArgumentTypeError(f"{text!r}; accepted is NAME=FOLDER of a trained router")
    return name, folder


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="Folder of the benchmarks.")
    parser.add_argument(
        "--router", type=_named_router, action="append", default=[], metavar="NAME=FOLDER"
    )
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks.md"))
    parser.add_argument("--figures", type=Path, default=Path("results/benchmarks"))
    parser.add_argument(
        "--embedder", action="append", default=[], help="One that a router was trained on."
    )
    parser.add_argument("--no-cache", action="store_true", help="Score anew, and keep nothing.")
    return parser.parse_args()


if __name__ == "__main__":
    main()
