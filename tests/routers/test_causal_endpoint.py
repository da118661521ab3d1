"""The router that asks an endpoint, against fake servers on loopback."""

import asyncio
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import pytest

from routecast.errors import ArtifactError, ConfigError, UpstreamError
from routecast.routers.causal_asking import Asking
from routecast.routers.causal_endpoint import (
    BoundEndpoint,
    EndpointClassifier,
    EndpointQuestion,
    rebuild,
)
from routecast.routers.causal_labels import LETTERS, WIN, grade_labels
from routecast.routers.causal_template import Template
from routecast.routers.stored_model import StoredModel
from routecast.testing import FakeFirstTokens, Hang, Refuse, serve_upstream
from routecast.testing.first_tokens import Server, refusal_of_many
from routecast.upstream.apis import Api
from routecast.upstream.chat import ChatTimeouts
from routecast.upstream.endpoint import Endpoint
from routecast.upstream.retry import RetryPolicy

T = TypeVar("T")
KEY = "sk-a-key-that-nobody-may-see"
TEMPLATE = Template("Better?\n", "\nReply with A, B or C.")
ASKING = Asking(
    n_at_once=4,
    timeouts=ChatTimeouts(connect_s=1.0, read_s=0.5, total_s=2.0),
    retry=RetryPolicy(n_attempts=3, base_delay_s=0.001),
)
SERVERS: tuple[Server, ...] = ("openai", "vllm", "llama.cpp", "ollama")


def letters(text: str) -> Mapping[str, float]:
    """Hard queries want A; of a few tokens one has a space and one is no label."""
    is_hard = "prove" in text
    return {
        "A": 0.5 if is_hard else 0.1, " A": 0.1 if is_hard else 0.05, "B": 0.2,
        "C": 0.1 if is_hard else 0.55, "The": 0.1,
    }  # fmt: skip


# Hard: (.6 + .2 / 2) / .9; easy: (.15 + .2 / 2) / .9.
HARD, EASY = 0.7 / 0.9, 0.25 / 0.9


def question(**changes: object) -> EndpointQuestion:
    changed: Any = changes
    return replace(
        EndpointQuestion(
            labels=LETTERS, template=TEMPLATE, api=Api.CHAT, n_top=20, max_chars=1000
        ),
        **changed,
    )  # fmt: skip


def asked(
    fake: FakeFirstTokens,
    work: Callable[[BoundEndpoint], T],
    *,
    question: EndpointQuestion,
    asking: Asking = ASKING,
) -> T:
    """Run ordinary code in a thread while the fake server serves."""

    async def serve() -> T:
        async with serve_upstream(fake) as base_url:
            endpoint = Endpoint(name="judge", model="m-1", base_url=base_url, api_key=KEY)
            classifier = EndpointClassifier(endpoint=endpoint, question=question, asking=asking)
            return await asyncio.to_thread(work, BoundEndpoint(classifier))

    return asyncio.run(serve())


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("api", [Api.CHAT, Api.COMPLETIONS])
def test_every_server_and_both_apis_give_the_win_probability(server: Server, api: Api) -> None:
    fake = FakeFirstTokens(server, letters)
    prompts = ["prove it", "name it", "prove it"]
    scores = asked(fake, lambda one: one.win_probabilities(prompts), question=question(api=api))
    np.testing.assert_allclose(scores, [HARD, EASY, HARD], atol=1e-9)
    assert fake.n_requests == 2  # equal prompts are asked about once
    bodies = [json.loads(request.body) for request in fake.requests]
    sent = {
        body["messages"][0]["content"] if api is Api.CHAT else body["prompt"] for body in bodies
    }  # in any order: they are asked side by side
    assert sent == {f"Better?\n{verb} it\nReply with A, B or C." for verb in ("prove", "name")}
    assert fake.requests[0].header("authorization") == f"Bearer {KEY}"


def test_a_served_fine_tune_answers_with_its_own_labels() -> None:
    fake = FakeFirstTokens("vllm", lambda _: {"[[strong]]": 0.6, "[[weak]]": 0.3, "[[tie]]": 0.1})
    own = question(labels=WIN, api=Api.COMPLETIONS)
    assert asked(fake, lambda one: one.win_probabilities(["x"]), question=own) == pytest.approx(
        [0.65]
    )
    graded = FakeFirstTokens("vllm", lambda _: {f"[[{n}]]": 0.2 for n in range(1, 6)})
    own = question(labels=grade_labels(), api=Api.COMPLETIONS)
    assert asked(graded, lambda one: one.win_probabilities(["x"]), question=own) == pytest.approx(
        [0.6]
    )


def test_prompts_are_asked_about_once_in_a_lifetime_and_some_at_a_time() -> None:
    fake = FakeFirstTokens("openai", letters, latency_s=0.02)
    prompts = [f"name {n}" for n in range(20)]

    def work(one: BoundEndpoint) -> None:
        first = one.win_probabilities(prompts)
        np.testing.assert_array_equal(one.win_probabilities(prompts[::-1]), first[::-1])
        assert one.win_probabilities([]).shape == (0,)

    asked(fake, work, question=question())
    assert fake.n_requests == 20
    assert fake.n_at_once == 4


@pytest.mark.parametrize(
    "fault",
    [
        Refuse(status=429, headers={"Retry-After": "0"}),
        Refuse(status=503),
        Refuse(status=200, body=b"half of an ans"),
        Hang(duration_s=1.0),
    ],
)
def test_what_passes_is_tried_again(fault: Refuse | Hang) -> None:
    fake = FakeFirstTokens("vllm", letters)
    fake.misbehave(fault)
    scores = asked(fake, lambda one: one.win_probabilities(["prove"]), question=question())
    assert scores == pytest.approx([HARD])
    assert fake.n_requests == 2


def test_a_refused_parameter_of_newer_models_is_sent_in_their_way() -> None:
    fake = FakeFirstTokens("openai", letters)
    body = b'{"error": {"message": "no", "param": "max_tokens", "code": "unsupported_parameter"}}'
    fake.misbehave(Refuse(status=400, body=body))
    scores = asked(fake, lambda one: one.win_probabilities(["prove"]), question=question())
    assert scores == pytest.approx([HARD])
    assert json.loads(fake.requests[-1].body)["max_completion_tokens"] == 1


@pytest.mark.parametrize("server", SERVERS)
def test_a_model_without_log_probabilities_is_a_clear_error(server: Server) -> None:
    fake = FakeFirstTokens(server, letters, gives_logprobs=False)
    with pytest.raises(ConfigError) as caught:
        asked(fake, lambda one: one.win_probabilities(["a secret"]), question=question())
    refuses = server in ("openai", "vllm")
    assert ("refuses 'logprobs'" if refuses else "without log-probabilities") in str(caught.value)
    assert "use a model and server that return log-probabilities" in str(caught.value)
    assert KEY not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert fake.n_requests == 1


def test_a_server_that_returns_fewer_tokens_says_so() -> None:
    fake = FakeFirstTokens("vllm", letters)
    fake.misbehave(Refuse(status=400, body=json.dumps(refusal_of_many(20, 5)).encode()))
    with pytest.raises(ConfigError, match=r"or so many of them; set a smaller n_top, such as 5"):
        asked(fake, lambda one: one.win_probabilities(["x"]), question=question())


def test_403_with_words_only_is_understood_too() -> None:
    fake = FakeFirstTokens("openai", letters)
    body = b'{"error": {"message": "You are not allowed to request logprobs from this model"}}'
    fake.misbehave(Refuse(status=403, body=body))
    with pytest.raises(ConfigError, match="answered status 403: it refuses 'logprobs'"):
        asked(fake, lambda one: one.win_probabilities(["x"]), question=question())


@pytest.mark.parametrize("status", [401, 404, 500])
def test_what_does_not_pass_ends_everything_without_key_or_prompt(status: int) -> None:
    fake = FakeFirstTokens("vllm", letters)
    fake.misbehave(*[Refuse(status=status)] * 40)
    prompts = [f"a secret {n}" for n in range(10)]
    with pytest.raises(UpstreamError, match=f"model 'judge' answered status {status}") as caught:
        asked(fake, lambda one: one.win_probabilities(prompts), question=question())
    assert KEY not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert fake.n_requests < 40


TEN = [f"prompt {n}" for n in range(10)]


def test_a_label_that_is_several_tokens_is_refused() -> None:
    fake = FakeFirstTokens("vllm", lambda _: {"[[": 0.9, "The": 0.1})
    with pytest.raises(ConfigError, match=r"label '\[\[strong\]\]' is no single token"):
        asked(fake, lambda one: one.win_probabilities(TEN), question=question(labels=WIN))


def test_a_model_that_never_answers_with_a_label_is_refused() -> None:
    fake = FakeFirstTokens("vllm", lambda _: {"<think>": 0.9, "The": 0.1})
    with pytest.raises(ConfigError, match=r"none of the labels.*thinking is off"):
        asked(fake, lambda one: one.win_probabilities(TEN), question=question())


def test_one_prompt_without_a_label_abstains() -> None:
    fake = FakeFirstTokens("vllm", lambda text: letters(text) if "prove" in text else {"I": 1.0})

    def work(one: BoundEndpoint) -> None:
        scores = one.win_probabilities(["prove", "odd"])
        assert scores[0] == pytest.approx(HARD)
        assert math.isnan(scores[1])
        assert one.seen == {"A": 1, "B": 1, "C": 1}

    asked(fake, work, question=question())


def test_few_top_tokens_give_missing_labels_the_most_they_can_have() -> None:
    # Two tokens: A .5 and B .2, so C has at most min(.2, .3) = .2: (.5 + .1) / .9.
    fake = FakeFirstTokens("vllm", letters)
    scores = asked(fake, lambda one: one.win_probabilities(["prove"]), question=question(n_top=2))
    assert scores == pytest.approx([0.6 / 0.9])


def test_answers_that_are_remembered_are_not_asked_for_again() -> None:
    fake = FakeFirstTokens("vllm", letters)

    def work(one: BoundEndpoint) -> None:
        scores = one.win_probabilities(["prove", "name"])
        other = BoundEndpoint(one._classifier)
        other.remember(*one.answers())
        np.testing.assert_array_equal(other.win_probabilities(["name", "prove"]), scores[::-1])

    asked(fake, work, question=question())
    assert fake.n_requests == 2


def test_of_a_long_prompt_head_and_tail_are_sent_and_the_rest_is_counted() -> None:
    fake = FakeFirstTokens("vllm", letters)

    def work(one: BoundEndpoint) -> None:
        one.win_probabilities(["a" * 60 + "x" * 100 + "b" * 50, "\ud800"])
        assert (one.cut("a" * 101).n_characters, bool(one.cut("a" * 100))) == (1, False)

    asked(fake, work, question=question(max_chars=100))
    sent = [json.loads(one.body)["messages"][0]["content"] for one in fake.requests]
    assert sent[0] == TEMPLATE.fill("a" * 50 + " " + "b" * 50)
    assert sent[1] == TEMPLATE.fill("\ufffd")


def test_it_works_where_an_event_loop_runs() -> None:
    fake = FakeFirstTokens("vllm", letters)

    async def serve() -> None:
        async with serve_upstream(fake) as base_url:
            endpoint = Endpoint(name="judge", model="m-1", base_url=base_url)
            classifier = EndpointClassifier(endpoint=endpoint, question=question(), asking=ASKING)

            async def in_a_loop() -> None:
                assert BoundEndpoint(classifier).win_probabilities(["prove"]) == pytest.approx(
                    [HARD]
                )

            await asyncio.to_thread(asyncio.run, in_a_loop())

    asyncio.run(serve())


SETTINGS = {
    "model": "m-1", "api": "chat", "labels": "letters", "good_grade": 4, "instruction": ["a", "b"],
    "n_top": 20, "max_chars": 100, "n_at_once": 2, "timeout_s": 1.0, "n_attempts": 1,
}  # fmt: skip
MINE = Endpoint(name="judge", model="another", base_url="http://127.0.0.1:1/v1", api_key=KEY)


def test_the_user_says_where_to_ask_and_the_artifact_which_model() -> None:
    stored = StoredModel(settings=SETTINGS, endpoint=MINE)
    asked = rebuild(stored)._classifier.endpoint
    assert (asked.base_url, asked.api_key, asked.model) == (MINE.base_url, KEY, "m-1")
    with pytest.raises(ConfigError, match=r"does not say where; give --endpoint URL.*routecast"):
        rebuild(replace(stored, endpoint=None))
    for name in SETTINGS:
        lacking = {key: value for key, value in SETTINGS.items() if key != name}
        with pytest.raises(ArtifactError, match=f"unusable: KeyError.*{name}"):
            rebuild(replace(stored, settings=lacking))


@pytest.mark.parametrize(
    "named", [{"url": "http://evil.example/v1"}, {"api_key": "env:HOME"}, {"base_url": ""}]
)
@pytest.mark.parametrize("endpoint", [None, MINE])
def test_an_artifact_that_names_an_endpoint_or_a_key_is_refused(
    named: dict[str, str], endpoint: Endpoint | None
) -> None:
    stored = StoredModel(settings={**SETTINGS, **named}, endpoint=endpoint)
    with pytest.raises(ArtifactError, match=r"names an endpoint or a key.*router_endpoint = 'NAM"):
        rebuild(stored)


def test_an_artifact_cannot_ask_without_bounds() -> None:
    greedy = {**SETTINGS, "n_at_once": 10**6, "timeout_s": 1e9, "n_attempts": 10**6}
    asking = rebuild(StoredModel(settings=greedy, endpoint=MINE))._classifier.asking
    assert asking.n_at_once <= 256
    assert asking.timeouts.total_s <= 3600
    assert asking.retry.n_attempts <= 10
