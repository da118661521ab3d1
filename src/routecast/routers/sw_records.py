"""Who beat whom, prompt by prompt, laid out so that weighting the prompts costs next to nothing.

A query gives every training prompt a weight, and the fit needs the weighted wins of tier over tier.
Prompts whose comparisons came out alike, up to a factor, form a kind and lie side by side: their
weights are added up first, and only then spread over the cells of the matrix. Battles with a prompt
each make a few hundred kinds, however many there are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from routecast.types import AnyArray, FloatArray, IntArray

SingleArray = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class WinRecords:
    """Wins per prompt, by kind of prompt.

    Attributes:
        kind_starts: Position of each kind's first prompt, ascending from 0, shape (n_kinds,).
        kind_wins: Wins of row tier over column tier for a prompt of that kind; each matrix adds up
            to 1. Shape (n_kinds, n_tiers, n_tiers).
        totals: Weight of each prompt's comparisons, above 0, shape (n_prompts,).
        n_comparisons: Comparisons of two different tiers behind all of it.
    """

    kind_starts: IntArray
    kind_wins: SingleArray
    totals: SingleArray
    n_comparisons: int

    @property
    def n_tiers(self) -> int:
        """Number of tiers."""
        return int(self.kind_wins.shape[1])

    def weighted_wins(self, weights: SingleArray) -> FloatArray:
        """Return the wins that weighted prompts make.

        Args:
            weights: Not negative, shape (n_queries, n_prompts).

        Returns:
            Wins of row over column, shape (n_queries, n_tiers, n_tiers). Each matrix adds up to
            ``n_comparisons``, whatever the scale of the weights, so that no scale shifts the
            balance with a prior; to 0 where all weights are 0.
        """
        by_kind = np.add.reduceat(weights, self.kind_starts, axis=1)  # (n_queries, n_kinds)
        cells = by_kind @ self.kind_wins.reshape(len(self.kind_wins), -1)
        wins = cells.astype(np.float64).reshape(-1, self.n_tiers, self.n_tiers)
        sums = wins.sum(axis=(1, 2), keepdims=True)
        return np.asarray(wins * (self.n_comparisons / np.where(sums > 0, sums, 1.0)))

    def tensors(self) -> dict[str, AnyArray]:
        """Return the arrays that an artifact stores, by name."""
        return {
            "kind_starts": self.kind_starts,
            "kind_wins": self.kind_wins,
            "prompt_totals": self.totals,
            "n_tier_comparisons": np.array([self.n_comparisons], dtype=np.int64),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, AnyArray]) -> Self:
        """Rebuild from what ``tensors`` returned."""
        return cls(
            kind_starts=tensors["kind_starts"],
            kind_wins=tensors["kind_wins"],
            totals=tensors["prompt_totals"],
            n_comparisons=int(tensors["n_tier_comparisons"][0]),
        )


def record_wins(wins: FloatArray, *, n_comparisons: int) -> tuple[WinRecords, IntArray]:
    """Lay out wins by kind of prompt.

    Args:
        wins: Weighted wins of row over column per prompt, none of which is all zero, shape
            (n_prompts, n_tiers, n_tiers).
        n_comparisons: Comparisons of two different tiers behind them.

    Returns:
        The records, and the order of prompts that they are in: row i of anything that goes with
        them is that of prompt ``order[i]``, shape (n_prompts,).
    """
    totals = wins.sum(axis=(1, 2))
    shares = (wins / totals[:, None, None]).astype(np.float32).reshape(len(wins), -1)
    # Rounded for telling kinds apart only, so that 2 of 4 and 1 of 2 agree to the last bit.
    _, first, kinds, sizes = np.unique(
        np.round(shares, 6), axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(kinds.ravel(), kind="stable")
    records = WinRecords(
        kind_starts=np.cumsum(sizes) - sizes,
        kind_wins=shares[first].reshape(-1, *wins.shape[1:]),
        totals=totals[order].astype(np.float32),
        n_comparisons=n_comparisons,
    )
    return records, order
