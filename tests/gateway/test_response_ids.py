"""Identifiers are read from a copy of an answer."""

import gzip
import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.gateway.response_ids import ResponseIdReader

PLAIN = json.dumps({"object": "response", "output": ["x" * 50], "id": "resp_1"}).encode()
IN_CONVERSATION = json.dumps({"id": "resp_2", "conversation": {"id": "conv_1"}}).encode()
STREAM = (
    b": hello\n\nevent: response.created\n"
    b'data: {"type":"response.created","response":{"id":"resp_3","conversation":null}}\n\n'
    b'event: response.completed\ndata: {"response":{"id":"resp_not_read_again"}}\n\n'
)


def pieces_of(answer: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(answer), size):
        yield answer[start : start + size]


def read(
    answer: bytes, *, is_stream: bool, encoding: bytes = b"identity", size: int = 7
) -> list[str]:
    found: list[str] = []
    reader = ResponseIdReader(found.append, is_stream=is_stream, encoding=encoding)
    passed = b"".join([reader.feed(piece) for piece in pieces_of(answer, size)])
    assert passed + reader.finish() == answer
    return found


@given(size=st.integers(1, 400))
def test_the_identifier_is_found_however_the_answer_is_cut(size: int) -> None:
    assert read(PLAIN, is_stream=False, size=size) == ["resp_1"]
    assert read(IN_CONVERSATION, is_stream=False, size=size) == ["resp_2", "conv_1"]
    assert read(STREAM, is_stream=True, size=size) == ["resp_3"]


def test_a_stream_tells_with_its_first_event() -> None:
    found: list[str] = []
    reader = ResponseIdReader(found.append, is_stream=True)
    reader.feed(STREAM[: STREAM.index(b"event: response.completed")])
    assert found == ["resp_3"]


@pytest.mark.parametrize("size", [1, 10_000])
def test_a_compressed_answer_is_read_from_a_copy(size: int) -> None:
    for encoding in (b"gzip", b" GZIP "):
        packed = gzip.compress(PLAIN)
        assert read(packed, is_stream=False, encoding=encoding, size=size) == ["resp_1"]
    packed = gzip.compress(STREAM)
    assert read(packed, is_stream=True, encoding=b"gzip", size=size) == ["resp_3"]


@pytest.mark.parametrize(
    ("answer", "encoding"),
    [
        (PLAIN, b"br"), (PLAIN, b"gzip"), (b"no JSON", b"identity"), (b'["id"]', b"identity"),
        (b'{"id":7}', b"identity"), (b"", b"identity"), (b'{"id":""}', b"identity"),
        (b'{"error":{"message":"no"}}', b"identity"), (b"[" * 100_000, b"identity"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_passes_all_the_same(answer: bytes, encoding: bytes) -> None:
    assert read(answer, is_stream=False, encoding=encoding, size=1_000) == []
    assert read(answer, is_stream=True, encoding=encoding, size=1_000) == []


def test_no_more_is_kept_than_is_worth_it() -> None:
    huge = b'{"x":"' + b"y" * 5_000_000 + b'","id":"resp_1"}'
    assert read(huge, is_stream=False, size=1 << 16) == []
    bomb = gzip.compress(bytes(50_000_000))
    assert read(bomb, is_stream=False, encoding=b"gzip", size=1 << 16) == []
