"""The text that a router scores."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.gateway.body import Fields
from routecast.gateway.prompt import _choose, _slow_turns, text_to_score
from routecast.gateway.scorer import cut_text
from routecast.policy.route_settings import TextChoice
from routecast.upstream.apis import Api

CHOICES: list[TextChoice] = ["last_user", "user_turns", "all_turns"]


def fields_of(**given: object) -> Fields:
    return Fields(
        "auto", **{name: msgspec.Raw(json.dumps(value).encode()) for name, value in given.items()}
    )


def chat(messages: object, choice: TextChoice = "last_user", *, sticky: bool = False) -> str | None:
    return text_to_score(fields_of(messages=messages), Api.CHAT, choice=choice, sticky=sticky)


def user(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}


CONVERSATION = [
    {"role": "system", "content": "Be brief."},
    user("first"),
    {"role": "assistant", "content": "yes"},
    user("second"),
    {"role": "tool", "content": "42", "tool_call_id": "x"},
]


def test_the_last_user_message_counts() -> None:
    assert chat(CONVERSATION) == "second"


def test_all_user_turns_are_read_where_the_route_says_so() -> None:
    assert chat(CONVERSATION, "user_turns") == "first\n\nsecond"


def test_the_system_prompt_and_every_turn_are_read_where_the_route_says_so() -> None:
    assert chat(CONVERSATION, "all_turns") == "Be brief.\n\nfirst\n\nyes\n\nsecond\n\n42"


def test_a_sticky_route_reads_the_first_user_turn_with_text() -> None:
    image = user([{"type": "image_url", "image_url": {"url": "x"}}])
    assert chat([image, *CONVERSATION], sticky=True) == "first"
    for length in range(2, len(CONVERSATION) + 1):
        assert chat(CONVERSATION[:length], sticky=True) == "first"


def test_text_parts_are_joined_and_others_left_out() -> None:
    parts = [
        {"type": "text", "text": "What is"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}, "text": "no"},
        {"type": "text", "text": "this?"},
    ]
    assert chat([user(parts)]) == "What is\nthis?"


def test_a_part_of_an_unknown_shape_hides_no_text() -> None:
    parts = [{"type": "video", "text": {"track": 1}}, {"type": "text", "text": "this?"}, 7]
    assert chat([user(parts)]) == "this?"


@pytest.mark.parametrize(
    "messages",
    [
        None, [], {}, "text", 3, [3], [user(None)], [user("")], [user([])], [user({"text": "x"})],
        [user([{"type": "image_url", "image_url": {"url": "x"}}])], [user([{"type": "text"}])],
        [user([{"type": "text", "text": 3}])], [{"role": "system", "content": "x"}],
        [{"content": "x"}], [user("earlier"), user([{"type": "refusal", "refusal": "no"}])],
        [user("  \n")], [user([{"type": "text", "text": " "}])],
    ],
)  # fmt: skip
def test_a_request_without_text_has_none(messages: object) -> None:
    assert chat(messages) is None


def test_a_lone_surrogate_is_text_too() -> None:
    fields = Fields("auto", messages=msgspec.Raw(b'[{"role":"user","content":"cut off \\ud83d"}]'))
    for choice in CHOICES:
        assert text_to_score(fields, Api.CHAT, choice=choice) == "cut off \ud83d"


@pytest.mark.parametrize("raw", [b'[{"role":"user","content":"\xff"}]', b"[" * 5000, b"[nonsense"])
@pytest.mark.parametrize("api", [Api.CHAT, Api.RESPONSES, Api.COMPLETIONS, Api.MESSAGES])
def test_what_cannot_be_read_has_no_text(api: Api, raw: bytes) -> None:
    given = msgspec.Raw(raw)
    fields = Fields("auto", messages=given, input=given, prompt=given)
    for choice in CHOICES:
        assert text_to_score(fields, api, choice=choice) is None


def anthropic(choice: TextChoice, messages: object, system: object = None) -> str | None:
    return text_to_score(fields_of(messages=messages, system=system), Api.MESSAGES, choice=choice)


def test_a_tool_s_result_is_not_the_user_s_message_although_anthropic_calls_it_so() -> None:
    result = {"type": "tool_result", "tool_use_id": "x", "content": [{"type": "text", "text": "7"}]}
    conversation = [
        user("What is 3 + 4?"),
        {"role": "assistant", "content": [{"type": "tool_use", "id": "x", "name": "add"}]},
        user([result]),
    ]
    assert anthropic("last_user", conversation) == "What is 3 + 4?"
    spoken = [*conversation[:-1], user([result, {"type": "text", "text": "and now?"}])]
    assert anthropic("last_user", spoken) == "and now?"


@pytest.mark.parametrize("system", ["Be brief.", [{"type": "text", "text": "Be brief."}]])
def test_anthropic_s_system_prompt_is_read_with_all_turns_only(system: object) -> None:
    assert anthropic("all_turns", [user("hi")], system) == "Be brief.\n\nhi"
    assert anthropic("user_turns", [user("hi")], system) == "hi"


def responses(choice: TextChoice, given: object, instructions: object = None) -> str | None:
    fields = fields_of(input=given, instructions=instructions)
    return text_to_score(fields, Api.RESPONSES, choice=choice)


def test_the_input_of_a_response_is_a_string_or_items() -> None:
    items = [
        {"role": "user", "content": "first"},
        {"type": "message", "role": "assistant", "content": [
            {"type": "output_text", "text": "yes", "annotations": []}
        ]},
        {"type": "function_call", "call_id": "x", "name": "f", "arguments": "{}"},
        {"type": "message", "role": "user", "content": [
            {"type": "input_image", "image_url": "x"}, {"type": "input_text", "text": "second"}
        ]},
        {"type": "function_call_output", "call_id": "x", "output": "42"},
    ]  # fmt: skip
    assert responses("last_user", "hello") == "hello"
    assert responses("last_user", items) == "second"
    assert responses("user_turns", items) == "first\n\nsecond"
    assert responses("all_turns", items, "Be brief.") == "Be brief.\n\nfirst\n\nyes\n\nsecond"
    assert responses("all_turns", "hello", "Be brief.") == "Be brief.\n\nhello"
    assert responses("last_user", None) is None


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("one", "one"), (["one"], "one"), (["one", "two"], "one\n\ntwo"), ([1, 2, 3], None),
        ([[1, 2], [3]], None), (["one", 2], None), ([], None), (None, None), ("", None), (7, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("choice", CHOICES)
def test_the_prompt_of_a_completion_is_text_or_token_ids(
    prompt: object, text: str | None, choice: TextChoice
) -> None:
    assert text_to_score(fields_of(prompt=prompt), Api.COMPLETIONS, choice=choice) == text


contents = st.text() | st.none() | st.lists(
    st.fixed_dictionaries({
        "type": st.sampled_from(["text", "image_url", "tool_result", "input_text"]),
        "text": st.text(),
    })
)  # fmt: skip
turns = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "system", "assistant"]), "content": contents}
    )
)


@given(
    given=turns | st.text(),
    system=contents,
    api=st.sampled_from([api for api in Api if api is not Api.EMBEDDINGS]),
    choice=st.sampled_from(CHOICES),
    sticky=st.booleans(),
)
def test_the_quick_reader_agrees_with_the_slow_one(
    given: Any,  # noqa: ANN401
    system: object,
    api: Api,
    choice: TextChoice,
    sticky: bool,
) -> None:
    fields = fields_of(
        messages=given, input=given, prompt=given, system=system, instructions=system
    )
    slow = _choose(_slow_turns(fields, api, everything=choice == "all_turns"), choice, sticky)
    quick = text_to_score(fields, api, choice=choice, sticky=sticky)
    assert quick == (slow if slow and slow.strip() else None)


@pytest.mark.parametrize(
    "piece",
    ["word ", 'say "é\\n" \\ ', "日本語。 ", "\ud83d\ude00 x"],
    ids=["plain", "escaped", "utf8", "emoji"],
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_of_a_huge_message_the_ends_that_a_router_reads_are_as_sent(
    piece: str, ascii_only: bool
) -> None:
    piece = piece.encode("utf-16", "surrogatepass").decode("utf-16")
    n_bytes = len(json.dumps(piece, ensure_ascii=False).encode()) - len('""')
    whole = "begin " + piece * (14_000_000 // n_bytes) + " end"
    raw = json.dumps([user(whole)], ensure_ascii=ascii_only).encode()
    text = text_to_score(Fields("auto", messages=msgspec.Raw(raw)), Api.CHAT)
    assert text is not None
    assert len(text) < len(whole)
    assert cut_text(text) == cut_text(whole)


def test_a_huge_message_that_cannot_be_cut_is_read_whole() -> None:
    raw = b'[{"role":"user","content":"' + b"A" * 13_000_000 + b'"}]'
    text = text_to_score(Fields("auto", messages=msgspec.Raw(raw)), Api.CHAT)
    assert text is not None
    assert len(text) == 13_000_000
