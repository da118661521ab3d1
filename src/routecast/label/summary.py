"""What a judging run says about the two models, and about the judge."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from routecast.label.judge import Failed, Judged
from routecast.types import FloatArray

Z_95 = 1.959963984540054


@dataclass(frozen=True, kw_only=True)
class PositionBias:
    """How often the judge chose a position instead of an answer.

    Attributes:
        n_pairs: Pairs that were judged in both orders.
        n_first: Pairs where the answer shown first won both times.
        n_second: Pairs where the answer shown second won both times.
    """

    n_pairs: int
    n_first: int
    n_second: int

    @property
    def share(self) -> float:
        """Share of pairs whose verdict followed the position, in [0, 1]; NaN without pairs."""
        return (self.n_first + self.n_second) / self.n_pairs if self.n_pairs else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """95% interval of the share."""
        return wilson_interval(self.n_first + self.n_second, self.n_pairs)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The figures at the end of a run.

    Attributes:
        n_prompts: All items.
        n_judged: Items with a label.
        n_wins: Labels 1: the strong model's answer won.
        n_ties: Labels 0.5.
        n_losses: Labels 0.
        n_disagreements: Ties because the two verdicts named different answers.
        n_identical: Ties because both answers are the same text; pairwise, nobody was asked.
        position_bias: None with grades, which know no position.
        length_correlation: Spearman's rank correlation between outcome and the difference of the
            answers' lengths in characters, strong minus weak, over all judged items; NaN when
            either is the same everywhere.
        failures: Number of items by reason, most frequent first.
    """

    n_prompts: int
    n_judged: int
    n_wins: int
    n_ties: int
    n_losses: int
    n_disagreements: int
    n_identical: int
    position_bias: PositionBias | None
    length_correlation: float
    failures: dict[str, int]

    @property
    def n_failed(self) -> int:
        """Items without a label for a reason of their own."""
        return sum(self.failures.values())

    @property
    def n_not_reached(self) -> int:
        """Items that the run did not come to."""
        return self.n_prompts - self.n_judged - self.n_failed

    def share(self, n: int) -> float:
        """Return ``n`` as a share of the judged items; NaN when there are none."""
        return n / self.n_judged if self.n_judged else math.nan


def summarise(results: Sequence[Judged | Failed | None], *, pairwise: bool) -> Summary:
    """Count what a run gave.

    Args:
        results: Per item; None for one that was not reached.
        pairwise: Whether the judge compared pairs, and did not grade.
    """
    judged = [result for result in results if isinstance(result, Judged)]
    outcomes = [result.outcome for result in judged]
    verdicts = [result.verdict for result in judged if result.verdict is not None]
    positions = Counter(verdict.follows_position for verdict in verdicts)
    failures = Counter(result.reason for result in results if isinstance(result, Failed))
    gaps = [len(result.answers.strong) - len(result.answers.weak) for result in judged]
    return Summary(
        n_prompts=len(results),
        n_judged=len(judged),
        n_wins=outcomes.count(1.0),
        n_ties=outcomes.count(0.5),
        n_losses=outcomes.count(0.0),
        n_disagreements=sum(verdict.disagrees for verdict in verdicts),
        n_identical=sum(result.answers.strong == result.answers.weak for result in judged),
        position_bias=PositionBias(
            n_pairs=len(verdicts), n_first=positions["first"], n_second=positions["second"]
        )
        if pairwise
        else None,
        length_correlation=rank_correlation(np.array(outcomes), np.array(gaps)),
        failures=dict(failures.most_common()),
    )


def wilson_interval(n_successes: int, n_trials: int) -> tuple[float, float]:
    """Return the 95% score interval of a share.

    Args:
        n_successes: From 0 to ``n_trials``.
        n_trials: Without any, both ends are NaN.

    Returns:
        Lower and upper end, within [0, 1].

    References:
        Wilson (1927); as method 3 in Newcombe (1998), Statistics in Medicine 17.
    """
    if n_trials == 0:
        return math.nan, math.nan
    share, n, z2 = n_successes / n_trials, n_trials, Z_95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def rank_correlation(left: FloatArray, right: FloatArray) -> float:
    """Return Spearman's rank correlation of two arrays of shape (n,), equal values sharing a rank.

    Returns:
        In [-1, 1]; NaN when either has fewer than two different values.
    """
    left_ranks, right_ranks = _ranks(left), _ranks(right)
    left_ranks -= left_ranks.mean() if len(left) else 0.0
    right_ranks -= right_ranks.mean() if len(right) else 0.0
    scale = math.sqrt(float(left_ranks @ left_ranks) * float(right_ranks @ right_ranks))
    return float(left_ranks @ right_ranks) / scale if scale > 0 else math.nan


def _ranks(values: FloatArray) -> FloatArray:
    """Return ranks from 1, the mean rank where values are equal."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: FloatArray = (last - (counts - 1) / 2)[places]
    return ranks
