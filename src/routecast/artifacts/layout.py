"""Names and bounds of an artifact's folder, and which paths its manifest may list."""

from hashlib import sha256
from pathlib import PurePosixPath

from routecast.errors import ArtifactError

FORMAT_VERSION = 2
"""Version 1 had no digest of the manifest itself."""

N_QUANTILES = 1001
MAX_REFERENCES = 512
MANIFEST_NAME = "manifest.json"
WEIGHTS_NAME = "weights.safetensors"
MODEL_NAME = "model"
REFERENCES = "reference_embeddings"
HASHES = "training_prompt_hashes"
MAX_PATH_BYTES = 1000
MAX_PART_BYTES = 255
"""Of a file's name; no usual file system takes longer ones."""

_UNSIGNED = b'"digest": ""'


def sign_manifest(document: bytes) -> bytes:
    """Write a manifest's own digest, SHA-256 of its text without it, where it leaves it empty."""
    signed = f'"digest": "{sha256(document).hexdigest()}"'
    return document.replace(_UNSIGNED, signed.encode(), 1)


def unsign_manifest(document: bytes, digest: str) -> bytes:
    """Return the text that was signed."""
    return document.replace(f'"digest": "{digest}"'.encode(), _UNSIGNED, 1)


def check_listed_name(name: str) -> None:
    """Refuse a path that an artifact cannot hold: it must stay inside the folder.

    Raises:
        ArtifactError: If ``name`` is neither a plain file name nor a path below ``model/``, with
            forward slashes, relative and without ``..``, or is longer than files' names can be.
    """
    n_bytes = [len(part.encode("utf-8", "replace")) for part in (name, *name.split("/"))]
    if n_bytes[0] > MAX_PATH_BYTES or max(n_bytes[1:]) > MAX_PART_BYTES:
        raise ArtifactError(
            f"the manifest lists {name[:40]!r}..., a name of {n_bytes[0]:,} bytes; accepted are "
            f"{MAX_PATH_BYTES:,}, and {MAX_PART_BYTES} between two slashes"
        )
    path = PurePosixPath(name)
    is_plain = len(path.parts) == 1 or path.parts[:1] == (MODEL_NAME,)
    climbs = path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name
    if climbs or not is_plain or path.as_posix() != name or name == ".":
        raise ArtifactError(
            f"the manifest lists {name!r}, which is no plain file name and no path below "
            f"'{MODEL_NAME}/'; copy the whole folder again, or train again"
        )
