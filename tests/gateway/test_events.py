"""Server-sent events, cut where they end."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.gateway.events import EventCutter, has_ended, next_sequence_number
from routecast.upstream.apis import Api


def test_whole_events_pass_at_once_and_the_rest_waits() -> None:
    cutter = EventCutter()
    assert cutter.feed(b"data: 1\n\n") == b"data: 1\n\n"
    assert cutter.feed(b"data: 2\n\ndata: 3") == b"data: 2\n\n"
    assert cutter.feed(b"\n") == b""
    assert cutter.feed(b"\ndata: 4") == b"data: 3\n\n"
    assert cutter.flush() == b"data: 4"
    assert cutter.flush() == b""


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"])
def test_every_kind_of_blank_line_ends_an_event(end: bytes) -> None:
    cutter = EventCutter()
    assert cutter.feed(b"data: 1" + end + b"data: 2") == b"data: 1" + end
    assert not cutter.inside_event


def test_a_huge_event_is_not_held_back() -> None:
    cutter = EventCutter()
    half = b"data: " + b"x" * 70_000
    assert cutter.feed(half) == half
    assert cutter.inside_event
    assert cutter.feed(b"xx") == b""
    assert cutter.inside_event
    assert cutter.feed(b"\n\n") == b"xx\n\n"
    assert not cutter.inside_event


@given(st.lists(st.sampled_from([b"data: 1", b"\n", b"\r\n", b"\r", b"x", b"\n\n", b": ping"])))
def test_bytes_and_their_order_never_change(chunks: list[bytes]) -> None:
    cutter = EventCutter()
    passed = [cutter.feed(chunk) for chunk in chunks]
    assert b"".join([*passed, cutter.flush()]) == b"".join(chunks)


@given(st.lists(st.sampled_from([b"data: 1", b"\n", b"\r\n", b"x", b"\n\n"]), min_size=1))
def test_what_has_passed_always_ends_with_a_blank_line(chunks: list[bytes]) -> None:
    cutter = EventCutter()
    sent = b"".join(cutter.feed(chunk) for chunk in chunks)
    assert re.search(rb"(\n\n|\r\n\r\n|\r\r)\Z", sent) or not sent


CHAT_EVENT = b'data: {"choices": [{"delta": {"content": "a"}, "finish_reason": null}]}\n\n'


@pytest.mark.parametrize(
    ("api", "events", "expected"),
    [
        (Api.CHAT, b"data: [DONE]\n\n", True),
        (Api.CHAT, CHAT_EVENT, False),
        (Api.CHAT, CHAT_EVENT.replace(b"null", b'"length"'), True),
        (Api.COMPLETIONS, CHAT_EVENT, False),
        (Api.COMPLETIONS, b"data: [DONE]\n\n", True),
        (Api.RESPONSES, b'event: response.completed\ndata: {"type": "x"}\n\n', True),
        (Api.RESPONSES, b'data: {"type":"response.incomplete"}\n\n', True),
        (Api.RESPONSES, b'data: {"type":"response.output_text.delta"}\n\n', False),
        (Api.MESSAGES, b'event: message_stop\ndata: {"type": "message_stop"}\n\n', True),
        (Api.MESSAGES, b'event: error\ndata: {"type": "error"}\n\n', True),
        (Api.MESSAGES, b"event: content_block_delta\ndata: {}\n\n", False),
        (Api.MESSAGES, b"", False),
    ],
)
def test_each_api_has_its_own_last_event(api: Api, events: bytes, expected: bool) -> None:
    assert has_ended(api, events) is expected


def test_the_next_event_s_number_follows_the_last() -> None:
    events = b'data: {"sequence_number":8}\n\ndata: {"a":1,"sequence_number" : 9}\n\n'
    assert next_sequence_number(events) == 10
    assert next_sequence_number(b"data: {}\n\n") == 0
