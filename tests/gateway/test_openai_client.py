"""The official ``openai`` client through the gateway: every API, every kind of content."""

import base64
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import anyio
import openai
import pytest
from pydantic import BaseModel

if TYPE_CHECKING:
    from tests.gateway.conftest import Gateway

pytestmark = pytest.mark.anyio

BIG = "This is a simulated answer by big."
SMALL = "This is a simulated answer by small."
HARD: Any = [{"role": "user", "content": "a hard prompt"}]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CHAT_TOOLS: Any = [
    {"type": "function", "function": {"name": name, "parameters": CITY}}
    for name in ("weather", "time")
]
TOOLS: Any = [
    {"type": "function", "name": name, "parameters": CITY, "strict": True}
    for name in ("weather", "time")
]


class Sum(BaseModel):
    """What a client may want to be answered."""

    total: int
    steps: list[str]


@pytest.fixture
async def client(full_gateway: "Gateway") -> AsyncIterator[openai.AsyncOpenAI]:
    async with full_gateway.client() as running:
        yield running


def sent_to(upstream: Any) -> dict[str, Any]:  # noqa: ANN401
    """The last request's body."""
    body: dict[str, Any] = json.loads(upstream.requests[-1].body)
    return body


async def test_parallel_tool_calls_and_their_results_go_round(
    client: openai.AsyncOpenAI, full_gateway: "Gateway"
) -> None:
    asked = await client.chat.completions.create(
        model="auto", messages=HARD, tools=CHAT_TOOLS, tool_choice="required",
        parallel_tool_calls=True,
    )  # fmt: skip
    calls: Any = asked.choices[0].message.tool_calls
    assert [call.function.name for call in calls] == ["weather", "time"]
    results: Any = [{"role": "tool", "tool_call_id": call.id, "content": "easy"} for call in calls]
    history: Any = [*HARD, asked.choices[0].message.model_dump(exclude_none=True), *results]
    answer = await client.chat.completions.create(model="auto", messages=history, tools=CHAT_TOOLS)
    assert answer.choices[0].message.content == BIG  # the user's last message is still hard
    assert sent_to(full_gateway.big)["messages"] == history


async def test_streamed_tool_calls_arrive_in_pieces_that_fit(client: openai.AsyncOpenAI) -> None:
    choice: Any = {"type": "function", "function": {"name": "time"}}
    async with client.chat.completions.stream(
        model="auto", messages=HARD, tools=CHAT_TOOLS, tool_choice=choice
    ) as stream:
        final = await stream.get_final_completion()
    calls: Any = final.choices[0].message.tool_calls
    assert [(call.function.name, call.function.arguments) for call in calls] == [
        ("time", '{"city": "simulated"}')
    ]


async def test_images_and_audio_pass_and_the_words_beside_them_are_scored(
    client: openai.AsyncOpenAI, full_gateway: "Gateway"
) -> None:
    picture = base64.b64encode(bytes(range(256)) * 40).decode()
    content = [
        {"type": "text", "text": "a hard picture"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}},
        {"type": "input_audio", "input_audio": {"data": picture, "format": "wav"}},
    ]
    messages: Any = [{"role": "user", "content": content}]
    await client.chat.completions.create(model="auto", messages=messages)
    assert full_gateway.router.prompts == ["a hard picture"]
    assert sent_to(full_gateway.big)["messages"] == messages


async def test_a_schema_is_kept_to_in_chat_and_responses(client: openai.AsyncOpenAI) -> None:
    chat = await client.chat.completions.parse(model="auto", messages=HARD, response_format=Sum)
    assert chat.choices[0].message.parsed == Sum(total=1, steps=["simulated"])
    response = await client.responses.parse(model="auto", input="hard", text_format=Sum)
    assert response.output_parsed == Sum(total=1, steps=["simulated"])


async def test_reasoning_effort_and_fields_from_the_future_pass(
    client: openai.AsyncOpenAI, full_gateway: "Gateway"
) -> None:
    future: Any = {"from_the_future": {"model": "auto", "deep": [1.5, None]}}
    await client.chat.completions.create(
        model="auto", messages=HARD, reasoning_effort="high", seed=10**30, extra_body=future
    )
    assert sent_to(full_gateway.big) == {
        "model": "upstream-big", "messages": HARD, "reasoning_effort": "high", "seed": 10**30,
        **future,
    }  # fmt: skip


async def test_responses_are_routed_plain_and_streamed(
    client: openai.AsyncOpenAI, full_gateway: "Gateway"
) -> None:
    raw = await client.responses.with_raw_response.create(model="auto", input="an easy prompt")
    assert raw.parse().output_text == SMALL
    assert raw.headers["x-routecast-model"] == "small"
    assert raw.headers["x-routecast-win-probability"] == "0.1"
    items: Any = [{"role": "user", "content": [{"type": "input_text", "text": "a hard one"}]}]
    async with client.responses.stream(model="auto", input=items) as stream:
        final = await stream.get_final_response()
    assert final.output_text == BIG
    assert full_gateway.router.prompts == ["an easy prompt", "a hard one"]
    assert full_gateway.big.requests[-1].path == "/v1/responses"


async def test_responses_call_tools_in_parallel(client: openai.AsyncOpenAI) -> None:
    answer = await client.responses.create(
        model="auto", input="hard", tools=TOOLS, tool_choice="required"
    )
    assert [item.to_dict()["name"] for item in answer.output] == ["weather", "time"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_conversation_stays_with_the_model_that_began_it(
    client: openai.AsyncOpenAI, full_gateway: "Gateway", stream: bool
) -> None:
    create: Any = client.responses.create
    if stream:
        events = [event async for event in await create(model="auto", input="hard", stream=True)]
        identity = events[-1].response.id
    else:
        identity = (await create(model="auto", input="hard")).id
    raw: Any = await client.responses.with_raw_response.create(
        model="auto", input="an easy one", previous_response_id=identity
    )
    followed = raw.parse()
    assert (followed.output_text, followed.previous_response_id) == (BIG, identity)
    assert raw.headers["x-routecast-reason"] == "same_conversation"
    assert "x-routecast-win-probability" not in raw.headers
    further = await create(model="auto", input="easy", previous_response_id=followed.id)
    assert further.output_text == BIG
    assert full_gateway.small.n_requests == 0


async def test_a_named_conversation_stays_too(client: openai.AsyncOpenAI) -> None:
    create: Any = client.responses.create
    await create(model="big", input="easy", conversation="conv_1")
    answer = await create(model="auto", input="easy", conversation={"id": "conv_1"})
    assert answer.output_text == BIG


@pytest.mark.parametrize("field", ["previous_response_id", "conversation"])
async def test_an_unknown_conversation_is_a_400_that_says_so(
    client: openai.AsyncOpenAI, full_gateway: "Gateway", field: str
) -> None:
    create: Any = client.responses.create
    with pytest.raises(openai.BadRequestError, match=f"{field} 'x_1' is unknown here") as caught:
        await create(model="auto", input="hard", **{field: "x_1"})
    assert caught.value.code == "unknown_conversation"
    assert full_gateway.big.n_requests == full_gateway.small.n_requests == 0


async def test_a_model_that_is_named_directly_answers_for_its_own_conversations(
    client: openai.AsyncOpenAI,
) -> None:
    create: Any = client.responses.create
    with pytest.raises(openai.BadRequestError, match="Previous response with id 'x' not found"):
        await create(model="big", input="hard", previous_response_id="x")


@pytest.mark.parametrize("prompt", ["a hard prompt", ["a", "hard prompt"]])
async def test_completions_are_routed_plain_and_streamed(
    client: openai.AsyncOpenAI, prompt: str | list[str]
) -> None:
    create: Any = client.completions.create
    assert (await create(model="auto", prompt=prompt)).choices[0].text == BIG
    chunks = [chunk async for chunk in await create(model="auto", prompt=prompt, stream=True)]
    assert "".join(chunk.choices[0].text for chunk in chunks) == BIG


async def test_token_ids_are_not_scored(
    client: openai.AsyncOpenAI, full_gateway: "Gateway"
) -> None:
    raw: Any = await client.completions.with_raw_response.create(model="auto", prompt=[1, 2, 3])
    assert raw.headers["x-routecast-reason"] == "no_text"
    assert raw.headers["x-routecast-model"] == "big"
    assert full_gateway.router.prompts == []


async def test_embeddings_come_from_the_model_that_is_named(
    client: openai.AsyncOpenAI, full_gateway: "Gateway"
) -> None:
    answer = await client.embeddings.create(model="embedder", input=["one", "two"])
    assert len(answer.data) == 2
    assert sent_to(full_gateway.small)["model"] == "upstream-embedder"
    assert full_gateway.small.requests[-1].path == "/v1/embeddings"


async def test_a_route_cannot_embed_and_names_what_can(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match=r"don't mix.*\['embedder'\]") as caught:
        await client.embeddings.create(model="auto", input="one")
    assert caught.value.code == "route_cannot_embed"


async def test_a_model_is_not_asked_in_an_api_that_it_does_not_speak(
    client: openai.AsyncOpenAI,
) -> None:
    with pytest.raises(openai.BadRequestError, match="ask it at /v1/embeddings") as caught:
        await client.chat.completions.create(model="embedder", messages=HARD)
    assert "['auto', 'big', 'small']" in caught.value.message


async def test_models_are_listed_and_described(client: openai.AsyncOpenAI) -> None:
    listed = (await client.models.list()).data
    assert [model.id for model in listed] == ["auto", "big", "small", "embedder"]
    assert (await client.models.retrieve("auto")).id == "auto"
    with pytest.raises(openai.NotFoundError, match="unknown model 'gpt-4'"):
        await client.models.retrieve("gpt-4")


async def test_the_synchronous_client_streams_responses(full_gateway: "Gateway") -> None:
    def talk() -> str:
        with (
            openai.OpenAI(base_url=f"{full_gateway.address}/v1", api_key="x") as client,
            client.responses.stream(model="auto", input="hard") as stream,
        ):
            return stream.get_final_response().output_text

    assert await anyio.to_thread.run_sync(talk) == BIG
