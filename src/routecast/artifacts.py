"""A trained router on disk: a folder with ``manifest.json`` and ``weights.safetensors``.

The manifest pins everything that decides a score: the embedder by name, dimension and digest, the
models that stand for strong and weak, the calibration, and the SHA-256 of every file. Nothing is
ever unpickled, and no prompt's text is stored: training prompts are kept as 64-bit hashes.
"""

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as parse_tensors
from safetensors.numpy import save as format_tensors

from routecast.embed.protocol import CutsTexts, Embedder, EmbedderIdentity
from routecast.embed.registry import load_embedder
from routecast.errors import ArtifactError, ConfigError
from routecast.routers.calibrated import CalibratedRouter, CalibrationMap
from routecast.routers.protocol import Router
from routecast.routers.registry import BASELINES, rebuild_router
from routecast.stats.isotonic import IsotonicScaling
from routecast.stats.platt import PlattScaling
from routecast.types import AnyArray, EmbeddingArray, FloatArray

FORMAT_VERSION = 1
N_QUANTILES = 1001
MAX_REFERENCES = 512
MANIFEST_NAME = "manifest.json"
WEIGHTS_NAME = "weights.safetensors"
_REFERENCES = "reference_embeddings"
_HASHES = "training_prompt_hashes"


class FileRecord(msgspec.Struct, frozen=True):
    """Size and digest of one file, so that damage is found before it is used."""

    n_bytes: int
    sha256: str


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One set that the router learned from."""

    name: str
    licence: str
    n_prompts: int
    n_comparisons: int


class TrainingRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the router learned from; ``digest`` is SHA-256 over prompts, models and outcomes."""

    digest: str
    n_prompts: int
    n_comparisons: int
    sources: tuple[Source, ...]


class PlattRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="platt"):
    """Platt scaling as stored; see ``routecast.stats.platt``."""

    slope: float
    intercept: float

    def rebuild(self) -> PlattScaling:
        """Return the map.

        Raises:
            ValueError: If the numbers make no strictly increasing map.
        """
        return PlattScaling(self.slope, self.intercept)


class IsotonicRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="isotonic"):
    """A strictly increasing line through knots as stored; see ``routecast.stats.isotonic``."""

    scores: tuple[float, ...]
    probabilities: tuple[float, ...]

    def rebuild(self) -> IsotonicScaling:
        """Return the map.

        Raises:
            ValueError: If the numbers make no strictly increasing map.
        """
        return IsotonicScaling(np.array(self.scores), np.array(self.probabilities))


def record_map(calibration: CalibrationMap) -> PlattRecord | IsotonicRecord:
    """Return what the manifest stores of a calibration map; ``rebuild`` gives it back exactly."""
    if isinstance(calibration, PlattScaling):
        return PlattRecord(slope=calibration.slope, intercept=calibration.intercept)
    return IsotonicRecord(
        scores=tuple(calibration.scores.tolist()),
        probabilities=tuple(calibration.probabilities.tolist()),
    )


class OutcomesRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Quality and cost of routing on the calibration sample, for goals in these terms.

    Attributes:
        strong: Name of the sample's model that stood for strong.
        weak: Likewise for weak.
        strong_quality: Mean quality when every prompt goes to the strong model, in the sample's
            own unit.
        weak_quality: Likewise for the weak model.
        qualities: Mean quality of routing with the threshold at each of the 1,001 quantiles, the
            first being all strong and the last all weak; equal scores are split.
        costs_usd_per_1k: Mean cost likewise, US dollars per 1,000 requests; None without costs.
    """

    strong: str
    weak: str
    strong_quality: float
    weak_quality: float
    qualities: tuple[float, ...]
    costs_usd_per_1k: tuple[float, ...] | None = None


class CalibrationRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The map from score to probability, and what the sample's scores looked like.

    Attributes:
        sample: The calibration sample, in words.
        n_prompts: Prompts in that sample.
        map: The map from the router's own score to the calibrated win probability.
        win_probability_quantiles: 1,001 quantiles, at 0, 0.001, ..., 1, of the calibrated win
            probability on the sample; a goal becomes a threshold from these.
        outcomes: Quality and cost along those quantiles; None where the sample had none.
    """

    sample: str
    n_prompts: int
    map: PlattRecord | IsotonicRecord
    win_probability_quantiles: tuple[float, ...]
    outcomes: OutcomesRecord | None = None


class MetricRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One figure with its 95% interval, on ``n_prompts`` prompts that training never saw."""

    benchmark: str
    metric: str
    value: float
    low: float
    high: float
    n_prompts: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about an artifact but its weights."""

    format_version: int
    router: str
    package_version: str
    embedder: EmbedderIdentity
    strong: tuple[str, ...]
    weak: tuple[str, ...]
    seed: int
    settings: dict[str, Any]
    training: TrainingRecord
    calibration: CalibrationRecord
    metrics: tuple[MetricRecord, ...]
    files: dict[str, FileRecord]


@dataclass(frozen=True)
class Artifact:
    """A router as it is saved and loaded.

    Attributes:
        manifest: Its ``files`` may be empty before saving; saving fills it in.
        tensors: The family's own arrays, by name.
        reference_embeddings: At most 512 embeddings of training prompts, shape (n, dimension),
            for the check of unlike traffic.
        training_prompt_hashes: Sorted 64-bit hashes of the normalised training prompts, for the
            overlap check.
    """

    manifest: Manifest
    tensors: Mapping[str, AnyArray]
    reference_embeddings: EmbeddingArray
    training_prompt_hashes: AnyArray

    def router(self, embedder: Embedder) -> CalibratedRouter:
        """Rebuild the calibrated router.

        Raises:
            ArtifactError: If the embedder is not the one that the artifact pins, or the manifest
                holds no usable calibration.
        """
        _check_embedder(self.manifest.embedder, embedder.identity)
        scored = rebuild_router(
            self.manifest.router,
            self.tensors,
            strong=self.manifest.strong,
            weak=self.manifest.weak,
            embedder=embedder,
        )
        try:
            calibration = self.manifest.calibration.map.rebuild()
        except ValueError as error:
            raise ArtifactError(
                f"the manifest's calibration map is unusable: {error}; calibrate or train again"
            ) from None
        return CalibratedRouter(scored, calibration)


@dataclass(frozen=True)
class LoadedRouter:
    """A router that is ready to score, with what its goals are read from.

    Attributes:
        name: As the user named it.
        router: Scores prompts.
        win_probability_quantiles: 1,001 quantiles on the calibration sample, ascending; None
            where a router has no such sample.
        calibration_sample: That sample in words, or None.
        manifest: None for the baselines, which need no training.
        embedder: What turns prompts into vectors, or None where none is needed.
    """

    name: str
    router: Router
    win_probability_quantiles: FloatArray | None
    calibration_sample: str | None
    manifest: Manifest | None
    embedder: Embedder | None = None

    def count_cut(self, prompts: Sequence[str]) -> int:
        """Return how many prompts are too long to be read whole."""
        embedder: object = self.embedder
        if not isinstance(embedder, CutsTexts):
            return 0
        return sum(bool(embedder.cut(prompt)) for prompt in prompts)


def load_router(name: str = "default", *, embedder: Embedder | None = None) -> LoadedRouter:
    """Load a router by name or folder.

    Args:
        name: ``default`` (ships with the package), ``random``, ``length``, or an artifact's folder.
        embedder: Use this instead of loading the embedder that the artifact names.

    Raises:
        ConfigError: If nothing has that name.
        ArtifactError: If the artifact is damaged, newer than this version, or pins another
            embedder.
    """
    if name == "random":
        return LoadedRouter(
            name, BASELINES[name](), np.linspace(0, 1, N_QUANTILES), "uniform by construction", None
        )
    if name in BASELINES:
        return LoadedRouter(name, BASELINES[name](), None, None, None)
    artifact = load_artifact(router_folder(name))
    manifest = artifact.manifest
    embedder = embedder or load_embedder(manifest.embedder.name)
    router = artifact.router(embedder)
    quantiles = np.asarray(manifest.calibration.win_probability_quantiles, dtype=np.float64)
    return LoadedRouter(name, router, quantiles, manifest.calibration.sample, manifest, embedder)


def router_folder(name: str) -> Path:
    """Return the folder of a trained router: that of ``default``, or the one that is named.

    Raises:
        ConfigError: If nothing has that name.
    """
    if name == "default":
        return Path(str(files("routecast"))) / "models" / "default"
    folder = Path(name)
    if not folder.exists():
        known = ["default", *BASELINES]
        raise ConfigError(
            f"unknown router {name!r}; choose one of {known!r} or the folder of a trained router"
        )
    return folder


def load_artifact(folder: Path) -> Artifact:
    """Read an artifact and check every file's digest.

    Raises:
        ArtifactError: If a file is missing, truncated, changed or unreadable, or the format is
            newer than this version of Routecast.
    """
    manifest = _read_manifest(folder)
    for name, record in manifest.files.items():
        _check_file(folder, name, record)
    if WEIGHTS_NAME not in manifest.files:
        raise ArtifactError(f"{folder / MANIFEST_NAME} lists no {WEIGHTS_NAME!r}; train it again")
    try:
        tensors = parse_tensors((folder / WEIGHTS_NAME).read_bytes())
    except SafetensorError as error:
        raise ArtifactError(f"{folder / WEIGHTS_NAME} is not a safetensors file: {error}") from None
    missing = sorted({_REFERENCES, _HASHES} - tensors.keys())
    if missing:
        raise ArtifactError(f"{folder / WEIGHTS_NAME} lacks {missing!r}; train it again")
    references, hashes = tensors.pop(_REFERENCES), tensors.pop(_HASHES)
    return Artifact(manifest, tensors, references.astype(np.float32), hashes)


def _read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise ArtifactError(
            f"{str(folder)!r} holds no {MANIFEST_NAME}, so it is no trained router; "
            "give the folder that training wrote"
        )
    content = path.read_bytes()
    try:
        version = msgspec.json.decode(content, type=_Version).format_version
        if version > FORMAT_VERSION:
            raise ArtifactError(
                f"{path} has format version {version!r}; this Routecast reads up to "
                f"{FORMAT_VERSION}: upgrade with pip install --upgrade routecast"
            )
        return msgspec.json.decode(content, type=Manifest)
    except msgspec.DecodeError as error:
        raise ArtifactError(f"{path} is not a readable manifest: {error}; train again") from None


class _Version(msgspec.Struct):
    """The one field that every format version has."""

    format_version: int


def _check_file(folder: Path, name: str, record: FileRecord) -> None:
    """Compare a file with its record in the manifest."""
    if Path(name).name != name:
        raise ArtifactError(f"{folder / MANIFEST_NAME} lists {name!r}, which is no plain file name")
    path = folder / name
    if not path.is_file():
        raise ArtifactError(f"{path} is missing; copy the whole folder again, or train again")
    n_bytes = path.stat().st_size
    if n_bytes != record.n_bytes:
        raise ArtifactError(
            f"{path} is truncated or changed: {n_bytes} bytes where the manifest says "
            f"{record.n_bytes}; copy the folder again, or train again"
        )
    if sha256(path.read_bytes()).hexdigest() != record.sha256:
        raise ArtifactError(
            f"{path} was changed after training: its SHA-256 is not the manifest's; "
            "copy the folder again, or train again"
        )


def _check_embedder(pinned: EmbedderIdentity, given: EmbedderIdentity) -> None:
    """Refuse vectors that the router was not trained on; where the files lie does not matter."""
    if given.gives_vectors_of(pinned):
        return
    raise ArtifactError(
        f"the router was trained on embedder {pinned.name!r} (revision {pinned.revision!r}, "
        f"{pinned.dimension} dimensions, digest {pinned.digest[:12]}), and got {given.name!r} "
        f"(revision {given.revision!r}, {given.dimension} dimensions, digest {given.digest[:12]}); "
        "use that embedder, or train again on this one"
    )


def save_artifact(artifact: Artifact, folder: Path) -> Manifest:
    """Write an artifact, whole or not at all.

    The files are written beside ``folder`` and moved into place at the end; an artifact that was
    there before is replaced, anything else is left alone.

    Returns:
        The manifest as written, with every file's size and digest.

    Raises:
        ArtifactError: If ``folder`` exists and is not an artifact, or the artifact breaks the
            format's bounds.
    """
    _check_bounds(artifact)
    if folder.exists() and not (folder / MANIFEST_NAME).is_file():
        raise ArtifactError(
            f"{str(folder)!r} exists and is no trained router; choose a new folder, or remove it"
        )
    reserved = {
        _REFERENCES: artifact.reference_embeddings.astype(np.float16),
        _HASHES: artifact.training_prompt_hashes,
    }
    tensors = {**artifact.tensors, **reserved}
    weights = format_tensors(
        {name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)}
    )
    record = FileRecord(len(weights), sha256(weights).hexdigest())
    manifest = msgspec.structs.replace(artifact.manifest, files={WEIGHTS_NAME: record})
    document = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    _write_folder(folder, [(WEIGHTS_NAME, weights), (MANIFEST_NAME, document + b"\n")])
    return manifest


def _check_bounds(artifact: Artifact) -> None:
    """Hold the writer to what readers rely on."""
    calibration = artifact.manifest.calibration
    columns = [calibration.win_probability_quantiles]
    if calibration.outcomes is not None:
        columns += [calibration.outcomes.qualities]
        columns += [costs] if (costs := calibration.outcomes.costs_usd_per_1k) is not None else []
    for column in columns:
        if len(column) != N_QUANTILES:
            raise ArtifactError(f"{len(column)!r} quantiles given; the format has {N_QUANTILES}")
    if len(artifact.reference_embeddings) > MAX_REFERENCES:
        raise ArtifactError(
            f"{len(artifact.reference_embeddings)!r} reference embeddings given; "
            f"the format has at most {MAX_REFERENCES}"
        )
    if artifact.training_prompt_hashes.dtype != np.uint64:
        raise ArtifactError("training prompt hashes must be unsigned 64-bit integers")
    taken = sorted({_REFERENCES, _HASHES} & artifact.tensors.keys())
    if taken:
        raise ArtifactError(f"the tensor names {taken!r} are reserved; choose others")


def _write_folder(folder: Path, contents: Iterable[tuple[str, bytes]]) -> None:
    """Write files into a temporary sibling of ``folder``, then swap it in."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as workspace:
        fresh = Path(workspace) / "fresh"
        fresh.mkdir()
        for name, content in contents:
            (fresh / name).write_bytes(content)
        if folder.exists():
            folder.rename(Path(workspace) / "old")
        fresh.rename(folder)
