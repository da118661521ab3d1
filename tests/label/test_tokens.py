"""How many tokens a text has, before anybody is asked."""

import sys
import threading
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routecast.label.tokens import input_tokens_at_most, token_counter, tokens_by_rule
from routecast.upstream.chat import ChatRequest


class Words:
    """An encoding with a token per word."""

    def encode_ordinary(self, text: str) -> list[str]:
        return text.split()


def pretend_tiktoken(monkeypatch: pytest.MonkeyPatch, get_encoding: object) -> None:
    module = ModuleType("tiktoken")
    vars(module)["get_encoding"] = get_encoding
    monkeypatch.setitem(sys.modules, "tiktoken", module)


def request_of(*texts: str, json_schema: dict[str, str] | None = None) -> ChatRequest:
    messages = tuple({"role": "user", "content": text} for text in texts)
    return ChatRequest(messages=messages, max_output_tokens=10, json_schema=json_schema)


def test_the_rule_is_a_token_per_four_bytes_rounded_up() -> None:
    # 5 bytes, 8 bytes, 3 characters of 3 bytes = 9 bytes
    assert [tokens_by_rule(text) for text in ("", "hello", "12345678", "日本語")] == [0, 2, 2, 3]


def test_tiktoken_counts_where_its_vocabulary_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_tiktoken(monkeypatch, lambda _: Words())
    counter = token_counter()
    assert counter.count("three words here") == 3
    assert "tiktoken" in counter.rule


def test_without_tiktoken_the_rule_counts_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tiktoken", None)
    counter = token_counter(patience_s=3_600)
    assert counter.count("hello") == 2
    assert counter.rule == "a token per 4 bytes"


@pytest.mark.parametrize("error", [ConnectionError(), ValueError(), KeyError()])
def test_a_vocabulary_that_does_not_load_is_done_without(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def get_encoding(name: str) -> Words:
        raise error

    pretend_tiktoken(monkeypatch, get_encoding)
    assert token_counter().rule == "a token per 4 bytes"


def test_a_vocabulary_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    has_loaded = threading.Event()

    def get_encoding(name: str) -> Words:
        assert has_loaded.wait(30)
        return Words()

    pretend_tiktoken(monkeypatch, get_encoding)
    assert token_counter(patience_s=0.05).rule == "a token per 4 bytes"
    has_loaded.set()


def test_a_request_counts_its_messages_its_schema_and_their_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretend_tiktoken(monkeypatch, lambda _: Words())
    # 2 + 1 words, a schema of 2 words as JSON, 8 for each of two messages
    request = request_of("two words", "one", json_schema={"type": "object"})
    assert token_counter().count_request(request) == 2 + 1 + 2 + 16


@settings(deadline=None)
@given(st.lists(st.text(), min_size=1, max_size=3))
def test_the_bound_is_above_one_token_per_byte(texts: list[str]) -> None:
    n_bytes = sum(len(text.encode()) for text in texts)
    assert input_tokens_at_most(request_of(*texts)) > n_bytes
