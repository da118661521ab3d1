"""Reading token usage from answers of every API, however they are cut."""

import gzip
import json
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.gateway.exchange import Usage
from routecast.gateway.usage import UsageReader, limit_encodings


def sse(*events: dict[str, Any], names: bool = False) -> bytes:
    """A stream of these events."""
    named = (f"event: {event['type']}\n" if names else "" for event in events)
    return b"".join(
        f"{name}data: {json.dumps(event)}\n\n".encode()
        for name, event in zip(named, events, strict=True)
    )


# Each API's own shape, from its public reference, with the sums that follow from it.
CHAT = json.dumps(
    {
        "id": "chatcmpl-1",
        "choices": [{"index": 0, "message": {"content": 'the "usage": {"prompt_tokens": 9}'}}],
        "usage": {
            "prompt_tokens": 19,
            "completion_tokens": 10,
            "total_tokens": 29,
            "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 3},
        },
        "service_tier": "default",
    }
).encode()
CHAT_STREAM = (
    sse({"choices": [{"delta": {"content": "Hi"}}], "usage": None})
    + sse({"choices": [], "usage": {"prompt_tokens": 19, "completion_tokens": 10}})
    + b"data: [DONE]\n\n"
)
MESSAGES = json.dumps(
    {
        "type": "message",
        "content": [{"type": "tool_use", "input": {"usage": {"input_tokens": 999}}}],
        "usage": {
            "input_tokens": 12,
            "cache_creation_input_tokens": 100,
            "cache_read_input_tokens": 1000,
            "output_tokens": 6,
        },
    }
).encode()
MESSAGES_STREAM = sse(
    {"type": "message_start", "message": {"usage": {"input_tokens": 25, "output_tokens": 1}}},
    {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hello"}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 15}},
    {"type": "message_stop"},
    names=True,
)
RESPONSES_STREAM = sse(
    {"type": "response.created", "response": {"id": "resp_1", "usage": None}},
    {
        "type": "response.completed",
        "response": {
            "id": "resp_1",
            "tools": [{"parameters": {"properties": {"usage": {"type": "object"}}}}],
            "usage": {
                "input_tokens": 37,
                "input_tokens_details": {"cached_tokens": 30},
                "output_tokens": 11,
                "total_tokens": 48,
            },
            "metadata": {"usage": "of the answer"},
        },
    },
    names=True,
)
EMBEDDINGS = b'{"data": [{"embedding": [0.1]}], "usage": {"prompt_tokens": 8, "total_tokens": 8}}'
ANSWERS = {
    "chat": (CHAT, Usage(input_tokens=19, output_tokens=10, cached_input_tokens=4)),
    "chat stream": (
        CHAT_STREAM,
        Usage(input_tokens=19, output_tokens=10, cached_input_tokens=None),
    ),
    # 12 fresh + 100 written to the cache + 1000 read from it
    "messages": (MESSAGES, Usage(input_tokens=1112, output_tokens=6, cached_input_tokens=1000)),
    "messages stream": (
        MESSAGES_STREAM,
        Usage(input_tokens=25, output_tokens=15, cached_input_tokens=None),
    ),
    "responses stream": (
        RESPONSES_STREAM,
        Usage(input_tokens=37, output_tokens=11, cached_input_tokens=30),
    ),
    "embeddings": (EMBEDDINGS, Usage(input_tokens=8, output_tokens=0, cached_input_tokens=None)),
}


def read(answer: bytes, *, sizes: list[int] | None = None, encoding: bytes = b"identity") -> Any:  # noqa: ANN401
    """Feed an answer in pieces and return the usage; what comes out is what went in."""
    reader = UsageReader(encoding)
    passed, position = b"", 0
    for size in [*(sizes or []), len(answer)]:
        passed += reader.feed(answer[position : position + size])
        position += size
    passed += reader.finish()
    assert passed == answer
    return reader.usage


@pytest.mark.parametrize("name", ANSWERS)
def test_usage_is_read_from_every_api(name: str) -> None:
    answer, usage = ANSWERS[name]
    assert read(answer) == usage


@pytest.mark.parametrize("name", ANSWERS)
@given(sizes=st.lists(st.integers(1, 60), max_size=40))
def test_it_does_not_matter_where_the_answer_is_cut(name: str, sizes: list[int]) -> None:
    answer, usage = ANSWERS[name]
    assert read(answer, sizes=sizes) == usage


@pytest.mark.parametrize("name", ANSWERS)
def test_one_byte_at_a_time_gives_the_same(name: str) -> None:
    answer, usage = ANSWERS[name]
    assert read(answer, sizes=[1] * len(answer)) == usage


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_of_a_compressed_answer_a_copy_is_decoded(name: str, size: int) -> None:
    answer, usage = ANSWERS[name]
    for encoding, packed in ((b"gzip", gzip.compress(answer)), (b"deflate", zlib.compress(answer))):
        assert read(packed, sizes=[size] * (len(packed) // size), encoding=encoding) == usage


@pytest.mark.parametrize("encoding", [b"br", b"zstd", b"gzip, br", b""])
def test_other_codings_pass_unread(encoding: bytes) -> None:
    assert read(CHAT, encoding=encoding) is None


def test_what_is_no_gzip_passes_unread() -> None:
    assert read(CHAT, encoding=b"gzip") is None


def test_what_unpacks_to_far_too_much_is_given_up() -> None:
    bomb = gzip.compress(b" " * (1 << 26) + CHAT)
    assert len(bomb) < 100_000
    assert read(bomb, encoding=b"gzip") is None


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"{}", b'{"usage": null}', b'{"usage": 3}', b'{"usage": []}', b'{"usage": {}}',
        b'{"usage": {"prompt_tokens": true}}', b'{"usage": {"prompt_tokens": -1}}',
        b'{"usage": {"prompt_tokens": 1.5}}', b'{"usage": {"prompt_tokens": "19"}}',
        b'{"usage": {"total_cost": 3}}',
        b'{"usage": {"prompt_tokens": 1e400}}', b'{"usage": {"prompt_tokens": ' + b"9" * 5000,
        b'{"usage": ' + b'{"a":' * 5000, b'{"usage', b'{"usage":', b'{"usage":{"prompt_tokens":1',
        b'{"text": "\\"usage\\": {\\"prompt_tokens\\": 3}"}', b"\xff\xfe",
    ],
)  # fmt: skip
def test_an_answer_without_usable_counts_has_no_usage(answer: bytes) -> None:
    assert read(answer) is None


def test_a_begun_object_does_not_hide_the_true_one_behind_it() -> None:
    answer = b'{"usage": {"x": ' + b" " * 20_000 + b'}, "usage": {"prompt_tokens": 3}}'
    usage = read(answer, sizes=[100] * 150)
    assert usage == Usage(input_tokens=3, output_tokens=0, cached_input_tokens=None)


def test_little_is_held_whatever_comes() -> None:
    reader = UsageReader()
    for _ in range(2000):
        reader.feed(b'"usage": {' + b"x" * 90)
        assert len(reader._held) < 10_000


@given(st.binary(max_size=200), st.lists(st.integers(1, 20), max_size=20))
def test_no_bytes_make_it_fail(answer: bytes, sizes: list[int]) -> None:
    read(answer, sizes=sizes)
    read(b'"usage": {' + answer, sizes=sizes)
    read(answer, sizes=sizes, encoding=b"gzip")


@pytest.mark.parametrize(
    ("accepted", "kept"),
    [
        ("gzip, deflate, br, zstd", "gzip, deflate"),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", "gzip;q=0.8"),
        ("br", "identity"),
        ("", "identity"),
        ("identity", "identity"),
        ("GZIP", "GZIP"),
    ],
)
def test_codings_that_cannot_be_read_are_not_asked_for(accepted: str, kept: str) -> None:
    headers = [(b"accept", b"*/*"), (b"accept-encoding", accepted.encode())]
    assert limit_encodings(headers) == [headers[0], (b"accept-encoding", kept.encode())]
    assert limit_encodings(headers, to_identity=True)[1] == (b"accept-encoding", b"identity")
    assert limit_encodings(headers[:1], to_identity=True) == headers[:1]
