"""What two models did on the same prompts, as arrays."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from routecast.types import FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class PairArrays:
    """Qualities of a pair's answers, and what they cost where that is known.

    Attributes:
        weak_quality: Quality of the weak model's answers, shape (n_prompts,).
        strong_quality: Quality of the strong model's answers, same shape.
        weak_cost_usd: US dollars of the weak model's answers, same shape, or None if unknown.
        strong_cost_usd: Likewise; known together.

    Raises:
        ValueError: If the costs of one model only are given.
    """

    weak_quality: FloatArray
    strong_quality: FloatArray
    weak_cost_usd: FloatArray | None = None
    strong_cost_usd: FloatArray | None = None

    def __post_init__(self) -> None:
        """Refuse the costs of one model only."""
        if (self.weak_cost_usd is None) != (self.strong_cost_usd is None):
            raise ValueError("the costs of one model only are known; give both or neither")

    def take(self, rows: npt.NDArray[np.bool_]) -> "PairArrays":
        """Return some of the prompts."""
        weak_cost, strong_cost = self.weak_cost_usd, self.strong_cost_usd
        return PairArrays(
            weak_quality=self.weak_quality[rows],
            strong_quality=self.strong_quality[rows],
            weak_cost_usd=None if weak_cost is None else weak_cost[rows],
            strong_cost_usd=None if strong_cost is None else strong_cost[rows],
        )

    @property
    def gap(self) -> FloatArray:
        """Strong minus weak quality per prompt, shape (n_prompts,)."""
        return self.strong_quality - self.weak_quality

    @property
    def extra_cost_usd(self) -> FloatArray | None:
        """Strong minus weak cost per prompt, shape (n_prompts,), or None if unknown."""
        if self.weak_cost_usd is None or self.strong_cost_usd is None:
            return None
        return self.strong_cost_usd - self.weak_cost_usd
