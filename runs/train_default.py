"""Train the router that ships in the package, and measure it.

    python -m runs.train_default --data DIR [--output DIR] [--results FILE]

It learns from the outcomes of many models on three files whose licences allow weights to ship, with
every prompt left out that is in one of the three benchmarks; default_sets.py names the models that
stand for strong and for weak. It is a cold start, for traffic that it has never seen, so its
settings are chosen on sets left out in turn: fitted on the others, measured on the one. Of those
within one standard error of the best, the most modest is taken. The scores are calibrated on
validation prompts of these sets. No benchmark, and no set that is only measured on, chooses
anything. Takes about seven minutes on one core.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import msgspec
from runs.default_choice import SEED, choose_settings, measure
from runs.default_page import results_page
from runs.default_sets import STRONG, WEAK, Trial, read_training_sets, trials
from runs.neighbours import NearestNeighbours

from routecast.artifacts import MetricRecord, save_artifact
from routecast.embed.protocol import Embedder
from routecast.embed.registry import load_embedder
from routecast.train.pipeline import TrainedRouter, TrainSettings, train_router


def main() -> None:
    """Read, choose, train, measure, save."""
    arguments = _arguments()
    embedder = load_embedder("static")
    sets = read_training_sets(arguments.data, embedder)
    settings = TrainSettings(
        router="knn",
        strong=STRONG,
        weak=WEAK,
        even_groups=True,
        sets_validation_aside=True,
        seed=SEED,
    )
    choice = choose_settings(sets, settings, embedder)
    trained = train_router(sets, replace(settings, options=choice.options), embedder=embedder)
    metrics = [
        record
        for trial in trials(arguments.data, trained)
        for record in evaluate(trained, embedder, trial)
    ]
    manifest = msgspec.structs.replace(trained.artifact.manifest, metrics=tuple(metrics))
    save_artifact(replace(trained.artifact, manifest=manifest), arguments.output)
    page = results_page(manifest, trained.trials[0].pair_loss, choice)
    arguments.results.write_text(page)
    print(page)


def evaluate(trained: TrainedRouter, embedder: Embedder, trial: Trial) -> list[MetricRecord]:
    """Measure the router beside its baselines."""
    prepared = trained.prepared
    known = prepared.labels_on(prepared.split.train)
    neighbours = NearestNeighbours(prepared.embeddings[known.prompt_index], known.wins)
    scores = {
        "default": trained.artifact.router(embedder).win_probabilities(trial.prompts),
        "nearest neighbours": neighbours.scores(embedder.embed(trial.prompts)),
    }
    return measure(trial, scores)


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
