"""``langchain-openai`` through the gateway."""

import warnings
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pydantic import BaseModel, SecretStr

if TYPE_CHECKING:
    from langchain_openai import ChatOpenAI
    from tests.gateway.conftest import Gateway

    Chat = Callable[..., ChatOpenAI]

pytestmark = pytest.mark.anyio

BIG = "This is a simulated answer by big."


class Sum(BaseModel):
    """What a client may want to be answered."""

    total: int
    steps: list[str]


def weather(city: str) -> str:
    """Say how the weather is."""
    return city


@pytest.fixture
async def connection(anyio_backend: str) -> AsyncIterator[dict[str, Any]]:
    """Connections of our own, closed in time: those of the library are kept for ever."""
    async with httpx.AsyncClient() as connections:
        with httpx.Client() as blocking:
            yield {
                "http_async_client": connections,
                "http_client": blocking,
                "api_key": SecretStr("sk-client"),
                "max_retries": 0,
            }


@pytest.fixture
def chat(full_gateway: "Gateway", connection: dict[str, Any]) -> "Chat":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what importing it warns about is not ours
        from langchain_openai import ChatOpenAI
    return partial(ChatOpenAI, model="auto", base_url=f"{full_gateway.address}/v1", **connection)


async def test_it_asks_and_is_answered(chat: "Chat", full_gateway: "Gateway") -> None:
    answer = await chat().ainvoke("a hard prompt")
    assert answer.content == BIG
    assert answer.response_metadata["model_name"] == "big"
    assert full_gateway.router.prompts == ["a hard prompt"]


async def test_it_streams(chat: "Chat", full_gateway: "Gateway") -> None:
    chunks = [chunk async for chunk in chat(stream_usage=True).astream("hard")]
    assert "".join(str(chunk.content) for chunk in chunks) == BIG
    total: Any = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    assert total.usage_metadata["output_tokens"] == 9


async def test_it_binds_tools_in_parallel(chat: "Chat", full_gateway: "Gateway") -> None:
    bound = chat().bind_tools([weather, Sum], tool_choice="any")
    answer: Any = await bound.ainvoke("a hard prompt")
    assert [call["name"] for call in answer.tool_calls] == ["weather", "Sum"]
    assert answer.tool_calls[0]["args"] == {"city": "simulated"}


async def test_it_keeps_to_a_schema(chat: "Chat", full_gateway: "Gateway") -> None:
    structured = chat().with_structured_output(Sum, method="json_schema")
    assert await structured.ainvoke("hard") == Sum(total=1, steps=["simulated"])


async def test_it_sends_images(chat: "Chat", full_gateway: "Gateway") -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    content = [{"type": "text", "text": "a hard picture"}, image]
    answer = await chat().ainvoke([{"role": "user", "content": content}])
    assert answer.content == BIG
    assert full_gateway.router.prompts == ["a hard picture"]


async def test_it_uses_the_responses_api_too(chat: "Chat", full_gateway: "Gateway") -> None:
    answer: Any = await chat(use_responses_api=True).ainvoke("a hard prompt")
    assert answer.text == BIG
    assert full_gateway.big.requests[-1].path == "/v1/responses"


async def test_it_embeds_with_a_model_that_is_named(
    full_gateway: "Gateway", connection: dict[str, Any]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from langchain_openai import OpenAIEmbeddings
    embeddings = OpenAIEmbeddings(
        model="embedder",
        base_url=f"{full_gateway.address}/v1",
        check_embedding_ctx_length=False,
        **connection,
    )
    assert len(await embeddings.aembed_query("one")) == 8
