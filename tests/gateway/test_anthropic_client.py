"""The official ``anthropic`` client through the gateway."""

import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import anthropic
import anyio
import pytest

if TYPE_CHECKING:
    from tests.gateway.conftest import Gateway, StartGateway

pytestmark = pytest.mark.anyio

BIG = "This is a simulated answer by big."
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: Any = [{"name": name, "input_schema": CITY} for name in ("weather", "time")]
HARD: Any = {
    "model": "auto",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "a hard prompt"}],
}
EASY: Any = {**HARD, "messages": [{"role": "user", "content": "an easy prompt"}]}


def client_of(gateway: "Gateway") -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(
        base_url=gateway.address, api_key="sk-ant-client", max_retries=0
    )


@pytest.fixture
async def client(full_gateway: "Gateway") -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with client_of(full_gateway) as running:
        yield running


async def test_messages_are_routed_and_the_headers_say_why(
    client: anthropic.AsyncAnthropic, full_gateway: "Gateway"
) -> None:
    raw = await client.messages.with_raw_response.create(**HARD)
    message: Any = await raw.parse()
    assert message.content[0].text == BIG
    assert raw.headers["x-routecast-model"] == "big"
    assert raw.headers["x-routecast-reason"] == "reaches_threshold"
    assert (await client.messages.create(**EASY)).model == "small"
    assert full_gateway.router.prompts == ["a hard prompt", "an easy prompt"]


async def test_the_upstream_gets_its_own_key_and_the_client_s_version_and_betas(
    client: anthropic.AsyncAnthropic, full_gateway: "Gateway"
) -> None:
    await client.beta.messages.create(
        **HARD, betas=["a-2025-01-01", "b-2025-02-02"], extra_query={"beta": "true"}
    )
    request = full_gateway.big.requests[-1]
    sent = dict(request.headers)
    assert sent["x-api-key"] == "sk-upstream-secret"
    assert sent["anthropic-version"] == client.default_headers["anthropic-version"]
    assert sent["anthropic-beta"] == "a-2025-01-01,b-2025-02-02"
    assert "authorization" not in sent
    assert "sk-ant-client" not in str(request.headers)
    assert request.path == "/v1/messages?beta=true"


async def test_messages_are_streamed(client: anthropic.AsyncAnthropic) -> None:
    async with client.messages.stream(**HARD) as stream:
        text = "".join([piece async for piece in stream.text_stream])
        final = await stream.get_final_message()
    assert text == BIG
    assert (final.usage.input_tokens, final.usage.output_tokens) == (4, 9)


async def test_parallel_tools_and_their_results_go_round(
    client: anthropic.AsyncAnthropic, full_gateway: "Gateway"
) -> None:
    asked = await client.messages.create(**HARD, tools=TOOLS, tool_choice={"type": "any"})
    calls: Any = asked.content
    assert [call.name for call in calls] == ["weather", "time"]
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "easy"} for call in calls]
    history: Any = [
        *HARD["messages"],
        {"role": "assistant", "content": [call.model_dump() for call in calls]},
        {"role": "user", "content": results},
    ]
    answer = await client.messages.create(**{**HARD, "messages": history}, tools=TOOLS)
    assert answer.model == "big"  # a tool's result is not the user's message
    assert json.loads(full_gateway.big.requests[-1].body)["messages"] == history


async def test_images_and_the_system_prompt_pass(
    client: anthropic.AsyncAnthropic, full_gateway: "Gateway"
) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "a hard picture"}]
    system = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    asked: Any = {**HARD, "messages": [{"role": "user", "content": content}], "system": system}
    await client.messages.create(**asked)
    sent = json.loads(full_gateway.big.requests[-1].body)
    assert sent == {**asked, "model": "upstream-big"}
    assert full_gateway.router.prompts == ["a hard picture"]


async def test_tokens_are_counted_by_the_model_that_would_answer(
    client: anthropic.AsyncAnthropic, full_gateway: "Gateway"
) -> None:
    counted = await client.messages.count_tokens(model="auto", messages=HARD["messages"])
    assert counted.input_tokens == 4
    assert full_gateway.big.requests[-1].path == "/v1/messages/count_tokens"
    assert full_gateway.small.n_requests == 0


async def test_our_errors_take_anthropic_s_shape(client: anthropic.AsyncAnthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as caught:
        await client.messages.create(**{**HARD, "model": "claude"})
    body: Any = caught.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "not_found_error")
    assert "unknown model 'claude'; routes: ['auto']" in body["error"]["message"]
    with pytest.raises(anthropic.BadRequestError) as refused:
        await client.messages.create(**{**HARD, "model": "embedder"})
    body = refused.value.body
    assert body["error"]["type"] == "invalid_request_error"


async def test_models_are_listed_in_anthropic_s_shape(client: anthropic.AsyncAnthropic) -> None:
    listed = [model async for model in client.models.list()]
    assert [model.id for model in listed] == ["auto", "big", "small", "embedder"]
    assert (await client.models.retrieve("auto")).display_name == "auto"


async def test_the_synchronous_client_works_too(full_gateway: "Gateway") -> None:
    def talk() -> str:
        with (
            anthropic.Anthropic(base_url=full_gateway.address, api_key="x") as client,
            client.messages.stream(**HARD) as stream,
        ):
            return stream.get_final_text()

    assert await anyio.to_thread.run_sync(talk) == BIG


async def test_a_schema_goes_to_the_only_model_that_can_keep_to_one(
    starts_full_gateway: "StartGateway",
) -> None:
    settings = 'apis = ["messages"]\njson_schema = false'
    async with (
        starts_full_gateway(big_settings='apis = ["messages"]', small_settings=settings) as gateway,
        client_of(gateway) as client,
    ):
        form: Any = {"format": {"type": "json_schema", "schema": CITY}}
        raw = await client.messages.with_raw_response.create(
            **EASY, extra_body={"output_config": form}
        )
        message: Any = await raw.parse()
    assert json.loads(message.content[0].text) == {"city": "simulated"}
    assert raw.headers["x-routecast-reason"] == "only_capable"
    assert raw.headers["x-routecast-model"] == "big"
