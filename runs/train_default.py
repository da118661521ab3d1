"""Train the router that ships in the package, and measure it.

    python runs/train_default.py --data DIR [--output DIR] [--results FILE]

It learns from the outcomes of many models on four sets whose licences allow weights to ship, with
every prompt left out that is in one of the three benchmarks. Which models stand for strong and for
weak is stated below. The weight decay is chosen on validation prompts of these sets, never on a
benchmark. Takes about two minutes on 2 cores.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt

import routecast
from routecast.artifacts import (
    FORMAT_VERSION,
    MAX_REFERENCES,
    Artifact,
    CalibrationRecord,
    Manifest,
    MetricRecord,
    Source,
    TrainingRecord,
    record_map,
    save_artifact,
)
from routecast.calibrate.probability import choose_calibration
from routecast.calibrate.quantiles import win_probability_quantiles
from routecast.data.comparisons import Comparisons
from routecast.data.leakage import contained_questions, prompt_hashes64
from routecast.data.outcomes import Outcomes
from routecast.data.preferences import (
    PreferenceArrays,
    gold_preferences,
    merge_preferences,
    preferences_from_comparisons,
)
from routecast.data.readers.registry import find_reader
from routecast.data.splits import split_by_prompt
from routecast.embed.protocol import Embedder
from routecast.embed.registry import load_embedder
from routecast.evaluate.benchmarks import benchmark_names, load_benchmark
from routecast.evaluate.discrimination import expected_calibration_error
from routecast.evaluate.intervals import bootstrap_metrics
from routecast.evaluate.leakage import check_leakage
from routecast.evaluate.metrics import oracle_scores, routing_metrics
from routecast.routers.calibrated import CalibratedRouter
from routecast.routers.length import LengthRouter
from routecast.routers.mf import BoundMatrixFactorization, MatrixFactorization
from routecast.routers.protocol import Router
from routecast.train.mf import MfFit, MfSettings, fit_mf
from routecast.types import EmbeddingArray, FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]

SEED = 20261121
WEIGHT_DECAYS = (1e-6, 1e-5, 1e-4, 1e-3, 3e-3, 1e-2)
BENCHMARK_FLAGS = ("in_routellm_mmlu_eval", "in_routellm_gsm8k_eval", "in_mt_bench")
N_NEIGHBOURS = 50
UNNAMED = "merged-2026-02(unnamed)"  # nobody says which model this is, so it may not ship

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


@dataclass(frozen=True)
class TrainingSet:
    """One source, its benchmark questions already left out."""

    name: str
    licence: str
    preferences: PreferenceArrays
    outcomes: Outcomes | None


def main() -> None:
    """Read, split, fit, calibrate, measure, save."""
    arguments = _arguments()
    embedder = load_embedder("static")
    sets = read_training_sets(arguments.data, embedder)
    merged = merge_preferences([one.preferences for one in sets])
    split = split_by_prompt(merged.prompts, seed=SEED)
    training, validation = (
        merged.take(np.isin(merged.prompt_index, rows)) for rows in (split.train, split.validation)
    )
    embeddings = embedder.embed(merged.prompts)
    settings, fit = fit_best(embeddings, training, validation)
    bound = fit.model.bind(
        strong=_present(STRONG, fit.model), weak=_present(WEAK, fit.model), embedder=embedder
    )
    labelled = label_prompts(sets)
    held_out = [merged.prompts[row] for row in split.test]
    calibration = calibrate(bound, held_out, labelled)
    router = CalibratedRouter(bound, calibration.map.rebuild())
    known = [p for row in split.train if (p := merged.prompts[row]) in labelled.gaps]
    neighbours = NearestNeighbours(
        embedder.embed(known), np.array([labelled.gaps[prompt] for prompt in known])
    )
    metrics = [
        record
        for trial in trials(arguments.data, held_out, labelled)
        for record in evaluate(router, neighbours, embedder, trial)
    ]
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        router="mf",
        package_version=routecast.__version__,
        embedder=embedder.identity,
        strong=_present(STRONG, fit.model),
        weak=_present(WEAK, fit.model),
        seed=SEED,
        settings={**asdict(settings), "best_step": fit.best_step},
        training=_training_record(sets, training),
        calibration=calibration,
        metrics=tuple(metrics),
        files={},
    )
    references = np.random.default_rng(SEED).choice(split.train, MAX_REFERENCES, replace=False)
    hashes = np.unique(prompt_hashes64(merged.prompts))
    save_artifact(
        Artifact(manifest, fit.model.tensors(), embeddings[np.sort(references)], hashes),
        arguments.output,
    )
    page = _results_page(manifest, fit.validation_losses[fit.best_step])
    arguments.results.write_text(page)
    print(page)


def fit_best(
    embeddings: EmbeddingArray, training: PreferenceArrays, validation: PreferenceArrays
) -> tuple[MfSettings, MfFit]:
    """Fit once per weight decay, and keep the fit with the lowest validation loss."""
    fits = []
    for weight_decay in WEIGHT_DECAYS:
        settings = MfSettings(weight_decay=weight_decay, seed=SEED)
        fit = fit_mf(embeddings, training, validation=validation, settings=settings)
        loss = fit.validation_losses[fit.best_step]
        print(f"weight decay {weight_decay:g}: validation loss {loss:.5f}, step {fit.best_step}")
        fits.append((loss, settings, fit))
    _, settings, fit = min(fits, key=lambda entry: entry[0])
    return settings, fit


def _present(names: Sequence[str], model: MatrixFactorization) -> tuple[str, ...]:
    return tuple(name for name in names if name in model.model_names)


def read_training_sets(folder: Path, embedder: Embedder) -> list[TrainingSet]:
    """Read the four sets, without benchmark questions and without the model nobody names."""
    questions = _benchmark_questions(folder)
    train = folder / "train"
    sets = []
    for name, licence, file in (
        ("MMLU-Pro evaluation results", "Apache-2.0", "mmlu_pro_34models"),
        ("ZeroEval, CRUX and MATH level 5", "Apache-2.0", "zeroeval_matrix"),
        ("LLMRouter example data", "MIT", "llmrouter_uiuc_train"),
    ):
        outcomes = find_reader("matrix")(train / f"{file}.parquet").table
        outcomes = outcomes.keep_rows(_allowed(outcomes.prompts, outcomes, questions, embedder))
        chosen = [model for model in outcomes.models if model != UNNAMED]
        gold = gold_preferences(outcomes, models=[m for m in chosen if m in STRONG + WEAK])
        sets.append(TrainingSet(name, licence, _equal_weight_per_prompt(gold), outcomes))
    battles = find_reader("pandalm")(train / "pandalm_human_999.parquet").table
    allowed = _allowed(battles.table["prompt"].to_list(), battles, questions, embedder)
    battles = replace(battles, table=battles.table.filter(allowed))
    preferences = _equal_weight_per_prompt(preferences_from_comparisons(battles))
    sets.append(TrainingSet("PandaLM test set", "Apache-2.0", preferences, None))
    return sets


def _benchmark_questions(folder: Path) -> list[str]:
    """Every question of the three benchmarks, those on the decontamination lists too."""
    read = find_reader("routellm-eval")
    homes = [folder / "benchmarks" / "routellm" / name for name in ("mmlu", "gsm8k", "mt_bench")]
    return [prompt for home in homes for prompt in read(home, decontaminate=False).table.prompts]


def _allowed(
    prompts: Sequence[str],
    source: Outcomes | Comparisons,
    questions: Sequence[str],
    embedder: Embedder,
) -> BoolArray:
    """Say which rows hold no benchmark question: by the set's own flags, by text, and nearly."""
    flags = [source.table[flag].to_numpy() for flag in BENCHMARK_FLAGS]
    leaked: BoolArray = check_leakage(prompts, questions, embedder).leaked
    leaked[contained_questions(prompts, questions, min_chars=1).training_rows] = True
    allowed: BoolArray = ~(np.logical_or.reduce(flags) | leaked)
    return allowed


def _equal_weight_per_prompt(preferences: PreferenceArrays) -> PreferenceArrays:
    """Let each prompt count once, however many pairs of models answered it."""
    n_pairs = np.bincount(preferences.prompt_index)
    weight = (1.0 / n_pairs[preferences.prompt_index]).astype(np.float32)
    return replace(preferences, weight=weight)


def gaps(outcomes: Outcomes) -> FloatArray:
    """Mean quality of the strong models less that of the weak ones, per row; NaN if unknown."""
    sides = []
    for names in (STRONG, WEAK):
        known = [outcomes.quality(name) for name in names if name in outcomes.models]
        sides.append(_mean_known(np.stack(known)))
    return sides[0] - sides[1]


def _mean_known(qualities: FloatArray) -> FloatArray:
    """Average over models, shape (n_models, n_rows), leaving unknown qualities out."""
    known = ~np.isnan(qualities)
    total = np.where(known, qualities, 0.0).sum(axis=0)
    unknown = np.full(len(total), np.nan)
    mean: FloatArray = np.divide(total, known.sum(axis=0), out=unknown, where=known.any(axis=0))
    return mean


@dataclass(frozen=True)
class LabelledPrompts:
    """What the strong and the weak models' answers came to, prompt by prompt.

    Attributes:
        gaps: Of each prompt with outcomes, in [-1, 1].
        tasks: The task that each such prompt belongs to.
    """

    gaps: dict[str, float]
    tasks: dict[str, str]


def label_prompts(sets: Sequence[TrainingSet]) -> LabelledPrompts:
    """Collect gap and task of every prompt; MMLU-Pro is one task, other sets name theirs."""
    labelled = LabelledPrompts({}, {})
    for one in sets:
        if one.outcomes is None:
            continue
        groups = one.outcomes.table["group"].to_list()
        whole = one.name.startswith("MMLU-Pro")
        for prompt, gap, group in zip(
            one.outcomes.prompts, gaps(one.outcomes), groups, strict=True
        ):
            if not np.isnan(gap):
                labelled.gaps[prompt] = float(gap)
                labelled.tasks[prompt] = one.name if whole else f"{one.name}: {group}"
    return labelled


def calibrate(
    bound: BoundMatrixFactorization, held_out: Sequence[str], labelled: LabelledPrompts
) -> CalibrationRecord:
    """Choose a map and take quantiles on held-out prompts, each task of equal weight."""
    prompts = [prompt for prompt in held_out if prompt in labelled.gaps]
    tasks = np.array([labelled.tasks[prompt] for prompt in prompts])
    names, codes, counts = np.unique(tasks, return_inverse=True, return_counts=True)
    weights = 1.0 / counts[codes]
    wins = np.array([(1.0 + labelled.gaps[prompt]) / 2.0 for prompt in prompts])
    scores = bound.win_probabilities(prompts)
    choice = choose_calibration(scores, wins, weights=weights, seed=SEED)
    calibrated = choice.calibration.apply(scores)
    error = expected_calibration_error(calibrated, wins)
    print(f"calibration on {len(prompts)} prompts of {len(names)} tasks: {choice}, ECE {error:.3f}")
    return CalibrationRecord(
        sample=f"{len(prompts)} held-out prompts of {len(names)} tasks, each task of equal weight",
        n_prompts=len(prompts),
        map=record_map(choice.calibration),
        win_probability_quantiles=tuple(
            win_probability_quantiles(calibrated, weights=weights).tolist()
        ),
    )


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


def trials(folder: Path, held_out: Sequence[str], labelled: LabelledPrompts) -> Iterator[Trial]:
    """Yield the held-out prompts, whose gaps are means over models, and the benchmarks."""
    prompts = [prompt for prompt in held_out if prompt in labelled.gaps]
    gap = np.array([labelled.gaps[prompt] for prompt in prompts])
    yield Trial("its own tasks, held out", prompts, np.zeros_like(gap), gap, None)
    for name in benchmark_names():
        pair = load_benchmark(name, folder / "benchmarks" / "routellm").pair
        weak, strong = pair.weak_quality, pair.strong_quality
        yield Trial(name, pair.prompts, weak, strong, pair.group_codes)


def evaluate(
    router: Router, neighbours: "NearestNeighbours", embedder: Embedder, trial: Trial
) -> list[MetricRecord]:
    """Measure the router beside its baselines."""
    weak, strong = trial.weak, trial.strong
    scores = {
        "default": router.win_probabilities(trial.prompts),
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
        for metric in ("apgr", "cpt_50", "cpt_80"):
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


@dataclass(frozen=True)
class NearestNeighbours:
    """A baseline: the mean gap of the 50 most similar training prompts."""

    embeddings: EmbeddingArray
    gaps: FloatArray

    def scores(self, queries: EmbeddingArray) -> FloatArray:
        """Return the mean gap of each query's neighbours, shape (n_queries,)."""
        parts = []
        for block in np.array_split(queries, max(1, len(queries) // 1000)):
            similarity = block @ self.embeddings.T
            nearest = np.argpartition(-similarity, N_NEIGHBOURS, axis=1)[:, :N_NEIGHBOURS]
            parts.append(self.gaps[nearest].mean(axis=1))
        return np.concatenate(parts)


def _training_record(sets: Sequence[TrainingSet], training: PreferenceArrays) -> TrainingRecord:
    """Say what was learned from, with a digest over all of it."""
    digest = sha256()
    for text in (*training.prompts, *training.models):
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    for column in (training.prompt_index, training.model_a_index, training.model_b_index):
        digest.update(column.tobytes())
    digest.update(training.outcome.tobytes() + training.weight.tobytes())
    sources = tuple(
        Source(
            name=one.name,
            licence=one.licence,
            n_prompts=len(one.preferences.prompts),
            n_comparisons=len(one.preferences),
        )
        for one in sets
    )
    return TrainingRecord(
        digest=digest.hexdigest(),
        n_prompts=len(np.unique(training.prompt_index)),
        n_comparisons=len(training),
        sources=sources,
    )


def _results_page(manifest: Manifest, validation_loss: float) -> str:
    """Write the figures as a page for results/."""
    lines = [
        "# The default router, as shipped",
        "",
        "    python runs/train_default.py --data DIR",
        "",
        f"Trained on {manifest.training.n_comparisons:,} comparisons of {len(manifest.strong)} "
        f"strong and {len(manifest.weak)} weak models and of PandaLM's five, over "
        f"{manifest.training.n_prompts:,} prompts, none of them in a benchmark; validation loss "
        f"{validation_loss:.4f} (chance {np.log(2):.4f}). On the benchmarks the pair is GPT-4-1106 "
        "against Mixtral-8x7B; GPT-4-1106 is in no training set. 95% intervals by bootstrap, "
        "10,000 resamples (MMLU: by subject). The held-out prompts also fitted the two numbers of "
        "the calibration, which leave the order of prompts as it is.",
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
