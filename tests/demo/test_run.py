import json

import pytest

from routecast.artifacts import load_router
from routecast.demo.learning import Learned
from routecast.demo.pair import Pair
from routecast.demo.prompts import PROMPTS
from routecast.demo.questions import Question
from routecast.demo.result import DemoResult
from routecast.demo.run import (
    REAL_ROUTE,
    UNKNOWN_QUESTION,
    RoutedAnswer,
    grade,
    send_prompts,
    serve_gateway,
    serve_recorded,
)
from routecast.errors import UpstreamError
from routecast.testing import FakeUpstream, Refuse, serve_upstream


def answer(text: str) -> RoutedAnswer:
    return RoutedAnswer(
        prompt="p",
        text=text,
        model="weak",
        win_probability=0.5,
        threshold=0.5,
        n_input_tokens=1,
        n_output_tokens=1,
    )


@pytest.mark.anyio
async def test_every_held_out_question_gets_the_recorded_answer_of_the_model_its_score_says(
    learned: Learned, held_out: list[Question]
) -> None:
    prompts = [asked.prompt for asked in held_out]
    async with (
        serve_recorded(held_out) as pair,
        serve_gateway(pair, learned.loaded, learned.route, environ={}) as address,
    ):
        answers = await send_prompts(address, prompts)
    graded = grade(answers, held_out)
    threshold = learned.choice.cut.threshold
    for one, asked in zip(answers, held_out, strict=True):
        assert one.prompt == asked.prompt
        assert one.text == asked.answers[one.model].text
        score = one.win_probability
        assert (one.model == "strong") == (score is None or score >= threshold)
    result = DemoResult.of(graded, held_out)
    # What HTTP said, and what is known of the recorded answers, are the same sums.
    strong = result.table.strong_quality.mean()
    assert result.quality / strong == pytest.approx(result.figures.kept.value)
    whole = result.table.strong_cost_usd.mean()
    assert 1 - result.cost_usd / whole == pytest.approx(result.figures.saved.value)
    examples = result.examples(8)
    scores = [one.answer.win_probability for one in examples]
    assert scores == sorted(scores, key=lambda score: -(score or 2.0))
    assert {one.answer.model for one in examples} == {"strong", "weak"}


@pytest.mark.anyio
async def test_a_prompt_that_nobody_recorded_is_answered_by_saying_so(
    learned: Learned, held_out: list[Question]
) -> None:
    async with (
        serve_recorded(held_out[:1]) as pair,
        serve_gateway(pair, learned.loaded, learned.route, environ={}) as address,
    ):
        (answered,) = await send_prompts(address, ["What is 2 + 2?"])
    assert answered.text == UNKNOWN_QUESTION


def test_an_answer_that_is_not_the_recorded_one_has_no_grade(held_out: list[Question]) -> None:
    with pytest.raises(UpstreamError, match=r"'something else'.*not its recorded answer"):
        grade([answer("something else")], held_out[:1])


@pytest.mark.anyio
async def test_a_real_pair_is_called_with_its_key_and_names() -> None:
    upstream = FakeUpstream("stands-in-for-openai")
    async with serve_upstream(upstream) as base_url:
        environ = {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": base_url}
        pair = Pair.real("big-model", "small-model", environ=environ)
        loaded = load_router("default")
        async with serve_gateway(pair, loaded, REAL_ROUTE, environ=environ) as address:
            answers = await send_prompts(address, PROMPTS[:4])
    assert upstream.n_requests == 4
    assert {request.header("authorization") for request in upstream.requests} == {"Bearer sk-test"}
    asked = {json.loads(request.body)["model"] for request in upstream.requests}
    assert asked <= {"big-model", "small-model"}
    assert [one.prompt for one in answers] == list(PROMPTS[:4])


@pytest.mark.anyio
async def test_a_refused_key_is_one_clear_error() -> None:
    upstream = FakeUpstream("stands-in-for-openai")
    upstream.misbehave(Refuse(status=401, body=b'{"error": {"message": "bad key"}}'))
    async with serve_upstream(upstream) as base_url:
        environ = {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": base_url}
        pair = Pair.real("big-model", "small-model", environ=environ)
        loaded = load_router("default")
        async with serve_gateway(pair, loaded, REAL_ROUTE, environ=environ) as address:
            with pytest.raises(UpstreamError, match=r"status 401.*bad key"):
                await send_prompts(address, PROMPTS)
