"""Splits by prompt: rows that hold the same prompt always fall on the same side."""

import heapq
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from routecast.data.chains import Chains
from routecast.data.leakage import prompt_hashes64
from routecast.types import IntArray


@dataclass(frozen=True, kw_only=True, eq=False)
class PromptSplit:
    """Row numbers of three sides, each ascending; together they are all rows, each once.

    Attributes:
        train: Rows to fit on.
        validation: Rows to choose and calibrate on.
        test: Rows to report on.
    """

    train: IntArray
    validation: IntArray
    test: IntArray


def split_by_prompt(
    prompts: Sequence[str],
    *,
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int,
    groups: Sequence[Hashable | None] | None = None,
) -> PromptSplit:
    """Split rows into train, validation and test.

    Rows whose prompts are equal after normalising stay together, and so do rows of one group,
    and whatever these two tie together in chains. Such sets of rows are put in an order that a
    hash of seed and prompt decides, and dealt out in that order; the same rows in another order
    are split alike.

    Args:
        prompts: One prompt per row.
        fractions: Shares of the rows for train, validation and test; they add up to 1. Sets of
            rows that stay together are never cut, so large ones shift the shares.
        seed: Another seed gives another split.
        groups: One label per row for rows that belong together, near-duplicates for example;
            None is no group.

    Raises:
        ValueError: If the fractions do not add up to 1, or one is negative, or there is not one
            group per row.
    """
    if min(fractions) < 0 or abs(sum(fractions) - 1.0) > 1e-9:
        raise ValueError(f"fractions {fractions!r}; accepted are three from 0 that add up to 1")
    places = _places_in_order(prompts, seed=seed, groups=groups)
    sizes = np.bincount(places)
    middles = (np.cumsum(sizes) - sizes / 2.0) / max(len(prompts), 1)
    side_of_row = np.searchsorted(np.cumsum(fractions)[:2], middles, side="right")[places]
    train, validation, test = (np.flatnonzero(side_of_row == side) for side in range(3))
    return PromptSplit(train=train, validation=validation, test=test)


def folds_by_prompt(
    prompts: Sequence[str],
    *,
    n_folds: int,
    seed: int,
    groups: Sequence[Hashable | None] | None = None,
) -> IntArray:
    """Assign each row to one of several folds of nearly equal size.

    What stays together, and what decides the assignment, is as in `split_by_prompt`.

    Args:
        prompts: One prompt per row.
        n_folds: Number of folds, 2 or more.
        seed: Another seed gives other folds.
        groups: One label per row for rows that belong together; None is no group.

    Returns:
        Fold of each row, shape (n_rows,), from 0 to ``n_folds - 1``.

    Raises:
        ValueError: If there are fewer sets of rows that stay together than folds.
    """
    places = _places_in_order(prompts, seed=seed, groups=groups)
    sizes = np.bincount(places)
    if not 2 <= n_folds <= len(sizes):
        raise ValueError(
            f"{n_folds!r} folds of {len(sizes)} different prompts; accepted is 2 or more, and no "
            "more than there are prompts"
        )
    folds = np.empty(len(sizes), dtype=np.int64)
    smallest = [(0, fold) for fold in range(n_folds)]
    for place in np.argsort(-sizes, kind="stable").tolist():  # ties keep the hash's order
        n_rows, fold = smallest[0]
        folds[place] = fold
        heapq.heapreplace(smallest, (n_rows + int(sizes[place]), fold))
    return np.asarray(folds[places])


def _places_in_order(
    prompts: Sequence[str], *, seed: int, groups: Sequence[Hashable | None] | None
) -> IntArray:
    """Return each row's set of rows that stay together, numbered in the order of the seed."""
    labels: Sequence[Hashable | None] = [None] * len(prompts) if groups is None else groups
    if len(labels) != len(prompts):
        raise ValueError(f"{len(labels)} groups for {len(prompts)} prompts; give one per row")
    hashes, nodes = np.unique(prompt_hashes64(prompts), return_inverse=True)
    numbers: dict[Hashable, int] = {}
    named = [row for row, label in enumerate(labels) if label is not None]
    group_nodes = [numbers.setdefault(labels[row], len(hashes) + len(numbers)) for row in named]
    chains = Chains(len(hashes) + len(numbers))
    chains.join(nodes[named], np.array(group_nodes, dtype=np.int64))
    _, sets = np.unique(chains.roots()[: len(hashes)], return_inverse=True)
    ranks = np.full(int(sets.max(initial=-1)) + 1, np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(ranks, sets, _ranks(hashes, seed))
    places = np.empty(len(ranks), dtype=np.int64)
    places[np.argsort(ranks, kind="stable")] = np.arange(len(ranks))
    return np.asarray(places[sets[nodes]])


def _ranks(hashes: npt.NDArray[np.uint64], seed: int) -> npt.NDArray[np.uint64]:
    """Return a number per prompt that seed and prompt decide, shape (n_prompts,)."""
    digests = (
        blake2b(f"{seed}:{prompt}".encode(), digest_size=8).digest() for prompt in hashes.tolist()
    )
    return np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64)
