"""The random baseline: any share of strong calls, and no idea which."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from routecast.types import FloatArray


@dataclass(frozen=True)
class RandomRouter:
    """Draws a uniform win probability per prompt.

    The draw is a keyed hash of the prompt, so a retry decides alike and results can be repeated.

    Attributes:
        seed: Another seed, another order.
    """

    seed: int = 0

    def win_probabilities(self, prompts: Sequence[str]) -> FloatArray:
        """Return uniform draws in [0, 1), shape (n_prompts,)."""
        return np.array([self._draw(prompt) for prompt in prompts], np.float64)

    def _draw(self, prompt: str) -> float:
        """Map the 53 top bits of a keyed hash to [0, 1)."""
        digest = blake2b(
            prompt.encode("utf-8", "surrogatepass"),
            digest_size=8,
            key=self.seed.to_bytes(8, "little", signed=True),
        ).digest()
        return (int.from_bytes(digest, "little") >> 11) * 2.0**-53
