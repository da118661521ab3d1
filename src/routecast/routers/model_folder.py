"""The Hugging Face folder of a router that is a neural network: what may lie in it.

Only files that can be read without running code: safetensors, JSON, plain text and ONNX.
"""

import json
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from routecast.data.durable import temporary_folder
from routecast.errors import ArtifactError

MODEL_ENDINGS: Final = (".json", ".onnx", ".safetensors", ".txt")
"""Of the files that an artifact's model folder may hold."""

PICKLED_ENDINGS: Final = (".bin", ".ckpt", ".h5", ".msgpack", ".pkl", ".pickle", ".pt", ".pth")
"""Of weights that would have to be unpickled, or are for libraries that are not used here."""

_FOREIGN_NAMES = ("adapter_config.json",)
"""Files that make transformers load another model, which they name."""

_CONFIGS = ("config.json", "tokenizer_config.json")


@dataclass(frozen=True, eq=False)
class ModelFolder:
    """A model on disk.

    Attributes:
        path: Holds ``config.json``, ``tokenizer.json``, ``model.safetensors`` or the like.
        keep: Whatever must live as long as the folder is needed; None where nothing must.
    """

    path: Path
    keep: object = None


def temporary_model_folder() -> ModelFolder:
    """Make an empty folder that is removed when nothing holds the returned object any longer."""
    path, remove = temporary_folder()
    folder = ModelFolder(path)
    weakref.finalize(folder, remove)
    return folder


def list_model_files(folder: Path) -> tuple[str, ...]:
    """Return the files of a model's folder, as sorted relative paths with forward slashes.

    Raises:
        ArtifactError: If there is no such folder, it holds a file of another ending than
            `MODEL_ENDINGS`, or its configuration asks for code of its own.
    """
    if not folder.is_dir():
        raise ArtifactError(f"there is no model folder {str(folder)!r}; train again")
    paths = sorted(path for path in folder.rglob("*") if not path.is_dir())
    names = tuple(path.relative_to(folder).as_posix() for path in paths)
    foreign = [name for name in names if not name.endswith(MODEL_ENDINGS)]
    if foreign:
        raise ArtifactError(
            f"the model folder {str(folder)!r} holds {foreign[0]!r}; accepted are files ending in "
            f"{list(MODEL_ENDINGS)!r}, because others can run code (pickled weights, Python): "
            "remove it, or save the weights as safetensors"
        )
    if leading := [name for name in names if name.rpartition("/")[2] in _FOREIGN_NAMES]:
        raise ArtifactError(
            f"the model folder {str(folder)!r} holds {leading[0]!r}, which names another model to "
            "load; save the merged model instead"
        )
    refuse_remote_code(folder)
    return names


def refuse_remote_code(folder: Path) -> None:
    """Refuse a model that wants to run code of its own; ``trust_remote_code`` is off for good.

    Raises:
        ArtifactError: If a configuration names classes of the folder's own (``auto_map``), the
            folder holds Python files, or a configuration names a kernel of the hub's or is no JSON
            object.
    """
    code = sorted(path.name for path in folder.glob("*.py"))
    if code:
        raise ArtifactError(_refusal(folder, f"holds the code {code[0]!r}"))
    for name in _CONFIGS:
        path = folder / name
        if not path.is_file():
            continue
        config = read_json_object(path)
        if "auto_map" in config:
            raise ArtifactError(_refusal(folder, f"names code of its own (auto_map in {name})"))
        if kernels := [one for one in _implementations(config) if "/" in one]:
            raise ArtifactError(_refusal(folder, f"names the kernel {kernels[0]!r} in {name}"))


def _implementations(config: object) -> Iterator[str]:
    """Yield what a configuration names as ``attn_implementation`` or the like, at any depth.

    One with a slash is a repository of code, which transformers would fetch and run.
    """
    if not isinstance(config, dict):
        return
    for key, value in config.items():
        if str(key).endswith("_implementation"):
            yield from map(str, value.values() if isinstance(value, dict) else [value])
        yield from _implementations(value)


def _refusal(folder: Path, what: str) -> str:
    return (
        f"the model in {str(folder)!r} {what}, and code of models is never run "
        "(trust_remote_code is off); use a model whose architecture transformers itself has"
    )


def read_json_object(path: Path) -> dict[str, object]:
    """Return a JSON object from a file.

    Raises:
        ArtifactError: If the file cannot be read, or holds anything else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{str(path)!r} cannot be read as JSON: {error}") from None
    if not isinstance(content, dict):
        raise ArtifactError(f"{str(path)!r} holds no JSON object; copy the whole folder again")
    return content
