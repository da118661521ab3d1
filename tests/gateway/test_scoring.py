"""Whatever a router does, a decision comes out."""

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from routecast.artifacts import LoadedRouter
from routecast.gateway.routes import Route
from routecast.gateway.scorer import MAX_CHARACTERS, Scorer
from routecast.gateway.scoring import decide_route
from routecast.policy.cuts import Cut, tie_draw
from routecast.policy.decide import Decision, Reason

pytestmark = pytest.mark.anyio

PROMPT = "my secret prompt"
Script = Callable[[Sequence[str]], Any]


@dataclass
class ScriptedRouter:
    """Does what it is told with the prompts."""

    script: Script

    def win_probabilities(self, prompts: Sequence[str]) -> Any:  # noqa: ANN401
        return self.script(prompts)


def route_with(script: Script) -> Route:
    return Route(
        name="auto", strong="big", weak="small", fallback="small", cut=Cut(0.5),
        router_name="scripted", calibration_sample=None,
        loaded=LoadedRouter("scripted", ScriptedRouter(script), None, None, None),
    )  # fmt: skip


async def decide_with(
    script: Script, text: str | None = PROMPT, *, is_heavy: bool = False, timeout_s: float = 5.0
) -> Decision:
    route = route_with(script)
    scorer = Scorer(route.router, is_heavy=is_heavy)
    return await decide_route(route, text, scorer=scorer, timeout_s=timeout_s)


@pytest.mark.parametrize("is_heavy", [False, True])
async def test_the_router_gets_the_text_and_its_score_decides(is_heavy: bool) -> None:
    seen: list[Sequence[str]] = []

    def script(prompts: Sequence[str]) -> Any:  # noqa: ANN401
        seen.append(prompts)
        return np.array([0.75])

    decision = await decide_with(script, is_heavy=is_heavy)
    assert decision == Decision("big", 0.75, 0.5, Reason.REACHES_THRESHOLD)
    assert seen == [[PROMPT]]


async def test_an_abstaining_router_gives_the_fallback() -> None:
    decision = await decide_with(lambda _: np.array([math.nan]))
    assert decision == Decision("small", None, 0.5, Reason.ROUTER_ABSTAINED)


async def test_no_text_gives_the_fallback_and_asks_no_router() -> None:
    decision = await decide_with(lambda _: pytest.fail("asked"), None)
    assert decision == Decision("small", None, 0.5, Reason.NO_TEXT)


async def test_a_late_router_gives_the_fallback_and_a_log_without_the_prompt(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def sleep(_: Sequence[str]) -> Any:  # noqa: ANN401
        time.sleep(0.2)
        return np.array([0.75])

    decision = await decide_with(sleep, is_heavy=True, timeout_s=0.02)
    assert decision == Decision("small", None, 0.5, Reason.ROUTER_SLOW)
    assert "'scripted' took longer than 20 ms" in caplog.text
    assert "secret" not in caplog.text


def raise_with_the_prompt(prompts: Sequence[str]) -> None:
    raise ValueError(f"cannot score {prompts[0]}")


def raise_a_timeout(_: Sequence[str]) -> None:
    raise TimeoutError


@pytest.mark.parametrize("is_heavy", [False, True])
@pytest.mark.parametrize(
    "script",
    [
        raise_with_the_prompt, raise_a_timeout, lambda _: np.array([1.5]),
        lambda _: np.array([-0.1]), lambda _: np.array([math.inf]),
        lambda _: np.array([0.1, 0.2]), lambda _: np.array([]), lambda _: np.array(0.3),
        lambda _: np.array([[0.3]]), lambda _: np.array(["a"]), lambda _: [0.3], lambda _: None,
    ],
)  # fmt: skip
async def test_a_failing_router_gives_the_fallback_and_a_log_without_the_prompt(
    script: Script, is_heavy: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        decision = await decide_with(script, is_heavy=is_heavy)
    assert decision == Decision("small", None, 0.5, Reason.ROUTER_FAILED)
    assert "'scripted'" in caplog.text
    assert "secret" not in caplog.text


async def test_of_a_huge_text_the_ends_are_scored() -> None:
    lengths: list[int] = []

    def script(prompts: Sequence[str]) -> Any:  # noqa: ANN401
        lengths.append(len(prompts[0]))
        return np.array([0.75])

    await decide_with(script, "x" * (3 * MAX_CHARACTERS))
    assert lengths == [MAX_CHARACTERS]


async def test_a_tie_is_split_by_the_text_that_was_scored() -> None:
    route = replace(route_with(lambda _: np.array([0.5])), cut=Cut(0.5, 0.5))
    scorer = Scorer(route.router, is_heavy=False)
    models = set()
    for number in range(40):
        prompt = f"prompt {number}"
        decision = await decide_route(route, prompt, scorer=scorer, timeout_s=1)
        assert decision == await decide_route(route, prompt, scorer=scorer, timeout_s=1)
        assert decision.reason is Reason.SPLIT_AT_THRESHOLD
        assert (decision.model == "big") == (tie_draw(prompt) < 0.5)
        models.add(decision.model)
    assert models == {"big", "small"}
