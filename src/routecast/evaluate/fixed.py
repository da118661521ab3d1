"""Prompts that a router gave no score: one model answers them at every threshold.

On the curve they come first or last. No threshold parts them, so a share of strong calls inside
that block is not one that a gateway can have.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from routecast.policy.abstaining import OnRouterError
from routecast.types import FloatArray


@dataclass(frozen=True, eq=False)
class FixedBlock:
    """The prompts without a score.

    Attributes:
        rows: Where they are, shape (n_prompts,).
        answered_by: The route's ``on_router_error``.
    """

    rows: npt.NDArray[np.bool_]
    answered_by: OnRouterError

    def take(self, rows: npt.NDArray[np.bool_]) -> "FixedBlock":
        """Return the block among some of the prompts."""
        return FixedBlock(self.rows[rows], self.answered_by)

    def reachable(self, sent: FloatArray, *, n_fixed: FloatArray, n_rows: FloatArray) -> FloatArray:
        """Return the nearest number of strong calls, not lower, that some threshold gives.

        Args:
            sent: Prompts to send to the strong model, shape (..., n_samples).
            n_fixed: Prompts of the block in each sample, shape (n_samples,).
            n_rows: All prompts of it, same shape.

        Returns:
            Same shape as ``sent``; NaN where it would take prompts that go to the weak model.
        """
        if self.answered_by == "strong":
            return np.maximum(sent, n_fixed)
        return np.where(sent > n_rows - n_fixed + 1e-9, np.nan, sent)

    def reachable_share(self, strong_share: float) -> float:
        """Return the same for a share of strong calls on the prompts themselves."""
        n_rows = np.array([float(len(self.rows))])
        n_fixed = np.array([float(self.rows.sum())])
        sent = np.array([strong_share]) * n_rows
        return float((self.reachable(sent, n_fixed=n_fixed, n_rows=n_rows) / n_rows)[0])
