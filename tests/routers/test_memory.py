import logging
from collections.abc import Callable

import numpy as np
import pytest

from routecast.errors import ConfigError
from routecast.routers.memory import is_out_of_memory, run_smaller, smaller_batch
from routecast.types import FloatArray, IntArray


def with_room_for(n_rows: int, seen: list[int]) -> Callable[[IntArray], FloatArray]:
    def run(rows: IntArray) -> FloatArray:
        seen.append(len(rows))
        if len(rows) > n_rows:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return rows.astype(np.float64) * 10

    return run


def test_a_batch_is_halved_until_it_fits_and_so_are_those_after_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[int] = []
    batches = [np.arange(8), np.arange(8, 16), np.arange(16, 19)]
    with caplog.at_level(logging.WARNING):
        parts = run_smaller(batches, with_room_for(2, seen))
    # 8 fails, 4 fails, then 2 2 2 2; the next 8 in four parts at once; 3 rows in parts of one.
    assert seen == [8, 4, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1]
    assert np.concatenate([rows for rows, _ in parts]).tolist() == list(range(19))
    assert np.concatenate([values for _, values in parts]).tolist() == [10.0 * n for n in range(19)]
    assert [record.getMessage() for record in caplog.records] == [
        "out of memory scoring 8 rows at once; going on with 4",
        "out of memory scoring 4 rows at once; going on with 2",
    ]


@pytest.mark.parametrize("n_rows", [5, 6, 7, 9])
def test_no_row_is_lost_where_halves_are_not_even(n_rows: int) -> None:
    seen: list[int] = []
    parts = run_smaller([np.arange(n_rows)], with_room_for(1, seen))
    assert np.concatenate([rows for rows, _ in parts]).tolist() == list(range(n_rows))


def test_one_row_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(ConfigError, match="one prompt alone does not fit into memory"):
        run_smaller([np.arange(2)], with_room_for(0, []))
    with pytest.raises(ConfigError, match="training on one prompt"):
        smaller_batch(1, what="training on")


def test_another_error_is_passed_on() -> None:
    def run(rows: IntArray) -> FloatArray:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        run_smaller([np.arange(2)], run)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (RuntimeError("CUDA out of memory. Tried to allocate"), True),
        (RuntimeError("MPS backend out of memory"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (RuntimeError("BFCArena::AllocateRawInternal Failed to allocate memory for"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("no"), False),
    ],
)
def test_libraries_say_that_memory_ran_out_in_their_own_words(
    error: Exception, expected: bool
) -> None:
    assert is_out_of_memory(error) is expected
