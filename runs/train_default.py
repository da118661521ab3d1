"""Train the router that ships in the package, and measure it.

    python -m runs.train_default --data DIR [--output DIR] [--results FILE]

It is a cold start, for pairs of models and traffic that nobody has seen, so it orders prompts by
how hard they look; default_fit.py says how. It learns from the outcomes of many models on the sets
of default_sets.py, whose licences allow weights to ship, without the prompts of the benchmarks. Win
probabilities rise with the score as gaps do within the sets that it learned from. The quantiles
that turn a share of strong calls into a threshold are those of prompts of Chatbot Arena, of which
nothing else is kept. Takes about three minutes on one core.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
from runs.default_fit import SHRINKAGE, base_gap, belonging_of, fit_judges, slope_within
from runs.default_measure import DEFAULT, Measured, measure
from runs.default_page import results_page
from runs.default_sets import STRONG, WEAK, TrainingSet, far_trials, read_training_sets

from routecast import __version__
from routecast.artifacts import (
    FORMAT_VERSION,
    MAX_REFERENCES,
    Artifact,
    CalibrationRecord,
    Manifest,
    save_artifact,
)
from routecast.artifacts.records import PlattRecord
from routecast.calibrate.quantiles import win_probability_quantiles
from routecast.data.leakage import prompt_hashes64
from routecast.data.preferences import merge_preferences
from routecast.embed.protocol import Embedder
from routecast.embed.registry import load_embedder
from routecast.routers.protocol import Router
from routecast.routers.ridge import Ridge
from routecast.train.record import training_record

SEED = 20261201


def main() -> None:
    """Read, fit, measure, save."""
    arguments = _arguments()
    embedder = load_embedder("static")
    sets = read_training_sets(arguments.data, embedder)
    judges, base = fit_judges(sets), base_gap(sets)
    slope = slope_within(sets, judges)
    model = replace(
        judges.router(judges.ensemble, base_gap=base, slope=slope),
        belonging=belonging_of(sets, embedder),
    )
    members = {
        name: _bound(judges.router(line, base_gap=base, slope=slope), embedder)
        for name, line in judges.lines.items()
    }
    artifact = _artifact(sets, model, embedder, arguments.data)
    router = artifact.router(embedder)
    measured = [
        *(_left_out(sets, one, embedder, slope) for one in sets),
        *(
            measure(trial, {DEFAULT: router, **members}, embedder)
            for trial in far_trials(arguments.data, artifact.training_prompt_hashes)
        ),
    ]
    metrics = tuple(record for one in measured for record in one.records())
    manifest = msgspec.structs.replace(artifact.manifest, metrics=metrics)
    save_artifact(replace(artifact, manifest=manifest), arguments.output)
    page = results_page(manifest, measured)
    arguments.results.write_text(page)
    print(page)


def _artifact(
    sets: Sequence[TrainingSet], model: Ridge, embedder: Embedder, folder: Path
) -> Artifact:
    """Put together what ships, but for its figures."""
    arena = pl.read_parquet(folder / "train" / "arena_topic_prompts.parquet")["prompt"]
    prompts = arena.unique(maintain_order=True).to_list()
    scores = _bound(model, embedder).win_probabilities(prompts)
    scores = scores[~np.isnan(scores)]  # one prompt cannot be read
    quantiles = np.round(win_probability_quantiles(scores), 6)
    labelled = [one.labelled for one in sets]
    learned = [prompt for one in sets for prompt in one.outcomes.prompts]
    embeddings = np.concatenate([one.embeddings for one in sets])
    drawn = np.random.default_rng(SEED).choice(len(embeddings), MAX_REFERENCES, replace=False)
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        router="ridge",
        package_version=__version__,
        embedder=embedder.identity.shareable(),
        strong=STRONG,
        weak=WEAK,
        seed=SEED,
        settings={"shrinkage": SHRINKAGE},
        training=training_record(
            labelled, merge_preferences([one.preferences for one in labelled])
        ),
        calibration=CalibrationRecord(
            sample=f"{len(scores):,} prompts of Chatbot Arena",
            n_prompts=len(scores),
            map=PlattRecord(slope=1.0, intercept=0.0),  # the slope is in the coefficients
            win_probability_quantiles=tuple(quantiles.tolist()),
        ),
        metrics=(),
        files={},
    )
    hashes = np.unique(prompt_hashes64(learned))
    return Artifact(manifest, model.tensors(), embeddings[np.sort(drawn)], hashes)


def _left_out(
    sets: Sequence[TrainingSet], one: TrainingSet, embedder: Embedder, slope: float
) -> Measured:
    """Measure on a set what was fitted on the others."""
    others = [other for other in sets if other is not one]
    judges = fit_judges(others)
    members = {
        name: _bound(judges.router(line, base_gap=0.0, slope=slope), embedder)
        for name, line in judges.lines.items()
    }
    whole = judges.router(judges.ensemble, base_gap=0.0, slope=slope)
    ensemble = replace(whole, belonging=belonging_of(others, embedder))
    routers = {DEFAULT: _bound(ensemble, embedder), **members}
    return measure(one.trial(), routers, embedder)


def _bound(model: Ridge, embedder: Embedder) -> Router:
    return model.bind(strong=STRONG, weak=WEAK, embedder=embedder)


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
