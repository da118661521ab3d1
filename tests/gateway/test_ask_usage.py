"""Asking for the usage of a stream, and taking the extra chunk out again."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.gateway.ask_usage import UsageChunkFilter, ask_for_usage

ASKED = b'"include_usage":true'


@pytest.mark.parametrize(
    ("sent", "asked"),
    [
        (b'{"stream":true}', b'{"stream_options":{%s},"stream":true}'),
        (b' {\n "stream" : true } ', b' {"stream_options":{%s},\n "stream" : true } '),
        (
            b'{"stream_options": {}, "stream": true}',
            b'{"stream_options": {%s}, "stream": true}',
        ),
        (b'{"stream": true, "stream_options":null}', b'{"stream": true, "stream_options":{%s}}'),
        (
            b'{"stream":true,"stream_options":{ "include_obfuscation" :false}}',
            b'{"stream":true,"stream_options":{%s, "include_obfuscation" :false}}',
        ),
        (
            b'{"stream":true,"stream_options":{"include_usage": false}}',
            b'{"stream":true,"stream_options":{"include_usage": true}}',
        ),
        (b'{"str\\u0065am":true}', b'{"stream_options":{%s},"str\\u0065am":true}'),
        (
            b'{"stream":false,"stream":true}',
            b'{"stream_options":{%s},"stream":false,"stream":true}',
        ),
    ],
)
def test_only_what_must_be_added_is_added(sent: bytes, asked: bytes) -> None:
    assert ask_for_usage(sent) == asked.replace(b"%s", ASKED)


@pytest.mark.parametrize(
    "sent",
    [
        b"{}",
        b'{"stream":false}',
        b'{"stream":true,"stream":false}',
        b'{"stream":1}',
        b'{"stream":"true"}',
        b'{"messages":[{"stream":true}]}',
        b'{"stream":true,"stream_options":{"include_usage":true}}',
        b'{"stream":true,"stream_options":"none"}',
        b'{"stream":true,"stream_options":[]}',
        b'{"Stream":true}',
    ],
)
def test_a_request_with_nothing_to_add_is_left_alone(sent: bytes) -> None:
    assert ask_for_usage(sent) is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(
    st.dictionaries(st.text(max_size=8), _JSON, max_size=4),
    st.none() | st.dictionaries(st.text(max_size=8), _JSON, max_size=3),
    st.integers(0, 2),
)
def test_the_upstream_reads_what_was_sent_and_the_question(
    request: dict[str, Any], options: dict[str, Any] | None, indent: int
) -> None:
    sent = {**request, "stream": True}
    if options is not None:
        sent["stream_options"] = options
    asked = ask_for_usage(json.dumps(sent, indent=indent or None).encode())
    if options is not None and options.get("include_usage") is True:
        assert asked is None
        return
    assert asked is not None
    expected = {**sent, "stream_options": {**(options or {}), "include_usage": True}}
    assert json.loads(asked) == expected


def chunk(choices: list[Any], usage: object = None) -> bytes:
    return f"data: {json.dumps({'choices': choices, 'usage': usage})}\n\n".encode()


HELLO = chunk([{"delta": {"content": "Hello"}}])
STOP = chunk([{"delta": {}, "finish_reason": "stop"}])
EXTRA = chunk([], {"prompt_tokens": 1, "completion_tokens": 2})
DONE = b"data: [DONE]\n\n"


def filtered(stream: bytes, sizes: list[int]) -> bytes:
    taken = UsageChunkFilter()
    out, position = b"", 0
    for size in [*sizes, len(stream)]:
        out += taken.feed(stream[position : position + size])
        position += size
    return out + taken.finish()


@given(st.lists(st.integers(1, 50), max_size=30))
def test_the_extra_chunk_alone_is_taken_out_wherever_the_stream_is_cut(sizes: list[int]) -> None:
    assert filtered(HELLO + STOP + EXTRA + DONE, sizes) == HELLO + STOP + DONE


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"])
def test_every_kind_of_blank_line_is_known(end: bytes) -> None:
    stream = (HELLO + EXTRA + DONE).replace(b"\n\n", end)
    assert filtered(stream, []) == (HELLO + DONE).replace(b"\n\n", end)


@pytest.mark.parametrize(
    "event",
    [
        chunk([{"delta": {"content": "x"}}], {"prompt_tokens": 1}),  # usage on a chunk with text
        chunk([]),  # Azure's first chunk
        b": a comment about \"usage\"\n\n",
        b'data: {"choices": [], "usage": {"prompt\n\n',
        b'data: {"usage": {"input_tokens": 3}}\n\n',
        b"event: error\ndata: {\"error\": {\"message\": \"usage\"}}\n\n",
    ],
)  # fmt: skip
def test_every_other_event_stays_as_it_is(event: bytes) -> None:
    assert filtered(HELLO + event + DONE, []) == HELLO + event + DONE


def test_a_stream_that_ends_without_a_blank_line_loses_the_extra_chunk_too() -> None:
    assert filtered(HELLO + EXTRA.rstrip(), []) == HELLO


def test_a_huge_event_passes_in_pieces() -> None:
    huge = chunk([{"delta": {"content": "x" * 200_000}}])
    assert filtered(huge + EXTRA + DONE, [1000] * 100) == huge + DONE
