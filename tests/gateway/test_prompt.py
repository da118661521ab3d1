"""The text that a router scores."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.gateway import elements, long_strings, prompt
from routecast.gateway.body import Fields
from routecast.gateway.prompt import text_to_score
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


def plainly(given: Any, system: Any, api: Api, choice: TextChoice, *, sticky: bool) -> str | None:  # noqa: ANN401
    """The text to score, by the rules alone: no bytes, no slices."""
    if isinstance(given, list):
        spoken = [(turn["role"], turn["content"]) for turn in given]
    else:
        spoken = [("user", given)]
    texts: list[tuple[str, str | None, bool]] = []  # role, text, only what a tool returned
    if choice == "all_turns" and api in {Api.MESSAGES, Api.RESPONSES}:
        spoken = [("system", system), *spoken]
    for role, content in spoken:
        parts = content if isinstance(content, list) else []
        said = [part["text"] for part in parts if part["type"] in {"text", "input_text"}]
        text = content if isinstance(content, str) else "\n".join(filter(None, said)) or None
        is_result = any(part["type"] == "tool_result" for part in parts)
        texts.append((role, text, text is None and is_result))
    wanted: Sequence[str | None] = [
        text for role, text, _ in texts if role == "user" or choice == "all_turns"
    ]
    if sticky:
        wanted = [text for role, text, _ in texts if role == "user" and text and text.strip()][:1]
    elif choice == "last_user":
        wanted = [text for role, text, is_result in texts if role == "user" and not is_result][-1:]
    text = "\n\n".join(text for text in wanted if text and text.strip())
    return text or None


@contextmanager
def small_pieces(n_bytes: int | None) -> Iterator[None]:
    """Let everything that is larger count as large."""
    with pytest.MonkeyPatch.context() as patch:
        if n_bytes is not None:
            for module in (elements, long_strings, prompt):
                patch.setattr(module, "MAX_RUN_BYTES", n_bytes)
            patch.setattr(elements, "_WINDOW_BYTES", max(n_bytes // 2, 1))
            patch.setattr(long_strings, "_SLICE_BYTES", 20)
        yield


@pytest.mark.parametrize("piece_bytes", [None, 4, 40, 120])
@given(
    given=turns | st.text(),
    system=contents,
    api=st.sampled_from([api for api in Api if api is not Api.EMBEDDINGS]),
    choice=st.sampled_from(CHOICES),
    sticky=st.booleans(),
    surrogate=st.sampled_from(["", "\ud83d"]),
)
def test_large_and_small_are_read_by_the_same_rules(
    piece_bytes: int | None,
    given: Any,  # noqa: ANN401
    system: object,
    api: Api,
    choice: TextChoice,
    sticky: bool,
    surrogate: str,
) -> None:
    if surrogate and isinstance(given, list):  # msgspec refuses it, so others must read it
        given = [*given, {"role": "user", "content": surrogate}]
    if isinstance(given, str) and api in {Api.CHAT, Api.MESSAGES}:
        given = []
    if isinstance(given, list) and api is Api.COMPLETIONS:
        given = ["x"] if choice == "last_user" else []
    fields = fields_of(
        messages=given, input=given, prompt=given, system=system, instructions=system
    )
    if isinstance(given, list) and api is Api.COMPLETIONS:
        given = "".join(given)
    expected = plainly(given, system, api, choice, sticky=sticky)
    with small_pieces(piece_bytes):
        assert text_to_score(fields, api, choice=choice, sticky=sticky) == expected


ODD: list[Any] = [
    None, 7, "x", [], {}, {"role": 7, "content": "x"}, {"role": "user", "content": 7},
    {"role": "user", "content": ["x", 7, {"type": "text", "text": 7}, {"text": "x"}]},
    {"content": "x"}, [{"role": "user", "content": "x"}], {"role": None, "content": {"a": 1}},
]  # fmt: skip


@pytest.mark.parametrize("api", [Api.CHAT, Api.RESPONSES, Api.MESSAGES])
@pytest.mark.parametrize("piece_bytes", [None, 4, 40])
def test_odd_shapes_hide_no_message_before_them(api: Api, piece_bytes: int | None) -> None:
    for odd in ODD:
        given = [user("first"), user([{"type": "text", "text": "second"}]), odd]
        fields = fields_of(messages=given, input=given)
        with small_pieces(piece_bytes):
            text = text_to_score(fields, api, choice="user_turns")
        assert text == "first\n\nsecond", odd


@pytest.mark.parametrize("piece_bytes", [None, 4, 40])
@given(st.lists(st.text(max_size=9) | st.integers(), max_size=9))
def test_a_large_list_of_prompts_is_read_as_a_small_one(
    piece_bytes: int | None, prompts: list[object]
) -> None:
    with small_pieces(piece_bytes):
        text = text_to_score(fields_of(prompt=prompts), Api.COMPLETIONS)
    texts = [prompt for prompt in prompts if isinstance(prompt, str)]
    whole = "\n\n".join(texts) if len(texts) == len(prompts) else ""
    assert text == (whole if whole.strip() else None)


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


def test_of_a_huge_conversation_the_ends_are_as_sent() -> None:
    texts = [f"{number} " + "word " * 9 for number in range(60_000)]
    fields = fields_of(messages=[user(text) for text in texts])
    text = text_to_score(fields, Api.CHAT, choice="user_turns")
    assert text is not None
    assert cut_text(text) == cut_text("\n\n".join(texts))
