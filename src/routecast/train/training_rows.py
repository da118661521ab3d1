"""Token ids with soft targets, and the order in which a fit sees them."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from routecast.types import FloatArray, IntArray

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
