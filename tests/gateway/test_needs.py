"""What a request holds that not every model takes."""

import base64
import json
from typing import Any

import pytest

from routecast.gateway.body import read_request_body
from routecast.gateway.needs import TOKENS_PER_FILE, read_needs
from routecast.policy.gates import Needs
from routecast.upstream.apis import Api


def needs_of(api: Api, **fields: object) -> Needs:
    return read_needs(read_request_body(json.dumps({"model": "auto", **fields}).encode()), api)


def user(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


TOOL = {"type": "function", "function": {"name": "f"}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}
FORMAT = {"format": {"type": "json_schema", "name": "x", "schema": {}}}


@pytest.mark.parametrize("field", ["tools", "functions"])
@pytest.mark.parametrize(("given", "needed"), [([TOOL], True), ([], False), (None, False)])
def test_tools_are_needed_where_there_are_some(field: str, given: object, needed: bool) -> None:
    for api in (Api.CHAT, Api.RESPONSES, Api.MESSAGES):
        assert needs_of(api, **{field: given}).tools is needed


@pytest.mark.parametrize(
    ("api", "fields"),
    [
        (Api.CHAT, {"messages": user({"type": "image_url", "image_url": {"url": "x"}})}),
        (Api.RESPONSES, {"input": user({"type": "input_image", "image_url": "x"})}),
        (
            Api.RESPONSES,
            {"input": [{"type": "function_call_output", "output": [{"type": "input_image"}]}]},
        ),
        (Api.MESSAGES, {"messages": user({"type": "image", "source": {}})}),
        (
            Api.MESSAGES,
            {"messages": user({"type": "tool_result", "content": [{"type": "image"}]})},
        ),
    ],
)
def test_images_are_found_wherever_an_api_has_them(api: Api, fields: dict[str, object]) -> None:
    assert needs_of(api, **fields).images


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": user({"type": "text", "text": 'an {"type": "image"} in words'})},
        {"messages": [{"role": "user", "content": "image"}]},
        {"messages": "image", "metadata": {"type": "image"}},
        {"metadata": [{"type": "image"}]},
    ],
)
def test_talk_of_images_is_no_image(fields: dict[str, object]) -> None:
    assert not needs_of(Api.CHAT, **fields).images
    assert not needs_of(Api.MESSAGES, **fields).images


@pytest.mark.parametrize(
    ("api", "fields", "needed"),
    [
        (Api.CHAT, {"response_format": SCHEMA}, True),
        (Api.CHAT, {"response_format": {"type": "json_object"}}, False),
        (Api.CHAT, {"response_format": None}, False),
        (Api.RESPONSES, {"text": FORMAT}, True),
        (Api.RESPONSES, {"text": {"format": {"type": "text"}}}, False),
        (Api.RESPONSES, {"text": "json_schema"}, False),
        (Api.MESSAGES, {"output_config": FORMAT}, True),
        (Api.MESSAGES, {"output_format": FORMAT["format"]}, True),
        (Api.MESSAGES, {"output_config": {"effort": "low"}}, False),
        (Api.COMPLETIONS, {"response_format": SCHEMA}, False),
    ],
)
def test_a_schema_is_found_wherever_an_api_has_it(
    api: Api, fields: dict[str, object], needed: bool
) -> None:
    assert needs_of(api, **fields).json_schema is needed


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens", "max_output_tokens"])
def test_the_answer_that_is_asked_for_is_counted(field: str) -> None:
    assert needs_of(Api.CHAT, **{field: 700}).n_other_tokens == 700
    for nothing in (None, -1, "700", 1.5):
        assert needs_of(Api.CHAT, **{field: nothing}).n_other_tokens == 0


def test_the_whole_body_is_text_but_for_what_is_encoded() -> None:
    encoded = base64.b64encode(bytes(3_000)).decode()  # 4,000 characters
    plain = needs_of(Api.CHAT, messages=user({"type": "text", "text": "x"}, {"url": ""}))
    for url in (encoded, f"data:image/png;base64,{encoded}"):
        held = needs_of(Api.CHAT, messages=user({"type": "text", "text": "x"}, {"url": url}))
        assert held.n_text_bytes == plain.n_text_bytes - len('""')
        assert held.n_other_tokens == TOKENS_PER_FILE


def test_long_text_is_no_base64() -> None:
    held = needs_of(Api.CHAT, messages=[{"role": "user", "content": "word " * 1_000}])
    assert held.n_text_bytes > 5_000
    assert held.n_other_tokens == 0


def test_nesting_that_no_recursion_survives_needs_nothing() -> None:
    deep = b'{"model":"auto","messages":' + b'[{"content":' * 500 + b'"image"' + b"}]" * 500
    assert not read_needs(read_request_body(deep + b"}"), Api.CHAT).images


@pytest.mark.parametrize("offset", [0, 1, 500_000, 1_046_300, 1_048_576, 1_050_000])
def test_encoded_files_are_found_wherever_they_lie_in_a_large_body(offset: int) -> None:
    content = [{"type": "text", "text": "x " * (offset // 2)}, {"url": "A" * 3_000_000}]
    body = read_request_body(json.dumps({"model": "auto", "messages": content}).encode())
    needs = read_needs(body, Api.CHAT)
    assert needs.n_other_tokens == TOKENS_PER_FILE
    assert needs.n_text_bytes == len(body.content) - 3_000_002
