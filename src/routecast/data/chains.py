"""Which of many items pairs tie together, in chains."""

import numpy as np

from routecast.types import IntArray


class Chains:
    """Items in sets that only grow together; each starts as its own."""

    def __init__(self, n_items: int) -> None:
        """Hold ``n_items`` items, numbered from 0."""
        self._parents = list(range(n_items))

    def join(self, left: IntArray, right: IntArray) -> None:
        """Put both items of each pair into one set; two arrays of shape (n_pairs,)."""
        for one, other in zip(left.tolist(), right.tolist(), strict=True):
            first, second = sorted((self._root(one), self._root(other)))
            self._parents[second] = first

    def roots(self) -> IntArray:
        """Return the first item of each item's set, shape (n_items,)."""
        roots = np.array(self._parents, dtype=np.int64)
        while (roots[roots] != roots).any():
            roots = roots[roots]
        return roots

    def _root(self, item: int) -> int:
        """Follow the parents up, halving the path on the way."""
        parents = self._parents
        while parents[item] != item:
            parents[item] = parents[parents[item]]
            item = parents[item]
        return item
