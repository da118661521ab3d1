"""Names and bounds of an artifact's folder, and which paths its manifest may list."""

from pathlib import PurePosixPath

from routecast.errors import ArtifactError

FORMAT_VERSION = 1
N_QUANTILES = 1001
MAX_REFERENCES = 512
MANIFEST_NAME = "manifest.json"
WEIGHTS_NAME = "weights.safetensors"
MODEL_NAME = "model"
REFERENCES = "reference_embeddings"
HASHES = "training_prompt_hashes"


def check_listed_name(name: str) -> None:
    """Refuse a path that an artifact cannot hold: it must stay inside the folder.

    Raises:
        ArtifactError: If ``name`` is neither a plain file name nor a path below ``model/``, with
            forward slashes, relative and without ``..``.
    """
    path = PurePosixPath(name)
    is_plain = len(path.parts) == 1 or path.parts[:1] == (MODEL_NAME,)
    climbs = path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name
    if climbs or not is_plain or path.as_posix() != name or name == ".":
        raise ArtifactError(
            f"the manifest lists {name!r}, which is no plain file name and no path below "
            f"'{MODEL_NAME}/'; copy the whole folder again, or train again"
        )
