"""Groups of prompts that are predicted together, without one another's labels."""

import numpy as np

from routecast.types import IntArray


def groups_of_many(groups: IntArray) -> list[IntArray]:
    """Return the rows of each group of two rows or more, groups by label.

    Args:
        groups: One label per row, shape (n_rows,).
    """
    order = np.argsort(groups, kind="stable")
    cuts = np.flatnonzero(np.diff(groups[order])) + 1
    return [rows for rows in np.split(order, cuts) if len(rows) > 1]
