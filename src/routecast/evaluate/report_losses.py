"""The prompts where routing lost most, at every threshold at once."""

import heapq
from dataclasses import dataclass

import numpy as np

from routecast.evaluate.study import Study
from routecast.types import FloatArray, IntArray

N_SHOWN = 10


@dataclass(frozen=True, kw_only=True, eq=False)
class Losses:
    """Prompts that went to the worse model.

    `missed` ones went to the weak model though the strong one's answer is better, `wasted` ones
    the other way round. Which prompts these are depends on the threshold. Each list holds, worst
    first, whatever belongs to the worst `N_SHOWN` at some threshold.

    Attributes:
        missed: Rows, by falling loss; of equal losses the lowest score first, shape (n_missed,).
        wasted: Rows, by falling loss; of equal losses the highest score first, shape (n_wasted,).
        sent_from: Per prompt, shape (n_prompts,): it goes to the strong model as soon as so many
            prompts do.
    """

    missed: IntArray
    wasted: IntArray
    sent_from: IntArray


def losses_of(scores: FloatArray, study: Study, *, n_shown: int = N_SHOWN) -> Losses:
    """Find the prompts that a report may have to show.

    Args:
        scores: Per prompt, shape (n_prompts,), in the order of routing.
        study: The outcomes that the scores belong to.
        n_shown: How many are shown at one threshold.
    """
    gap = study.strong_quality - study.weak_quality
    rising = np.sort(scores)
    sent_from = len(scores) - np.searchsorted(rising, scores, side="left")
    return Losses(
        missed=_ever_worst(gap, -sent_from, n_shown),
        wasted=_ever_worst(-gap, sent_from, n_shown),
        sent_from=sent_from.astype(np.int64),
    )


def _ever_worst(loss: FloatArray, place: IntArray, n_shown: int) -> IntArray:
    """Return rows that are among the worst for some prefix of the rows by rising place.

    A row that ``n_shown`` rows of no higher place lose at least as much as is never shown: one
    pass with a heap of the largest losses so far finds the others.
    """
    kept: list[int] = []
    worst: list[float] = []  # a heap: its smallest member is what a row has to exceed
    for row in np.lexsort((np.arange(len(loss)), -loss, place)):
        if loss[row] <= 0 or (len(worst) == n_shown and loss[row] <= worst[0]):
            continue
        kept.append(int(row))
        if len(worst) == n_shown:
            heapq.heapreplace(worst, float(loss[row]))
        else:
            heapq.heappush(worst, float(loss[row]))
    rows = np.array(kept, dtype=np.int64)
    return rows[np.lexsort((rows, place[rows], -loss[rows]))]


def counts_along(losses: Losses, study: Study, n_strong: IntArray) -> tuple[IntArray, IntArray]:
    """Count missed and wasted prompts at each cut point, two arrays of shape (n_cuts,)."""
    gap = study.strong_quality - study.weak_quality
    better_strong = np.sort(losses.sent_from[gap > 0])
    better_weak = np.sort(losses.sent_from[gap < 0])
    n_missed = len(better_strong) - np.searchsorted(better_strong, n_strong, side="right")
    n_wasted = np.searchsorted(better_weak, n_strong, side="right")
    return n_missed.astype(np.int64), n_wasted.astype(np.int64)
