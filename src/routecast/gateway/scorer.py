"""Where a router scores: on the event loop, or in a thread beside it.

A light router takes less time than the way to a thread and back, so it scores on the loop. A heavy
one would stop every other request for as long as it takes, and so would a long text. A light one
that turns heavy while it serves is noticed, and moved.
"""

import logging
import statistics
import threading
import time
from collections.abc import Callable
from typing import Final

from routecast.gateway.batching import BatchingThread, check_score, score_texts
from routecast.routers.protocol import Router, ScoresOne

MAX_SECONDS_ON_LOOP: Final = 0.002
"""Median time per prompt from which a router counts as heavy."""

MAX_CHARACTERS_ON_LOOP: Final = 4_096
"""Longer texts are scored in a thread, whatever the router."""

MAX_CHARACTERS: Final = 1 << 20
"""Of a longer text, the first and the last half of so many characters are scored: even one pass
over all of it could hold every other request up."""

SAMPLE_PROMPTS: Final = (
    "What is the capital of France?",
    "Write a Python function that merges two sorted lists, and explain its running time.",
    "Compare three ways to heat an old house. " * 10,
    "A train leaves at 9:40 and takes 2 h 35 min; when does it arrive?",
    "Please translate into German: the weather was better than anybody had expected.",
)
"""What a router is timed on when it is loaded."""

_MAX_SLOWNESS = 20.0  # some 20 slow prompts in a row, 4 very slow ones, or many more slow than not
_MAX_SLOWNESS_PER_PROMPT = 5.0  # one long pause, of the machine's perhaps, says little
_LOGGER = logging.getLogger("routecast.gateway")


class Scorer:
    """One router, scored where it holds nobody up.

    Attributes:
        is_heavy: Whether even short texts are scored in a thread, from the start or by now.
    """

    def __init__(self, router: Router, *, is_heavy: bool, name: str | None = None) -> None:
        """Score with ``router``; `build_scorer` finds out whether it is heavy.

        ``name`` is what the log calls it, its class if None.
        """
        self.is_heavy = is_heavy
        self._name = name or type(router).__name__
        self._score_one = _one_by_one(router)
        self._max_characters = 0 if is_heavy else MAX_CHARACTERS_ON_LOOP
        self._slowness = 0.0
        self._thread = BatchingThread(router)

    async def score(self, text: str, *, timeout_s: float) -> float:
        """Return P(strong wins), in [0, 1], or NaN where the router abstains.

        It does not give way to other requests where the router is light and the text is short; a
        router that takes too long that way, more often than not, is heavy from then on.

        Args:
            text: What to score, at most `MAX_CHARACTERS` (see `cut_text`).
            timeout_s: How long a thread may take.

        Raises:
            ScoreLateError: If the thread took longer.
            Exception: Whatever the router raises.
            ValueError: If what the router gave is no probability.
        """
        if len(text) > self._max_characters:
            return await self._thread.score(text, timeout_s=timeout_s)
        began_s = time.perf_counter()
        try:
            score = self._score_one(text)
        finally:
            took_s = time.perf_counter() - began_s
            if took_s > MAX_SECONDS_ON_LOOP:
                self._note_slow(took_s)
            elif self._slowness > 0:
                self._slowness -= 1
        return score

    def _note_slow(self, took_s: float) -> None:
        """Count a prompt that took too long on the loop; after too many none is scored there."""
        self._slowness += min(took_s / MAX_SECONDS_ON_LOOP, _MAX_SLOWNESS_PER_PROMPT)
        if self._slowness > _MAX_SLOWNESS:
            self.is_heavy, self._max_characters = True, 0
            _LOGGER.warning(
                "router %r has become slow, the last prompt took it %.3g ms; from now on it scores "
                "in a thread",
                self._name, took_s * 1000, extra={"fields": {"router": self._name}},
            )  # fmt: skip


def _one_by_one(router: Router) -> Callable[[str], float]:
    """Return the quickest way to score a single text."""
    if isinstance(router, ScoresOne):
        score_one = router.win_probability
        return lambda text: check_score(score_one(text))
    return lambda text: score_texts(router, [text])[0]


def cut_text(text: str) -> str:
    """Return what is scored of a text: all of it, up to `MAX_CHARACTERS`."""
    if len(text) <= MAX_CHARACTERS:
        return text
    half = MAX_CHARACTERS // 2
    return text[:half] + text[-half:]


def build_scorer(router: Router, *, name: str | None = None, patience_s: float = 1.0) -> Scorer:
    """Find out whether a router is heavy, by timing it.

    The first prompt warms it up and is not counted. The timing runs in a thread, so that a router
    that calls another machine cannot hold up the start.

    Args:
        router: Any router.
        name: What the log calls it, its class if None.
        patience_s: A router that has not scored all samples by then is heavy; it goes on warming
            up by itself.
    """
    times_s: list[float] = []
    timing = threading.Thread(target=_time_samples, args=(router, times_s), daemon=True)
    timing.start()
    timing.join(patience_s)
    n_samples = len(SAMPLE_PROMPTS)
    is_heavy = len(times_s) < n_samples or statistics.median(times_s) > MAX_SECONDS_ON_LOOP
    return Scorer(router, is_heavy=is_heavy, name=name)


def _time_samples(router: Router, times_s: list[float]) -> None:
    """Append the seconds that each sample took; stop at the first error."""
    try:
        router.win_probabilities(SAMPLE_PROMPTS[:1])
        for prompt in SAMPLE_PROMPTS:
            began_s = time.perf_counter()
            router.win_probabilities([prompt])
            times_s.append(time.perf_counter() - began_s)
    except Exception:  # noqa: BLE001 (requests will meet it too, and there it is logged)
        return
