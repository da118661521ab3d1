"""The fake model with log-probabilities."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from routecast.testing import FakeFirstTokens, serve_upstream
from routecast.testing.first_tokens import LOWEST_FLOAT, Server

CHANCES = {"A": 0.7, "B": 0.3, "C": 0.0}


def ask(fake: FakeFirstTokens, path: str, body: dict[str, object]) -> tuple[int, dict[str, Any]]:
    async def work() -> tuple[int, dict[str, Any]]:
        async with (
            serve_upstream(fake) as base_url,
            aiohttp.ClientSession() as session,
            session.post(f"{base_url}{path}", json=body) as response,
        ):
            return response.status, json.loads(await response.read())

    return asyncio.run(work())


CHAT: dict[str, object] = {
    "messages": [{"role": "user", "content": "x"}], "logprobs": True, "top_logprobs": 3,
}  # fmt: skip


@pytest.mark.parametrize(
    ("server", "keys", "lowest"),
    [
        ("openai", {"token", "logprob", "bytes"}, -9999.0),
        ("vllm", {"token", "logprob", "bytes"}, -9999.0),
        ("llama.cpp", {"id", "token", "logprob", "bytes"}, LOWEST_FLOAT),
        ("ollama", {"token", "logprob"}, -9999.0),
    ],
)
def test_chat_answers_hold_what_the_server_returns(
    server: Server, keys: set[str], lowest: float
) -> None:
    status, document = ask(FakeFirstTokens(server, lambda _: CHANCES), "/chat/completions", CHAT)
    (entry,) = document["choices"][0]["logprobs"]["content"]
    assert status == 200
    assert entry["token"] == document["choices"][0]["message"]["content"] == "A"
    assert [one["token"] for one in entry["top_logprobs"]] == ["A", "B", "C"]
    assert all(one.keys() == keys for one in entry["top_logprobs"])
    assert entry["top_logprobs"][2]["logprob"] == lowest


@pytest.mark.parametrize(
    ("server", "as_lists"),
    [("openai", True), ("vllm", True), ("llama.cpp", False), ("ollama", False)],
)
def test_text_completions_have_the_servers_shape(server: Server, as_lists: bool) -> None:
    body: dict[str, object] = {"prompt": "x", "logprobs": 2}
    _, document = ask(FakeFirstTokens(server, lambda _: CHANCES), "/completions", body)
    logprobs = document["choices"][0]["logprobs"]
    assert ("tokens" in logprobs) == as_lists
    assert ("content" in logprobs) != as_lists


def test_without_being_asked_there_are_none_and_too_many_are_refused() -> None:
    fake = FakeFirstTokens("vllm", lambda _: CHANCES)
    _, document = ask(fake, "/chat/completions", {"messages": CHAT["messages"]})
    assert document["choices"][0]["logprobs"] is None
    status, document = ask(fake, "/chat/completions", {**CHAT, "top_logprobs": 21})
    assert status == 400
    assert "greater than max allowed: 20" in document["error"]["message"]
    assert ask(fake, "/elsewhere", CHAT)[0] == 404
    assert fake.n_requests == 3


def test_an_unknown_server_is_refused() -> None:
    unknown: Any = "lm-studio"
    with pytest.raises(ValueError, match="unknown server 'lm-studio'"):
        FakeFirstTokens(unknown, lambda _: CHANCES)
