"""One more model for a trained `mf`, from a few of its comparisons or its public rating."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np

from routecast import __version__
from routecast.artifacts import (
    Artifact,
    CalibrationRecord,
    Manifest,
    Source,
    load_artifact,
    save_artifact,
)
from routecast.data.leakage import prompt_hashes64
from routecast.data.preferences import (
    PreferenceArrays,
    merge_preferences,
    preferences_from_comparisons,
)
from routecast.data.rating_files import read_ratings
from routecast.embed.registry import load_embedder
from routecast.errors import ConfigError, DataError
from routecast.evaluate.wins import Measurement
from routecast.routers.binding import resolve_name
from routecast.routers.mf import MatrixFactorization
from routecast.train.mf_new_model import (
    VectorPrior,
    fit_new_model,
    prior_of_models,
    prior_of_rating,
)
from routecast.train.placement import Placement, place_by_folds, recalibrate
from routecast.train.prepare import embed_prompts
from routecast.train.reading import read_comparisons
from routecast.train.record import digest_of
from routecast.train.run import check_output
from routecast.train.sides import Sides
from routecast.train.sources import compact
from routecast.types import AnyArray


@dataclass(frozen=True, kw_only=True)
class NewModelRequest:
    """Which model to add to which router.

    Attributes:
        name: The new model, as in the comparisons or in the ratings.
        router: Folder of a trained `mf`.
        output: Folder for the router that knows one model more; may be the same.
        comparisons: Files with comparisons of the new model and known ones; others are passed over.
        ratings: A leaderboard that rates the new model and known ones, or None.
        embedder: The one that the router was trained on, by name.
        strong: Who is to be strong from now on; as before where none is named.
        weak: Likewise for weak.
        seed: Of the folds and the intervals.
    """

    name: str
    router: Path
    output: Path
    comparisons: tuple[str, ...] = ()
    ratings: Path | None = None
    embedder: str = "static"
    strong: tuple[str, ...] = ()
    weak: tuple[str, ...] = ()
    seed: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class NewModelRun:
    """What adding a model did.

    Attributes:
        request: What was asked.
        manifest: Of the router as saved.
        n_comparisons: The new model's own comparisons.
        held_out: How well they are predicted by folds of prompts, each by the others; None with
            too few prompts.
        recalibrated: Whether the sides changed, and with them the calibration.
    """

    request: NewModelRequest
    manifest: Manifest
    n_comparisons: int
    held_out: Measurement | None
    recalibrated: bool


def run_new_model(request: NewModelRequest) -> NewModelRun:
    """Place the new model, everything else frozen, and save the router.

    Raises:
        ConfigError: If nothing says who the new model is, the name is taken, or a side is unknown.
        DataError: If a file cannot be used, or the sides change and there are too few comparisons
            between them to calibrate on.
        ArtifactError: If the router is none, or the output folder is there and no artifact.
        MissingExtraError: If an optional dependency is needed and not installed.
    """
    if not request.comparisons and request.ratings is None:
        raise ConfigError(
            f"nothing says who {request.name!r} is; give --comparisons FILE or --ratings FILE"
        )
    check_output(request.output)
    artifact = load_artifact(request.router)
    model = _model_of(artifact, request)
    embedder = load_embedder(request.embedder)
    artifact.router(embedder)  # refuses an embedder that has changed
    prior = _prior(model, request)
    placement = None
    placed = model.with_model(request.name, prior.mean)
    if request.comparisons:
        own = _own_comparisons(request)
        embeddings = embed_prompts(own.prompts, embedder)
        placed = fit_new_model(model, request.name, embeddings, own, prior=prior)
        placement = place_by_folds(
            model, own, embeddings, name=request.name, prior=prior, seed=request.seed
        )
    sides = _sides(request, artifact.manifest, placed)
    bound = placed.bind(strong=sides.strong, weak=sides.weak, embedder=embedder)
    calibration = artifact.manifest.calibration
    has_new_sides = (sides.strong, sides.weak) != (artifact.manifest.strong, artifact.manifest.weak)
    if has_new_sides:
        calibration = recalibrate(placement, bound, sides, seed=request.seed)
    manifest = save_artifact(
        Artifact(
            _manifest_of(artifact.manifest, request, sides, calibration, placement),
            placed.tensors(),
            artifact.reference_embeddings,
            _hashes(artifact, placement),
        ),
        request.output,
    )
    return NewModelRun(
        request=request,
        manifest=manifest,
        n_comparisons=0 if placement is None else len(placement.own),
        held_out=None if placement is None else placement.measure(seed=request.seed),
        recalibrated=has_new_sides,
    )


def _model_of(artifact: Artifact, request: NewModelRequest) -> MatrixFactorization:
    family = artifact.manifest.router
    if family != "mf":
        raise ConfigError(
            f"{str(request.router)!r} is a router of the family {family!r}; a model can be added "
            "to 'mf' only, others are trained anew"
        )
    model = MatrixFactorization.from_tensors(artifact.tensors)
    if request.name in model.model_names:
        raise ConfigError(f"model {request.name!r} is in this router already; choose another name")
    return model


def _prior(model: MatrixFactorization, request: NewModelRequest) -> VectorPrior:
    """Believe what the rating says, where there is one."""
    if request.ratings is None:
        return prior_of_models(model)
    members = read_ratings(request.ratings).models
    rated = {member.model: member.rating for member in members}
    if request.name not in rated:
        raise DataError(
            f"{request.ratings.name} does not rate {request.name!r}; add it, or give comparisons"
        )
    return prior_of_rating(model, rated[request.name], rated)


def _own_comparisons(request: NewModelRequest) -> PreferenceArrays:
    """Read the comparisons that the new model takes part in."""
    tables = [read_comparisons(where).table for where in request.comparisons]
    merged = merge_preferences([preferences_from_comparisons(table) for table in tables])
    if request.name not in merged.models:
        raise DataError(
            f"no comparison holds the new model {request.name!r}; the models compared are "
            f"{list(merged.models[:10])!r}"
        )
    column = merged.models.index(request.name)
    return compact(merged, (merged.model_a_index == column) | (merged.model_b_index == column))


def _sides(request: NewModelRequest, before: Manifest, placed: MatrixFactorization) -> Sides:
    """Name the sides anew where that was asked for."""
    if request.name in request.strong and request.name in request.weak:
        raise ConfigError(f"model {request.name!r} cannot be on both sides")
    strong = request.strong or before.strong
    weak = request.weak or before.weak
    resolved = [
        tuple(resolve_name(name, placed.model_names, side=side) for name in names)
        for side, names in (("strong", strong), ("weak", weak))
    ]
    return Sides(strong=resolved[0], weak=resolved[1])


def _manifest_of(
    before: Manifest,
    request: NewModelRequest,
    sides: Sides,
    calibration: CalibrationRecord,
    placement: Placement | None,
) -> Manifest:
    """Write the new model into the manifest; figures of other sides are no longer true."""
    training = before.training
    n_comparisons = 0
    if placement is not None:
        n_comparisons = len(placement.own)
        digest = sha256((training.digest + digest_of(placement.own)).encode()).hexdigest()
        source = Source(
            name=", ".join(Path(where).name for where in request.comparisons),
            licence="",
            n_prompts=len(placement.own.prompts),
            n_comparisons=n_comparisons,
        )
        training = msgspec.structs.replace(
            training,
            digest=digest,
            n_comparisons=training.n_comparisons + n_comparisons,
            sources=(*training.sources, source),
        )
    added = {
        "name": request.name,
        "n_comparisons": n_comparisons,
        "by_rating": request.ratings is not None,
    }
    has_new_sides = (sides.strong, sides.weak) != (before.strong, before.weak)
    return msgspec.structs.replace(
        before,
        package_version=__version__,
        strong=sides.strong,
        weak=sides.weak,
        settings={
            **before.settings,
            "new_models": [*before.settings.get("new_models", []), added],
        },
        training=training,
        calibration=calibration,
        metrics=() if has_new_sides else before.metrics,
        files={},
    )


def _hashes(artifact: Artifact, placement: Placement | None) -> AnyArray:
    known = artifact.training_prompt_hashes
    if placement is None:
        return known
    return np.union1d(known, prompt_hashes64(placement.own.prompts))
