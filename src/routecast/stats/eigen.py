"""Eigenvalues of symmetric matrices, in the same time on a busy machine as on a quiet one."""

import threading
from typing import Final

import numpy as np

from routecast.errors import MissingExtraError
from routecast.types import FloatArray

_ONE_AT_A_TIME: Final = threading.Lock()


def symmetric_eigen(matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the eigenvalues, ascending, and the unit eigenvectors as columns.

    On one thread. The work is thousands of small steps, after each of which OpenBLAS's threads wait
    for one another: with a thousand rows, four threads gain little where all four cores are free,
    and take fifty times as long where another program, or a container's limit, has one of them. The
    limit holds for the whole process while it lasts, so calls from several threads take turns.

    Args:
        matrix: Symmetric, shape (n, n); only the lower half is read.

    Returns:
        Shapes (n,) and (n, n).

    Raises:
        MissingExtraError: If threadpoolctl is not installed.
        numpy.linalg.LinAlgError: If it has a NaN, or does not converge.
    """
    try:
        from threadpoolctl import threadpool_limits
    except ModuleNotFoundError as error:
        raise MissingExtraError("training", "lab") from error
    with _ONE_AT_A_TIME, threadpool_limits(1, user_api="blas"):
        values, vectors = np.linalg.eigh(matrix)
    return values, vectors
