"""Measure what calibration promises: shares met, intervals that cover, order kept.

    python runs/measure_calibration.py --data DIR [--results FILE]

Takes about five minutes on 2 cores.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from routecast.artifacts import load_artifact, load_router, router_folder
from routecast.calibrate.probability import choose_calibration
from routecast.calibrate.threshold import SampleOutcomes, choose_threshold
from routecast.calibrate.unlike import FAR, MAX_PROMPTS, compare_traffic
from routecast.data.leakage import prompt_hashes64
from routecast.embed.registry import load_embedder
from routecast.evaluate.benchmarks import benchmark_names, load_benchmark
from routecast.evaluate.discrimination import expected_calibration_error, log_loss, win_labels
from routecast.evaluate.metrics import routing_metrics
from routecast.policy.cuts import Cut, tie_draw
from routecast.policy.goals import Goal
from routecast.routers.calibrated import CalibratedRouter
from routecast.stats.isotonic import fit_isotonic, isotonic_regression
from routecast.stats.platt import fit_platt
from routecast.types import EmbeddingArray, FloatArray

SEED = 20261121
N_DRAWS = 10_000
N_FIRST = 1000
N_SAMPLE = 500
N_LABELS = 1531
SHARES = (0.10, 0.25, 0.50, 0.75)
QUALITIES = (0.90, 0.95)
TRAINING_SETS = {
    "MMLU-Pro": ("mmlu_pro_34models", "question"),
    "ZeroEval": ("zeroeval_matrix", "query"),
    "LLMRouter": ("llmrouter_uiuc_train", "query"),
    "PandaLM": ("pandalm_human_999", "prompt"),
    "RouterDC": ("routerdc_7models", "query"),
    "Llama 1B and 70B": ("javidlakha_llama3_1Bvs70B", "query"),
    "AlpacaEval": ("alpacaeval2_vs_gpt4turbo", "prompt"),
    "Arena": ("arena_topic_prompts", "prompt"),
}


def main() -> None:
    """Measure and write the page."""
    arguments = _arguments()
    page = "\n".join(
        [
            "# Calibration",
            "",
            "    python runs/measure_calibration.py --data DIR",
            "",
            *share_lines(arena_prompts(arguments.data)),
            "",
            *quality_lines(arguments.data),
            "",
            *map_lines(arguments.data),
            "",
            *unlike_lines(arguments.data),
            "",
        ]
    )
    arguments.results.write_text(page)
    print(page)


def read_prompts(folder: Path, file: str, column: str) -> list[str]:
    """Return a set's distinct prompts in file order."""
    import polars as pl

    table = pl.read_parquet(folder / "train" / f"{file}.parquet", columns=[column])
    prompts: list[str] = table[column].drop_nulls().unique(maintain_order=True).to_list()
    return prompts


def arena_prompts(folder: Path) -> list[str]:
    """Return the 16,441 distinct Arena prompts."""
    return read_prompts(folder, *TRAINING_SETS["Arena"])


@dataclass(frozen=True)
class Realised:
    """What became of a promise in many draws.

    Attributes:
        errors: Realised less expected, shape (n_draws,).
        covered: Whether the stated interval held the realised value, 0 or 1, same shape.
    """

    errors: FloatArray
    covered: FloatArray

    def cells(self, unit: float) -> str:
        """Return mean absolute error with its standard error, bias, and coverage, as cells."""
        n_draws = len(self.errors)
        absolute = np.abs(self.errors)
        error = absolute.std(ddof=1) / np.sqrt(n_draws)
        share, first = self.covered.mean(), self.covered[:N_FIRST].mean()
        half = 1.96 * np.sqrt(share * (1 - share) / n_draws)
        return (
            f"{unit * absolute.mean():.2f} ± {unit * 1.96 * error:.2f} | "
            f"{unit * self.errors.mean():+.2f} | {np.mean(absolute <= 0.025):.1%} | "
            f"{share:.1%} ± {half:.1%} | {first:.1%}"
        )


def draws(n_prompts: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the rows of each random sample, and the rows that are left."""
    rng = np.random.default_rng(SEED)
    for _ in range(N_DRAWS):
        order = rng.permutation(n_prompts)
        yield order[:N_SAMPLE], order[N_SAMPLE:]


def goes_strong(scores: FloatArray, hashes: FloatArray, cut: Cut) -> FloatArray:
    """Decide as the gateway does, 1 for strong: `decide`, for many prompts at once."""
    weights = cut.strong_weights(scores)
    return np.where(hashes < weights, 1.0, 0.0)


def share_lines(prompts: Sequence[str]) -> Iterator[str]:
    """Yield the table of shares asked for and met."""
    hashes = np.array([tie_draw(prompt) for prompt in prompts])
    yield "## The share that is asked for is the share that is met"
    yield ""
    yield (
        f"{len(prompts):,} different Arena prompts; {N_DRAWS:,} times, {N_SAMPLE} of them drawn "
        "at random chose the threshold, and the others were routed with it, ties split by the "
        "prompts' hashes. The error is in points of share, realised less asked for; the interval "
        "is the one that `routecast calibrate` states, for all further traffic. ± is 95% over "
        "the draws. With a sample this size no method can do much better: the share above an "
        "order statistic of 500 continuous scores is beta distributed, with a mean absolute error "
        "of 1.07, 1.54, 1.78 and 1.54 points at these shares. Since the others are a finite number "
        "too, 94.6% are expected to be covered, with a standard error of 0.7 points in 1,000 draws."
    )
    yield ""
    yield (
        "| router | different scores | share | mean absolute error | bias | within 2.5 points | "
        "covered by the 95% interval | in the first 1,000 draws |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for name in ("default", "length"):
        scores = load_router(name).router.win_probabilities(prompts)
        n_distinct = len(np.unique(scores))
        found = realised_shares(scores, hashes)
        for share, realised in found.items():
            yield f"| {name} | {n_distinct:,} | {share:.0%} | {realised.cells(100)} |"


def realised_shares(scores: FloatArray, hashes: FloatArray) -> Mapping[float, Realised]:
    """Choose on each draw, and look at the rest."""
    rows: dict[float, list[tuple[float, float]]] = {share: [] for share in SHARES}
    for sample, rest in draws(len(scores)):
        for share, found in rows.items():
            choice = choose_threshold(scores[sample], Goal("strong_share", share))
            met = float(goes_strong(scores[rest], hashes[rest], choice.cut).mean())
            interval = choice.strong_share
            found.append((met - share, float(interval.low <= met <= interval.high)))
    return {share: Realised(*np.array(found).T) for share, found in rows.items()}


def quality_lines(folder: Path) -> Iterator[str]:
    """Yield the table of qualities asked for and met on MMLU."""
    pair = load_benchmark("mmlu", folder / "benchmarks" / "routellm").pair
    scores = load_router("length").router.win_probabilities(pair.prompts)
    hashes = np.array([tie_draw(prompt) for prompt in pair.prompts])
    yield "## The quality that is asked for"
    yield ""
    yield (
        f"The same on MMLU ({len(pair):,} prompts, samples of {N_SAMPLE}, the `length` router), "
        "with a goal of quality over the strong model's. The threshold is chosen for quality on "
        "the sample, so the rest falls a little short of it: the bias is that price. In points."
    )
    yield ""
    yield (
        "| goal | mean absolute error | bias | within 2.5 points | covered by the 95% interval | "
        "in the first 1,000 draws |"
    )
    yield "|---|---|---|---|---|---|"
    weak, strong = pair.weak_quality, pair.strong_quality
    rows: dict[float, list[tuple[float, float]]] = {quality: [] for quality in QUALITIES}
    for sample, rest in draws(len(scores)):
        outcomes = SampleOutcomes(
            strong=pair.strong,
            weak=pair.weak,
            strong_quality=strong[sample],
            weak_quality=weak[sample],
        )
        for quality, found in rows.items():
            choice = choose_threshold(
                scores[sample], Goal("min_quality", quality), outcomes=outcomes
            )
            chosen = goes_strong(scores[rest], hashes[rest], choice.cut)
            routed = np.where(chosen == 1, strong[rest], weak[rest])
            met = float(routed.mean() / strong[rest].mean())
            figure = choice.quality_share
            covered = figure is not None and figure.low <= met <= figure.high
            found.append((met - quality, float(covered)))
    for quality, found in rows.items():
        yield f"| {quality:.0%} | {Realised(*np.array(found).T).cells(100)} |"


def map_lines(folder: Path) -> Iterator[str]:
    """Yield the choice between Platt and isotonic, and APGR before and after, on benchmarks."""
    yield "## Calibrating leaves the order of prompts as it is"
    yield ""
    yield (
        f"{N_LABELS:,} labels of each benchmark drawn at random (GSM8K: half of it) fitted the "
        "map; APGR, different scores, log loss and ECE (15 bins of equal mass) are of the rest. "
        "Log loss of the choice is cross-validated on the labels. The staircase is plain isotonic "
        "regression, for comparison. One draw; GPT-4-1106 against Mixtral-8x7B."
    )
    yield ""
    yield (
        "| set | N | router | map | chosen | log loss of the choice | APGR | different scores | "
        "log loss | ECE |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for name in ("mmlu", "gsm8k"):
        pair = load_benchmark(name, folder / "benchmarks" / "routellm").pair
        for router in ("default", "length"):
            loaded = load_router(router).router
            raw = loaded.router if isinstance(loaded, CalibratedRouter) else loaded
            scores = raw.win_probabilities(pair.prompts)
            yield from map_rows(
                name, router, scores, pair.weak_quality, pair.strong_quality, pair.prompts
            )


def map_rows(
    benchmark: str,
    router: str,
    scores: FloatArray,
    weak: FloatArray,
    strong: FloatArray,
    prompts: Sequence[str],
) -> Iterator[str]:
    """Yield one line per map."""
    order = np.random.default_rng(SEED).permutation(len(scores))
    n_labels = min(N_LABELS, len(scores) // 2)
    labelled, rest = order[:n_labels], order[n_labels:]
    wins = win_labels(weak_quality=weak, strong_quality=strong)
    groups = prompt_hashes64([prompts[row] for row in labelled.tolist()]).tolist()
    choice = choose_calibration(scores[labelled], wins[labelled], groups=groups, seed=SEED)
    losses = {"Platt": choice.platt_log_loss, "isotonic, strict": choice.isotonic_log_loss}
    by_score = labelled[np.argsort(scores[labelled], kind="stable")]
    values, starts, counts = np.unique(scores[by_score], return_index=True, return_counts=True)
    means = np.add.reduceat(wins[by_score], starts) / counts
    steps = isotonic_regression(means, weights=counts.astype(np.float64))
    maps = {
        "none": scores[rest],
        "Platt": fit_platt(scores[labelled], wins[labelled]).apply(scores[rest]),
        "isotonic, strict": fit_isotonic(scores[labelled], wins[labelled]).apply(scores[rest]),
        "staircase": np.interp(scores[rest], values, steps),
    }
    for name, mapped in maps.items():
        apgr = routing_metrics(mapped, weak_quality=weak[rest], strong_quality=strong[rest]).apgr
        chosen = "yes" if name.lower().startswith(choice.kind) else ""
        loss = f"{losses[name]:.4f}" if name in losses else ""
        yield (
            f"| {benchmark} | {len(rest):,} | {router} | {name} | {chosen} | {loss} | "
            f"{apgr:.9f} | {len(np.unique(mapped)):,} | {log_loss(mapped, wins[rest]):.4f} | "
            f"{expected_calibration_error(mapped, wins[rest]):.3f} |"
        )


def unlike_lines(folder: Path) -> Iterator[str]:
    """Yield the energy distances between the sets, and from the default's training data."""
    embedder = load_embedder("static")
    sets = {
        name: load_benchmark(name, folder / "benchmarks" / "routellm").pair.prompts
        for name in benchmark_names()
    }
    for name, (file, column) in TRAINING_SETS.items():
        sets[name] = read_prompts(folder, file, column)
    rng = np.random.default_rng(SEED)
    halves: dict[str, tuple[EmbeddingArray, EmbeddingArray]] = {}
    for name, prompts in sets.items():
        rows = rng.permutation(len(prompts))[: 2 * MAX_PROMPTS].tolist()
        embeddings = embedder.embed([prompts[row] for row in rows])
        halves[name] = embeddings[::2], embeddings[1::2]
    yield "## Unlike traffic"
    yield ""
    yield (
        "Energy coefficients between embeddings (static embedder, at most 512 prompts a side) of "
        "each set and the default router's training data, which is a mixture of the "
        f"sets marked *; p by 999 permutations. `unlike` from {FAR}: a bar set by eye on this "
        "table, above the larger parts of the mixture and below the benchmarks on which the "
        "default router does little better than chance. Against itself: two halves of one set."
    )
    yield ""
    yield "| set | N | coefficient | p | verdict | against itself: coefficient | p | verdict |"
    yield "|---|---|---|---|---|---|---|---|"
    references = load_artifact(router_folder("default")).reference_embeddings
    for name, (one, other) in halves.items():
        far = compare_traffic(one, references, seed=SEED)
        same = compare_traffic(one, other, seed=SEED)
        star = "*" if name in {"MMLU-Pro", "ZeroEval", "LLMRouter"} else ""
        yield (
            f"| {name}{star} | {far.n_prompts} | {far.energy_coefficient:.4f} | {far.p_value:.3f} "
            f"| {far.verdict} | {same.energy_coefficient:.4f} | {same.p_value:.3f} | "
            f"{same.verdict} |"
        )
    yield ""
    yield "Between the sets, one half of each against the other half of the other:"
    yield ""
    yield f"| | {' | '.join(halves)} |"
    yield f"|---|{'---|' * len(halves)}"
    for name, (one, _) in halves.items():
        cells = (
            f"{compare_traffic(one, other, seed=SEED).energy_coefficient:.3f}"
            for _, other in halves.values()
        )
        yield f"| {name} | {' | '.join(cells)} |"


def _arguments() -> argparse.Namespace:
    home = Path(__file__).parents[1]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the shared data")
    parser.add_argument("--results", type=Path, default=home / "results" / "calibration.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
