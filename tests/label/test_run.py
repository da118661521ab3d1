"""Whole runs against models that answer by script and misbehave on command."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from routecast.errors import ConfigError, DataError, UpstreamError
from routecast.label.items import Item
from routecast.label.journal import open_journal
from routecast.label.judge import Failed, Judged
from routecast.label.run import (
    FinishedRun,
    RunLimits,
    RunStatus,
    check_prices,
    models_to_call,
    require_labels,
    run_judge,
)
from routecast.label.settings import JudgeSettings
from routecast.label.summary import Summary, summarise
from routecast.testing import Hang, Refuse, StopMidStream

if TYPE_CHECKING:
    from tests.label.conftest import ScriptedModel

SettingsAt = Callable[..., JudgeSettings]
JudgeBy = Callable[[Callable[[str, str], str]], "ScriptedModel"]
Run = Callable[..., Any]


def item(prompt: str, *, reference: str | None = None, **answers: str) -> Item:
    messages = ({"role": "user", "content": prompt},)
    return Item(
        prompt=prompt, messages=messages, request=prompt, answers=answers, reference=reference
    )


def items_of(n: int) -> list[Item]:
    return [item(f"question {number}") for number in range(n)]


@pytest.fixture
def run(settings_at: SettingsAt, limits: RunLimits, tmp_path: Path) -> Run:
    """Runs items against models, going on in the same journal."""

    async def run_items(
        models: "ScriptedModel",
        items: Sequence[Item],
        *,
        budget_usd: float | None = None,
        n_at_once: int = 4,
        watch: Callable[[RunStatus], None] = lambda _: None,
        **changes: Any,  # noqa: ANN401 (fields of the settings)
    ) -> FinishedRun:
        async with models.served() as base_url:
            settings = settings_at(base_url, **changes)
            with open_journal(tmp_path / "j", settings.fingerprint()) as journal:
                return await run_judge(
                    items,
                    settings,
                    journal,
                    limits=replace(limits, budget_usd=budget_usd, n_at_once=n_at_once),
                    watch=watch,
                )

    return run_items


def summary_of(finished: FinishedRun) -> Summary:
    return summarise(finished.run.results, pairwise=True)


def test_only_models_with_answers_to_write_need_to_be_configured() -> None:
    given = item("one", strong="s", weak="w")
    assert models_to_call([given], strong="strong", weak="weak", judge="j") == ("j",)
    assert models_to_call([given, item("two", weak="w")], strong="strong", weak="weak", judge="j") \
        == ("strong", "j")  # fmt: skip
    assert models_to_call([item("x")], strong="j", weak="weak", judge="j") == ("j", "weak")


def test_a_budget_needs_prices(settings_at: SettingsAt) -> None:
    settings = settings_at("http://127.0.0.1:1/v1")
    check_prices(settings, 1.0)
    free = replace(settings.endpoints["weak"], price=None)
    unpriced = replace(settings, endpoints={**settings.endpoints, "weak": free})
    check_prices(unpriced, None)
    with pytest.raises(ConfigError, match=r"models\.weak has none"):
        check_prices(unpriced, 1.0)


@pytest.mark.anyio
async def test_a_fair_judge_finds_the_better_model_wherever_it_stands(
    models: "ScriptedModel", run: Run
) -> None:
    finished = await run(models, items_of(10))
    summary = summary_of(finished)
    assert (summary.n_wins, summary.n_ties, summary.n_losses) == (10, 0, 0)
    assert summary.position_bias is not None
    assert summary.position_bias.share == 0.0
    assert Counter(body["model"] for body in models.bodies) == {
        "good-1": 10,
        "bad-1": 10,
        "judge-1": 20,
    }
    assert finished.status.counts.n_replies == 40
    first = finished.run.results[0]
    assert isinstance(first, Judged)
    assert first.answers.strong == "an answer of good-1 to: question 0"


@pytest.mark.anyio
async def test_a_judge_that_looks_at_the_position_gives_ties_that_are_counted(
    judge_by: JudgeBy, run: Run
) -> None:
    finished = await run(judge_by(lambda *_: "A"), items_of(6))
    summary = summary_of(finished)
    assert (summary.n_ties, summary.n_disagreements) == (6, 6)
    assert summary.position_bias is not None
    assert (summary.position_bias.n_first, summary.position_bias.n_second) == (6, 0)


@pytest.mark.anyio
async def test_a_judge_that_loves_length_is_found_out(judge_by: JudgeBy, run: Run) -> None:
    items = [
        item(f"question {n}", strong="s" * (10 + n % 5), weak="w" * (10 + n % 3)) for n in range(15)
    ]
    models = judge_by(lambda a, b: "tie" if len(a) == len(b) else "A" if len(a) > len(b) else "B")
    summary = summary_of(await run(models, items))
    assert summary.length_correlation > 0.85  # ties keep it below 1
    assert summary.n_ties > 0


@pytest.mark.anyio
async def test_given_answers_are_judged_and_not_paid_for(models: "ScriptedModel", run: Run) -> None:
    items = [item("one", strong="of bad-1", weak="of good-1"), item("two", weak="of good-1")]
    finished = await run(models, items)
    assert [result.outcome for result in finished.run.results] == [0.0, 0.5]
    assert Counter(body["model"] for body in models.bodies) == {"good-1": 1, "judge-1": 4}


@pytest.mark.anyio
async def test_equal_answers_are_a_tie_that_nobody_is_asked_about(
    models: "ScriptedModel", run: Run
) -> None:
    finished = await run(models, [item("one", strong="same", weak="same")])
    assert finished.run.results[0].outcome == 0.5
    assert models.bodies == []


@pytest.mark.anyio
async def test_grades_are_given_one_by_one_and_compared(models: "ScriptedModel", run: Run) -> None:
    def grade(request: dict[str, Any]) -> str:
        grade = 9 if "of good-1" in request["messages"][-1]["content"] else 4
        return json.dumps({"explanation": "So.", "grade": grade})

    models.script = grade
    items = [
        item("one", strong="of good-1", weak="of bad-1"),
        item("two", strong="of bad-1", weak="of good-1"),
        item("three", strong="of bad-1 a", weak="of bad-1 b"),
    ]
    finished = await run(models, items, mode="grade")
    assert [(result.grades, result.outcome) for result in finished.run.results] == [
        ((9, 4), 1.0),
        ((4, 9), 0.0),
        ((4, 4), 0.5),
    ]
    assert len(models.bodies) == 6


@pytest.mark.anyio
async def test_a_reference_reaches_the_judge_and_nobody_else(
    models: "ScriptedModel", run: Run
) -> None:
    await run(models, [item("one", reference="the gold answer"), item("two")])
    told = Counter(
        (body["model"], "the gold answer" in json.dumps(body["messages"])) for body in models.bodies
    )
    assert told == {
        ("good-1", False): 2,
        ("bad-1", False): 2,
        ("judge-1", True): 2,
        ("judge-1", False): 2,
    }


@pytest.mark.anyio
async def test_every_label_is_there_in_spite_of_every_fault(
    models: "ScriptedModel", run: Run
) -> None:
    models.misbehave(
        Refuse(status=429, headers={"Retry-After": "0.2"}),
        Refuse(status=500),
        Hang(duration_s=30),
        Refuse(status=200, body=b"{broken"),
        StopMidStream(),
        Refuse(status=503),
        Refuse(status=529),
        StopMidStream(),
    )
    finished = await run(models, items_of(12))
    assert summary_of(finished).n_wins == 12
    assert finished.status.counts.n_failed_attempts == 8
    assert set(models.answered.values()) == {1}


@pytest.mark.anyio
async def test_failures_are_kept_apart_and_never_become_labels(
    models: "ScriptedModel", run: Run
) -> None:
    fair = models.script

    def script(request: dict[str, Any]) -> str:
        text = request["messages"][-1]["content"]
        if request["model"] == "judge-1" and "question 3" in text:
            return "Both have their merits."
        if request["model"] == "bad-1" and "question 5" in text:
            return " "
        return fair(request)

    models.script = script
    finished = await run(models, items_of(8), n_at_once=1)
    assert finished.run.results[3] == Failed("two unreadable verdicts of 'judge'")
    assert finished.run.results[5] == Failed("model 'weak' gave an empty answer")
    summary = summary_of(finished)
    assert (summary.n_wins, summary.n_failed) == (6, 2)
    about_3 = [
        body
        for body in models.bodies
        if body["model"] == "judge-1" and "question 3\n" in body["messages"][-1]["content"]
    ]
    assert len(about_3) == 4  # two orders, each asked twice


@pytest.mark.anyio
async def test_a_second_run_calls_nobody_and_gives_the_same(
    models: "ScriptedModel", run: Run
) -> None:
    first = await run(models, items_of(5))
    n_calls = len(models.bodies)
    second = await run(models, items_of(5))
    assert second.run.results == first.run.results
    assert len(models.bodies) == n_calls
    assert second.status.counts.n_replies == 0
    assert second.status.spent_usd == pytest.approx(first.status.spent_usd)


@pytest.mark.anyio
async def test_more_prompts_may_be_added_later(models: "ScriptedModel", run: Run) -> None:
    await run(models, items_of(5))
    await run(models, items_of(7))
    assert len(models.bodies) == 7 * 4


@pytest.mark.anyio
@pytest.mark.parametrize("budget_usd", [20.0, 33.0, 61.5])
async def test_the_budget_is_never_passed_and_a_larger_one_goes_on(
    models: "ScriptedModel", run: Run, budget_usd: float
) -> None:
    # A verdict can cost at most about 4096 tokens out and 2.6 thousand in: 6.7 USD. It costs 0.6.
    looks: list[float] = []
    models.misbehave(*(Refuse(status=200, body=b"lost") for _ in range(1)))
    stopped = await run(
        models,
        items_of(100),
        budget_usd=budget_usd,
        watch=lambda status: looks.append(status.spent_usd),
    )
    assert budget_usd - 8.0 < stopped.status.spent_usd <= budget_usd
    assert max(looks) == stopped.status.spent_usd
    assert "is reached" in stopped.run.stopped
    n_judged = summary_of(stopped).n_judged
    assert 0 < n_judged < 100
    assert summary_of(stopped).n_failed == 0
    larger = await run(models, items_of(100), budget_usd=1000.0)
    assert larger.run.stopped is None
    assert summary_of(larger).n_judged == 100
    assert max(models.answered.values()) == 1


@pytest.mark.anyio
async def test_a_key_that_is_refused_ends_the_run_and_shows_no_key(
    models: "ScriptedModel", run: Run
) -> None:
    models.misbehave(*(Refuse(status=401) for _ in range(1000)))
    with pytest.raises(UpstreamError, match="status 401") as caught:
        await run(models, items_of(50))
    assert "sk-a-secret-key" not in str(caught.value)
    assert len(models.bodies) <= 8


@pytest.mark.anyio
async def test_an_outage_ends_the_run_and_the_next_one_goes_on(
    models: "ScriptedModel", run: Run
) -> None:
    await run(models, items_of(3))
    models.misbehave(*(Refuse(status=500) for _ in range(2000)))
    with pytest.raises(UpstreamError, match="in a row failed"):
        await run(models, items_of(100))
    models._faults.clear()
    assert summary_of(await run(models, items_of(20))).n_wins == 20
    assert max(models.answered.values()) == 1


@pytest.mark.anyio
async def test_no_prompt_and_no_key_is_in_the_journal(
    models: "ScriptedModel", run: Run, tmp_path: Path
) -> None:
    models.script = lambda _: "An answer. [[A]]"
    await run(models, items_of(3))
    text = (tmp_path / "j").read_text()
    assert "question" not in text
    assert "sk-a-secret-key" not in text
    assert "An answer" in text


@pytest.mark.anyio
async def test_a_run_without_a_label_is_refused_with_its_reason(
    models: "ScriptedModel", run: Run
) -> None:
    finished = await run(models, items_of(2), budget_usd=0.01)
    with pytest.raises(ConfigError, match="raise --budget-usd"):
        require_labels(finished)
    models.script = lambda _: " "
    finished = await run(models, items_of(2))
    with pytest.raises(DataError, match=r"none of 2 prompts was judged; 2 times: .* empty answer"):
        require_labels(finished)
