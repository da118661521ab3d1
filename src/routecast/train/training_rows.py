"""Settings of a fine-tuning, its rows (token ids with soft targets), and their order."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from routecast.errors import ConfigError
from routecast.types import FloatArray, IntArray

if TYPE_CHECKING:
    import torch

RowLosses = Callable[[Any, Mapping[str, "torch.Tensor"]], "torch.Tensor"]
"""Called with the model and a batch (``input_ids``, ``attention_mask``, ``targets``); returns the
loss of each row in nats, shape (n_rows,)."""

_GROUP_BATCHES = 50


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingRows:
    """What a network learns from, or is judged on.

    Attributes:
        ids: Token ids of each row.
        targets: P(strong wins) per row, shape (n_rows,); or one probability per label, shape
            (n_rows, n_labels).
        weights: How much each row counts, above 0, shape (n_rows,).
    """

    ids: Sequence[Sequence[int]]
    targets: FloatArray
    weights: FloatArray

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.ids)

    @property
    def lengths(self) -> IntArray:
        """Tokens per row, shape (n_rows,)."""
        return np.array([len(ids) for ids in self.ids], dtype=np.int64)

    def digest(self) -> str:
        """Return SHA-256 over all of it, in hexadecimal."""
        digest = sha256()
        for ids in self.ids:
            digest.update(np.array([len(ids), *ids], dtype=np.int64).tobytes())
        for column in (self.targets, self.weights):
            digest.update(np.ascontiguousarray(column, dtype=np.float64).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """How to fine-tune. The defaults are those of Ong et al. (2024) for BERT.

    Attributes:
        n_steps: Steps of the optimiser at most.
        batch: Rows of a step, over all processes.
        micro_batch: Rows that are in memory at once; a step adds up the gradients of so many parts
            of its batch as are needed. 0 for the whole batch.
        learning_rate: Of AdamW, rising over the warm-up, then falling linearly to 0.
        weight_decay: Of all weights but biases and norms.
        warmup: Share of the steps that the learning rate takes to rise, in [0, 1).
        eval_steps: Steps between looks at the validation rows, each with a checkpoint.
        patience: Looks without a lower validation loss after which the fit stops; 0 never stops.
        seed: Of the order and of dropout.
    """

    n_steps: int = 2000
    batch: int = 16
    micro_batch: int = 0
    learning_rate: float = 1e-5
    weight_decay: float = 0.01
    warmup: float = 0.1
    eval_steps: int = 100
    patience: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what no fit can be made with."""
        for name in ("n_steps", "batch", "eval_steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} {getattr(self, name)!r} must be 1 or more")
        for name in ("micro_batch", "patience", "weight_decay", "seed"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} {getattr(self, name)!r} must be 0 or more")
        if not 0 < self.learning_rate < 1:
            raise ConfigError(f"learning_rate {self.learning_rate!r} must be above 0 and below 1")
        if not 0 <= self.warmup < 1:
            raise ConfigError(f"warmup {self.warmup!r} must be at least 0 and below 1")


def training_order(lengths: IntArray, *, batch: int, n_steps: int, seed: int) -> IntArray:
    """Return the rows of all steps, one batch after the other, so that a stopped fit can go on.

    Each pass over the rows is a new random order; within 50 batches of it the rows are sorted by
    length, cut into batches, and the batches shuffled: rows of a batch are about equally long. What
    is left over at the end of a pass opens the next one.

    Args:
        lengths: Tokens per row, shape (n_rows,), at least one row.
        batch: Rows of a step.
        n_steps: Number of steps.
        seed: Decides the order.

    Returns:
        Positions, shape (n_steps * batch,); every row occurs about equally often.
    """
    generator = np.random.default_rng(seed)
    n_needed = n_steps * batch
    batches: list[IntArray] = []
    rows = np.empty(0, dtype=np.int64)
    while len(batches) * batch < n_needed:
        fresh = generator.permutation(len(lengths))
        rows = np.concatenate([rows, fresh])
        n_whole = len(rows) // batch * batch
        whole, rows = rows[:n_whole], rows[n_whole:]
        cut = []
        for start in range(0, n_whole, batch * _GROUP_BATCHES):
            group = whole[start : start + batch * _GROUP_BATCHES]
            ordered = group[np.argsort(-lengths[group], kind="stable")]
            cut += np.split(ordered, len(ordered) // batch)
        batches += [cut[place] for place in generator.permutation(len(cut))]
    order: IntArray = np.concatenate(batches)[:n_needed].astype(np.int64)
    return order
