"""Eigenvalues of symmetric matrices."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from routecast.stats.eigen import symmetric_eigen


def test_a_matrix_worked_by_hand() -> None:
    # [[2, 1], [1, 2]]: (1, -1) goes to (1, -1), (1, 1) to (3, 3)
    values, vectors = symmetric_eigen(np.array([[2.0, 1.0], [1.0, 2.0]]))
    assert values == pytest.approx([1.0, 3.0])
    assert np.abs(vectors) == pytest.approx(np.full((2, 2), 0.5**0.5))
    assert vectors[0, 0] == pytest.approx(-vectors[1, 0])


@settings(max_examples=30)
@given(n_rows=st.integers(1, 40), seed=st.integers(0, 2**32 - 1))
def test_the_parts_make_the_matrix_again(n_rows: int, seed: int) -> None:
    half = np.random.default_rng(seed).normal(size=(n_rows, n_rows))
    matrix = half + half.T
    values, vectors = symmetric_eigen(matrix)
    assert np.all(np.diff(values) >= 0.0)
    assert vectors * values @ vectors.T == pytest.approx(matrix, abs=1e-9)
    assert vectors.T @ vectors == pytest.approx(np.eye(n_rows), abs=1e-9)


def n_threads() -> list[int]:
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_threads_are_given_back() -> None:
    before = n_threads()
    assert before
    symmetric_eigen(np.eye(3))
    assert n_threads() == before


def test_threads_are_given_back_when_calls_overlap() -> None:
    before = n_threads()
    matrix = np.random.default_rng(0).normal(size=(200, 200))
    with ThreadPoolExecutor(4) as pool:
        values = [found for found, _ in pool.map(symmetric_eigen, [matrix @ matrix.T] * 12)]
    assert n_threads() == before
    assert all(np.array_equal(one, values[0]) for one in values)


def test_without_threadpoolctl_the_values_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    half = np.random.default_rng(0).normal(size=(50, 50))
    limited, _ = symmetric_eigen(half + half.T)
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    values, _ = symmetric_eigen(half + half.T)
    assert values == pytest.approx(limited)
