"""How well a new model is placed in a fitted mf, by its rating or by a few of its comparisons.

    python runs/study_mf_new_model.py --data DIR --output results/mf_new_model.md

DIR holds train/mmlu_pro_34models.parquet. Each model in turn is left out of the fit, placed, and
judged on questions that nobody trained on. The page holds figures, never a question.
"""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from routecast.data.outcomes import rescale_quality
from routecast.data.preferences import PreferenceArrays
from routecast.data.rating_files import read_ratings
from routecast.data.ratings import rate_models
from routecast.data.readers.registry import find_reader
from routecast.data.splits import split_by_prompt
from routecast.embed.registry import load_embedder
from routecast.routers.mf import MatrixFactorization
from routecast.train.mf import MfFit, MfSettings, fit_mf
from routecast.train.mf_new_model import (
    fit_new_model,
    place_by_rating,
    prior_of_models,
    prior_of_rating,
)
from routecast.types import EmbeddingArray, FloatArray, IntArray

UNNAMED = "merged-2026-02(unnamed)"
PAIRS_PER_PROMPT = 12
N_COMPARISONS = (20, 100, 500)
N_DRAWS = 3
N_RESAMPLES = 10_000
SEED = 0
WEIGHT_DECAYS = (1e-5, 1e-4, 1e-3)
NOISES = (0.0, 0.02, 0.05, 0.1)
ISOTROPIC_SHARES = (0.0, 0.1, 0.3, 1.0)
ARENA_NAMES = {
    "DeepSeek-Coder-V2": "deepseek-coder-v2",
    "Meta-Llama-3-8B-Instruct": "llama-3-8b-instruct",
    "Meta-Llama-3.1-70B-Instruct": "llama-3.1-70b-instruct",
    "Meta-Llama-3.1-8B-Instruct": "llama-3.1-8b-instruct",
    "Mistral-7B-Instruct-v0.1": "mistral-7b-instruct",
    "Mistral-7B-Instruct-v0.2": "mistral-7b-instruct-v0.2",
    "Mixtral-8x7B-Instruct-v0.1": "mixtral-8x7b-instruct-v0.1",
    "Phi-3-mini-4k-instruct": "phi-3-mini-4k-instruct",
    "Qwen1.5-72B-Chat": "qwen1.5-72b-chat",
    "Qwen1.5-7B-Chat": "qwen1.5-7b-chat",
    "gemini-1.5-flash-002": "gemini-1.5-flash-002",
    "gemini-1.5-pro-002": "gemini-1.5-pro-002",
    "jamba-1.5-large": "jamba-1.5-large",
}
"""Models that the Arena leaderboard rates under a name that leaves no doubt."""


@dataclass(frozen=True)
class Bench:
    """Questions, answers right or wrong, and who trains, chooses and judges."""

    embeddings: EmbeddingArray
    quality: FloatArray  # (n_prompts, n_models)
    models: tuple[str, ...]
    training: PreferenceArrays
    validation: PreferenceArrays
    validation_rows: IntArray
    test_rows: IntArray


@dataclass(frozen=True)
class LeftOut:
    """One model's place: the fit of the others, and its own comparisons on training prompts."""

    name: str
    others: MatrixFactorization
    own: PreferenceArrays
    ratings: dict[str, float]


def main() -> None:
    """Fit, place, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=os.environ.get("ROUTECAST_DATA"))
    parser.add_argument("--output", type=Path, default=Path("results/mf_new_model.md"))
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("name the folder of shared data by --data or ROUTECAST_DATA")
    bench = read_bench(Path(arguments.data))
    tried = [
        (settings, fit_mf(bench.embeddings, bench.training, validation=bench.validation,
                          settings=settings))
        for settings in (
            MfSettings(weight_decay=decay, noise=noise)
            for decay in WEIGHT_DECAYS for noise in NOISES
        )
    ]  # fmt: skip
    settings, full = min(tried, key=lambda entry: best_loss(entry[1]))
    order = np.random.default_rng(SEED).permutation(len(bench.models))
    choosing, reporting = order[: len(order) // 3], order[len(order) // 3 :]
    ratings = {
        model.model: model.rating
        for model in rate_models(
            [bench.models[i] for i in bench.training.model_a_index],
            [bench.models[i] for i in bench.training.model_b_index],
            bench.training.outcome.astype(np.float64),
        )
    }
    places = [leave_out(bench, row, settings, ratings) for row in range(len(bench.models))]
    shares = choose_share([places[row] for row in choosing], bench)
    share = min(shares, key=lambda entry: shares[entry])
    losses = [judge(places[row], bench, full.model, share) for row in reporting]
    public = judge_public(places, bench, arena_ratings(Path(arguments.data)))
    arguments.output.write_text(page(bench, tried, settings, shares, share, losses, public))
    print(arguments.output.read_text())


def read_bench(folder: Path) -> Bench:
    """Read MMLU-Pro, split by question, and draw pairs of models on each."""
    outcomes = find_reader("matrix")(folder / "train" / "mmlu_pro_34models.parquet").table
    models = tuple(name for name in outcomes.models if name != UNNAMED)
    scaled = rescale_quality(outcomes)
    quality = np.stack([scaled.quality(name) for name in models], axis=1)
    prompts = tuple(f"{row}" for row in range(len(outcomes.prompts)))  # one position per row
    split = split_by_prompt(outcomes.prompts, fractions=(0.6, 0.1, 0.3), seed=SEED)
    generator = np.random.default_rng(SEED)
    training, validation = (
        draw_pairs(prompts, models, quality, rows, generator)
        for rows in (split.train, split.validation)
    )
    embeddings = load_embedder("static").embed(outcomes.prompts)
    return Bench(embeddings, quality, models, training, validation, split.validation, split.test)


def draw_pairs(
    prompts: tuple[str, ...],
    models: tuple[str, ...],
    quality: FloatArray,
    rows: IntArray,
    generator: np.random.Generator,
) -> PreferenceArrays:
    """Compare random pairs of models on each of some rows; equal answers tie."""
    at = np.repeat(rows, PAIRS_PER_PROMPT)
    first = generator.integers(0, len(models), len(at))
    second = (first + generator.integers(1, len(models), len(at))) % len(models)
    return compare(prompts, models, quality, at, first, second)


def compare(
    prompts: tuple[str, ...],
    models: tuple[str, ...],
    quality: FloatArray,
    rows: IntArray,
    first: IntArray,
    second: IntArray,
) -> PreferenceArrays:
    """Compare given models on given rows, where both qualities are known."""
    gap = quality[rows, first] - quality[rows, second]
    known = ~np.isnan(gap)
    return PreferenceArrays(
        prompts=prompts,
        models=models,
        prompt_index=rows[known].astype(np.int32),
        model_a_index=first[known].astype(np.int32),
        model_b_index=second[known].astype(np.int32),
        outcome=((1 + np.sign(gap[known])) / 2).astype(np.float32),
        weight=np.ones(int(known.sum()), dtype=np.float32),
    )


def leave_out(bench: Bench, row: int, settings: MfSettings, ratings: dict[str, float]) -> LeftOut:
    """Fit all models but one, and draw that one's comparisons on the training prompts."""
    name = bench.models[row]
    fit = fit_mf(
        bench.embeddings,
        without(bench.training, row),
        validation=without(bench.validation, row),
        settings=settings,
    )
    generator = np.random.default_rng([SEED, row])
    rows = generator.permutation(np.unique(bench.training.prompt_index))
    opponents = (row + generator.integers(1, len(bench.models), len(rows))) % len(bench.models)
    own = compare(
        bench.training.prompts, bench.models, bench.quality, rows.astype(np.int64),
        np.full(len(rows), row), opponents,
    )  # fmt: skip
    return LeftOut(name, fit.model, own, ratings)


def without(comparisons: PreferenceArrays, row: int) -> PreferenceArrays:
    """Drop a model and its comparisons."""
    a, b = comparisons.model_a_index, comparisons.model_b_index
    kept = comparisons.take((a != row) & (b != row))
    a, b = kept.model_a_index, kept.model_b_index
    models = (*comparisons.models[:row], *comparisons.models[row + 1 :])
    return replace(kept, models=models, model_a_index=a - (a > row), model_b_index=b - (b > row))


def test_loss(model: MatrixFactorization, name: str, bench: Bench, rows: IntArray) -> float:
    """Mean loss of a model's comparisons with all others, ties half, on some questions."""
    scores = model.scores(bench.embeddings[rows])
    own = bench.models.index(name)
    losses = []
    for column, other in enumerate(bench.models):
        gap = bench.quality[rows, own] - bench.quality[rows, column]
        margins = scores[:, model.model_names.index(name)]
        margins = margins - scores[:, model.model_names.index(other)]
        loss = np.logaddexp(0, margins) - (1 + np.sign(gap)) / 2 * margins
        if column != own:
            losses.append(loss[~np.isnan(gap)])
    return float(np.concatenate(losses).mean())


def draws(own: PreferenceArrays, n_comparisons: int) -> list[PreferenceArrays]:
    """Cut disjoint sets of comparisons from the shuffled ones."""
    return [
        own.take(np.arange(draw * n_comparisons, (draw + 1) * n_comparisons))
        for draw in range(N_DRAWS)
    ]


def choose_share(places: Sequence[LeftOut], bench: Bench) -> dict[float, float]:
    """Return the mean validation loss of each isotropic share, from 100 comparisons."""
    found = {}
    for share in ISOTROPIC_SHARES:
        losses = []
        for place in places:
            prior = prior_of_models(place.others, isotropic_share=share)
            for drawn in draws(place.own, 100):
                fitted = fit_new_model(
                    place.others, place.name, bench.embeddings, drawn, prior=prior
                )
                losses.append(test_loss(fitted, place.name, bench, bench.validation_rows))
        found[share] = float(np.mean(losses))
    return found


def judge(
    place: LeftOut, bench: Bench, full: MatrixFactorization, share: float
) -> dict[str, float]:
    """Return the test loss of each way to place the model."""

    def loss(model: MatrixFactorization) -> float:
        return test_loss(model, place.name, bench, bench.test_rows)

    rating = place.ratings[place.name]
    free = prior_of_models(place.others, isotropic_share=share)
    rated = prior_of_rating(place.others, rating, place.ratings, isotropic_share=share)
    found = {
        "the mean model": loss(place.others.with_model(place.name, free.mean)),
        "its rating": loss(place_by_rating(place.others, place.name, rating, place.ratings)),
    }
    for label, prior in (("", free), ("its rating and ", rated)):
        for n_comparisons in N_COMPARISONS:
            found[f"{label}{n_comparisons} comparisons"] = float(np.mean([
                loss(fit_new_model(place.others, place.name, bench.embeddings, drawn, prior=prior))
                for drawn in draws(place.own, n_comparisons)
            ]))  # fmt: skip
    everything = fit_new_model(place.others, place.name, bench.embeddings, place.own, prior=free)
    found[f"all {len(place.own):,} comparisons, the rest frozen"] = loss(everything)
    found["the full fit, nothing frozen"] = loss(full)
    return found


def arena_ratings(folder: Path) -> dict[str, float]:
    """Read the leaderboard's ratings, under the names of MMLU-Pro."""
    board = read_ratings(folder / "train" / "arena_leaderboard_2025-12.parquet")
    by_name = {model.model: model.rating for model in board.models}
    return {name: by_name[arena_name] for name, arena_name in ARENA_NAMES.items()}


def judge_public(
    places: Sequence[LeftOut], bench: Bench, ratings: dict[str, float]
) -> list[dict[str, float]]:
    """Return the test losses of models placed by their Arena rating, beside two means."""
    found = []
    for place in places:
        if place.name not in ratings:
            continue
        others, name = place.others, place.name
        known = [row for row, model in enumerate(others.model_names) if model in ratings]
        placed = {
            "the mean model": others.with_model(name, others.model_vectors.mean(axis=0)),
            "the mean of the rated models": others.with_model(
                name, others.model_vectors[known].mean(axis=0)
            ),
            "its Arena rating": place_by_rating(others, name, ratings[name], ratings),
            "its rating on MMLU-Pro": place_by_rating(
                others, name, place.ratings[name], place.ratings
            ),
        }
        found.append({
            way: test_loss(model, name, bench, bench.test_rows) for way, model in placed.items()
        })  # fmt: skip
    return found


def best_loss(fit: MfFit) -> float:
    """Return the kept step's validation loss."""
    return fit.validation_losses[fit.best_step]


def page(
    bench: Bench,
    tried: Sequence[tuple[MfSettings, MfFit]],
    settings: MfSettings,
    shares: dict[float, float],
    share: float,
    losses: Sequence[dict[str, float]],
    public: Sequence[dict[str, float]],
) -> str:
    """Put everything into Markdown."""
    fits = [
        f"| {one.weight_decay:g} | {one.noise:g} | {best_loss(fit):.5f} | {fit.best_step + 1} |"
        for one, fit in tried
    ]
    known = {f"{number:g}": f"{loss:.4f}" for number, loss in shares.items()}
    return HEADER.format(
        n_models=len(bench.models),
        n_train=len(np.unique(bench.training.prompt_index)),
        n_validation=len(bench.validation_rows),
        n_test=len(bench.test_rows),
        n_comparisons=len(bench.training),
        ties=100 * float(np.mean(bench.training.outcome == 0.5)),
        n_choosing=len(bench.models) - len(losses),
        n_reporting=len(losses),
        decay=settings.weight_decay,
        noise=settings.noise,
        shares=", ".join(f"{number} gives {loss}" for number, loss in known.items()),
        share=share,
        n_draws=N_DRAWS,
        table=gains_table(losses),
        n_public=len(public),
        n_other=len(public) - 1,
        public=gains_table(public),
        fits="\n".join(fits),
    )


def gains_table(losses: Sequence[dict[str, float]]) -> str:
    """List each way to place a model, and its gain over the first."""
    table = np.array([list(entry.values()) for entry in losses])  # (n_models, n_ways)
    gains = table[:, :1] - table
    picks = np.random.default_rng(SEED).integers(0, len(gains), (N_RESAMPLES, len(gains)))
    low, high = np.quantile(gains[picks].mean(axis=1), [0.025, 0.975], axis=0)
    rows = [
        f"| {way} | {table[:, i].mean():.4f} | {gains[:, i].mean():.4f} "
        f"[{low[i]:.4f}, {high[i]:.4f}] | {gains[:, i].std(ddof=1):.4f} "
        f"| {int((gains[:, i] > 0).sum())} |"
        for i, way in enumerate(losses[0])
    ]
    header = "| placed by | test loss | gain over the mean model [95%] | its spread | gain |"
    return "\n".join([header, "|---|---:|---:|---:|---:|", *rows])


HEADER = """# A new model in a fitted mf

    python runs/study_mf_new_model.py --data DIR

MMLU-Pro, {n_models} models, right or wrong, static embeddings. {n_comparisons:,} comparisons of
random pairs on {n_train:,} questions ({ties:.0f}% ties: both right or both wrong) train,
{n_validation:,} questions choose settings, {n_test:,} test. Each model in turn is left out of the
fit and placed in it. Loss: nats per comparison with every other model on every test question, ties
half; a tie costs at least .69, so that differences matter, not the level. Intervals: bootstrap of
models, {n_draws} draws of comparisons each. Spread: standard deviation of the gain over models; the
last column counts the models that gain. The prior of a model is what the others' vectors say.

The {n_choosing} models that chose the isotropic share are not among the {n_reporting} reported. On
validation questions, from 100 comparisons: {shares}. {share:g} is used here.

{table}

The rating is Bradley-Terry on all of the model's comparisons on training questions: as good as a
rating can be here. A public one knows less. For the {n_public} models that the Arena leaderboard
rates, each placed by a regression on the Arena ratings of the {n_other} others:

{public}

## Settings

Noise on the embeddings, averaged over exactly while training and never applied on validation, with
weight decay; all {n_models} models, validation loss (chance .69315). Weight decay {decay:g} and
noise {noise:g} were chosen.

| weight decay | noise | validation loss | at step |
|---:|---:|---:|---:|
{fits}
"""


if __name__ == "__main__":
    main()
