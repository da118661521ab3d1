"""What a run will cost, told before it starts."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from routecast.label.asking import ANSWER_ROLE
from routecast.label.calls import request_key
from routecast.label.estimate import (
    EXPECTED_ANSWER_TOKENS,
    EXPECTED_VERDICT_TOKENS,
    Estimate,
    estimate_run,
    planned_calls,
)
from routecast.label.items import Item
from routecast.label.journal import open_journal
from routecast.label.settings import JudgeSettings
from routecast.label.tokens import TokenCounter
from routecast.upstream.chat import ChatReply

TEN_EACH = TokenCounter(count=lambda _: 10, rule="ten each")


def item(prompt: str, **answers: str) -> Item:
    messages = ({"role": "user", "content": prompt},)
    return Item(prompt=prompt, messages=messages, request=prompt, answers=answers)


@pytest.fixture
def settings(settings_at: Callable[..., JudgeSettings]) -> JudgeSettings:
    return settings_at("http://127.0.0.1:1/v1")


def estimate(items: list[Item], settings: JudgeSettings, folder: Path) -> Estimate:
    with open_journal(folder / "j", {}) as journal:
        return estimate_run(items, settings, journal, TEN_EACH)


def test_the_estimate_by_hand(settings: JudgeSettings, tmp_path: Path) -> None:
    told = estimate([item("one"), item("two", weak="given")], settings, tmp_path)
    strong, weak, judge = told.models
    # two answers of the strong model, one of the weak; two verdicts for each prompt
    assert [strong.n_calls, weak.n_calls, judge.n_calls] == [2, 1, 4]
    # ten tokens of text and 8 around the message
    assert (strong.n_input_tokens, strong.n_output_tokens) == (36, 2 * EXPECTED_ANSWER_TOKENS)
    # three texts of ten (system, user, schema), 8 around two messages, answers nobody knows yet:
    # two in each verdict on the first prompt, one in each on the second
    assert judge.n_input_tokens == 4 * (30 + 16) + 6 * EXPECTED_ANSWER_TOKENS
    assert judge.n_output_tokens == 4 * EXPECTED_VERDICT_TOKENS
    # at 1000 USD per million tokens either way
    assert strong.cost_usd == pytest.approx((36 + 800) / 1000)
    n_tokens = sum(model.n_input_tokens + model.n_output_tokens for model in told.models)
    assert told.cost_usd == pytest.approx(n_tokens / 1000)
    assert told.at_most_usd is not None
    assert told.at_most_usd > n_tokens / 1000
    assert told.rule == "ten each"


def test_what_the_journal_holds_is_not_counted_again(
    settings: JudgeSettings, tmp_path: Path
) -> None:
    items = [item("one"), item("two")]
    with open_journal(tmp_path / "j", {}) as journal:
        for call in planned_calls(items[:1], settings, journal):
            key = request_key(settings.endpoints[call.model], call.request, role=call.role)
            if call.role == ANSWER_ROLE:
                journal.note_reply(key, ChatReply(text=f"by {call.model}"), cost_usd=0.5)
        for call in planned_calls(items[:1], settings, journal):
            key = request_key(settings.endpoints[call.model], call.request, role=call.role)
            journal.note_reply(key, ChatReply(text="x"), cost_usd=0.0)
    told = estimate(items, settings, tmp_path)
    assert [model.n_calls for model in told.models] == [1, 1, 2]
    assert told.spent_usd == 1.0


def test_equal_prompts_are_paid_once(settings: JudgeSettings, tmp_path: Path) -> None:
    told = estimate([item("one"), item("one")], settings, tmp_path)
    assert [model.n_calls for model in told.models] == [1, 1, 2]


def test_equal_answers_need_no_verdict(settings: JudgeSettings, tmp_path: Path) -> None:
    assert estimate([item("one", strong="x", weak="x")], settings, tmp_path).n_calls == 0
    graded = replace(settings, mode="grade")
    assert estimate([item("one", strong="x", weak="x")], graded, tmp_path).n_calls == 1


def test_a_grade_counts_its_own_answer_alone(settings: JudgeSettings, tmp_path: Path) -> None:
    told = estimate([item("one", weak="given")], replace(settings, mode="grade"), tmp_path)
    assert told.models[2].n_calls == 2
    assert told.models[2].n_input_tokens == 2 * (30 + 16) + EXPECTED_ANSWER_TOKENS


def test_a_model_without_a_price_leaves_the_sum_unknown_if_it_is_called(
    settings: JudgeSettings, tmp_path: Path
) -> None:
    free = replace(settings.endpoints["strong"], price=None)
    unpriced = replace(settings, endpoints={**settings.endpoints, "strong": free})
    assert estimate([item("one")], unpriced, tmp_path).cost_usd is None
    assert estimate([item("one", strong="given")], unpriced, tmp_path).cost_usd is not None
