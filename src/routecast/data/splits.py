"""Splits by prompt: rows that hold the same prompt always fall on the same side."""

import heapq
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

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
    sets = _sets_in_order(prompts, seed=seed, groups=groups)
    sizes = np.array([len(rows) for rows in sets])
    middles = (np.cumsum(sizes) - sizes / 2.0) / max(len(prompts), 1)
    limits = np.cumsum(fractions)[:2]
    sides = np.searchsorted(limits, middles, side="right") if len(sets) else np.zeros(0, np.intp)
    train, validation, test = (
        _sorted_rows([rows for rows, at in zip(sets, sides, strict=True) if at == side])
        for side in range(3)
    )
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
    sets = _sets_in_order(prompts, seed=seed, groups=groups)
    if not 2 <= n_folds <= len(sets):
        raise ValueError(
            f"{n_folds!r} folds of {len(sets)} different prompts; accepted is 2 or more, and no "
            "more than there are prompts"
        )
    folds = np.empty(len(prompts), dtype=np.int64)
    smallest = [(0, fold) for fold in range(n_folds)]
    for rows in sorted(sets, key=len, reverse=True):  # a stable sort: ties keep the hash's order
        n_rows, fold = smallest[0]
        folds[rows] = fold
        heapq.heapreplace(smallest, (n_rows + len(rows), fold))
    return folds


def _sets_in_order(
    prompts: Sequence[str], *, seed: int, groups: Sequence[Hashable | None] | None
) -> list[list[int]]:
    """Return the sets of rows that stay together, in the order that the seed decides."""
    hashes = prompt_hashes64(prompts).tolist()
    labels: Sequence[Hashable | None] = [None] * len(prompts) if groups is None else groups
    if len(labels) != len(prompts):
        raise ValueError(f"{len(labels)} groups for {len(prompts)} prompts; give one per row")
    parents: dict[Hashable, Hashable] = {}
    for prompt, label in zip(hashes, labels, strict=True):
        _join(parents, ("prompt", prompt), ("prompt", prompt))
        if label is not None:
            _join(parents, ("prompt", prompt), ("group", label))
    sets: dict[Hashable, list[int]] = {}
    ranks: dict[Hashable, bytes] = {}
    for row, prompt in enumerate(hashes):
        root = _root(parents, ("prompt", prompt))
        sets.setdefault(root, []).append(row)
        rank = blake2b(f"{seed}:{prompt}".encode(), digest_size=8).digest()
        ranks[root] = min(ranks.get(root, rank), rank)
    return [sets[root] for root in sorted(sets, key=ranks.__getitem__)]


def _root(parents: dict[Hashable, Hashable], node: Hashable) -> Hashable:
    """Follow the parents up, halving the path on the way."""
    while parents[node] != node:
        parents[node] = parents[parents[node]]
        node = parents[node]
    return node


def _join(parents: dict[Hashable, Hashable], one: Hashable, other: Hashable) -> None:
    """Put two nodes under one root."""
    for node in (one, other):
        parents.setdefault(node, node)
    parents[_root(parents, one)] = _root(parents, other)


def _sorted_rows(sets: Sequence[Sequence[int]]) -> IntArray:
    return np.sort(np.array([row for rows in sets for row in rows], dtype=np.int64))
