"""Where resampled curves are looked at: goals that are reached, and places on the way."""

from collections.abc import Mapping

import numpy as np

from routecast.evaluate.metrics import REACHED
from routecast.evaluate.steps import SENT, Passing, RealArray
from routecast.types import FloatArray, IntArray

COST = "cost"
"""Name of the extra cost of each prompt, as a width."""


class GoalWatch:
    """Where each resample first recovers shares of the gap: `share_for_gap_recovered`.

    A step of m equal scores holds m cut points on a straight line; the first of them that
    reaches the goal is found in closed form.

    Attributes:
        sent: Prompts sent when each goal is reached, between cut points too, shape
            (n_goals, n_block); NaN where it has not been.
        cost: Sum of ``cost`` there, same shape; NaN without that width.
    """

    def __init__(self, goals: FloatArray, *, unit: FloatArray) -> None:
        """Watch for ``goals`` as shares of the gap, shape (n_goals, n_block); NaN for never.

        A summed gap times ``unit``, shape (n_block,), is a share of the gap.
        """
        at_once = goals <= REACHED
        self.sent = np.where(at_once, 0.0, np.nan)
        self.cost = self.sent.copy()
        self._goals = goals
        self._unit = unit
        self._open = np.where(at_once | np.isnan(goals), np.inf, goals - REACHED)
        self._best = np.zeros(len(unit))

    def look(self, passing: Passing) -> None:
        """Note the resamples that arrive in this chunk, with its running sum ``gap``."""
        recovered = passing.before["gap"] * self._unit
        highest = recovered + _peak(passing.running["gap"], self._unit)
        which, hits = np.nonzero(highest >= self._open)
        if len(hits):
            self._arrive(passing, recovered, which, hits)
        self._best = np.maximum(self._best, highest)

    def _arrive(
        self, passing: Passing, recovered: FloatArray, which: IntArray, hits: IntArray
    ) -> None:
        sizes, goal = passing.sizes[:, hits], self._open[which, hits]
        ends = recovered[hits] + passing.running["gap"][:, hits] * self._unit[hits]
        step = (ends >= goal).argmax(axis=0)
        at = (step, np.arange(len(hits)))
        earlier = np.arange(len(sizes))[:, None] < step
        best = np.maximum(self._best[hits], np.where(earlier, ends, -np.inf).max(axis=0))
        low = np.where(step > 0, ends[step - 1, at[1]], recovered[hits])
        per_prompt = (ends[at] - low) / sizes[at]
        n_prompts = np.maximum(np.ceil((goal - low) / per_prompt), 1.0)
        before = np.maximum(best, low + (n_prompts - 1.0) * per_prompt)
        after = low + n_prompts * per_prompt
        in_step = n_prompts - 1.0
        in_step += np.minimum((self._goals[which, hits] - before) / (after - before), 1.0)
        n_earlier = np.where(earlier, sizes, 0.0).sum(axis=0)
        self.sent[which, hits] = passing.before[SENT][hits] + n_earlier + in_step
        if COST in passing.widths:
            costs = passing.per_step(COST, hits)
            cost = passing.before[COST][hits] + np.where(earlier, costs, 0.0).sum(axis=0)
            self.cost[which, hits] = cost + costs[at] * in_step / sizes[at]
        self._open[which, hits] = np.inf


def _peak(gains: RealArray, unit: FloatArray) -> FloatArray:
    """Return the highest of some summed gaps as a share of the gap, shape (n_block,)."""
    peak = gains.max(axis=0) * unit
    if (unit < 0).any():  # the strong model is worse: its share is highest where the sum is lowest
        peak = np.where(unit < 0, gains.min(axis=0) * unit, peak)
    return np.asarray(peak)


class PlaceWatch:
    """The steps that hold given places on the way down, and one running sum around them.

    Attributes:
        places: Numbers of prompts sent, shape (n_places, n_block).
        n_before: Prompts sent before the step that holds the place, same shape.
        sizes: Prompts in that step, same shape; 0 where the place is past the last prompt.
        sum_before: The running sum before that step, same shape.
        sum_after: The running sum after it, same shape.
    """

    def __init__(self, places: FloatArray, name: str) -> None:
        """Watch for ``places``, shape (n_places, n_block), with the running sum ``name``."""
        self.places = places
        self.n_before = np.full(places.shape, np.nan)
        self.sizes, self.sum_before, self.sum_after = np.zeros((3, *places.shape))
        self._name = name
        self._whole = np.floor(places)  # a rank is above a place when it is above its whole part
        self._lowest, self._highest = places.min(axis=1), places.max(axis=1)

    def look(self, passing: Passing) -> None:
        """Note the places in this chunk."""
        start, ranks = passing.before[SENT], passing.ranks
        end = start + ranks[-1]
        for place in np.flatnonzero((self._lowest < end.max()) & (self._highest >= start.min())):
            whole = self._whole[place]
            hits = np.flatnonzero((whole >= start) & (whole < end))
            if len(hits):
                passed = ranks <= (whole - start).astype(ranks.dtype)
                step = np.add.reduce(passed.view(np.int8), axis=0, dtype=np.int8)[hits]
                self._note(int(place), passing, step.astype(np.int64), hits)

    def _note(self, place: int, passing: Passing, step: IntArray, hits: IntArray) -> None:
        size = passing.sizes[step, hits]
        running, before = passing.running[self._name], passing.before[self._name][hits]
        earlier = np.where(step > 0, running[step - 1, hits], 0.0)
        self.sizes[place, hits] = size
        self.n_before[place, hits] = passing.before[SENT][hits] + passing.ranks[step, hits] - size
        self.sum_before[place, hits] = before + earlier
        self.sum_after[place, hits] = before + running[step, hits]

    def close(self, totals: Mapping[str, FloatArray]) -> None:
        """Fill the places at the very end, given each sum over all prompts, shape (n_block,)."""
        rows, columns = np.nonzero(np.isnan(self.n_before))
        self.n_before[rows, columns] = totals[SENT][columns]
        self.sum_before[rows, columns] = totals[self._name][columns]
        self.sum_after[rows, columns] = totals[self._name][columns]

    def between(self) -> FloatArray:
        """Return the sum at the places along straight lines, shape (n_places, n_block)."""
        sizes = np.maximum(self.sizes, 1.0)  # 0 at the very end, where both sums are equal
        part = (self.places - self.n_before) / sizes
        return np.asarray(self.sum_before + (self.sum_after - self.sum_before) * part)
