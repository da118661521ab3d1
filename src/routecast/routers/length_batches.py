"""Batches of texts of about one length, so that little is spent on padding."""

from collections.abc import Callable, Sequence

import numpy as np

from routecast.routers.memory import run_smaller
from routecast.types import FloatArray, IntArray

MAX_BATCH_TOKENS = 16_384
MAX_BATCH_ROWS = 256


def length_batches(
    lengths: Sequence[int],
    *,
    max_tokens: int = MAX_BATCH_TOKENS,
    max_rows: int = MAX_BATCH_ROWS,
) -> list[IntArray]:
    """Split rows into batches of similar length, the longest first.

    Args:
        lengths: Tokens per row, shape (n_rows,).
        max_tokens: A batch padded to its longest row has at most so many tokens; a single row may
            have more.
        max_rows: Rows of a batch at most.

    Returns:
        Positions of rows, each once; none for no rows. Longest first, so that what does not fit
        into memory is found at once.
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    batches, start = [], 0
    while start < len(order):
        longest = max(1, lengths[int(order[start])])
        n_rows = max(1, min(max_rows, max_tokens // longest))
        batches.append(order[start : start + n_rows].astype(np.int64))
        start += n_rows
    return batches


def score_by_length(
    lengths: Sequence[int],
    score: Callable[[IntArray], FloatArray],
    *,
    max_tokens: int = MAX_BATCH_TOKENS,
    max_rows: int = MAX_BATCH_ROWS,
) -> FloatArray:
    """Score rows batch by batch and give the results in the caller's order.

    A batch that does not fit into memory is scored in halves, and so are all after it.

    Args:
        lengths: Tokens per row, shape (n_rows,).
        score: Called with positions of rows, shape (n,); returns their values, shape (n, ...).
        max_tokens: See `length_batches`.
        max_rows: Likewise.

    Returns:
        Values per row, shape (n_rows, ...); of shape (0,) without rows.

    Raises:
        ConfigError: If one row alone does not fit into memory.
    """
    batches = length_batches(lengths, max_tokens=max_tokens, max_rows=max_rows)
    if not batches:
        return np.empty(0)
    parts = run_smaller(batches, score)
    values = np.concatenate([part for _, part in parts])
    ordered = np.empty_like(values)
    ordered[np.concatenate([rows for rows, _ in parts])] = values
    return ordered
