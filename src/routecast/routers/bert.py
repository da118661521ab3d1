"""A fine-tuned encoder with a classification head: P(strong wins | q) = sigmoid(W h_CLS + b).

Ong et al. (2024), arXiv:2406.18665, section 4.2. h_CLS is what the encoder's own classification
head in transformers reads: for BERT its pooled first token. Training is in
``routecast.train.bert_family``. Scoring takes torch, or an int8 copy of the network by onnxruntime.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from routecast.embed.protocol import Cut
from routecast.errors import ArtifactError
from routecast.routers.bert_onnx import FEATURE, LogOdds, onnx_log_odds
from routecast.routers.binding import refuse_overlap
from routecast.routers.length_batches import MAX_BATCH_TOKENS, score_by_length
from routecast.routers.stored_model import StoredModel
from routecast.routers.token_windows import TokenWindows, open_token_windows
from routecast.stats.platt import sigmoid
from routecast.types import FloatArray, IntArray

INT8_NAME: Final = "model.int8.onnx"
"""The int8 copy in a model's folder."""

CPU_BATCH_TOKENS: Final = 512
"""Of a batch on a CPU, whose caches larger ones outgrow; on an accelerator it is
`MAX_BATCH_TOKENS`."""


@dataclass(frozen=True, eq=False)
class BertRouter:
    """Scores prompts by an encoder. Safe to share between threads.

    Attributes:
        windows: Turns prompts into token ids; of long ones, head and tail.
        log_odds: The network.
        pad_id: Token id that fills up shorter rows of a batch.
        batch_tokens: Tokens of a batch at most, padding included.
    """

    windows: TokenWindows
    log_odds: LogOdds
    pad_id: int
    batch_tokens: int = CPU_BATCH_TOKENS

    def win_probabilities(self, prompts: Sequence[str]) -> FloatArray:
        """Return P(strong wins) per prompt, shape (n_prompts,), in (0, 1).

        Equal prompts of one call are scored once. Prompts of about one length share a batch, and a
        batch that does not fit into memory is halved.
        """
        rows: dict[str, int] = {}
        positions = [rows.setdefault(prompt, len(rows)) for prompt in prompts]
        ids = self.windows.windows(list(rows))

        def score(batch: IntArray) -> FloatArray:
            return self.log_odds(*pad_rows([ids[row] for row in batch.tolist()], self.pad_id))

        lengths = [len(row) for row in ids]
        scores = score_by_length(lengths, score, max_tokens=self.batch_tokens)
        return sigmoid(scores[positions] if positions else np.empty(0))

    def cut(self, text: str) -> Cut:
        """Say what is left out of a prompt, from its middle."""
        return self.windows.cut(text)


def pad_rows(ids: Sequence[Sequence[int]], pad_id: int) -> tuple[IntArray, IntArray]:
    """Return token ids filled up to the longest row, and the mask that tells them from padding.

    Returns:
        Both of shape (n_rows, n_tokens); the mask is 1 for a token and 0 for padding.
    """
    longest = max((len(row) for row in ids), default=0)
    padded = np.full((len(ids), longest), pad_id, dtype=np.int64)
    mask = np.zeros((len(ids), longest), dtype=np.int64)
    for place, row in enumerate(ids):
        padded[place, : len(row)] = row
        mask[place, : len(row)] = 1
    return padded, mask


def rebuild(stored: StoredModel) -> BertRouter:
    """Load the network of an artifact.

    The int8 copy is used where there is one, onnxruntime is installed and the device is the CPU or
    left open; torch otherwise.

    Raises:
        ArtifactError: If the model is missing or cannot be read.
        ConfigError: If there is no such device.
        MissingExtraError: If what the network needs is not installed.
    """
    from routecast.routers.model_folder import read_json_object

    refuse_overlap(stored.strong, stored.weak)
    folder = stored.require_folder().path
    length = stored.settings.get("length")
    pad_id = read_json_object(folder / "config.json").get("pad_token_id")
    if not isinstance(length, int):
        raise ArtifactError(
            f"the manifest's settings name no 'length' of prompts but {length!r}; train again"
        )
    windows = open_token_windows(folder, max_tokens=length)
    log_odds, batch_tokens = _network(folder, stored.device)
    return BertRouter(windows, log_odds, int(str(pad_id or 0)), batch_tokens)


def _network(folder: Path, device: str | None) -> tuple[LogOdds, int]:
    """Load the int8 copy or the network itself; return it with the tokens of a batch."""
    has_onnx = (folder / INT8_NAME).is_file() and find_spec("onnxruntime") is not None
    if has_onnx and device in (None, "cpu"):
        return onnx_log_odds(folder / INT8_NAME), CPU_BATCH_TOKENS
    from routecast.routers.torch_device import pick_device

    place = pick_device(device, feature=FEATURE)
    model = load_classifier(folder).to(place).eval()
    batch_tokens = CPU_BATCH_TOKENS if place.type == "cpu" else MAX_BATCH_TOKENS
    return model_log_odds(model, device=place), batch_tokens


def load_classifier(folder: Path) -> Any:  # noqa: ANN401 (a PreTrainedModel, whose class torch has)
    """Load an encoder with a head of one output; a head that the folder lacks starts at random.

    Raises:
        ArtifactError: If it cannot be read.
        MissingExtraError: If torch or transformers is not installed.
    """
    from routecast.routers.transformers_loading import load_pretrained

    return load_pretrained(
        folder, "AutoModelForSequenceClassification", feature=FEATURE, num_labels=1
    )


def model_log_odds(model: Any, *, device: Any) -> LogOdds:  # noqa: ANN401 (torch's, as above)
    """Return the function that runs a loaded network on arrays."""
    import torch

    def log_odds(ids: IntArray, mask: IntArray) -> FloatArray:
        with torch.inference_mode():
            logits = model(
                input_ids=torch.from_numpy(ids).to(device),
                attention_mask=torch.from_numpy(mask).to(device),
            ).logits  # (n_rows, 1)
        return np.asarray(logits[:, 0].float().cpu().numpy(), dtype=np.float64)

    return log_odds
