"""The form of the verdict is found out once, and an unclear verdict is asked for once more."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from routecast.label.asking import Answers, verdict_requests
from routecast.label.bench import Bench, UnreadableVerdictError
from routecast.label.budget import Ledger
from routecast.label.calls import PaidCalls
from routecast.label.items import Item
from routecast.label.journal import Journal, open_journal
from routecast.label.run import RunLimits
from routecast.label.settings import JudgeSettings
from routecast.label.templates import REMINDER
from routecast.label.verdict import read_preference
from routecast.testing import Refuse
from routecast.upstream.chat import open_session
from routecast.upstream.retry import AttemptError

if TYPE_CHECKING:
    from tests.label.conftest import ScriptedModel

pytestmark = pytest.mark.anyio
SettingsAt = Callable[..., JudgeSettings]


def marked(request: dict[str, Any]) -> str:
    """A judge that has never heard of schemas."""
    return "Fine. [[A]]"


@pytest.fixture
def seat(
    models: "ScriptedModel", settings_at: SettingsAt, limits: RunLimits, tmp_path: Path
) -> Callable[[], Any]:
    """Opens a bench before the models; yields what asks it about a prompt, and the journal."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[tuple[Any, Journal]]:
        async with models.served() as base_url, open_session() as session:
            settings = settings_at(base_url)
            with open_journal(tmp_path / "j", {}) as journal:
                calls = PaidCalls(
                    session,
                    journal=journal,
                    ledger=Ledger(),
                    n_at_once=4,
                    timeouts=limits.timeouts,
                    retry=limits.retry,
                )
                bench = Bench(calls, settings.endpoints["judge"], role="pairwise")

                async def ask(prompt: str) -> str:
                    item = Item(prompt=prompt, messages=(), request=prompt)
                    answers = Answers(strong="of good-1", weak="of bad-1")
                    question, _ = verdict_requests(item, answers, settings)
                    return await bench.ask(question, read_preference)

                yield ask, journal

    return opened


async def test_a_judge_that_keeps_to_the_schema_is_always_asked_by_it(
    models: "ScriptedModel", seat: Callable[[], Any]
) -> None:
    async with seat() as (ask, journal):
        assert [await ask("one"), await ask("two")] == ["A", "A"]
        assert journal.form == "schema"
    assert ["response_format" in body for body in models.bodies] == [True, True]
    assert all(body["temperature"] == 0.0 for body in models.bodies)


@pytest.mark.parametrize("refuses", [True, False], ids=["refused", "ignored"])
async def test_a_judge_without_schemas_is_asked_for_marks_from_then_on(
    models: "ScriptedModel", seat: Callable[[], Any], refuses: bool
) -> None:
    models.script = marked
    if refuses:
        models.misbehave(Refuse(status=400))
    async with seat() as (ask, journal):
        assert [await ask("one"), await ask("two")] == ["A", "A"]
        assert journal.form == "marker"
    assert ["response_format" in body for body in models.bodies] == [True, False, False]


async def test_the_form_is_remembered_by_the_next_run(
    models: "ScriptedModel", seat: Callable[[], Any]
) -> None:
    models.script = marked
    async with seat() as (ask, _):
        await ask("one")
    async with seat() as (ask, _):
        await ask("two")
    assert ["response_format" in body for body in models.bodies] == [True, False, False]


async def test_an_unreadable_verdict_is_asked_for_once_more_and_then_failed(
    models: "ScriptedModel", seat: Callable[[], Any]
) -> None:
    models.script = marked
    async with seat() as (ask, _):
        await ask("one")
        models.bodies.clear()
        models.script = lambda _: "I could not say."
        with pytest.raises(UnreadableVerdictError, match="two unreadable verdicts of 'judge'"):
            await ask("two")
        assert [REMINDER in body["messages"][-1]["content"] for body in models.bodies] == [
            False,
            True,
        ]
        with pytest.raises(UnreadableVerdictError):
            await ask("two")
        assert len(models.bodies) == 2  # both replies are paid for and kept: not asked again


async def test_the_second_reply_counts_when_it_can_be_read(
    models: "ScriptedModel", seat: Callable[[], Any]
) -> None:
    models.script = marked
    async with seat() as (ask, _):
        await ask("one")
        models.script = lambda request: (
            "[[B]]" if REMINDER in request["messages"][-1]["content"] else "[[A]] or [[B]]"
        )
        assert await ask("two") == "B"


async def test_one_bad_prompt_does_not_settle_the_form(
    models: "ScriptedModel", seat: Callable[[], Any]
) -> None:
    models.misbehave(Refuse(status=400), Refuse(status=400))
    async with seat() as (ask, journal):
        with pytest.raises(AttemptError, match="status 400"):
            await ask("too long a prompt")
        assert journal.form is None
        assert await ask("another") == "A"
        assert journal.form == "schema"
