"""Where a sentence-transformers model lies, and the digest of what decides its vectors."""

from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Final

from routecast.embed.hub_folder import fetch_hub_folder, may_be_hub_id
from routecast.errors import ArtifactError, ConfigError

DECIDING_ENDINGS: Final = (".json", ".model", ".safetensors", ".txt")
"""Settings, vocabularies and weights; weights that would have to be unpickled are not read."""

_FOR_PEOPLE = {"data_config.json"}  # what the model was trained on; nothing reads it
_OTHER_BACKENDS = {"onnx", "openvino"}


@dataclass(frozen=True, kw_only=True)
class SentenceFolder:
    """A sentence-transformers model on this machine.

    Attributes:
        folder: Holds ``modules.json`` and whatever it names.
        revision: The hub's commit; empty for a folder of the user's own.
        digest: SHA-256 over the lines ``PATH DIGEST`` of the files that decide the vectors,
            sorted; paths are relative to the folder, so that it may lie anywhere.
    """

    folder: Path
    revision: str
    digest: str


def find_sentence_folder(where: str) -> SentenceFolder:
    """Find a model, and download it if ``where`` is a hub id that was not fetched before.

    Args:
        where: A folder if there is one of that path, else an id on the Hugging Face hub.

    Raises:
        ConfigError: If there is no such folder and no such model within reach.
        ArtifactError: If it is no sentence-transformers model, or has no safetensors.
        MissingExtraError: If it must come from the hub and the extra is not installed.
    """
    folder = Path(where).expanduser()
    revision = ""
    if not folder.is_dir():
        if not may_be_hub_id(where):
            raise ConfigError(
                f"there is no folder {where!r}; give the folder of a sentence-transformers "
                "model, or an id on the Hugging Face hub such as OWNER/NAME"
            )
        folder = fetch_hub_folder(
            where,
            feature=f"the embedder 'sentence:{where}'",
            patterns=[f"*{ending}" for ending in DECIDING_ENDINGS],
            ignored=[f"{name}/*" for name in sorted(_OTHER_BACKENDS)],
            instead="sentence:FOLDER",
        )
        revision = folder.name
    return SentenceFolder(folder=folder, revision=revision, digest=_digest(folder))


def _digest(folder: Path) -> str:
    """Return the digest of a model's folder, or refuse what is none."""
    if not (folder / "modules.json").is_file():
        raise ArtifactError(
            f"{str(folder)!r} holds no modules.json, so it is no sentence-transformers model; "
            "save one there with SentenceTransformer.save, or give another folder"
        )
    files = sorted(_deciding_files(folder))
    if not any(name.endswith(".safetensors") for name in files):
        raise ArtifactError(
            f"{str(folder)!r} holds no weights in safetensors, and other formats are not read "
            "because they can run code; save the model again with safe_serialization=True"
        )
    lines = [f"{name} {_digest_file(folder / name)}\n" for name in files]
    return sha256("".join(lines).encode()).hexdigest()


def _deciding_files(folder: Path) -> list[str]:
    """Return the relative paths of the files that the model is read from."""
    paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return [
        path.as_posix()
        for path in paths
        if path.suffix in DECIDING_ENDINGS
        and path.name not in _FOR_PEOPLE
        and path.parts[0] not in _OTHER_BACKENDS
        and not any(part.startswith(".") for part in path.parts)
    ]


def _digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
