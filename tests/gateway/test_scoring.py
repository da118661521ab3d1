"""Whatever a router does, a decision comes out."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
import pytest

from routecast.gateway.routes import Route
from routecast.gateway.scoring import decide_route
from routecast.policy.cuts import Cut, tie_draw
from routecast.policy.decide import Decision, Reason

MESSAGES = msgspec.Raw(b'[{"role":"user","content":"my secret prompt"}]')


@dataclass
class ScriptedRouter:
    """Does what it is told with the prompts."""

    script: Callable[[Sequence[str]], Any]

    def win_probabilities(self, prompts: Sequence[str]) -> Any:  # noqa: ANN401
        return self.script(prompts)


def route_with(script: Callable[[Sequence[str]], Any]) -> Route:
    return Route(
        name="auto", strong="big", weak="small", fallback="small", cut=Cut(0.5),
        router_name="scripted", router=ScriptedRouter(script), calibration_sample=None,
    )  # fmt: skip


def test_the_router_gets_the_last_user_message_and_its_score_decides() -> None:
    seen: list[Sequence[str]] = []

    def script(prompts: Sequence[str]) -> Any:  # noqa: ANN401
        seen.append(prompts)
        return np.array([0.75])

    decision = decide_route(route_with(script), MESSAGES)
    assert decision == Decision("big", 0.75, 0.5, Reason.REACHES_THRESHOLD)
    assert seen == [["my secret prompt"]]


def test_an_abstaining_router_gives_the_fallback() -> None:
    decision = decide_route(route_with(lambda _: np.array([math.nan])), MESSAGES)
    assert decision == Decision("small", None, 0.5, Reason.ROUTER_ABSTAINED)


def test_no_text_gives_the_fallback_and_asks_no_router() -> None:
    decision = decide_route(route_with(lambda _: pytest.fail("asked")), msgspec.Raw(b"[]"))
    assert decision == Decision("small", None, 0.5, Reason.NO_TEXT)


def raise_with_the_prompt(prompts: Sequence[str]) -> None:
    raise ValueError(f"cannot score {prompts[0]}")


@pytest.mark.parametrize(
    "script",
    [
        raise_with_the_prompt, lambda _: np.array([1.5]), lambda _: np.array([-0.1]),
        lambda _: np.array([math.inf]), lambda _: np.array([0.1, 0.2]), lambda _: np.array([]),
        lambda _: np.array(0.3), lambda _: np.array([[0.3]]), lambda _: np.array(["a"]),
        lambda _: [0.3], lambda _: None,
    ],
)  # fmt: skip
def test_a_failing_router_gives_the_fallback_and_a_log_without_the_prompt(
    script: Callable[[Sequence[str]], Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        decision = decide_route(route_with(script), MESSAGES)
    assert decision == Decision("small", None, 0.5, Reason.ROUTER_FAILED)
    assert "'scripted'" in caplog.text
    assert "secret" not in caplog.text


def test_a_tie_is_split_by_the_text_that_was_scored() -> None:
    route = replace(route_with(lambda _: np.array([0.5])), cut=Cut(0.5, 0.5))
    models = set()
    for number in range(40):
        prompt = f"prompt {number}"
        messages = msgspec.Raw(msgspec.json.encode([{"role": "user", "content": prompt}]))
        decision = decide_route(route, messages)
        assert decision == decide_route(route, messages)
        assert decision.reason is Reason.SPLIT_AT_THRESHOLD
        assert (decision.model == "big") == (tie_draw(prompt) < 0.5)
        models.add(decision.model)
    assert models == {"big", "small"}
