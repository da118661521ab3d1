"""First-token log-probabilities in the shapes of four servers."""

import json
import math

import pytest

from routecast.upstream.apis import Api
from routecast.upstream.dialect import Dialect
from routecast.upstream.endpoint import Endpoint
from routecast.upstream.first_token import (
    NO_LOGPROBS,
    FirstTokenRequest,
    TokenChance,
    first_token_body,
    read_first_token,
)
from routecast.upstream.retry import AttemptError

ENDPOINT = Endpoint(name="m", model="m-1", base_url="http://127.0.0.1:1/v1")
ENTRY = {"token": "A", "logprob": -0.1, "bytes": [65]}
OTHER = {"token": "B", "logprob": -2.5, "bytes": [66]}
EXPECTED = (TokenChance(token="A", logprob=-0.1), TokenChance(token="B", logprob=-2.5))


def answer(logprobs: object) -> bytes:
    return json.dumps({"choices": [{"index": 0, "logprobs": logprobs}]}).encode()


def read(logprobs: object) -> tuple[TokenChance, ...]:
    return read_first_token(answer(logprobs), who="model 'm'")


def test_chat_and_completions_ask_for_one_token() -> None:
    chat = FirstTokenRequest(text="Ask", api=Api.CHAT, n_top=20)
    assert first_token_body(ENDPOINT, chat) == {
        "model": "m-1", "messages": [{"role": "user", "content": "Ask"}], "logprobs": True,
        "top_logprobs": 20, "max_tokens": 1, "temperature": 0.0,
    }  # fmt: skip
    newer = Dialect(output_limit="max_completion_tokens", takes_temperature=False)
    body = first_token_body(ENDPOINT, chat, newer)
    assert body["max_completion_tokens"] == 1
    assert not {"max_tokens", "temperature"} & body.keys()
    text = FirstTokenRequest(text="Ask", api=Api.COMPLETIONS, n_top=5)
    assert first_token_body(ENDPOINT, text) == {
        "model": "m-1", "prompt": "Ask", "logprobs": 5, "max_tokens": 1, "temperature": 0.0
    }  # fmt: skip


@pytest.mark.parametrize(
    "logprobs",
    [
        {"content": [{**ENTRY, "top_logprobs": [ENTRY, OTHER]}], "refusal": None},  # OpenAI
        {"content": [{"id": 1, **ENTRY, "top_logprobs": [{"id": 2, **OTHER}]}]},  # llama.cpp
        {
            "content": [
                {"token": "A", "logprob": -0.1, "top_logprobs": [{"token": "B", "logprob": -2.5}]}
            ]
        },  # Ollama
        {
            "tokens": ["A"], "token_logprobs": [-0.1], "top_logprobs": [{"A": -0.1, "B": -2.5}],
            "text_offset": [12],
        },  # OpenAI's and vLLM's text completions
    ],
)  # fmt: skip
def test_every_shape_gives_the_same_tokens_the_most_probable_first(logprobs: object) -> None:
    assert read(logprobs) == EXPECTED


@pytest.mark.parametrize("zero", [-9999.0, -3.4028234663852886e38, None])
def test_what_servers_write_for_a_probability_of_zero_is_zero(zero: float | None) -> None:
    found = read({"content": [{**ENTRY, "top_logprobs": [ENTRY, {"token": "C", "logprob": zero}]}]})
    assert found[-1] == TokenChance(token="C", logprob=-math.inf)


@pytest.mark.parametrize(
    "logprobs", [{"content": []}, {"content": None}, {"tokens": [], "token_logprobs": [],
                                                      "top_logprobs": []}],
)  # fmt: skip
def test_an_answer_that_ended_at_once_has_no_token(logprobs: object) -> None:
    assert read(logprobs) == ()


def test_an_answer_without_log_probabilities_is_told_from_a_broken_one() -> None:
    with pytest.raises(AttemptError, match="answered without log-probabilities") as caught:
        read(None)
    assert (caught.value.code, caught.value.is_transient) == (NO_LOGPROBS, False)
    for body in (
        b"", b"[]", b"{}", b'{"choices": []}', answer({}), answer({"content": [{}]}), answer([1]),
        answer({"content": [{"token": 1, "logprob": 0}]}),
        answer({"content": [{"token": "A", "logprob": "0"}]}),
        b'{"choices": [{"logprobs": {"content": [{"token": "A", "logprob": NaN}]}}]}',
    ):  # fmt: skip
        with pytest.raises(AttemptError, match="is no completion") as caught:
            read_first_token(body, who="model 'm'")
        assert caught.value.is_transient
