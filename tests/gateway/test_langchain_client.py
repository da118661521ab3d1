"""``langchain-openai`` through the gateway."""

import warnings
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, SecretStr

if TYPE_CHECKING:
    from langchain_openai import ChatOpenAI
    from tests.gateway.conftest import Gateway

pytestmark = pytest.mark.anyio

BIG = "This is a simulated answer by big."


class Sum(BaseModel):
    """What a client may want to be answered."""

    total: int
    steps: list[str]


def weather(city: str) -> str:
    """Say how the weather is."""
    return city


def chat_of(gateway: "Gateway", **options: Any) -> "ChatOpenAI":  # noqa: ANN401
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what importing it warns about is not ours
        from langchain_openai import ChatOpenAI
    return ChatOpenAI(
        model="auto",
        base_url=f"{gateway.address}/v1",
        api_key=SecretStr("sk-client"),
        max_retries=0,
        **options,
    )


async def test_it_asks_and_is_answered(full_gateway: "Gateway") -> None:
    answer = await chat_of(full_gateway).ainvoke("a hard prompt")
    assert answer.content == BIG
    assert answer.response_metadata["model_name"] == "big"
    assert full_gateway.router.prompts == ["a hard prompt"]


async def test_it_streams(full_gateway: "Gateway") -> None:
    chunks = [chunk async for chunk in chat_of(full_gateway, stream_usage=True).astream("hard")]
    assert "".join(str(chunk.content) for chunk in chunks) == BIG
    total: Any = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    assert total.usage_metadata["output_tokens"] == 9


async def test_it_binds_tools_in_parallel(full_gateway: "Gateway") -> None:
    bound = chat_of(full_gateway).bind_tools([weather, Sum], tool_choice="any")
    answer: Any = await bound.ainvoke("a hard prompt")
    assert [call["name"] for call in answer.tool_calls] == ["weather", "Sum"]
    assert answer.tool_calls[0]["args"] == {"city": "simulated"}


async def test_it_keeps_to_a_schema(full_gateway: "Gateway") -> None:
    structured = chat_of(full_gateway).with_structured_output(Sum, method="json_schema")
    assert await structured.ainvoke("hard") == Sum(total=1, steps=["simulated"])


async def test_it_sends_images(full_gateway: "Gateway") -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    content = [{"type": "text", "text": "a hard picture"}, image]
    answer = await chat_of(full_gateway).ainvoke([{"role": "user", "content": content}])
    assert answer.content == BIG
    assert full_gateway.router.prompts == ["a hard picture"]


async def test_it_uses_the_responses_api_too(full_gateway: "Gateway") -> None:
    answer: Any = await chat_of(full_gateway, use_responses_api=True).ainvoke("a hard prompt")
    assert answer.text == BIG
    assert full_gateway.big.requests[-1].path == "/v1/responses"


async def test_it_embeds_with_a_model_that_is_named(full_gateway: "Gateway") -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from langchain_openai import OpenAIEmbeddings
    embeddings = OpenAIEmbeddings(
        model="embedder",
        base_url=f"{full_gateway.address}/v1",
        api_key=SecretStr("x"),
        check_embedding_ctx_length=False,
    )
    assert len(await embeddings.aembed_query("one")) == 8
