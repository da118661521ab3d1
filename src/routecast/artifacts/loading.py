"""Reading an artifact: every file is checked against the manifest before it is used."""

from hashlib import file_digest
from pathlib import Path

import msgspec
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as parse_tensors

from routecast.artifacts.artifact import Artifact
from routecast.artifacts.layout import (
    FORMAT_VERSION,
    HASHES,
    MANIFEST_NAME,
    MODEL_NAME,
    REFERENCES,
    WEIGHTS_NAME,
    check_listed_name,
)
from routecast.artifacts.records import FileRecord, Manifest
from routecast.errors import ArtifactError
from routecast.routers.model_folder import ModelFolder, list_model_files


def load_artifact(folder: Path) -> Artifact:
    """Read an artifact and check every file's digest.

    Raises:
        ArtifactError: If a file is missing, truncated, changed or unreadable, or the format is
            newer than this version of Routecast.
    """
    manifest = _read_manifest(folder)
    for name, record in manifest.files.items():
        _check_file(folder, name, record)
    model_folder = _model_folder(folder, manifest)
    if WEIGHTS_NAME not in manifest.files:
        raise ArtifactError(f"{folder / MANIFEST_NAME} lists no {WEIGHTS_NAME!r}; train it again")
    try:
        tensors = parse_tensors((folder / WEIGHTS_NAME).read_bytes())
    except SafetensorError as error:
        raise ArtifactError(f"{folder / WEIGHTS_NAME} is not a safetensors file: {error}") from None
    missing = sorted({REFERENCES, HASHES} - tensors.keys())
    if missing:
        raise ArtifactError(f"{folder / WEIGHTS_NAME} lacks {missing!r}; train it again")
    references, hashes = tensors.pop(REFERENCES), tensors.pop(HASHES)
    return Artifact(manifest, tensors, references.astype(np.float32), hashes, model_folder)


def _model_folder(folder: Path, manifest: Manifest) -> ModelFolder | None:
    """Return the model's folder, None without one; every file of it must be listed."""
    listed = {name for name in manifest.files if name.startswith(f"{MODEL_NAME}/")}
    path = folder / MODEL_NAME
    present = (
        {f"{MODEL_NAME}/{name}" for name in list_model_files(path)} if path.exists() else set()
    )
    if strange := sorted(present - listed):
        raise ArtifactError(
            f"{path} holds {strange[0]!r}, which the manifest does not list; remove it, or copy "
            "the whole folder again"
        )
    return ModelFolder(path) if listed else None


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
    check_listed_name(name)
    path = folder / name
    if not path.is_file():
        raise ArtifactError(f"{path} is missing; copy the whole folder again, or train again")
    n_bytes = path.stat().st_size
    if n_bytes != record.n_bytes:
        raise ArtifactError(
            f"{path} is truncated or changed: {n_bytes} bytes where the manifest says "
            f"{record.n_bytes}; copy the folder again, or train again"
        )
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    if digest != record.sha256:
        raise ArtifactError(
            f"{path} was changed after training: its SHA-256 is not the manifest's; "
            "copy the folder again, or train again"
        )
