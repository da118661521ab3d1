"""No call into a parser gets much of a large body: while it runs, every other request waits."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from routecast.gateway import body as body_module
from routecast.gateway import long_strings, needs, prompt
from routecast.gateway.body import read_request_body
from routecast.gateway.needs import read_needs
from routecast.gateway.prompt import text_to_score
from routecast.gateway.scorer import MAX_CHARACTERS
from routecast.upstream.apis import Api

N_BYTES = 1_000_000
MAX_BYTES_PER_CALL = 1 << 18  # 2 ms of msgspec's time, 10 of the standard library's
DECODERS = {
    body_module: ["_FIELDS"],
    needs: ["_ITEMS", "_FORM"],
    prompt: ["_TURNS", "_CONTENT", "_PARTS", "_STRINGS"],
    long_strings: ["_STRING"],
}


class Recorder:
    """Passes calls on, and keeps the length of the longest text among them."""

    def __init__(self) -> None:
        self.n_calls = 0
        self.n_bytes = 0

    def __call__(self, parse: Any) -> Any:  # noqa: ANN401
        def recorded(content: Any, **options: Any) -> Any:  # noqa: ANN401
            self.n_calls += 1
            self.n_bytes = max(self.n_bytes, len(content))
            return parse(content, **options)

        return recorded


class RecordedDecoder:
    """Stands for one of msgspec's, which are immutable."""

    def __init__(self, decoder: Any, record: Recorder) -> None:  # noqa: ANN401
        self.decode = record(decoder.decode)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """Sees every call into a parser that reading a request makes."""
    record = Recorder()
    for module, names in DECODERS.items():
        for name in names:
            monkeypatch.setattr(module, name, RecordedDecoder(getattr(module, name), record))
    monkeypatch.setattr(json, "loads", record(json.loads))
    monkeypatch.setattr("msgspec.json.decode", record(msgspec.json.decode))
    yield record
    assert record.n_calls > 0


def list_of(element: bytes) -> bytes:
    return b"[" + b",".join([element] * (N_BYTES // len(element))) + b"]"


def string_of(piece: bytes) -> bytes:
    return b'"' + piece * (N_BYTES // len(piece)) + b'"'


def user(content: bytes) -> bytes:
    return b'{"role":"user","content":' + content + b"}"


IMAGE = b'[{"type":"image_url","image_url":{"url":' + string_of(b"A") + b"}}]"
PARTS = list_of(b'{"type":"text","text":"one two"}')
RESULTS = list_of(b'{"type":"tool_result","content":[{"type":"text","text":"one"}]}')
BODIES = {
    "many messages": (Api.CHAT, b'"messages":' + list_of(user(b'"one two three"'))),
    "lone surrogates": (Api.CHAT, b'"messages":' + list_of(user(b'"one \\ud83d"'))),
    "one long text": (Api.CHAT, b'"messages":[' + user(string_of(b"word ")) + b"]"),
    "escapes": (Api.CHAT, b'"messages":[' + user(string_of(b'\\u0041\\n\\"')) + b"]"),
    "an image": (Api.CHAT, b'"messages":[' + user(IMAGE) + b"]"),
    "many parts": (Api.CHAT, b'"messages":[' + user(PARTS) + b"]"),
    "deep lists": (Api.CHAT, b'"messages":' + list_of(b"[[[[[[1]]]]]]")),
    "numbers": (Api.CHAT, b'"messages":' + list_of(b"1")),
    "many tools": (Api.CHAT, b'"tools":' + list_of(b'{"type":"function"}')),
    "a schema": (Api.CHAT, b'"response_format":{"type":"json_schema","x":%b}' % list_of(b"{}")),
    "unknown fields": (Api.CHAT, b'"x":' + list_of(b"{}") + b',"y":' + string_of(b"\\n")),
    "a long number": (Api.CHAT, b'"max_tokens":' + b"9" * N_BYTES),
    "a long key": (Api.CHAT, string_of(b"\\n") + b":1"),
    "many members": (Api.CHAT, list_of(b'"tools":1')[1:-1]),
    "tool results": (Api.MESSAGES, b'"messages":[' + user(RESULTS) + b"]"),
    "a system prompt": (Api.MESSAGES, b'"messages":[],"system":' + string_of(b"word\\n")),
    "input items": (Api.RESPONSES, b'"input":' + list_of(user(b'[{"type":"input_text"}]'))),
    "an input text": (Api.RESPONSES, b'"input":' + string_of(b"\\u0041")),
    "a prompt": (Api.COMPLETIONS, b'"prompt":' + string_of(b"word ")),
    "many prompts": (Api.COMPLETIONS, b'"prompt":' + list_of(b'"one two"')),
    "token ids": (Api.COMPLETIONS, b'"prompt":' + list_of(b"1234")),
}


@pytest.mark.parametrize("kind", BODIES)
def test_no_parser_gets_much_of_a_large_body_at_once(kind: str, recorder: Recorder) -> None:
    api, members = BODIES[kind]
    request = read_request_body(b'{"model":"auto",' + members + b"}")
    read_needs(request, api)
    for sticky in (False, True):
        text_to_score(request.fields, api, sticky=sticky)
    text = text_to_score(request.fields, api, choice="all_turns")
    assert recorder.n_bytes <= MAX_BYTES_PER_CALL
    assert len(text or "") < 2 * MAX_CHARACTERS


def test_images_and_schemas_are_found_in_large_bodies() -> None:
    for kind in ("an image", "a schema", "many tools"):
        api, members = BODIES[kind]
        found = read_needs(read_request_body(b'{"model":"auto",' + members + b"}"), api)
        assert (found.images, found.json_schema, found.tools) == (
            kind == "an image", kind == "a schema", kind == "many tools",
        )  # fmt: skip


@pytest.mark.parametrize("n_before", [0, 1, 50_000])
def test_an_image_is_found_wherever_it_stands_among_many_messages(n_before: int) -> None:
    image = b'{"type":"tool_result","content":[{"type":"image","source":{}}]}'
    texts = [user(b'"one two three"')]
    messages = b",".join([*texts * n_before, user(b"[" + image + b"]"), *texts * 9])
    content = b'{"model":"auto","messages":[' + messages + b"]}"
    assert read_needs(read_request_body(content), Api.MESSAGES).images
    without = content.replace(b'"image"', b'"text"')
    assert not read_needs(read_request_body(without), Api.MESSAGES).images
