"""How many tokens a text has, before anybody is asked."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from queue import Empty, Queue
from typing import Any

from routecast.upstream.chat import ChatRequest

BYTES_PER_TOKEN = 4
"""The stated rule: English prose has a little more than four bytes to a token."""

VOCABULARY = "o200k_base"
MESSAGE_TOKENS = 8
"""Added for each message: roles and separators."""

FRAME_TOKENS = 64
"""Added to an upper bound: what chat templates put around a conversation on their own."""


@dataclass(frozen=True, kw_only=True)
class TokenCounter:
    """Counts the tokens of a text.

    Attributes:
        count: Text to tokens.
        rule: In words, what the count rests on.
    """

    count: Callable[[str], int]
    rule: str

    def count_request(self, request: ChatRequest) -> int:
        """Return the input tokens of a request, as expected; its JSON schema counts as text."""
        contents = [message.get("content") for message in request.messages]
        texts = [text if isinstance(text, str) else json.dumps(text) for text in contents]
        if request.json_schema is not None:
            texts.append(json.dumps(request.json_schema))
        return sum(self.count(text) for text in texts) + MESSAGE_TOKENS * len(request.messages)


def token_counter(*, patience_s: float = 2.0) -> TokenCounter:
    """Return tiktoken's count where it is installed and its vocabulary is there, else a rule.

    Args:
        patience_s: How long the vocabulary may take to load; it may have to be fetched, and
            offline this takes for ever.
    """
    answer: Queue[Any] = Queue()
    threading.Thread(target=_load_encoding, args=(answer,), daemon=True).start()
    try:
        encoding = answer.get(timeout=patience_s)
    except Empty:
        encoding = None
    if encoding is None:
        return TokenCounter(count=tokens_by_rule, rule=f"a token per {BYTES_PER_TOKEN} bytes")
    return TokenCounter(
        count=lambda text: len(encoding.encode_ordinary(text)), rule=f"tiktoken's {VOCABULARY}"
    )


def tokens_by_rule(text: str) -> int:
    """Return one token per four bytes of UTF-8, rounded up."""
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)


def input_tokens_at_most(request: ChatRequest) -> int:
    """Return more input tokens than any byte-level tokenizer makes of a request.

    A token stands for at least one byte; the JSON of the messages and of the schema holds every
    byte of both and more.
    """
    contents = [list(request.messages), request.json_schema]
    text = json.dumps(contents, ensure_ascii=False)
    return len(text.encode("utf-8", "replace")) + FRAME_TOKENS


def _load_encoding(answer: "Queue[Any]") -> None:
    try:
        answer.put(import_module("tiktoken").get_encoding(VOCABULARY))
    except (ImportError, OSError, ValueError, KeyError):  # its network errors are OSErrors
        answer.put(None)
