"""Reading an artifact: every file is checked against the manifest before it is used."""

import os
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as parse_tensors

from routecast.artifacts.artifact import Artifact
from routecast.artifacts.checking import check_manifest, check_tensors
from routecast.artifacts.layout import (
    FORMAT_VERSION,
    HASHES,
    MANIFEST_NAME,
    MODEL_NAME,
    REFERENCES,
    WEIGHTS_NAME,
    check_listed_name,
    unsign_manifest,
)
from routecast.artifacts.records import FileRecord, Manifest
from routecast.errors import ArtifactError
from routecast.routers.model_folder import ModelFolder, list_model_files
from routecast.types import AnyArray

MAX_MANIFEST_BYTES = 64 * 2**20
_FILE_MANAGERS = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
"""Files that file managers leave where a folder was opened."""

_AGAIN = "copy the whole folder again, or train again"


def load_artifact(folder: Path) -> Artifact:
    """Read an artifact; check every file's digest and what the manifest says.

    Raises:
        ArtifactError: If a file is missing, truncated, changed, unreadable, a link or not listed,
            the manifest holds what no router has, or the format is not this version's.
    """
    try:
        return _load(folder)
    except OSError as error:
        raise ArtifactError(f"{str(folder)!r} cannot be read: {error.strerror}") from error


def _load(folder: Path) -> Artifact:
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise ArtifactError(
            f"{str(folder)!r} holds no {MANIFEST_NAME}, so it is no trained router; "
            "give the folder that training wrote"
        )
    present = _list_files(folder)
    manifest = _read_manifest(path)
    if (folder / MODEL_NAME).exists():
        list_model_files(folder / MODEL_NAME)  # refuses what could run code, whatever is listed
    for name in manifest.files:
        check_listed_name(name)
    listed = {MANIFEST_NAME, *manifest.files}
    if strange := sorted(one for one in present - listed if one not in _FILE_MANAGERS):
        raise ArtifactError(
            f"{str(folder)!r} holds {strange[0]!r}, which the manifest does not list; remove it, "
            "or copy the whole folder again"
        )
    if WEIGHTS_NAME not in manifest.files:
        raise ArtifactError(f"{path} lists no {WEIGHTS_NAME!r}; train it again")
    for name, record in manifest.files.items():
        _check_file(folder / name, record)
    check_manifest(manifest)
    tensors = _read_tensors(folder / WEIGHTS_NAME, manifest)
    references, hashes = tensors.pop(REFERENCES), tensors.pop(HASHES)
    has_model = any(name.startswith(f"{MODEL_NAME}/") for name in manifest.files)
    model_folder = ModelFolder(folder / MODEL_NAME) if has_model else None
    return Artifact(manifest, tensors, references.astype(np.float32), hashes, model_folder)


def _list_files(folder: Path) -> set[str]:
    """Return the relative paths of what is in the folder; a link is refused wherever it leads."""
    found = set()
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            if Path(place, name).is_symlink():
                raise ArtifactError(
                    f"{str(Path(place, name))!r} is a symbolic link, and a router's folder holds "
                    "its own files; copy the files themselves, with cp -rL"
                )
        found |= {Path(place, name).relative_to(folder).as_posix() for name in files}
    return found


def _read_manifest(path: Path) -> Manifest:
    """Read a manifest and check its digest."""
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise ArtifactError(
            f"{path} has {path.stat().st_size:,} bytes; a manifest has {MAX_MANIFEST_BYTES:,} at "
            f"most: {_AGAIN}"
        )
    content = path.read_bytes()
    try:
        start = msgspec.json.decode(content, type=_Start)
        _check_version(path, start)
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path} is not a readable manifest: {error}; train again") from None
    unsigned = unsign_manifest(content, manifest.digest)
    if sha256(unsigned).hexdigest() != manifest.digest:
        raise ArtifactError(
            f"{path} was changed after training: its digest is not that of its text; {_AGAIN}"
        )
    return manifest


class _Start(msgspec.Struct):
    """Fields that every format version has."""

    format_version: int
    router: str = ""


def _check_version(path: Path, start: _Start) -> None:
    if start.format_version > FORMAT_VERSION:
        raise ArtifactError(
            f"{path} has format version {start.format_version!r}; this Routecast reads "
            f"{FORMAT_VERSION}: upgrade with pip install --upgrade routecast"
        )
    if start.format_version == FORMAT_VERSION:
        return
    asks = (
        "; where it asks is then said by who uses it: --endpoint URL on the command line, or "
        "router_endpoint in routecast.toml"
        if start.router == "causal-endpoint"
        else ""
    )
    raise ArtifactError(
        f"{path} has format version {start.format_version!r}, which had no digest of the manifest; "
        f"this Routecast reads {FORMAT_VERSION}: train the router again{asks}"
    )


def _check_file(path: Path, record: FileRecord) -> None:
    """Compare a file with its record in the manifest."""
    if not path.is_file():
        raise ArtifactError(f"{path} is missing; {_AGAIN}")
    n_bytes = path.stat().st_size
    if n_bytes != record.n_bytes:
        raise ArtifactError(
            f"{path} is truncated or changed: {n_bytes} bytes where the manifest says "
            f"{record.n_bytes}; {_AGAIN}"
        )
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    if digest != record.sha256:
        raise ArtifactError(
            f"{path} was changed after training: its SHA-256 is not the manifest's; {_AGAIN}"
        )


def _read_tensors(path: Path, manifest: Manifest) -> dict[str, AnyArray]:
    """Read the weights, and check what every family's must be."""
    try:
        tensors: dict[str, Any] = parse_tensors(path.read_bytes())
    except (SafetensorError, LookupError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path} is not a safetensors file of numbers: {error}") from None
    if missing := sorted({REFERENCES, HASHES} - tensors.keys()):
        raise ArtifactError(f"{path} lacks {missing!r}; train it again")
    try:
        check_tensors(
            {name: one for name, one in tensors.items() if name not in (REFERENCES, HASHES)},
            references=tensors[REFERENCES],
            hashes=tensors[HASHES],
            dimension=manifest.embedder.dimension,
        )
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}; train again") from None
    return tensors
