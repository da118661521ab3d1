"""Where a fit of matrix factorisation stands, in one file, so that it can go on after a stop."""

import json
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as parse_tensors
from safetensors.numpy import save as format_tensors

from routecast.data.files import whole_file
from routecast.data.preferences import PreferenceArrays
from routecast.errors import ArtifactError, ConfigError
from routecast.types import AnyArray, EmbeddingArray, FloatArray

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_TENSORS = {
    "parameters", "best_parameters", "training_losses", "validation_losses", "best_step",
    "is_finished", "settings", "inputs",
}  # fmt: skip


@dataclass
class FitState:
    """Everything that the next round of a fit depends on.

    Attributes:
        parameters: Where the next round starts.
        best_parameters: The best step so far.
        training_losses: Per step.
        validation_losses: Per step; empty without validation data.
        best_step: Index of the best step, -1 before the first.
        is_finished: No further step will be taken.
    """

    parameters: FloatArray
    best_parameters: FloatArray
    training_losses: list[float] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)
    best_step: int = -1
    is_finished: bool = False


@dataclass(frozen=True)
class Checkpoint:
    """A file that holds a fit's state, for one set of settings and inputs.

    Attributes:
        path: The file; its folder exists.
        settings: Of the fit, as JSON.
        inputs: SHA-256 over embeddings and comparisons, in hexadecimal.
    """

    path: Path
    settings: str
    inputs: str

    def save(self, state: FitState) -> None:
        """Replace the file by a new one, whole; a kill at any moment leaves the old one.

        Raises:
            DataError: If the folder is missing or cannot be written.
        """
        tensors: dict[str, AnyArray] = {
            "parameters": state.parameters,
            "best_parameters": state.best_parameters,
            "training_losses": np.array(state.training_losses, dtype=np.float64),
            "validation_losses": np.array(state.validation_losses, dtype=np.float64),
            "best_step": np.array([state.best_step], dtype=np.int64),
            "is_finished": np.array([state.is_finished], dtype=np.uint8),
            "settings": _as_bytes(self.settings),
            "inputs": _as_bytes(self.inputs),
        }
        with whole_file(self.path) as file:
            file.write(format_tensors(tensors))

    def load(self) -> FitState | None:
        """Return the state, or None where no file was written yet.

        Raises:
            ArtifactError: If the file is not a checkpoint of this kind.
            ConfigError: If it belongs to other settings or other inputs.
        """
        if not self.path.exists():
            return None
        tensors = self._read()
        self._refuse_another_fit(tensors)
        return FitState(
            parameters=tensors["parameters"].copy(),
            best_parameters=tensors["best_parameters"].copy(),
            training_losses=tensors["training_losses"].tolist(),
            validation_losses=tensors["validation_losses"].tolist(),
            best_step=int(tensors["best_step"][0]),
            is_finished=bool(tensors["is_finished"][0]),
        )

    def _read(self) -> dict[str, AnyArray]:
        try:
            tensors = parse_tensors(self.path.read_bytes())
        except (OSError, SafetensorError) as error:
            raise ArtifactError(
                f"{str(self.path)!r} is no checkpoint: {error}; delete it to start anew"
            ) from None
        missing = sorted(_TENSORS - tensors.keys())
        if missing:
            raise ArtifactError(
                f"{str(self.path)!r} is no checkpoint of mf, it lacks {missing!r}; name another "
                "file, or delete it to start anew"
            )
        return tensors

    def _refuse_another_fit(self, tensors: dict[str, AnyArray]) -> None:
        then = json.loads(tensors["settings"].tobytes())
        now = json.loads(self.settings)
        changed = [
            f"{name} was {then.get(name)!r} and is {now.get(name)!r}"
            for name in sorted(now.keys() | then.keys())
            if now.get(name) != then.get(name)
        ]
        if tensors["inputs"].tobytes().decode() != self.inputs:
            changed.append("the embeddings or the comparisons are others")
        if changed:
            raise ConfigError(
                f"the checkpoint {str(self.path)!r} belongs to another fit: {'; '.join(changed)}; "
                "go on with the same, or name another file"
            )


def open_checkpoint(
    path: str | Path,
    *,
    settings: "DataclassInstance",
    embeddings: EmbeddingArray,
    comparisons: tuple[PreferenceArrays, ...],
) -> Checkpoint:
    """Name the file and what its state will belong to; nothing is written yet."""
    digest = sha256()
    digest.update(np.ascontiguousarray(embeddings).data)
    for part in comparisons:
        digest.update("\n".join(part.models).encode(errors="surrogatepass"))
        for array in (
            part.prompt_index, part.model_a_index, part.model_b_index, part.outcome, part.weight
        ):  # fmt: skip
            digest.update(np.ascontiguousarray(array).data)
    return Checkpoint(
        path=Path(path),
        settings=json.dumps(asdict(settings), sort_keys=True),
        inputs=digest.hexdigest(),
    )


def _as_bytes(text: str) -> AnyArray:
    return np.frombuffer(text.encode(), dtype=np.uint8)
