"""From labelled sets to a trained router: split, fit, calibrate, measure.

Nothing is read, printed or written here: sets and settings in, an artifact and its report out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from routecast import __version__
from routecast.artifacts import FORMAT_VERSION, MAX_REFERENCES, Artifact, Manifest
from routecast.data.leakage import prompt_hashes64
from routecast.embed.protocol import Embedder
from routecast.errors import ConfigError
from routecast.routers.torch_device import check_device_name
from routecast.train.calibrating import calibrate_by_fold, calibrate_scores, unseen_prompts
from routecast.train.fitting import TrialFit, TriedFit, fit_all, score_prompts, score_test_prompts
from routecast.train.held_out import HeldOut, measure_held_out
from routecast.train.prepare import Prepared, prepare
from routecast.train.progress import Watch, tell
from routecast.train.record import metric_records, training_record
from routecast.train.registry import Family, Fit, SavesFolder, find_family
from routecast.train.rival import RIDGE
from routecast.train.sources import LabelledSet
from routecast.types import EmbeddingArray, FloatArray

FRACTIONS = (0.8, 0.1, 0.1)
"""Of the prompts, for training, validation and test, in families that need all three."""


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """How to train.

    Attributes:
        router: Name of the family.
        strong: Models of the data, or tiers as ``tier:0``, that stand for strong.
        weak: Likewise; with no name on either side, the paper's tiers.
        options: Settings of the family by name; a tuple lists values to choose from on the
            validation labels between strong and weak.
        fractions: Shares of the prompts for training, validation and test. A family that predicts
            each training prompt from the others needs no validation, and trains on both. None is
            `FRACTIONS`; such a family then learns from all prompts and is judged on all.
        seed: Of the split, of the fit, of the resamples.
        stands_for: Names that the sides have outside the data, for the manifest.
    """

    router: str
    strong: tuple[str, ...] = ()
    weak: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    fractions: tuple[float, float, float] | None = None
    seed: int = 0
    stands_for: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no split can be made with."""
        if self.seed < 0:
            raise ConfigError(f"seed {self.seed!r} must be 0 or more")
        if self.fractions is not None and not self.fractions[1] > 0:
            raise ConfigError(
                f"fractions {self.fractions!r} leave nothing to calibrate on; the second, for "
                "validation, must be above 0"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedRouter:
    """A router as it came out of training, not yet saved.

    Attributes:
        artifact: What `save_artifact` writes.
        prepared: The prompts, the sides and the split.
        trials: The settings that were tried, the chosen one first.
        held_out: What the router is worth on the test prompts, or on all where it learned from all;
            None without any.
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
    device: str | None = None,
    environ: Mapping[str, str] | None = None,
    test_sets: Sequence[LabelledSet] = (),
    watch: Watch | None = None,
) -> TrainedRouter:
    """Train, calibrate and measure a router.

    Prompts are split into training, validation and test, near-duplicates and conversations kept
    together. Validation data chooses settings, stops the fit and calibrates; test data is only
    reported on. A family that predicts each training prompt from the others needs neither.

    Args:
        sets: What to learn from, evaluation prompts already left out.
        settings: How.
        embedder: Gives one unit vector per prompt.
        checkpoint: A folder in which fits keep what they need to go on after an interruption, and
            find what an earlier run of the same settings kept; None for none.
        device: Where a neural network is trained: ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; None
            picks. Other families have no use for it.
        environ: Where a router that asks an endpoint looks up ``env:NAME`` for its key.
        test_sets: What to report on instead; their prompts are not learned from.
        watch: Called as the work goes on.

    Raises:
        ConfigError: If the family, one of its settings, a model or the device is unknown.
        DataError: If there is too little to learn from, to calibrate on or to test on.
        MissingExtraError: If the family's libraries are not installed.
    """
    check_device_name(device)
    family = find_family(settings.router)
    candidates = family.candidates(settings.options)
    prepared = prepare(
        sets,
        strong=settings.strong,
        weak=settings.weak,
        fractions=_fractions(family, settings, has_test=bool(test_sets)),
        seed=settings.seed,
        embedder=embedder,
        test_sets=test_sets,
        watch=watch,
    )
    tried = fit_all(
        family,
        candidates,
        prepared,
        embedder=embedder,
        seed=settings.seed,
        checkpoint=checkpoint,
        device=device,
        environ=environ,
        watch=watch,
    )
    trials, fit = tuple(one.trial for one in tried), tried[0].fit
    scores = _unseen_scores(tried[0], prepared)
    calibration, calibrated = calibrate_scores(
        scores,
        prepared,
        cross_fitted=fit.cross_fitted is not None,
        has_outcomes=_have_outcomes(sets),
        seed=settings.seed,
    )
    tell(watch, "measuring")
    held_out = _measured(family, fit, prepared, settings, scores=scores, calibrated=calibrated)
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        router=family.name,
        package_version=__version__,
        embedder=embedder.identity.shareable(),
        strong=prepared.sides.strong,
        weak=prepared.sides.weak,
        seed=settings.seed,
        settings={**family.shared(trials[0].settings), **fit.record, **_stands_for(settings)},
        training=training_record(sets, prepared.comparisons(prepared.split.train)),
        calibration=calibration,
        metrics=() if held_out is None else metric_records(held_out),
        files={},
    )
    learned = dict.fromkeys(prompt for one in sets for prompt in one.preferences.prompts)
    artifact = _artifact(manifest, fit, prepared, list(learned))
    return TrainedRouter(artifact=artifact, prepared=prepared, trials=trials, held_out=held_out)


def _measured(
    family: Family,
    fit: Fit,
    prepared: Prepared,
    settings: TrainSettings,
    *,
    scores: FloatArray,
    calibrated: FloatArray,
) -> HeldOut | None:
    """Measure on the test prompts, or else on all where each is predicted from the others."""
    beside_ridge = family.name != RIDGE
    if len(prepared.split.test):
        return measure_held_out(
            prepared, calibrated, fit.scores, beside_ridge=beside_ridge, seed=settings.seed
        )
    if fit.by_fold is None or prepared.folds is None or settings.fractions is not None:
        return None
    reported = calibrate_by_fold(
        scores,
        prepared,
        prepared.folds,
        seed=settings.seed,
    )
    return measure_held_out(
        prepared,
        reported,
        fit.scores,
        by_fold=fit.by_fold,
        beside_ridge=beside_ridge,
        seed=settings.seed,
    )


def _artifact(manifest: Manifest, fit: Fit, prepared: Prepared, prompts: Sequence[str]) -> Artifact:
    """Put together what is saved; by these prompts a router knows what it was trained on."""
    return Artifact(
        manifest,
        fit.model.tensors(),
        _references(prepared, manifest.seed),
        np.unique(prompt_hashes64(prompts)),
        fit.model.model_folder() if isinstance(fit.model, SavesFolder) else None,
    )


def _unseen_scores(tried: TriedFit, prepared: Prepared) -> FloatArray:
    """Score what is calibrated and measured on, NaN for the rest: some routers are slow.

    The router abstains on test prompts as it will when it is used, and not on those that it is
    calibrated on.
    """
    rows = unseen_prompts(prepared, cross_fitted=tried.fit.cross_fitted is not None)
    scores = np.full(len(prepared.prompts), np.nan)
    scores[rows] = score_prompts(tried.bound, tried.fit, prepared, rows)
    scores[prepared.split.test] = score_test_prompts(tried.bound, prepared)
    return scores


def _references(prepared: Prepared, seed: int) -> EmbeddingArray:
    """Draw training prompts for the check of unlike traffic."""
    train = prepared.split.train
    n_drawn = min(MAX_REFERENCES, len(train))
    drawn = np.random.default_rng(seed).choice(train, n_drawn, replace=False)
    references: EmbeddingArray = prepared.embeddings[np.sort(drawn)]
    return references


def _stands_for(settings: TrainSettings) -> dict[str, Any]:
    return {"stands_for": dict(settings.stands_for)} if settings.stands_for else {}


def _fractions(
    family: Family, settings: TrainSettings, *, has_test: bool
) -> tuple[float, float, float]:
    """Return the shares of the split: no validation where the fit predicts crosswise."""
    if settings.fractions is None and family.cross_fits:
        return 1.0, 0.0, 0.0
    training, validation, test = settings.fractions or FRACTIONS
    if has_test:
        training, test = training + test, 0.0
    return (training + validation, 0.0, test) if family.cross_fits else (training, validation, test)


def _have_outcomes(sets: Sequence[LabelledSet]) -> bool:
    """Tell whether every label comes with qualities, in their own unit: on the scale [0, 1]."""
    return all(
        one.outcomes is not None and one.outcomes.quality_range == (0.0, 1.0) for one in sets
    )
