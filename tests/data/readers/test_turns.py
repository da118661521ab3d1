"""Turns of conversations."""

import pytest

from routecast.data.readers.turns import answer_after, as_list, text_of, user_turns

TALK = [
    {"role": "system", "content": "be kind"},
    {"role": "user", "content": "one"},
    {"role": "user", "content": "two"},
    {"role": "assistant", "content": [{"type": "text", "text": "three"}]},
]


@pytest.mark.parametrize(
    ("value", "expected"),
    [([1], [1]), ("[1, null]", [1, None]), ("{}", None), ("[", None), (None, None), (5, None)],
)
def test_a_list_may_be_given_as_json(value: object, expected: object) -> None:
    assert as_list(value) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("text", "text"),
        ([{"type": "text", "text": "a"}, {"type": "image", "text": None}, {"text": "b"}], "a\nb"),
        ([{"type": "image", "text": None}], None),
        ([], None),
        (None, None),
        (["a"], None),
    ],
)
def test_the_text_of_a_message_is_its_parts_of_text(content: object, expected: object) -> None:
    assert text_of(content) == expected


def test_an_answer_belongs_to_the_turn_right_before_it() -> None:
    assert user_turns(TALK) == [1, 2]
    assert answer_after(TALK, 1) is None  # the user spoke again before anybody answered
    assert answer_after(TALK, 2) == "three"
    assert answer_after(TALK, 3) is None
