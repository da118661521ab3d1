"""The text that a router scores."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.gateway.prompt import _read_slowly, last_user_text


def text_of(messages: object) -> str | None:
    return last_user_text(msgspec.Raw(json.dumps(messages).encode()))


def user(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}


def test_the_last_user_message_counts() -> None:
    conversation = [
        {"role": "system", "content": "Be brief."},
        user("first"),
        {"role": "assistant", "content": "yes"},
        user("second"),
        {"role": "tool", "content": "42", "tool_call_id": "x"},
    ]
    assert text_of(conversation) == "second"


def test_text_parts_are_joined_and_others_left_out() -> None:
    parts = [
        {"type": "text", "text": "What is"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}, "text": "no"},
        {"type": "text", "text": "this?"},
    ]
    assert text_of([user(parts)]) == "What is\nthis?"


def test_a_part_of_an_unknown_shape_hides_no_text() -> None:
    parts = [{"type": "video", "text": {"track": 1}}, {"type": "text", "text": "this?"}, 7]
    assert text_of([user(parts)]) == "this?"


@pytest.mark.parametrize(
    "messages",
    [
        None, [], {}, "text", 3, [3], [user(None)], [user("")], [user([])], [user({"text": "x"})],
        [user([{"type": "image_url", "image_url": {"url": "x"}}])], [user([{"type": "text"}])],
        [user([{"type": "text", "text": 3}])], [{"role": "system", "content": "x"}],
        [{"content": "x"}], [user("earlier"), user([{"type": "refusal", "refusal": "no"}])],
    ],
)  # fmt: skip
def test_a_request_without_text_has_none(messages: object) -> None:
    assert text_of(messages) is None


def test_a_lone_surrogate_is_text_too() -> None:
    raw = msgspec.Raw(b'[{"role":"user","content":"cut off \\ud83d"}]')
    assert last_user_text(raw) == "cut off \ud83d"


@pytest.mark.parametrize("raw", [b'[{"role":"user","content":"\xff"}]', b"[" * 5000, b"[nonsense"])
def test_what_cannot_be_read_has_no_text(raw: bytes) -> None:
    assert last_user_text(msgspec.Raw(raw)) is None


contents = st.text() | st.none() | st.lists(
    st.fixed_dictionaries({"type": st.sampled_from(["text", "image_url"]), "text": st.text()})
)  # fmt: skip


@given(st.lists(st.fixed_dictionaries({
    "role": st.sampled_from(["user", "system", "assistant"]), "content": contents,
})))  # fmt: skip
def test_the_quick_reader_agrees_with_the_slow_one(messages: list[dict[str, object]]) -> None:
    raw = json.dumps(messages).encode()
    assert last_user_text(msgspec.Raw(raw)) == _read_slowly(raw)


@pytest.mark.parametrize("content", ["  \n", [{"type": "text", "text": " "}]])
def test_blanks_are_no_text(content: object) -> None:
    assert text_of([user(content)]) is None
    assert _read_slowly(json.dumps([user(content)]).encode()) is None
