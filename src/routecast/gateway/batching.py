"""Scoring off the event loop: one thread per router, which takes what waits as one batch.

While the thread scores a batch, requests gather for the next one; nobody waits for company. So a
router that scores 32 texts nearly as fast as one serves 32 requests at the price of one.
"""

import asyncio
import threading
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final

from routecast.routers.protocol import Router

MAX_BATCH: Final = 32
"""Texts that are scored at once; more gain little and make the first of them wait."""


class ScoreLateError(Exception):
    """The score did not come in time; the router may still be at it."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A text whose request waits for its score."""

    text: str
    deadline_s: float
    future: asyncio.Future[float]


@dataclass(slots=True)
class _Progress:
    """What the thread is doing, as others may see it."""

    began_s: float | None = None  # of the batch that is being scored
    s_per_text: float = 0.0  # of the last batch


class BatchingThread:
    """Scores texts in a thread of its own, which starts with the first text.

    Any number of event loops may use it. It ends with this object; as a daemon it never keeps the
    process from ending, whatever the router does.
    """

    def __init__(self, router: Router, *, max_batch: int = MAX_BATCH) -> None:
        """Score with ``router``, at most ``max_batch`` texts at once."""
        self._router = router
        self._max_batch = max_batch
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._progress = _Progress()
        self._thread: threading.Thread | None = None

    async def score(self, text: str, *, timeout_s: float) -> float:
        """Return the text's win probability.

        Raises:
            ScoreLateError: If it is not there after ``timeout_s``; at once, if the batch before it
                has taken that long already and is not done.
            Exception: Whatever the router raised for this text.
            ValueError: If what it gave is no probability.
        """
        now_s = time.monotonic()
        began_s = self._progress.began_s
        if began_s is not None and now_s - began_s > timeout_s:
            raise ScoreLateError
        self._start()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[float] = loop.create_future()
        self._queue.put(_Waiting(text, now_s + timeout_s, future))
        alarm = loop.call_later(timeout_s, _settle, future, ScoreLateError())
        try:
            return await future
        finally:
            alarm.cancel()

    def _start(self) -> None:
        if self._thread is None:
            arguments = (self._router, self._queue, self._progress, self._max_batch)
            self._thread = threading.Thread(
                target=_score_forever, args=arguments, name="routecast-scorer", daemon=True
            )
            self._thread.start()
            weakref.finalize(self, self._queue.put, None)


def score_texts(router: Router, texts: Sequence[str]) -> list[float]:
    """Return one win probability per text; NaN is allowed, anything else is not.

    Raises:
        ValueError: If the router gave anything but one number in [0, 1] per text.
    """
    scores = router.win_probabilities(texts).tolist()
    if len(scores) != len(texts):
        raise ValueError("a router must give one win probability per prompt")
    return [check_score(score) for score in scores]


def check_score(score: float) -> float:
    """Return a router's score if it is a win probability, or NaN.

    Raises:
        ValueError: If it is neither.
    """
    if score < 0 or score > 1:
        raise ValueError("a win probability must be in [0, 1]")
    return float(score)


def _score_forever(
    router: Router, queue: "SimpleQueue[_Waiting | None]", progress: _Progress, max_batch: int
) -> None:
    """The thread: take what waits, score it, hand it out, until None comes."""
    while (first := queue.get()) is not None:
        batch = _gather(first, queue, progress.s_per_text, max_batch)
        if not batch:
            continue
        began_s = progress.began_s = time.monotonic()
        results = _score_each(router, [waiting.text for waiting in batch])
        progress.s_per_text = (time.monotonic() - began_s) / len(batch)
        progress.began_s = None
        for waiting, result in zip(batch, results, strict=True):
            _deliver(waiting.future, result)


def _gather(
    first: _Waiting, queue: "SimpleQueue[_Waiting | None]", s_per_text: float, max_batch: int
) -> list[_Waiting]:
    """Return what is worth scoring now: what takes half of the time that the first has left.

    Without that bound, a router that falls behind would answer everybody too late. The very first
    text is scored alone, since nobody knows yet how long one takes.
    """
    batch = [] if first.future.done() else [first]
    left_s = first.deadline_s - time.monotonic()
    max_batch = min(max_batch, int(left_s / 2 / s_per_text)) if s_per_text > 0 else 1
    while len(batch) < max_batch:
        try:
            waiting = queue.get_nowait()
        except Empty:
            break
        if waiting is None:
            queue.put(None)
            break
        if not waiting.future.done():
            batch.append(waiting)
    return batch


def _score_each(router: Router, texts: list[str]) -> Sequence[float | Exception]:
    """Return a score or an error per text: one text that breaks the batch breaks no other."""
    try:
        return score_texts(router, texts)
    except Exception as error:  # noqa: BLE001 (a router is foreign code and must not end the thread)
        if len(texts) == 1:
            return [error]
    return [_score_each(router, [text])[0] for text in texts]


def _deliver(future: asyncio.Future[float], result: float | Exception) -> None:
    try:
        future.get_loop().call_soon_threadsafe(_settle, future, result)
    except RuntimeError:  # its loop is closed, so nobody waits any more
        return


def _settle(future: asyncio.Future[float], result: float | Exception) -> None:
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
