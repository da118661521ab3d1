"""Whom to ask, how often, and when to stop; no network, and no time passes."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.gateway.attempts import Outcome, Tried, Verdict, ask_in_turn, judge
from routecast.gateway.breaker import Breaker, BreakerState
from routecast.gateway.exchange import Attempt
from routecast.gateway.failures import Failure
from routecast.gateway.retry_budget import RetryBudget
from routecast.upstream.retry import RETRIED_STATUSES, RetryPolicy

pytestmark = pytest.mark.anyio

OK = Tried("an answer", 200)
BUSY = Tried("busy", 503)
LIMITED = Tried("slow down", 429)
UNREACHABLE: Tried[str] = Tried(failure=Failure.CONNECT)
LATE: Tried[str] = Tried(failure=Failure.FIRST_BYTE_TIMEOUT)
CLIENTS_FAULT = Tried("your fault", 400)


POLICY = RetryPolicy(n_attempts=3, base_delay_s=1.0, max_delay_s=8.0, max_retry_after_s=10.0)


@dataclass(frozen=True)
class Model:
    """A model that is retried twice, after 1 s and 2 s, half of that with no jitter."""

    name: str
    retry_policy: RetryPolicy = POLICY
    breaker: Breaker = field(default_factory=lambda: Breaker(n_failures=5, open_s=30))
    budget: RetryBudget = field(default_factory=lambda: RetryBudget(0.2))


@dataclass
class Script:
    """Plays the upstreams: each try of a model takes the next line of its part."""

    parts: dict[str, list[Tried[str]]]
    asked: list[str] = field(default_factory=list)
    fell_back: list[bool] = field(default_factory=list)
    waits_s: list[float] = field(default_factory=list)
    failed: list[Attempt] = field(default_factory=list)

    async def ask(self, model: Model, fell_back: bool) -> Tried[str]:
        self.asked.append(model.name)
        self.fell_back.append(fell_back)
        return self.parts[model.name].pop(0)

    async def sleep(self, duration_s: float) -> None:
        self.waits_s.append(duration_s)

    async def play(self, *models: Model) -> Outcome[Model, str]:
        return await ask_in_turn(
            models, self.ask, failed=self.failed, sleep=self.sleep, draw_jitter=lambda: 0.0
        )


def strong_and_weak() -> tuple[Model, Model]:
    return Model("strong"), Model("weak")


async def test_a_usable_answer_ends_it_at_once() -> None:
    strong, weak = strong_and_weak()
    script = Script({"strong": [OK], "weak": []})
    outcome = await script.play(strong, weak)
    assert (outcome.model, outcome.answer, script.failed) == (strong, "an answer", [])
    assert (script.asked, script.waits_s, script.fell_back) == (["strong"], [], [False])


async def test_what_may_pass_is_retried_with_a_growing_wait_then_the_chain_is_asked() -> None:
    script = Script({"strong": [BUSY, UNREACHABLE, LIMITED], "weak": [OK]})
    outcome = await script.play(*strong_and_weak())
    assert script.asked == ["strong", "strong", "strong", "weak"]
    assert script.fell_back == [False, False, False, True]
    assert script.waits_s == [0.5, 1.0]  # half of 1 s, half of 2 s: no jitter
    assert (outcome.answer, [attempt.status for attempt in script.failed]) == (
        "an answer",
        [503, None, 429],
    )
    assert [attempt.failure for attempt in script.failed] == ["refused", "connect", "refused"]


@pytest.mark.parametrize("failure", [Failure.FIRST_BYTE_TIMEOUT, Failure.TLS])
async def test_what_a_retry_does_not_mend_moves_on_at_once(failure: Failure) -> None:
    script = Script({"strong": [Tried(failure=failure)], "weak": [OK]})
    await script.play(*strong_and_weak())
    assert (script.asked, script.waits_s) == (["strong", "weak"], [])


async def test_an_upstream_that_says_not_to_retry_is_not_retried() -> None:
    script = Script({"strong": [Tried("spent", 429, may_retry=False)], "weak": [OK]})
    await script.play(*strong_and_weak())
    assert script.asked == ["strong", "weak"]


async def test_retry_after_is_waited_for() -> None:
    script = Script({"strong": [Tried("later", 429, retry_after_s=7.0), OK]})
    await script.play(Model("strong"))
    assert script.waits_s == [7.0]


async def test_a_longer_retry_after_than_anybody_waits_for_moves_on() -> None:
    script = Script({"strong": [Tried("much later", 429, retry_after_s=10.5)], "weak": [OK]})
    await script.play(*strong_and_weak())
    assert (script.asked, script.waits_s) == (["strong", "weak"], [])


async def test_the_client_s_own_fault_is_the_answer() -> None:
    script = Script({"strong": [CLIENTS_FAULT], "weak": []})
    outcome = await script.play(*strong_and_weak())
    assert (outcome.answer, script.failed) == ("your fault", [])


async def test_a_fallback_s_refusal_asks_the_next() -> None:
    script = Script({"strong": [LATE], "weak": [CLIENTS_FAULT], "other": [OK]})
    outcome = await script.play(*strong_and_weak(), Model("other"))
    assert script.asked == ["strong", "weak", "other"]
    assert outcome.answer == "an answer"


async def test_when_all_refuse_the_first_model_s_last_refusal_is_the_answer() -> None:
    strong, weak = strong_and_weak()
    script = Script({"strong": [BUSY, LIMITED, UNREACHABLE], "weak": [Tried("no key", 401)]})
    outcome = await script.play(strong, weak)
    assert (outcome.model, outcome.answer, outcome.ticket) == (strong, "slow down", 0)
    assert len(script.failed) == 4


async def test_a_fallback_s_refusal_is_better_than_nothing() -> None:
    strong, weak = strong_and_weak()
    script = Script({"strong": [LATE], "weak": [Tried("no key", 401)]})
    outcome = await script.play(strong, weak)
    assert (outcome.model, outcome.answer) == (weak, "no key")


async def test_no_answer_at_all_names_every_try() -> None:
    script = Script({"strong": [LATE], "weak": [UNREACHABLE] * 3})
    outcome = await script.play(*strong_and_weak())
    assert (outcome.model, outcome.answer) == (None, None)
    assert [(attempt.model, attempt.failure) for attempt in script.failed] == [
        ("strong", "first_byte_timeout"),
        ("weak", "connect"),
        ("weak", "connect"),
        ("weak", "connect"),
    ]


async def test_an_open_breaker_moves_on_without_a_try() -> None:
    strong, weak = strong_and_weak()
    for _ in range(5):
        strong.breaker.record_failure(strong.breaker.admit())
    script = Script({"strong": [], "weak": [OK]})
    await script.play(strong, weak)
    assert script.asked == ["weak"]
    assert [attempt.failure for attempt in script.failed] == ["circuit_open"]


async def test_a_breaker_that_opens_ends_the_retries() -> None:
    strong = Model("strong", breaker=Breaker(n_failures=1, open_s=30))
    script = Script({"strong": [BUSY, BUSY, BUSY], "weak": [OK]})
    await script.play(strong, Model("weak"))
    assert script.asked == ["strong", "weak"]
    assert script.waits_s == []
    assert strong.breaker.state is BreakerState.OPEN


async def test_a_request_counts_as_one_failure_of_a_model_however_often_it_is_tried() -> None:
    strong = Model("strong", breaker=Breaker(n_failures=3, open_s=30))
    weak = Model("weak", breaker=Breaker(n_failures=3, open_s=30))
    states = []
    for _ in range(3):
        await Script({"strong": [BUSY] * 3, "weak": [UNREACHABLE] * 3}).play(strong, weak)
        states.append((str(strong.breaker.state), str(weak.breaker.state)))
    assert states == [("closed", "closed"), ("closed", "closed"), ("open", "open")]


async def test_an_answer_after_a_failed_try_says_that_the_request_is_counted() -> None:
    strong = Model("strong")
    assert (await Script({"strong": [BUSY, OK]}).play(strong)).is_counted
    assert not (await Script({"strong": [LIMITED, OK]}).play(strong)).is_counted


def opened(name: str, open_s: float) -> Model:
    """A model whose breaker is open for so long."""
    model = Model(name, breaker=Breaker(n_failures=1, open_s=open_s))
    model.breaker.record_failure(model.breaker.admit())
    return model


async def test_when_every_breaker_is_open_the_one_that_closes_soonest_is_asked_first() -> None:
    strong, weak = opened("strong", 30), opened("weak", 20)
    script = Script({"strong": [], "weak": [OK]})
    outcome = await script.play(strong, weak)
    assert (outcome.model, outcome.answer, script.asked) == (weak, "an answer", ["weak"])
    assert weak.breaker.state is BreakerState.CLOSED
    assert strong.breaker.state is BreakerState.OPEN
    assert [attempt.failure for attempt in script.failed] == ["circuit_open"] * 2


async def test_a_last_resort_that_fails_asks_the_next_once_and_prolongs_no_pause() -> None:
    strong, weak = opened("strong", 30), opened("weak", 20)
    script = Script({"strong": [BUSY, OK], "weak": [UNREACHABLE, OK]})
    outcome = await script.play(strong, weak)
    assert (script.asked, script.waits_s, outcome.answer) == (["weak", "strong"], [], "busy")
    assert 29 < strong.breaker.wait_s < 30
    assert 19 < weak.breaker.wait_s < 20


async def test_while_a_last_resort_is_out_nobody_else_is_sent() -> None:
    strong = opened("strong", 30)
    assert strong.breaker.admit_early() != 0
    script = Script({"strong": []})
    outcome = await script.play(strong)
    assert (outcome.answer, script.asked) == (None, [])
    assert [attempt.failure for attempt in script.failed] == ["circuit_open"]


async def test_too_many_requests_do_not_open_the_breaker() -> None:
    strong = Model("strong", breaker=Breaker(n_failures=1, open_s=30))
    await Script({"strong": [LIMITED, LIMITED, LIMITED]}).play(strong)
    assert strong.breaker.state is BreakerState.CLOSED


async def test_a_spent_budget_ends_the_retries() -> None:
    strong = Model("strong", budget=RetryBudget(0.0))
    script = Script({"strong": [BUSY], "weak": [OK]})
    await script.play(strong, Model("weak"))
    assert (script.asked, script.waits_s) == (["strong", "weak"], [])


async def test_an_answer_leaves_the_breaker_s_ticket_to_whoever_passes_it_on() -> None:
    strong = Model("strong", breaker=Breaker(n_failures=1, open_s=30))
    outcome = await Script({"strong": [OK]}).play(strong)
    strong.breaker.record_failure(outcome.ticket)
    assert strong.breaker.state is BreakerState.OPEN


async def test_a_client_that_leaves_frees_the_probe() -> None:
    strong = Model("strong", breaker=Breaker(n_failures=1, open_s=0.0))
    strong.breaker.record_failure(strong.breaker.admit())

    async def hang(_: Model, fell_back: bool) -> Tried[str]:
        await asyncio.sleep(60)
        return OK

    asking = asyncio.create_task(ask_in_turn([strong], hang, failed=[]))
    await asyncio.sleep(0.01)
    assert strong.breaker.admit() == 0
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert strong.breaker.admit() != 0


@given(st.integers(100, 599), st.booleans())
def test_every_status_has_one_meaning(status: int, fell_back: bool) -> None:
    verdict = judge(Tried("", status), fell_back=fell_back)
    if status in RETRIED_STATUSES:
        assert verdict is Verdict.RETRY
    elif status < 400 or not fell_back:
        assert verdict is Verdict.USE
    else:
        assert verdict is Verdict.MOVE_ON


def answers() -> st.SearchStrategy[Tried[str]]:
    return st.sampled_from([OK, BUSY, LIMITED, UNREACHABLE, LATE, CLIENTS_FAULT])


@given(st.lists(st.lists(answers(), min_size=3, max_size=3), min_size=1, max_size=4))
def test_nobody_is_asked_too_often_and_nobody_after_a_usable_answer(
    parts: Sequence[list[Tried[str]]],
) -> None:
    models = [Model(str(number)) for number in range(len(parts))]
    script = Script({model.name: list(part) for model, part in zip(models, parts, strict=True)})
    outcome = asyncio.run(script.play(*models))
    assert script.asked == sorted(script.asked)  # in the order of the chain, never back
    assert all(script.asked.count(model.name) <= 3 for model in models)
    # With a ticket, the last try was used and only the others failed; without, all failed.
    assert len(script.failed) == len(script.asked) - bool(outcome.ticket)
    if outcome.model is None:
        assert len(set(script.asked)) == len(models)
