"""Answers of an endpoint in a file, so that none is paid for twice after an interruption."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as parse_tensors
from safetensors.numpy import save as format_tensors

from routecast.data.files import whole_file
from routecast.errors import ArtifactError, ConfigError
from routecast.routers.causal_endpoint import BoundEndpoint

_DECIDING: Final = ("model", "api", "labels", "instruction", "n_top", "max_chars")
"""Settings that an answer depends on; where the server is and how it is asked do not count."""


def save_answers(router: BoundEndpoint, path: Path, settings: Mapping[str, Any]) -> None:
    """Replace the file by the answers so far, whole.

    Raises:
        DataError: If the folder is missing or cannot be written.
    """
    marks, logprobs = router.answers()
    path.parent.mkdir(parents=True, exist_ok=True)
    identity = np.frombuffer(_identity(settings).encode(), dtype=np.uint8)
    tensors = {"marks": marks, "logprobs": logprobs, "settings": identity}
    with whole_file(path) as file:
        file.write(format_tensors(tensors))


def load_answers(router: BoundEndpoint, path: Path, settings: Mapping[str, Any]) -> None:
    """Let a router know the answers of an earlier run; nothing where there is no file.

    Raises:
        ArtifactError: If the file is no such file.
        ConfigError: If its answers are to another question, or another model's.
    """
    if not path.exists():
        return
    try:
        tensors = parse_tensors(path.read_bytes())
        marks, logprobs = tensors["marks"], tensors["logprobs"]
        then = tensors["settings"].tobytes().decode()
    except (OSError, SafetensorError, KeyError) as error:
        raise ArtifactError(
            f"{str(path)!r} holds no answers: {error}; delete it to start anew"
        ) from None
    if then != _identity(settings):
        raise ConfigError(
            f"the answers in {str(path)!r} are another model's, or to another question; go on "
            f"with the same {list(_DECIDING)!r}, or start anew without --resume"
        )
    router.remember(marks, logprobs)


def _identity(settings: Mapping[str, Any]) -> str:
    return json.dumps({name: settings[name] for name in _DECIDING}, sort_keys=True)
