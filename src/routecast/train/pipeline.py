"""From labelled sets to a trained router: split, fit, calibrate, measure.

Nothing is read, printed or written here: sets and settings in, an artifact and its report out.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from routecast import __version__
from routecast.artifacts import (
    FORMAT_VERSION,
    MAX_REFERENCES,
    Artifact,
    CalibrationRecord,
    Manifest,
    MetricRecord,
    OutcomesRecord,
    Source,
    TrainingRecord,
    record_map,
)
from routecast.calibrate.probability import choose_calibration
from routecast.calibrate.quantiles import win_probability_quantiles
from routecast.calibrate.threshold import SampleOutcomes, outcomes_along_quantiles
from routecast.data.leakage import prompt_hashes64
from routecast.data.preferences import PreferenceArrays
from routecast.embed.protocol import Embedder
from routecast.errors import ConfigError
from routecast.routers.protocol import Router
from routecast.stats.platt import fit_platt
from routecast.train.held_out import HeldOut, measure_held_out
from routecast.train.prepare import Prepared, prepare
from routecast.train.progress import Progress, Watch, tell
from routecast.train.registry import Family, Fit, Lesson, ReadsEmbeddings, Step, find_family
from routecast.train.sides import PairLabels
from routecast.train.sources import LabelledSet
from routecast.types import EmbeddingArray, FloatArray, IntArray


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """How to train.

    Attributes:
        router: Name of the family.
        strong: Models of the data, or tiers as ``tier:0``, that stand for strong.
        weak: Likewise; with no name on either side, the paper's tiers.
        options: Settings of the family by name; a tuple lists values to choose from on the
            validation labels between strong and weak.
        fractions: Shares of the prompts for training, validation and test.
        even_groups: Let each group of the outcomes, a task say, count alike in the calibration
            and in the quantiles that goals are read from, instead of each label.
        seed: Of the split, of the fit, of the resamples.
        stands_for: Names that the sides have outside the data, for the manifest.
    """

    router: str
    strong: tuple[str, ...] = ()
    weak: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
    even_groups: bool = False
    seed: int = 0
    stands_for: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no split can be made with."""
        if self.seed < 0:
            raise ConfigError(f"seed {self.seed!r} must be 0 or more")
        if not self.fractions[1] > 0:
            raise ConfigError(
                f"fractions {self.fractions!r} leave nothing to calibrate on; the second, for "
                "validation, must be above 0"
            )


@dataclass(frozen=True, kw_only=True)
class TrialFit:
    """One combination of settings that was tried.

    Attributes:
        settings: Of the family, by name.
        pair_loss: Log loss of the validation labels between strong and weak, in nats, after Platt
            scaling on the same labels. The settings with the lowest are kept: other pairs of
            models may want other settings.
        validation_loss: Mean logistic loss of all validation comparisons; NaN without any.
    """

    settings: Mapping[str, Any]
    pair_loss: float
    validation_loss: float


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedRouter:
    """A router as it came out of training, not yet saved.

    Attributes:
        artifact: What `save_artifact` writes.
        prepared: The prompts, the sides and the split.
        trials: The settings that were tried, the chosen one first.
        held_out: What the router is worth on the test prompts; None without any.
    """

    artifact: Artifact
    prepared: Prepared
    trials: tuple[TrialFit, ...]
    held_out: HeldOut | None


def train_router(
    sets: Sequence[LabelledSet],
    settings: TrainSettings,
    *,
    embedder: Embedder,
    checkpoint: Path | None = None,
    watch: Watch | None = None,
) -> TrainedRouter:
    """Train, calibrate and measure a router.

    Prompts are split into training, validation and test, near-duplicates and conversations kept
    together. Validation data chooses settings, stops the fit and calibrates; test data is only
    reported on.

    Args:
        sets: What to learn from, evaluation prompts already left out.
        settings: How.
        embedder: Gives one unit vector per prompt.
        checkpoint: A folder in which fits keep what they need to go on after an interruption, and
            find what an earlier run of the same settings kept; None for none.
        watch: Called as the work goes on.

    Raises:
        ConfigError: If the family, one of its settings or a model is unknown.
        DataError: If there is too little to learn from, to calibrate on or to test on.
        MissingExtraError: If the family's libraries are not installed.
    """
    family = find_family(settings.router)
    candidates = family.candidates(settings.options)
    prepared = prepare(
        sets,
        strong=settings.strong,
        weak=settings.weak,
        fractions=settings.fractions,
        seed=settings.seed,
        embedder=embedder,
        watch=watch,
    )
    tried = _fit_all(family, candidates, prepared, settings, embedder, checkpoint, watch)
    tried.sort(key=lambda entry: (math.isnan(entry[0].pair_loss), entry[0].pair_loss))
    trials = tuple(trial for trial, _, _ in tried)
    _, fit, bound = tried[0]
    sides = prepared.sides
    scores = _scores(bound, prepared, np.arange(len(prepared.prompts)))
    calibration, calibrated = _calibrate(
        scores, prepared, settings, has_outcomes=_have_outcomes(sets)
    )
    held_out = None
    if len(prepared.split.test):
        tell(watch, "measuring")
        held_out = measure_held_out(prepared, calibrated, fit.scores, seed=settings.seed)
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        router=family.name,
        package_version=__version__,
        embedder=embedder.identity,
        strong=sides.strong,
        weak=sides.weak,
        seed=settings.seed,
        settings={**trials[0].settings, **fit.record, **_stands_for(settings)},
        training=_training_record(sets, prepared.comparisons(prepared.split.train)),
        calibration=calibration,
        metrics=() if held_out is None else _metric_records(held_out),
        files={},
    )
    artifact = Artifact(
        manifest,
        fit.model.tensors(),
        _references(prepared, settings.seed),
        np.unique(prompt_hashes64(prepared.prompts)),
    )
    return TrainedRouter(artifact=artifact, prepared=prepared, trials=trials, held_out=held_out)


def _fit_all(
    family: Family,
    candidates: Sequence[Mapping[str, Any]],
    prepared: Prepared,
    settings: TrainSettings,
    embedder: Embedder,
    checkpoint: Path | None,
    watch: Watch | None,
) -> list[tuple[TrialFit, Fit, Router]]:
    """Fit each combination of settings, and say what each is worth on validation data."""
    training, validation = prepared.lesson_parts()
    sides = prepared.sides
    lesson = Lesson(
        prompts=prepared.prompts,
        embeddings=prepared.embeddings,
        training=training,
        validation=validation,
        strong=sides.strong,
        weak=sides.weak,
        seed=settings.seed,
        tiers=sides.tiers,
    )
    tried = []
    for number, options in enumerate(candidates, start=1):
        stage = "fitting" if len(candidates) == 1 else f"fitting {number} of {len(candidates)}"
        own = family.settings(**options)
        on_step = _on_step(stage, watch)
        kept = checkpoint and checkpoint / f"fit-{number}"
        fit = family.fit(replace(lesson, on_step=on_step, checkpoint=kept), own)
        bound = fit.model.bind(strong=sides.strong, weak=sides.weak, embedder=embedder)
        trial = TrialFit(
            settings={name: getattr(own, name) for name in family.settings_names()},
            pair_loss=_pair_loss(bound, prepared, settings),
            validation_loss=fit.validation_loss,
        )
        tried.append((trial, fit, bound))
    return tried


def _pair_loss(bound: Router, prepared: Prepared, settings: TrainSettings) -> float:
    """Return the loss of the validation labels between the sides; NaN if none has a score."""
    labels = prepared.labels_on(prepared.split.validation)
    scores = _scores(bound, prepared, labels.prompt_index)
    known = ~np.isnan(scores)
    if not known.any():
        return math.nan
    scores, wins, weights = scores[known], labels.wins[known], _weights(labels, settings)[known]
    fitted = np.clip(fit_platt(scores, wins, weights=weights).apply(scores), 1e-12, 1 - 1e-12)
    losses = -(wins * np.log(fitted) + (1.0 - wins) * np.log1p(-fitted))
    return float(np.average(losses, weights=weights))


def _on_step(stage: str, watch: Watch | None) -> Step | None:
    if watch is None:
        return None

    def on_step(step: int, training_loss: float, validation_loss: float | None) -> None:
        watch(
            Progress(
                stage=stage,
                n_done=step + 1,
                training_loss=training_loss,
                validation_loss=validation_loss,
            )
        )

    return on_step


def _scores(bound: Router, prepared: Prepared, rows: IntArray) -> FloatArray:
    """Score some prompts, repeated ones too, from their vectors where the router takes them."""
    distinct, position = np.unique(rows, return_inverse=True)
    if isinstance(bound, ReadsEmbeddings):
        scores = bound.win_probabilities_of(prepared.embeddings[distinct])
    else:
        scores = bound.win_probabilities([prepared.prompts[row] for row in distinct.tolist()])
    return np.asarray(scores[position], dtype=np.float64)


def _weights(labels: PairLabels, settings: TrainSettings) -> FloatArray:
    return even_weights(labels.groups) if settings.even_groups else labels.weight


def _calibrate(
    scores: FloatArray, prepared: Prepared, settings: TrainSettings, *, has_outcomes: bool
) -> tuple[CalibrationRecord, FloatArray]:
    """Calibrate on the validation labels; return the record, and every prompt's probability."""
    labels = prepared.labels_on(prepared.split.validation)
    rows = labels.prompt_index
    weights = _weights(labels, settings)
    choice = choose_calibration(
        scores[rows],
        labels.wins,
        weights=weights,
        groups=prepared.duplicates.labels[rows],
        seed=settings.seed,
    )
    calibrated = choice.calibration.apply(scores)
    positions = prepared.split.validation
    sample, outcomes = f"{len(positions):,} held-out prompts of the training data", None
    sampled, sample_weights = calibrated[positions], None
    if settings.even_groups:
        n_groups = len(set(labels.groups))
        sample = f"{len(rows):,} held-out prompts of {n_groups} tasks, each task of equal weight"
        sampled, sample_weights = calibrated[rows], weights
    elif has_outcomes and not np.isnan(calibrated[rows]).any():
        sampled, outcomes = calibrated[rows], _outcomes_record(calibrated[rows], labels, prepared)
    record = CalibrationRecord(
        sample=sample,
        n_prompts=len(sampled),
        map=record_map(choice.calibration),
        win_probability_quantiles=tuple(
            win_probability_quantiles(sampled, weights=sample_weights).tolist()
        ),
        outcomes=outcomes,
    )
    return record, calibrated


def _outcomes_record(
    win_probabilities: FloatArray, labels: PairLabels, prepared: Prepared
) -> OutcomesRecord:
    """Say what quality routing has on the validation prompts, so that goals can be read from it."""
    return outcomes_along_quantiles(
        win_probabilities,
        SampleOutcomes(
            strong=", ".join(prepared.sides.strong),
            weak=", ".join(prepared.sides.weak),
            strong_quality=labels.strong_quality,
            weak_quality=labels.weak_quality,
        ),
    )


def _have_outcomes(sets: Sequence[LabelledSet]) -> bool:
    """Tell whether every label comes with qualities, in their own unit: on the scale [0, 1]."""
    return all(
        one.outcomes is not None and one.outcomes.quality_range == (0.0, 1.0) for one in sets
    )


def even_weights(groups: Sequence[str | None]) -> FloatArray:
    """Return weights, shape (n_labels,), that add up to 1 in each group; None is a group too."""
    counts = Counter(groups)
    return np.array([1.0 / counts[group] for group in groups], dtype=np.float64)


def _references(prepared: Prepared, seed: int) -> EmbeddingArray:
    """Draw training prompts for the check of unlike traffic."""
    train = prepared.split.train
    n_drawn = min(MAX_REFERENCES, len(train))
    drawn = np.random.default_rng(seed).choice(train, n_drawn, replace=False)
    references: EmbeddingArray = prepared.embeddings[np.sort(drawn)]
    return references


def _training_record(sets: Sequence[LabelledSet], training: PreferenceArrays) -> TrainingRecord:
    """Say what was learned from, with a digest over all of it."""
    return TrainingRecord(
        digest=digest_of(training),
        n_prompts=len(np.unique(training.prompt_index)),
        n_comparisons=len(training),
        sources=tuple(
            Source(
                name=one.name,
                licence=one.licence,
                n_prompts=len(one.preferences.prompts),
                n_comparisons=len(one.preferences),
            )
            for one in sets
        ),
    )


def digest_of(preferences: PreferenceArrays) -> str:
    """Return SHA-256 over prompts, models and comparisons, in hexadecimal."""
    digest = sha256()
    for text in (*preferences.prompts, *preferences.models):
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    for column in (
        preferences.prompt_index,
        preferences.model_a_index,
        preferences.model_b_index,
        preferences.outcome,
        preferences.weight,
    ):
        digest.update(column.tobytes())
    return digest.hexdigest()


def _metric_records(held_out: HeldOut) -> tuple[MetricRecord, ...]:
    """Flatten the figures: ``router apgr`` on ``held out``."""
    parts = (
        ("held out", held_out.wins),
        ("held out", held_out.routing),
        ("held out, all comparisons", held_out.battles),
    )
    return tuple(
        MetricRecord(
            benchmark=benchmark,
            metric=f"{contender} {metric}",
            value=figure.value,
            low=figure.low,
            high=figure.high,
            n_prompts=measurement.n_labels,
        )
        for benchmark, measurement in parts
        if measurement is not None
        for contender, figures in measurement.figures.items()
        for metric, figure in figures.items()
        if math.isfinite(figure.value)
    )


def _stands_for(settings: TrainSettings) -> dict[str, Any]:
    return {"stands_for": dict(settings.stands_for)} if settings.stands_for else {}
