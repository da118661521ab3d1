"""Where the strong model begins: a threshold, and what becomes of prompts that score just that.

Routers give many prompts one score: texts of unknown words, prompts of one length. A share may
then lie inside such a tie. The tie is split by a hash of the prompt's exact text, so that the
share is met and a retry decides alike.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from routecast.errors import ConfigError
from routecast.types import FloatArray

BoolArray = npt.NDArray[np.bool_]

NEVER_STRONG = math.nextafter(1.0, 2.0)
"""The smallest threshold that no win probability reaches; finite, so that JSON can hold it."""

TIE_WIDTH = 1e-9
"""Win probabilities this close count as equal where a tie is split: one prompt scored alone and
the same prompt scored in bulk differ in the last digits."""


@dataclass(frozen=True, slots=True)
class Cut:
    """From where on the strong model answers.

    Attributes:
        threshold: In [0, 1], or ``NEVER_STRONG``.
        tie_share: In (0, 1]. At 1 the rule is plain: strong from the threshold on. Below 1, of the
            prompts within ``TIE_WIDTH`` of the threshold this share goes to the strong model, by
            a hash of the prompt; those above it all do, those below it do not.
    """

    threshold: float
    tie_share: float = 1.0

    def __post_init__(self) -> None:
        """Refuse shares and thresholds that mean nothing."""
        if not (0 <= self.threshold <= NEVER_STRONG and 0 < self.tie_share <= 1):
            raise ValueError(
                f"threshold {self.threshold!r} and tie_share {self.tie_share!r}; accepted are "
                "0 to 1, and a share above 0 up to 1"
            )

    def ties(self, win_probability: float) -> bool:
        """Tell whether the prompt's hash decides."""
        return self.tie_share < 1 and abs(win_probability - self.threshold) <= TIE_WIDTH

    def sends_strong(self, prompts: Sequence[str], win_probabilities: FloatArray) -> BoolArray:
        """Return which prompts go to the strong model, a split tie decided by their texts.

        Args:
            prompts: As they are sent.
            win_probabilities: Shape (n_prompts,), none NaN.
        """
        strong = win_probabilities >= self.threshold
        if self.tie_share < 1:
            ties = np.abs(win_probabilities - self.threshold) <= TIE_WIDTH
            for row in np.flatnonzero(ties).tolist():
                strong[row] = tie_draw(prompts[row]) < self.tie_share
        return strong

    def strong_weights(self, win_probabilities: FloatArray) -> FloatArray:
        """Return each prompt's chance to go to the strong model before its text is hashed.

        Args:
            win_probabilities: Shape (n_prompts,), none NaN.

        Returns:
            0, ``tie_share`` or 1 per prompt, same shape.
        """
        weights = np.where(win_probabilities >= self.threshold, 1.0, 0.0)
        if self.tie_share < 1:
            weights[np.abs(win_probabilities - self.threshold) <= TIE_WIDTH] = self.tie_share
        return weights


_LEAST = 2.0**-53  # the least share of a split tie, so that rounding leaves it split
ALL_STRONG = Cut(0.0)
ALL_WEAK = Cut(NEVER_STRONG)


def tie_draw(prompt: str) -> float:
    """Return a uniform number in [0, 1) that the prompt's exact text decides.

    BLAKE2b over the text in UTF-8 (lone surrogates passed), personalised, so that it says nothing
    about any router's score; the upper 53 of its first 64 bits.
    """
    digest = blake2b(
        prompt.encode("utf-8", "surrogatepass"), digest_size=8, person=b"routecast-tie"
    ).digest()
    return (int.from_bytes(digest, "little") >> 11) * 2.0**-53


def cut_for_share(
    quantiles: FloatArray, strong_share: float, *, levels: FloatArray | None = None
) -> Cut:
    """Return the cut that sends a share of a sample to the strong model.

    Args:
        quantiles: Quantiles of the win probability on that sample, ascending, shape
            (n_quantiles,), at least one.
        strong_share: In [0, 1]. At 0 no prompt goes to the strong model, at 1 every prompt does,
            even those outside the sample's range.
        levels: The quantiles' levels in [0, 1], ascending, same shape; evenly spaced from 0 to 1
            when None.

    Returns:
        A threshold between the neighbouring quantiles. Where these are equal to within
        ``TIE_WIDTH``, their value, with the share of the tie that is missing; a tie reaches half
        a step of the levels beyond its first and its last quantile.

    Raises:
        ConfigError: If the share is outside [0, 1].
    """
    if not 0 <= strong_share <= 1:
        raise ConfigError(f"strong_share {strong_share!r} is refused; accepted: 0 to 1")
    if strong_share in {0, 1}:
        return ALL_STRONG if strong_share else ALL_WEAK
    levels = np.linspace(0, 1, len(quantiles)) if levels is None else levels
    level = 1.0 - strong_share
    threshold = float(np.interp(level, levels, quantiles))
    first = int(np.searchsorted(quantiles, threshold - TIE_WIDTH, side="left"))
    last = int(np.searchsorted(quantiles, threshold + TIE_WIDTH, side="right")) - 1
    if last <= first:
        return Cut(threshold)
    half_step = float(levels[last] - levels[first]) / (last - first) / 2.0
    start = max(float(levels[first]) - half_step, 0.0)
    end = min(float(levels[last]) + half_step, 1.0)
    tie_share = (end - level) / (end - start)
    return Cut(float(quantiles[(first + last) // 2]), min(max(tie_share, _LEAST), 1.0 - _LEAST))
