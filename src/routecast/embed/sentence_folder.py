"""Where a sentence-transformers model lies, and the digest of what decides its vectors."""

from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Final

from routecast.errors import ArtifactError, ConfigError, MissingExtraError

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
        if not _may_be_an_id(where):
            raise ConfigError(
                f"there is no folder {where!r}; give the folder of a sentence-transformers "
                "model, or an id on the Hugging Face hub such as OWNER/NAME"
            )
        folder = _fetch(where)
        revision = folder.name
    return SentenceFolder(folder=folder, revision=revision, digest=_digest(folder))


def _may_be_an_id(where: str) -> bool:
    """Tell ``OWNER/NAME`` from a path that is misspelt."""
    parts = where.split("/")
    return len(parts) <= 2 and all(parts) and where[0] not in ".~" and "\\" not in where


def _fetch(model_id: str) -> Path:
    """Return the hub's folder of a model; what was fetched before needs no network."""
    try:
        from huggingface_hub import snapshot_download
    except ModuleNotFoundError:
        raise MissingExtraError(f"the embedder 'sentence:{model_id}'", "torch") from None
    try:
        folder = snapshot_download(
            model_id,
            allow_patterns=[f"*{ending}" for ending in DECIDING_ENDINGS],
            ignore_patterns=[f"{name}/*" for name in sorted(_OTHER_BACKENDS)],
        )
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"cannot fetch the model {model_id!r} from the Hugging Face hub: "
            f"{_first_line(error)}; check the id and the network (gated models need "
            "`hf auth login`), or copy the model's folder here and give that instead: "
            "sentence:FOLDER"
        ) from error
    return Path(folder)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


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
