"""Scoring a large file in a process per core.

Workers are started afresh (never forked, so no lock or thread of this process comes along), ignore
the terminal's interrupt, which is this process's to handle, and end with this process.
"""

import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

    from routecast.artifacts import LoadedRouter
    from routecast.types import FloatArray

N_BATCHES_BEFORE = 10
"""Batches that this process scores by itself: a small file is done before workers are up."""

_N_WAITING = 2  # batches per worker that are scored or wait for it
_Item = TypeVar("_Item")
_Scored = tuple["FloatArray", int]
_worker_router: "LoadedRouter | None" = None


def n_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def scores_in_workers(loaded: "LoadedRouter") -> bool:
    """Tell whether workers help: not with networks, endpoints and what costs next to nothing."""
    from routecast.routers.families import reads_vectors

    return (
        loaded.manifest is not None
        and reads_vectors(loaded.manifest.router)
        and loaded.embedder is not None
        and loaded.embedder.identity.name == "static"
    )


def score_batches(
    batches: Iterable[tuple[_Item, Sequence[str]]], loaded: "LoadedRouter", *, n_processes: int
) -> Iterator[tuple[_Item, _Scored]]:
    """Score batches of prompts, in their order.

    Args:
        batches: What comes back with the scores, and the prompts.
        loaded: The router.
        n_processes: From 2 on, so many workers score what is left after `N_BATCHES_BEFORE`
            batches; a few batches per worker are read ahead, and no more.

    Yields:
        The item, with the prompts' win probabilities and how many of them were read in part.

    Raises:
        DataError: If the system ends a worker.
    """
    batches = iter(batches)
    n_here = N_BATCHES_BEFORE if n_processes > 1 else None
    for item, prompts in islice(batches, n_here):
        yield item, _score(loaded, prompts)
    first = next(batches, None)
    if first is not None:
        yield from _in_workers(first, batches, loaded.name, n_processes)


def _in_workers(
    first: tuple[_Item, Sequence[str]],
    others: Iterator[tuple[_Item, Sequence[str]]],
    router: str,
    n_processes: int,
) -> Iterator[tuple[_Item, _Scored]]:
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    from routecast.errors import DataError

    pool = ProcessPoolExecutor(
        n_processes, get_context("spawn"), initializer=_start_worker, initargs=(router,)
    )
    try:
        waiting = deque([_submitted(pool, first)])
        for batch in others:
            waiting.append(_submitted(pool, batch))
            if len(waiting) > _N_WAITING * n_processes:
                item, future = waiting.popleft()
                yield item, future.result()
        for item, future in waiting:
            yield item, future.result()
    except BrokenProcessPool:
        raise DataError(
            f"a scoring process was ended by the system, for want of memory perhaps; use fewer of "
            f"them than {n_processes}, for example --processes 1"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _submitted(
    pool: "Executor", batch: tuple[_Item, Sequence[str]]
) -> "tuple[_Item, Future[_Scored]]":
    item, prompts = batch
    with _ends_held_back():
        return item, pool.submit(_score_in_worker, prompts)


@contextmanager
def _ends_held_back() -> Iterator[None]:
    """Let an interrupt wait until the block ends: a worker that is half started would complain.

    The interrupt is also masked, where the system knows how, since a new process takes the mask
    along and could not ignore it from its first moment otherwise.
    """
    arrived: list[int] = []
    handlers = {
        number: signal.signal(number, lambda number, _: arrived.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    can_mask = hasattr(signal, "pthread_sigmask")
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if can_mask else set()
    try:
        yield
    finally:
        if can_mask:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for late in arrived:
            signal.raise_signal(late)


def _start_worker(router: str) -> None:
    """Load the router in a worker; its processes are the parallelism, so BLAS gets one thread."""
    global _worker_router  # noqa: PLW0603 (a pool gives its workers no other place)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"  # before numpy is imported here
    from routecast.artifacts import load_router

    _worker_router = load_router(router)


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, however that ended."""
    from multiprocessing import parent_process

    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _score_in_worker(prompts: Sequence[str]) -> _Scored:
    if _worker_router is None:
        raise RuntimeError("this process was not started as a worker")
    return _score(_worker_router, prompts)


def _score(loaded: "LoadedRouter", prompts: Sequence[str]) -> _Scored:
    return loaded.router.win_probabilities(prompts), loaded.count_cut(prompts)
