"""Where a pretrained model lies that a router starts from: a folder, or an id on the hub."""

from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Final

from routecast.embed.hub_folder import fetch_hub_folder, may_be_hub_id
from routecast.errors import ArtifactError, ConfigError
from routecast.routers.model_folder import refuse_remote_code

PATTERNS: Final = ("*.json", "*.safetensors", "*.txt", "*.model")
"""Files that are fetched of a hub's model; weights that would have to be unpickled are not."""

_IGNORED = ("onnx/*", "openvino/*", "original/*")


@dataclass(frozen=True, kw_only=True)
class PretrainedFolder:
    """A pretrained model on this machine.

    Attributes:
        folder: Holds ``config.json``, ``tokenizer.json`` and weights in safetensors.
        revision: The hub's commit; empty for a folder of the user's own.
        name: For others to read: the hub's id, or the folder's last name.
    """

    folder: Path
    revision: str
    name: str


def find_pretrained(where: str, *, feature: str) -> PretrainedFolder:
    """Find a model, and download it if ``where`` is a hub id that was not fetched before.

    Args:
        where: A folder if there is one of that path, else an id on the Hugging Face hub.
        feature: What needs it, for messages: ``the router 'bert'``.

    Raises:
        ConfigError: If there is no such folder and no such model within reach.
        ArtifactError: If it is no Hugging Face model, has no safetensors, or asks for code of its
            own (``trust_remote_code`` is off for good).
        MissingExtraError: If it must come from the hub and the extra is not installed.
    """
    folder = Path(where).expanduser()
    revision = ""
    if not where.strip() or not folder.is_dir():
        if not where.strip() or not may_be_hub_id(where):
            raise ConfigError(
                f"there is no folder {where!r}; give the folder of a Hugging Face model, or an id "
                "on the Hugging Face hub such as OWNER/NAME"
            )
        folder = fetch_hub_folder(where, feature=feature, patterns=PATTERNS, ignored=_IGNORED)
        revision = folder.name
    _check(folder)
    name = where if revision else folder.resolve().name
    return PretrainedFolder(folder=folder, revision=revision, name=name)


def _check(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise ArtifactError(
            f"{str(folder)!r} holds no config.json, so it is no Hugging Face model; save one there "
            "with save_pretrained, or give another folder"
        )
    refuse_remote_code(folder)
    if not any(folder.glob("*.safetensors")):
        raise ArtifactError(
            f"{str(folder)!r} holds no weights in safetensors, and other formats are not read "
            "because they can run code; save the model again with save_pretrained"
        )


def digest_of_folder(folder: Path) -> str:
    """Return SHA-256 over the lines ``NAME DIGEST`` of a model's files, sorted, in hexadecimal."""
    digest = sha256()
    paths = {path for pattern in PATTERNS for path in folder.glob(pattern)}
    for path in sorted(paths):
        with path.open("rb") as file:
            digest.update(f"{path.name} {file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()
