"""The simulated answers are what the official clients expect, in every API."""

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest
from pydantic import BaseModel

from routecast.testing import FakeUpstream, serve_upstream
from routecast.testing.simulation import simulate_value

pytestmark = pytest.mark.anyio

SAID = "This is a simulated answer by fake."
USER: Any = [{"role": "user", "content": "What is 2 + 2?"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


class Sum(BaseModel):
    """What a client may want to be answered."""

    total: int
    steps: list[str]


@pytest.fixture
async def openai_client(anyio_backend: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with (
        serve_upstream(FakeUpstream("fake")) as url,
        openai.AsyncOpenAI(base_url=url, api_key="x", max_retries=0) as client,
    ):
        yield client


@pytest.fixture
async def anthropic_client(anyio_backend: str) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with serve_upstream(FakeUpstream("fake")) as url:
        address = url.removesuffix("/v1")
        async with anthropic.AsyncAnthropic(base_url=address, api_key="x", max_retries=0) as client:
            yield client


async def test_chat_calls_every_tool_when_it_must(openai_client: openai.AsyncOpenAI) -> None:
    tools: Any = [
        {"type": "function", "function": {"name": name, "parameters": SCHEMA}}
        for name in ("weather", "time")
    ]
    asked: Any = {"model": "m", "messages": USER, "tools": tools, "tool_choice": "required"}
    answer = await openai_client.chat.completions.create(**asked)
    calls: Any = answer.choices[0].message.tool_calls
    assert [call.function.name for call in calls] == ["weather", "time"]
    assert calls[0].function.arguments == '{"city": "simulated"}'
    async with openai_client.chat.completions.stream(**asked) as stream:
        final = await stream.get_final_completion()
    streamed: Any = final.choices[0].message.tool_calls
    assert [call.function.name for call in streamed] == ["weather", "time"]
    assert streamed[1].function.arguments == '{"city": "simulated"}'


async def test_chat_keeps_to_a_schema(openai_client: openai.AsyncOpenAI) -> None:
    answer = await openai_client.chat.completions.parse(
        model="m", messages=USER, response_format=Sum
    )
    assert answer.choices[0].message.parsed == Sum(total=1, steps=["simulated"])


async def test_responses_are_plain_and_streamed(openai_client: openai.AsyncOpenAI) -> None:
    plain = await openai_client.responses.create(model="m", input="What is 2 + 2?")
    assert (plain.output_text, plain.usage and plain.usage.input_tokens) == (SAID, 4)
    async with openai_client.responses.stream(model="m", input="What is 2 + 2?") as stream:
        events = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert events[0] == "response.created"
    assert events[-1] == "response.completed"
    assert final.output_text == SAID


async def test_responses_call_tools_keep_to_schemas_and_go_on_from_their_own(
    openai_client: openai.AsyncOpenAI,
) -> None:
    tools: Any = [{"type": "function", "name": "weather", "parameters": SCHEMA, "strict": True}]
    create: Any = openai_client.responses.create
    called = await create(model="m", input="x", tools=tools, tool_choice="required")
    assert (called.output[0].name, called.output[0].arguments) == (
        "weather",
        '{"city": "simulated"}',
    )
    parsed = await openai_client.responses.parse(model="m", input="x", text_format=Sum)
    assert parsed.output_parsed == Sum(total=1, steps=["simulated"])
    followed = await create(model="m", input="y", previous_response_id=called.id)
    assert followed.previous_response_id == called.id
    with pytest.raises(openai.BadRequestError, match="not found"):
        await create(model="m", input="y", previous_response_id="resp_of_another")


async def test_completions_are_plain_and_streamed(openai_client: openai.AsyncOpenAI) -> None:
    create: Any = openai_client.completions.create
    plain = await create(model="m", prompt=["12345", "6"])
    assert (plain.choices[0].text, plain.usage.prompt_tokens) == (SAID, 2)
    stream = await create(
        model="m", prompt="x", stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == SAID
    assert chunks[-1].usage.completion_tokens == 9


async def test_messages_are_plain_and_streamed(anthropic_client: anthropic.AsyncAnthropic) -> None:
    asked: Any = {"model": "m", "max_tokens": 9, "system": "1234", "messages": USER}
    plain = await anthropic_client.messages.create(**asked)
    assert plain.content[0].model_dump()["text"] == SAID
    assert plain.usage.input_tokens == 5  # 18 characters, four to a token, rounded up
    async with anthropic_client.messages.stream(**asked) as stream:
        assert "".join([text async for text in stream.text_stream]) == SAID
        final = await stream.get_final_message()
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens == 9


async def test_messages_call_tools_and_count_tokens(
    anthropic_client: anthropic.AsyncAnthropic,
) -> None:
    tools: Any = [{"name": name, "input_schema": SCHEMA} for name in ("weather", "time")]
    asked: Any = {"model": "m", "messages": USER, "tools": tools}
    asked["tool_choice"] = {"type": "any"}
    plain = await anthropic_client.messages.create(max_tokens=9, **asked)
    assert [block.model_dump()["name"] for block in plain.content] == ["weather", "time"]
    async with anthropic_client.messages.stream(max_tokens=9, **asked) as stream:
        final = await stream.get_final_message()
    assert final.content[1].model_dump()["input"] == {"city": "simulated"}
    assert final.stop_reason == "tool_use"
    counted = await anthropic_client.messages.count_tokens(model="m", messages=USER)
    assert counted.input_tokens == 4


async def test_messages_want_the_version_of_the_api(
    anthropic_client: anthropic.AsyncAnthropic,
) -> None:
    headers: Any = {"anthropic-version": anthropic.Omit()}
    with pytest.raises(anthropic.BadRequestError, match="anthropic-version"):
        await anthropic_client.messages.create(
            model="m", max_tokens=9, messages=USER, extra_headers=headers
        )


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"enum": ["a", "b"]}, "a"),
        ({"const": 3}, 3),
        ({"type": ["null", "string"]}, None),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, 0.5),
        ({"type": "array", "items": {"type": "boolean"}}, [True]),
        (
            {"$defs": {"x": {"type": "integer"}}, "items": {"$ref": "#/$defs/x"}, "type": "array"},
            [1],
        ),
    ],
)
def test_the_plainest_value_of_a_schema_is_known_by_heart(
    schema: dict[str, Any], value: object
) -> None:
    assert simulate_value(schema) == value
