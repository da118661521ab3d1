"""Eigenvalues of symmetric matrices, in the same time on a busy machine as on a quiet one."""

import threading
from contextlib import AbstractContextManager, nullcontext
from typing import Final

import numpy as np

from routecast.types import FloatArray

_ONE_AT_A_TIME: Final = threading.Lock()


def symmetric_eigen(matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the eigenvalues, ascending, and the unit eigenvectors as columns.

    On one thread. The work is thousands of small steps, after each of which OpenBLAS's threads wait
    for one another: with a thousand rows, four threads gain little where all four cores are free,
    and take fifty times as long where another program, or a container's limit, has one of them. The
    limit holds for the whole process while it lasts, so calls from several threads take turns.
    Without threadpoolctl, which the extra ``lab`` brings, BLAS takes the threads that it likes: the
    demo's few hundred rows need no limit, and the commands that train ask for the extra.

    Args:
        matrix: Symmetric, shape (n, n); only the lower half is read.

    Returns:
        Shapes (n,) and (n, n).

    Raises:
        numpy.linalg.LinAlgError: If it has a NaN, or does not converge.
    """
    with _ONE_AT_A_TIME, _one_thread():
        values, vectors = np.linalg.eigh(matrix)
    return values, vectors


def _one_thread() -> AbstractContextManager[object]:
    """Limit BLAS to one thread where that can be had."""
    try:
        from threadpoolctl import threadpool_limits
    except ModuleNotFoundError:
        return nullcontext()
    limits: AbstractContextManager[object] = threadpool_limits(1, user_api="blas")
    return limits
