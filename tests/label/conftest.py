"""A model whose answers depend on what it is asked, and which misbehaves on command."""

import json
import re
from collections import Counter, deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from routecast.label.run import RunLimits
from routecast.label.settings import JudgeSettings
from routecast.testing import FakeUpstream, Fault, serve_upstream
from routecast.testing.asgi import read_body
from routecast.upstream.chat import ChatTimeouts
from routecast.upstream.endpoint import Endpoint
from routecast.upstream.prices import Price
from routecast.upstream.retry import RetryPolicy

Script = Callable[[dict[str, Any]], str]


class ScriptedModel:
    """An upstream that serves any number of models by one script.

    Attributes:
        bodies: Every request that arrived, oldest first, faulty ones included.
        answered: How often each request was answered, by its body.
        most_at_once: The largest number of requests in work at one time, by model.
    """

    def __init__(self, script: Script, *, latency_s: float = 0.0) -> None:
        self.script = script
        self.latency_s = latency_s
        self.bodies: list[dict[str, Any]] = []
        self.answered: Counter[str] = Counter()
        self.most_at_once: Counter[str] = Counter()
        self._at_once: Counter[str] = Counter()
        self._faults: deque[Fault] = deque()

    def misbehave(self, *faults: Fault) -> None:
        """Give each of the next requests one of these faults, in order."""
        self._faults.extend(faults)

    def served(self) -> AbstractAsyncContextManager[str]:
        """Serve it on loopback; yields its base URL."""
        return serve_upstream(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(receive)
        request = json.loads(body)
        model = request["model"]
        self.bodies.append(request)
        self._at_once[model] += 1
        self.most_at_once[model] = max(self.most_at_once[model], self._at_once[model])
        inner = FakeUpstream(model, answer=self.script(request), latency_s=self.latency_s)
        fault = self._faults.popleft() if self._faults else None
        if fault is not None:
            inner.misbehave(fault)
        try:
            await inner(scope, _replayed(body, receive), send)
        finally:
            self._at_once[model] -= 1
        if fault is None:
            self.answered[body.decode()] += 1


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Hand out a body that was read already, then what really comes."""
    pending: deque[Message] = deque([{"type": "http.request", "body": body, "more_body": False}])

    async def replay() -> Message:
        return pending.popleft() if pending else await receive()

    return replay


def by_content(request: dict[str, Any]) -> str:
    """Answer with one's own name, and judge by it: ``good`` beats ``bad``."""
    if request["model"] != "judge-1":
        return f"an answer of {request['model']} to: {request['messages'][-1]['content']}"
    answer_a, _ = shown_answers(request)
    return as_reply(request, "A" if "of good-1" in answer_a else "B")


def shown_answers(request: dict[str, Any]) -> tuple[str, str]:
    """Return the two answers of a pairwise question, as the judge sees them."""
    material = request["messages"][-1]["content"]
    answer_a, answer_b = re.findall(
        r"^===== ANSWER [AB] \w+\n(.*?)\n(?====== )", material, re.MULTILINE | re.DOTALL
    )
    return answer_a, answer_b


def as_reply(request: dict[str, Any], verdict: str) -> str:
    """Put a preference into the form that was asked for."""
    if "response_format" in request:
        return json.dumps({"explanation": "It is better.", "verdict": verdict})
    return f"It is better.\n[[{'C' if verdict == 'tie' else verdict}]]"


@pytest.fixture
def models() -> ScriptedModel:
    """Models called ``good-1`` and ``bad-1``, and ``judge-1``, which is fair."""
    return ScriptedModel(by_content)


@pytest.fixture
def judge_by() -> Callable[[Callable[[str, str], str]], ScriptedModel]:
    """Models with a judge that decides by the two answers in the order shown."""

    def build(decide: Callable[[str, str], str]) -> ScriptedModel:
        def script(request: dict[str, Any]) -> str:
            if request["model"] != "judge-1":
                return by_content(request)
            return as_reply(request, decide(*shown_answers(request)))

        return ScriptedModel(script)

    return build


@pytest.fixture
def settings_at() -> Callable[..., JudgeSettings]:
    """Settings for these models at an address; a dollar per thousand tokens."""

    def build(base_url: str, **changes: Any) -> JudgeSettings:  # noqa: ANN401 (fields)
        names = {"strong": "good-1", "weak": "bad-1", "judge": "judge-1"}
        endpoints = {
            name: Endpoint(
                name=name,
                model=model,
                base_url=base_url,
                api_key="sk-a-secret-key",
                price=Price(input=1000.0, output=1000.0),
            )
            for name, model in names.items()
        }
        fields = {"strong": "strong", "weak": "weak", "judge": "judge", "endpoints": endpoints}
        return JudgeSettings(**{**fields, **changes})

    return build


@pytest.fixture
def limits() -> RunLimits:
    """Short waits."""
    return RunLimits(
        n_at_once=4,
        timeouts=ChatTimeouts(connect_s=1.0, read_s=0.3, total_s=5.0),
        retry=RetryPolicy(n_attempts=4, base_delay_s=0.02, max_delay_s=0.1),
    )
