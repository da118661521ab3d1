"""Calibrate a router on a sample: find the threshold for a goal, and store what was seen."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeGuard

import msgspec
import numpy as np

from routecast.artifacts import (
    Artifact,
    CalibrationRecord,
    LoadedRouter,
    load_artifact,
    record_map,
    router_folder,
    save_artifact,
)
from routecast.calibrate.probability import CalibrationChoice, choose_calibration
from routecast.calibrate.quantiles import win_probability_quantiles
from routecast.calibrate.sample import Sample
from routecast.calibrate.threshold import (
    MIN_PROMPTS,
    SampleOutcomes,
    ThresholdChoice,
    choose_threshold,
    outcomes_along_quantiles,
    settle_ties,
)
from routecast.calibrate.unlike import MAX_PROMPTS, Likeness, compare_traffic
from routecast.data.leakage import prompt_hashes64
from routecast.data.outcomes import swap_warning
from routecast.errors import ConfigError, DataError
from routecast.evaluate.discrimination import win_labels
from routecast.policy.abstaining import DEFAULT_ON_ROUTER_ERROR, OnRouterError
from routecast.policy.cuts import TIE_WIDTH
from routecast.policy.goals import Goal
from routecast.routers.calibrated import CalibratedRouter, CalibrationMap
from routecast.routers.protocol import Router
from routecast.types import FloatArray

MIN_LABELS = 20
"""Fewest labelled prompts that win probabilities are fitted anew on."""

MAX_MISS = 0.005
"""How far the share met on the sample may be from the expected one without a word."""


@dataclass(frozen=True, kw_only=True)
class CalibrationReport:
    """What calibration found.

    Attributes:
        router: As the user named it.
        sample: In words.
        choice: The threshold and what to expect of it; of the new router where one was written.
        outcomes: What the figures in it rest on; None for a sample of prompts alone.
        likeness: Of the sample to the training data; None where the router has none.
        map_choice: How the new router's probabilities were calibrated; None where they were not.
        warnings: One sentence each, for people.
        output: Where the new router was written, or None.
    """

    router: str
    sample: str
    choice: ThresholdChoice
    outcomes: SampleOutcomes | None
    likeness: Likeness | None
    map_choice: CalibrationChoice | None
    warnings: tuple[str, ...]
    output: Path | None


def calibrate_router(
    loaded: LoadedRouter,
    sample: Sample,
    goal: Goal,
    *,
    output: Path | None = None,
    on_router_error: OnRouterError = DEFAULT_ON_ROUTER_ERROR,
    seed: int = 0,
) -> CalibrationReport:
    """Find the threshold that meets a goal on a sample, and store the sample's figures if asked.

    Args:
        loaded: A trained router, or a baseline.
        sample: Prompts that the router was not trained on; outcomes for goals of quality and cost.
        goal: What is wanted.
        output: Write a copy of the router here, with the sample's quantiles; with outcomes also
            the map to win probabilities fitted anew, and quality and cost along the quantiles.
            Nothing is written when None, nor when the goal cannot be met.
        on_router_error: Who answers prompts that the router gives no score, as in the settings of
            the route.
        seed: Of the folds and the permutations.

    Raises:
        ConfigError: If the goal cannot be met or told from this sample, or a baseline is to be
            written.
        DataError: If the router scores no prompt of the sample.
        ArtifactError: If the router's folder is damaged, or ``output`` is something else.
    """
    artifact = _artifact_of(loaded, output)
    calibration = loaded.router.calibration if _is_calibrated(loaded.router) else None
    raw = loaded.router.router if _is_calibrated(loaded.router) else loaded.router
    raw_scores = raw.win_probabilities(sample.prompts)
    scored = ~np.isnan(raw_scores)
    if not scored.any():
        raise DataError(
            f"router {loaded.name!r} gives no score to any prompt of {sample.name}: they are "
            "unlike what it learned from; train a router on labels of this traffic"
        )
    map_choice = None
    if output is not None and sample.outcomes is not None:
        labelled = sample.take(scored)
        _check_labels(labelled)
        map_choice = _choose_map(raw_scores[scored], labelled, seed)
        calibration = map_choice.calibration
    win_probabilities = raw_scores if calibration is None else calibration.apply(raw_scores)
    choice = choose_threshold(
        win_probabilities,
        goal,
        outcomes=sample.outcomes,
        groups=sample.groups,
        on_router_error=on_router_error,
    )
    likeness = None if artifact is None else _compare(loaded, artifact, sample.prompts, seed)
    if output is not None and artifact is not None and calibration is not None:
        _write(artifact, sample, win_probabilities, calibration, output)
    return CalibrationReport(
        router=loaded.name,
        sample=sample.name,
        choice=choice,
        outcomes=sample.outcomes,
        likeness=likeness,
        map_choice=map_choice,
        warnings=(
            *_warnings(sample, artifact, likeness, choice),
            *_tie_warnings(sample.prompts, win_probabilities, choice),
        ),
        output=output,
    )


def _tie_warnings(
    prompts: Sequence[str], win_probabilities: FloatArray, choice: ThresholdChoice
) -> Iterator[str]:
    """Say where equal texts, which go one way together, keep a tie from being split as asked."""
    known = np.flatnonzero(~np.isnan(win_probabilities))
    scores = settle_ties(win_probabilities[known])
    texts = [prompts[row] for row in known.tolist()]
    n_fixed = choice.n_abstained if choice.on_router_error == "strong" else 0
    met = float(choice.cut.sends_strong(texts, scores).sum() + n_fixed) / len(prompts)
    if choice.n_tied and abs(met - choice.strong_share.value) > MAX_MISS:
        tied = np.abs(scores - choice.cut.threshold) <= TIE_WIDTH
        n_texts = len({texts[row] for row in np.flatnonzero(tied).tolist()})
        yield (
            f"{choice.n_tied:,} prompts at the threshold are {n_texts:,} different "
            f"{'text' if n_texts == 1 else 'texts'}, and equal texts go one way together: "
            f"{met:.1%} of this sample goes to the strong model, whatever the interval says"
        )


def _artifact_of(loaded: LoadedRouter, output: Path | None) -> Artifact | None:
    """Return what the router was loaded from; None for a baseline."""
    if loaded.manifest is not None:
        return load_artifact(router_folder(loaded.name))
    if output is not None:
        raise ConfigError(
            f"router {loaded.name!r} is a baseline without a folder, so there is nothing to write "
            f"to {str(output)!r}; leave --output out and set the threshold in routecast.toml"
        )
    return None


def _is_calibrated(router: Router) -> TypeGuard[CalibratedRouter]:
    return isinstance(router, CalibratedRouter)


def _check_labels(sample: Sample) -> None:
    if len(sample.prompts) < MIN_LABELS:
        raise DataError(
            f"{sample.name} has {len(sample.prompts)} labelled prompts, too few to fit win "
            f"probabilities anew; give at least {MIN_LABELS}, or leave --output out"
        )


def _choose_map(raw_scores: FloatArray, sample: Sample, seed: int) -> CalibrationChoice:
    """Fit the map to win probabilities anew; rows of one prompt or group share a fold."""
    outcomes = sample.outcomes
    if outcomes is None:
        raise ValueError("a sample without outcomes has no wins to calibrate on")
    wins = win_labels(weak_quality=outcomes.weak_quality, strong_quality=outcomes.strong_quality)
    groups = prompt_hashes64(sample.prompts).tolist() if sample.groups is None else sample.groups
    return choose_calibration(raw_scores, wins, groups=groups, seed=seed)


def _compare(
    loaded: LoadedRouter, artifact: Artifact, prompts: Sequence[str], seed: int
) -> Likeness | None:
    """Compare a random choice of the prompts with the training data; None where that cannot be."""
    references = artifact.reference_embeddings
    if loaded.embedder is None or len(references) < 2 or len(prompts) < 2:
        return None
    rows = np.arange(len(prompts))
    if len(prompts) > MAX_PROMPTS:
        rows = np.random.default_rng(seed).choice(len(prompts), MAX_PROMPTS, replace=False)
    embeddings = loaded.embedder.embed([prompts[row] for row in rows.tolist()])
    return compare_traffic(embeddings, references, seed=seed)


def _write(
    artifact: Artifact,
    sample: Sample,
    win_probabilities: FloatArray,
    calibration: CalibrationMap,
    output: Path,
) -> None:
    """Save a copy of the router that knows the sample."""
    outcomes = sample.outcomes
    record = CalibrationRecord(
        sample=sample.name,
        n_prompts=len(sample.prompts),
        map=record_map(calibration),
        win_probability_quantiles=tuple(win_probability_quantiles(win_probabilities).tolist()),
        abstained_share=float(np.isnan(win_probabilities).mean()),
        outcomes=None
        if outcomes is None
        else outcomes_along_quantiles(win_probabilities, outcomes),
    )
    manifest = msgspec.structs.replace(artifact.manifest, calibration=record)
    save_artifact(replace(artifact, manifest=manifest), output)


def _warnings(
    sample: Sample, artifact: Artifact | None, likeness: Likeness | None, choice: ThresholdChoice
) -> Iterator[str]:
    """Say in sentences what makes the figures less sure than they look."""
    n_prompts = len(sample.prompts)
    if n_prompts < MIN_PROMPTS:
        yield (
            f"the sample has only {n_prompts} prompts; with fewer than {MIN_PROMPTS} the intervals "
            "are wide"
        )
    if sample.outcomes is not None:
        swapped = swap_warning(
            strong=sample.outcomes.strong,
            weak=sample.outcomes.weak,
            strong_quality=float(sample.outcomes.strong_quality.mean()),
            weak_quality=float(sample.outcomes.weak_quality.mean()),
        )
        if swapped is not None:
            yield swapped
    if sample.n_unpriced:
        yield f"{sample.n_unpriced:,} rows without a known cost of both models were left out"
    if choice.n_abstained:
        yield (
            f"the router gave no score to {choice.n_abstained:,} of {n_prompts:,} prompts; every "
            f"figure counts them as {choice.on_router_error} calls, as on_router_error = "
            f"{choice.on_router_error!r} routes them"
        )
    if artifact is not None:
        hashes = prompt_hashes64(sample.prompts)
        n_trained = int(np.isin(hashes, artifact.training_prompt_hashes).sum())
        if n_trained:
            yield (
                f"{n_trained:,} of the sample's prompts are in the router's training data, where "
                "it does better than on new ones; leave them out"
            )
    if likeness is not None and likeness.verdict == "unlike":
        yield likeness.words
