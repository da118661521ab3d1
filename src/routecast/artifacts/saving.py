"""Writing an artifact, whole or not at all."""

import shutil
from hashlib import file_digest
from pathlib import Path

import msgspec
import numpy as np
from safetensors.numpy import save as format_tensors

from routecast.artifacts.artifact import Artifact
from routecast.artifacts.checking import check_manifest, check_tensors
from routecast.artifacts.layout import (
    HASHES,
    MANIFEST_NAME,
    MODEL_NAME,
    REFERENCES,
    WEIGHTS_NAME,
    check_listed_name,
    sign_manifest,
)
from routecast.artifacts.records import FileRecord, Manifest
from routecast.data.durable import whole_folder
from routecast.data.files import MAKE_ROOM
from routecast.errors import ArtifactError
from routecast.routers.model_folder import list_model_files


def save_artifact(artifact: Artifact, folder: Path) -> Manifest:
    """Write an artifact, whole or not at all.

    The files are written beside ``folder`` and put into place at the end, see `whole_folder`; an
    artifact that was there before is replaced, anything else is left alone.

    Returns:
        The manifest as written, with every file's size and digest.

    Raises:
        ArtifactError: If ``folder`` exists and is not an artifact, cannot be written, or the
            artifact breaks the format's bounds.
        ConfigError: If another run is writing there.
    """
    _check_bounds(artifact)
    if folder.exists() and not (folder / MANIFEST_NAME).is_file():
        raise ArtifactError(
            f"{str(folder)!r} exists and is no trained router; choose a new folder, or remove it"
        )
    try:
        with whole_folder(folder) as fresh:
            return _write(artifact, fresh)
    except OSError as error:
        raise ArtifactError(
            f"cannot write {str(folder)!r}: {error.strerror}; {MAKE_ROOM}"
        ) from error


def _write(artifact: Artifact, folder: Path) -> Manifest:
    """Write every file, the manifest last."""
    records = {WEIGHTS_NAME: _write_weights(artifact, folder / WEIGHTS_NAME)}
    if artifact.model_folder is not None:
        records |= _copy_model(artifact.model_folder.path, folder / MODEL_NAME)
    manifest = msgspec.structs.replace(artifact.manifest, files=records, digest="")
    document = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    signed = sign_manifest(document + b"\n")
    (folder / MANIFEST_NAME).write_bytes(signed)
    return msgspec.json.decode(signed, type=Manifest)


def _write_weights(artifact: Artifact, path: Path) -> FileRecord:
    reserved = {
        REFERENCES: artifact.reference_embeddings.astype(np.float16),
        HASHES: artifact.training_prompt_hashes,
    }
    tensors = {**artifact.tensors, **reserved}
    path.write_bytes(
        format_tensors({name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)})
    )
    return _record_of(path)


def _copy_model(source: Path, target: Path) -> dict[str, FileRecord]:
    """Copy a model file by file, never whole in memory: some have many gigabytes."""
    records = {}
    for name in list_model_files(source):
        listed = f"{MODEL_NAME}/{name}"
        check_listed_name(listed)
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, copy)
        records[listed] = _record_of(copy)
    if not records:
        raise ArtifactError(f"the model folder {str(source)!r} is empty; train again")
    return records


def _record_of(path: Path) -> FileRecord:
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    return FileRecord(path.stat().st_size, digest)


def _check_bounds(artifact: Artifact) -> None:
    """Hold the writer to what readers rely on."""
    check_manifest(artifact.manifest)
    taken = sorted({REFERENCES, HASHES} & artifact.tensors.keys())
    if taken:
        raise ArtifactError(f"the tensor names {taken!r} are reserved; choose others")
    check_tensors(
        artifact.tensors,
        references=artifact.reference_embeddings,
        hashes=artifact.training_prompt_hashes,
        dimension=artifact.manifest.embedder.dimension,
    )
