"""Light routers score on the loop, heavy ones and long texts beside it."""

import asyncio
import gc
import math
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routecast.artifacts import load_router
from routecast.gateway import scorer as scorer_module
from routecast.gateway.batching import (
    MAX_BATCH,
    BatchingThread,
    ScoreLateError,
    _gather,
    _Waiting,
)
from routecast.gateway.scorer import (
    MAX_CHARACTERS,
    MAX_CHARACTERS_ON_LOOP,
    Scorer,
    build_scorer,
    cut_text,
)
from routecast.types import FloatArray

pytestmark = pytest.mark.anyio


@dataclass
class SlowRouter:
    """Scores the number that a text is, over 1,000; a batch is not done before it may be."""

    may_answer: threading.Event = field(default_factory=threading.Event)
    began: threading.Event = field(default_factory=threading.Event)
    batches: list[list[str]] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)

    def win_probabilities(self, prompts: Sequence[str]) -> FloatArray:
        self.batches.append(list(prompts))
        self.threads.add(threading.get_ident())
        self.began.set()
        assert self.may_answer.wait(30)
        return np.array([int(prompt) / 1000 for prompt in prompts])


@dataclass
class ScriptedRouter:
    """Does what it is told with the prompts."""

    script: Callable[[Sequence[str]], Any]

    def win_probabilities(self, prompts: Sequence[str]) -> Any:  # noqa: ANN401
        return self.script(prompts)


async def has_begun(router: SlowRouter) -> None:
    """Wait until the router scores."""
    assert await asyncio.to_thread(router.began.wait, 30)


async def test_a_light_router_scores_a_short_text_on_the_loop() -> None:
    router = SlowRouter()
    router.may_answer.set()
    assert await Scorer(router, is_heavy=False).score("250", timeout_s=300) == 0.25
    assert router.threads == {threading.get_ident()}


async def test_a_long_text_is_scored_beside_the_loop_by_any_router() -> None:
    router = SlowRouter()
    router.may_answer.set()
    long = "250".zfill(MAX_CHARACTERS_ON_LOOP + 1)
    assert await Scorer(router, is_heavy=False).score(long, timeout_s=300) == 0.25
    assert threading.get_ident() not in router.threads


async def test_requests_that_come_while_it_scores_become_one_batch() -> None:
    router = SlowRouter()
    scorer = Scorer(router, is_heavy=True)
    asked = [asyncio.ensure_future(scorer.score(str(n), timeout_s=300)) for n in range(20)]
    await has_begun(router)
    router.may_answer.set()
    scores = await asyncio.gather(*asked)
    assert scores == [n / 1000 for n in range(20)]  # each request gets its own text's score
    assert router.batches[0] == ["0"]  # the first finds nobody to wait with
    assert len(router.batches) == 2
    assert sorted(map(int, router.batches[1])) == list(range(1, 20))


async def test_a_batch_has_a_largest_size() -> None:
    router = SlowRouter()
    scorer = Scorer(router, is_heavy=True)
    asked = [scorer.score(str(n), timeout_s=300) for n in range(3 * MAX_BATCH)]
    scores = asyncio.gather(*asked)
    await has_begun(router)
    router.may_answer.set()
    await scores
    assert max(map(len, router.batches)) == MAX_BATCH


async def test_a_heavy_router_leaves_the_loop_free() -> None:
    router = SlowRouter()
    asked = asyncio.ensure_future(Scorer(router, is_heavy=True).score("1", timeout_s=300))
    await has_begun(router)
    for _ in range(100):  # the loop turns while the router scores
        await asyncio.sleep(0)
    assert not asked.done()
    router.may_answer.set()
    assert await asked == 0.001


async def test_a_late_router_is_left_behind_in_time() -> None:
    router = SlowRouter()
    with pytest.raises(ScoreLateError):  # while the router is not done
        await Scorer(router, is_heavy=True).score("1", timeout_s=0.05)
    router.may_answer.set()


async def test_behind_a_stuck_router_nobody_waits() -> None:
    router = SlowRouter()
    scorer = Scorer(router, is_heavy=True)
    with pytest.raises(ScoreLateError):
        await scorer.score("1", timeout_s=0.05)
    with pytest.raises(ScoreLateError):  # before it waits for anything
        scorer.score("2", timeout_s=0.04).send(None)
    router.may_answer.set()
    assert await scorer.score("3", timeout_s=5) == 0.003  # and when it is back, it is used
    assert router.batches == [["1"], ["3"]]


@pytest.mark.parametrize(
    ("s_per_text", "n_texts"),
    [
        (0.0, 1),  # nobody knows yet how long one takes
        (20.0, 25),  # half of the 1,009 s that are left, 504 s, are enough for 25
        (100.0, 5),
        (1.0, MAX_BATCH),
        (600.0, 1),  # it is late already, and scored all the same
    ],
)
async def test_a_router_that_falls_behind_takes_what_it_can_do_in_time(
    s_per_text: float, n_texts: int
) -> None:
    loop, deadline_s = asyncio.get_running_loop(), time.monotonic() + 1009
    first, *others = (_Waiting("x", deadline_s, loop.create_future()) for _ in range(200))
    queue: SimpleQueue[_Waiting | None] = SimpleQueue()
    for waiting in others:
        queue.put(waiting)
    assert len(_gather(first, queue, s_per_text, MAX_BATCH)) == n_texts


def refuse_sevens(prompts: Sequence[str]) -> FloatArray:
    if any("7" in prompt for prompt in prompts):
        raise KeyError("seven")
    return np.array([int(prompt) / 1000 for prompt in prompts])


async def test_one_text_that_breaks_the_batch_breaks_no_other() -> None:
    scorer = Scorer(ScriptedRouter(refuse_sevens), is_heavy=True)
    asking = (scorer.score(str(n), timeout_s=5) for n in range(10))
    results = await asyncio.gather(*asking, return_exceptions=True)
    assert [isinstance(result, KeyError) for result in results] == [n == 7 for n in range(10)]
    assert [result for n, result in enumerate(results) if n != 7] == [
        n / 1000 for n in range(10) if n != 7
    ]


@pytest.mark.parametrize("is_heavy", [False, True])
@pytest.mark.parametrize(
    "answer",
    [np.array([1.5]), np.array([-0.1]), np.array([math.inf]), np.array([0.1, 0.2]), np.array([])],
)
async def test_what_is_no_probability_is_refused(is_heavy: bool, answer: FloatArray) -> None:
    scorer = Scorer(ScriptedRouter(lambda _: answer), is_heavy=is_heavy)
    with pytest.raises(ValueError, match="win probability"):
        await scorer.score("text", timeout_s=5)


@pytest.mark.parametrize("is_heavy", [False, True])
async def test_nan_passes_as_the_router_s_abstention(is_heavy: bool) -> None:
    scorer = Scorer(ScriptedRouter(lambda _: np.array([math.nan])), is_heavy=is_heavy)
    assert math.isnan(await scorer.score("text", timeout_s=5))


async def test_a_client_that_stops_waiting_costs_the_router_nothing() -> None:
    router = SlowRouter()
    scorer = Scorer(router, is_heavy=True)
    first = asyncio.create_task(scorer.score("1", timeout_s=300))
    await has_begun(router)
    second = asyncio.create_task(scorer.score("2", timeout_s=300))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.sleep(0)
    router.may_answer.set()
    assert await first == 0.001
    assert await scorer.score("3", timeout_s=300) == 0.003
    assert router.batches == [["1"], ["3"]]


def test_one_thread_serves_loop_after_loop_and_ends_with_its_owner() -> None:
    router = SlowRouter()
    router.may_answer.set()
    worker = BatchingThread(router)
    for number in (1, 2):
        score = asyncio.run(worker.score(str(number), timeout_s=5))
        assert score == number / 1000
    assert len(router.threads) == 1
    (thread,) = [thread for thread in threading.enumerate() if thread.ident in router.threads]
    del worker
    gc.collect()
    thread.join(3)
    assert not thread.is_alive()


def test_the_baselines_and_the_default_router_are_light() -> None:
    for name in ("random", "length", "default"):
        assert not build_scorer(load_router(name).router).is_heavy, name


def slow(prompts: Sequence[str]) -> FloatArray:
    time.sleep(0.004)
    return np.full(len(prompts), 0.5)


def slow_at_first(prompts: Sequence[str], *, calls: list[int] = []) -> FloatArray:  # noqa: B006
    calls.append(1)
    time.sleep(0.05 if len(calls) == 1 else 0.0)
    return np.full(len(prompts), 0.5)


def fail(_: Sequence[str]) -> FloatArray:
    raise KeyError("no")


@pytest.mark.parametrize(
    ("script", "is_heavy"), [(slow, True), (slow_at_first, False), (fail, True)]
)
def test_what_takes_long_is_heavy_and_a_slow_first_call_does_not_count(
    script: Callable[[Sequence[str]], Any], is_heavy: bool
) -> None:
    assert build_scorer(ScriptedRouter(script)).is_heavy is is_heavy


class Clock:
    """Says what time it is; a test moves it, so that no machine's pauses matter."""

    now_s = 100.0

    def perf_counter(self) -> float:
        return self.now_s


@dataclass
class TimedRouter:
    """Takes the time that it is told, by the clock, and notes on which thread it scored."""

    clock: Clock
    took_s: float = 0.0001
    fails: bool = False
    threads: list[int] = field(default_factory=list)

    def win_probabilities(self, prompts: Sequence[str]) -> FloatArray:
        self.threads.append(threading.get_ident())
        self.clock.now_s += self.took_s
        if self.fails:
            raise KeyError("no")
        return np.full(len(prompts), 0.5)


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> TimedRouter:
    """A router that the scorer takes for as quick as it says."""
    clock = Clock()
    monkeypatch.setattr(scorer_module, "time", clock)
    return TimedRouter(clock)


@pytest.mark.parametrize("fails", [False, True])
async def test_a_light_router_that_turns_slow_leaves_the_loop(
    timed: TimedRouter, fails: bool, caplog: pytest.LogCaptureFixture
) -> None:
    scorer, here = Scorer(timed, is_heavy=False, name="sw"), threading.get_ident()

    async def score() -> None:
        with pytest.raises(KeyError) if timed.fails else nullcontext():
            await scorer.score("a secret", timeout_s=5)

    for _ in range(100):
        await score()
    was_heavy = scorer.is_heavy
    timed.took_s, timed.fails = 0.1, fails
    for _ in range(6):
        await score()
    # 0.1 s is 50 times the limit and counts as 5: after five prompts the sum of 25 is over 20.
    assert [thread == here for thread in timed.threads[100:]] == [True] * 5 + [False]
    assert (was_heavy, scorer.is_heavy) == (False, True)
    (record,) = caplog.records
    assert record.getMessage() == (
        "router 'sw' has become slow, the last prompt took it 100 ms; from now on it scores in a "
        "thread"
    )
    assert record.__dict__["fields"] == {"router": "sw"}


@pytest.mark.parametrize(
    ("slow_s", "n_slow", "n_quick", "is_heavy"),
    [
        (0.0025, 1, 0, True),  # 17 times 1.25 is 21.25
        (0.0025, 1, 1, True),  # each pair adds 0.25: over 20 at the 80th
        (0.0025, 1, 2, False),
        (1.0, 1, 5, False),  # a pause of a second in every sixth prompt: 5 up, 5 down
        (0.0019, 1, 0, False),
    ],
)
async def test_a_router_is_slow_that_is_so_more_often_than_not(
    timed: TimedRouter, slow_s: float, n_slow: int, n_quick: int, is_heavy: bool
) -> None:
    scorer = Scorer(timed, is_heavy=False)
    for _ in range(200):
        for timed.took_s in [slow_s] * n_slow + [0.0001] * n_quick:
            await scorer.score("text", timeout_s=5)
    assert scorer.is_heavy is is_heavy


def test_a_router_that_never_comes_back_holds_up_no_start() -> None:
    router = SlowRouter()
    assert build_scorer(router, patience_s=0.05).is_heavy
    router.may_answer.set()


@settings(max_examples=20)
@given(st.text(max_size=20), st.integers(0, 2))
def test_a_text_is_scored_whole_up_to_the_limit_and_by_its_ends_beyond(
    text: str, n_repeats: int
) -> None:
    assert cut_text(text) == text
    long = text + "x" * (MAX_CHARACTERS * n_repeats) + text
    cut = cut_text(long)
    assert len(cut) == min(len(long), MAX_CHARACTERS)
    assert cut.startswith(text)
    assert cut.endswith(text)


@dataclass
class QuickRouter(ScriptedRouter):
    """Scores single prompts by themselves."""

    score: float = 0.25

    def win_probability(self, prompt: str) -> float:
        return self.score if prompt else math.nan


async def test_a_router_that_scores_single_prompts_is_asked_for_them() -> None:
    quick = QuickRouter(lambda prompts: np.full(len(prompts), 0.75))
    assert await Scorer(quick, is_heavy=False).score("a", timeout_s=5.0) == 0.25
    quick.score = 1.5
    with pytest.raises(ValueError, match="must be in"):
        await Scorer(quick, is_heavy=False).score("a", timeout_s=5.0)
