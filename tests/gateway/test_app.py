"""The gateway through the official client and through plain HTTP, over loopback sockets."""

import json
import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import anyio
import openai
import pytest

if TYPE_CHECKING:
    from tests.gateway.conftest import Gateway

pytestmark = pytest.mark.anyio

EASY: Any = [{"role": "user", "content": "an easy prompt"}]
HARD: Any = [{"role": "user", "content": "a hard prompt"}]


async def test_an_easy_prompt_goes_to_the_weak_model_and_the_headers_say_why(
    gateway: "Gateway",
) -> None:
    async with gateway.client() as client:
        raw = await client.chat.completions.with_raw_response.create(model="auto", messages=EASY)
    assert raw.parse().choices[0].message.content == "This is a simulated answer by small."
    assert raw.headers["x-routecast-model"] == "small"
    assert raw.headers["x-routecast-reason"] == "below_threshold"
    assert raw.headers["x-routecast-win-probability"] == "0.1"
    assert raw.headers["x-routecast-threshold"] == "0.5"
    assert len(raw.headers["x-routecast-decision"]) == 24
    assert json.loads(gateway.small.requests[-1].body)["model"] == "upstream-small"


async def test_a_hard_prompt_goes_to_the_strong_model(gateway: "Gateway") -> None:
    async with gateway.client() as client:
        answer = await client.chat.completions.create(model="auto", messages=HARD)
    assert answer.model == "big"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 4  # 13 characters, four to a token
    assert gateway.router.prompts == ["a hard prompt"]


async def test_decision_ids_differ(gateway: "Gateway") -> None:
    async with gateway.client() as client:
        create = client.chat.completions.with_raw_response.create
        answers = [await create(model="auto", messages=EASY) for _ in range(3)]
    assert len({answer.headers["x-routecast-decision"] for answer in answers}) == 3


async def test_a_stream_arrives_event_by_event_with_its_usage(gateway: "Gateway") -> None:
    async with gateway.client() as client:
        stream = await client.chat.completions.create(
            model="auto", messages=HARD, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "This is a simulated answer by big."
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 9
    assert stream.response.headers["x-routecast-model"] == "big"


async def test_the_synchronous_client_works_too_streamed_and_not(gateway: "Gateway") -> None:
    def talk() -> tuple[str | None, str]:
        with openai.OpenAI(base_url=f"{gateway.address}/v1", api_key="x") as client:
            plain = client.chat.completions.create(model="auto", messages=EASY)
            stream = client.chat.completions.create(model="auto", messages=EASY, stream=True)
            text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
        return plain.choices[0].message.content, text

    plain, streamed = await anyio.to_thread.run_sync(talk)
    assert plain == streamed == "This is a simulated answer by small."


async def test_tools_images_and_unknown_fields_pass_untouched(gateway: "Gateway") -> None:
    function = {"name": "f", "parameters": {"type": "object", "properties": {"model": {}}}}
    content = [
        {"type": "text", "text": "a hard picture"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]
    fields: Any = {
        "messages": [{"role": "user", "content": content}],
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}},
        "seed": 10**30,
    }
    unknown = {"a_field_from_the_future": {"model": "auto", "deep": [1.5, None]}}
    async with gateway.client() as client:
        await client.chat.completions.create(model="auto", **fields, extra_body=unknown)
    sent = json.loads(gateway.big.requests[-1].body)
    assert sent == {"model": "upstream-big", **fields, **unknown}
    assert gateway.router.prompts == ["a hard picture"]


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (
            b'{ "model" : "auto",\n"messages":[{"role":"user","content":"hard"}],"x":1e400}\n',
            b'{ "model" : "upstream-big",\n"messages":[{"role":"user","content":"hard"}],'
            b'"x":1e400}\n',
        ),
        (
            b'{"messages":[{"role":"user","content":"hard"}],"\\u006dodel":"auto","n":00}',
            b'{"messages":[{"role":"user","content":"hard"}],"\\u006dodel":"upstream-big","n":00}',
        ),
        (
            b'{"model":"small","messages":[{"role":"user","content":"hard"}],"model":"auto"}',
            b'{"model":"upstream-big","messages":[{"role":"user","content":"hard"}],'
            b'"model":"upstream-big"}',
        ),
    ],
)
async def test_the_upstream_gets_the_very_bytes_but_for_the_model(
    gateway: "Gateway", body: bytes, sent: bytes
) -> None:
    async with gateway.http.post(gateway.chat_url, data=body) as answer:
        await answer.read()
    assert gateway.big.requests[-1].body == sent


async def test_deep_nesting_and_ten_megabytes_reach_the_upstream_whole(gateway: "Gateway") -> None:
    deep = b"[" * 1_000 + b"]" * 1_000
    for filler in (deep, b'"' + b"A" * 10_000_000 + b'"', b"[" + b'"model",' * 50_000 + b"0]"):
        body = b'{"messages":[{"role":"user","content":"hard"}],"x":' + filler + b',"model":"%s"}'
        async with gateway.http.post(gateway.chat_url, data=iter_of(body % b"auto")) as answer:
            await answer.read()
        assert gateway.big.requests[-1].body == body % b"upstream-big"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/route"])
async def test_bottomless_nesting_is_a_400_that_says_so(gateway: "Gateway", path: str) -> None:
    body = b'{"model":"auto","messages":[],"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    async with gateway.http.post(gateway.address + path, data=body) as answer:
        error = (await answer.json())["error"]
    assert (answer.status, error["code"]) == (400, "nested_too_deep")
    assert not gateway.big.requests


async def iter_of(body: bytes) -> AsyncIterator[bytes]:
    """Send in chunks, as a client does that does not know the length."""
    for start in range(0, len(body), 1 << 18):
        yield body[start : start + (1 << 18)]


async def test_a_client_may_name_a_model_directly(gateway: "Gateway") -> None:
    async with gateway.client() as client:
        raw = await client.chat.completions.with_raw_response.create(model="big", messages=EASY)
    assert raw.headers["x-routecast-model"] == "big"
    assert raw.headers["x-routecast-reason"] == "direct"
    assert "x-routecast-win-probability" not in raw.headers
    assert "x-routecast-threshold" not in raw.headers
    assert gateway.router.prompts == []


async def test_a_client_may_name_a_router_and_a_threshold(gateway: "Gateway") -> None:
    async with gateway.client() as client:
        create = client.chat.completions.with_raw_response.create
        raw = await create(model="router-length-like-0.05", messages=EASY)
    assert raw.headers["x-routecast-model"] == "big"
    assert raw.headers["x-routecast-threshold"] == "0.05"


async def test_an_unknown_model_is_not_found_and_told_what_there_is(gateway: "Gateway") -> None:
    async with gateway.client() as client:
        with pytest.raises(openai.NotFoundError) as caught:
            await client.chat.completions.create(model="gpt-4", messages=EASY)
    assert caught.value.code == "model_not_found"
    assert "['auto']" in caught.value.message
    assert "['big', 'small']" in caught.value.message


async def test_a_failing_router_fails_no_request_and_logs_no_prompt(
    gateway: "Gateway", caplog: pytest.LogCaptureFixture
) -> None:
    gateway.router.fails = True
    with caplog.at_level(logging.DEBUG):
        async with gateway.client() as client:
            create = client.chat.completions.with_raw_response.create
            raw = await create(model="auto", messages=EASY)
    assert raw.headers["x-routecast-model"] == "big"
    assert raw.headers["x-routecast-reason"] == "router_failed"
    assert "x-routecast-win-probability" not in raw.headers
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("routecast")]
    assert ours
    assert not any("easy prompt" in message for message in ours)


async def test_a_request_without_text_takes_the_fallback(gateway: "Gateway") -> None:
    image: Any = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    async with gateway.client() as client:
        create = client.chat.completions.with_raw_response.create
        raw = await create(model="auto", messages=[{"role": "user", "content": image}])
    assert raw.headers["x-routecast-model"] == "big"
    assert raw.headers["x-routecast-reason"] == "no_text"


async def test_models_are_listed(gateway: "Gateway") -> None:
    async with gateway.client() as client:
        models = (await client.models.list()).data
    assert [model.id for model in models] == ["auto", "big", "small"]
    assert gateway.big.n_requests == gateway.small.n_requests == 0


async def test_the_list_of_models_holds_no_key_and_no_address(gateway: "Gateway") -> None:
    async with gateway.http.get(f"{gateway.address}/v1/models") as answer:
        content = await answer.text()
    assert "sk-" not in content
    assert "127.0.0.1" not in content


async def test_health_is_told(gateway: "Gateway") -> None:
    async with gateway.http.get(f"{gateway.address}/healthz") as answer:
        assert (answer.status, await answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    "path", ["/", "/v1/chat", "/v1/chat/completions/", "/v1/audio/speech", "/healthz/"]
)
async def test_other_endpoints_are_a_404_that_lists_what_exists(
    gateway: "Gateway", path: str
) -> None:
    async with gateway.http.post(gateway.address + path, allow_redirects=False) as answer:
        error = (await answer.json())["error"]
    assert (answer.status, error["type"]) == (404, "invalid_request_error")
    assert f"no such endpoint: POST {path!r}" in error["message"]
    assert "POST /v1/chat/completions, /v1/responses" in error["message"]
    assert "GET /v1/models" in error["message"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/chat/completions", "POST"),
        ("PUT", "/v1/messages", "POST"),
        ("DELETE", "/v1/models", "GET, HEAD"),
        ("POST", "/v1/models/auto", "GET, HEAD"),
        ("GET", "/v1/route", "POST"),
        ("POST", "/healthz", "GET, HEAD"),
    ],
)
async def test_an_unknown_method_is_a_405_that_says_which_are_allowed(
    gateway: "Gateway", method: str, path: str, allowed: str
) -> None:
    async with gateway.http.request(method, gateway.address + path) as answer:
        document = await answer.json()
    assert (answer.status, answer.headers["allow"]) == (405, allowed)
    assert f"{method} is not accepted at {path!r}" in document["error"]["message"]
    assert document.get("type") == ("error" if path == "/v1/messages" else None)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"not json: my secret prompt", "invalid_json"),
        (b'{"messages":[]}', "missing_model"),
        (b'{"model":7}', "invalid_model"),
    ],
)
async def test_a_body_that_names_no_model_is_a_400_in_openai_s_shape(
    gateway: "Gateway", body: bytes, code: str
) -> None:
    async with gateway.http.post(gateway.chat_url, data=body) as answer:
        error = (await answer.json())["error"]
    assert answer.status == 400
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == code
    assert "secret" not in error["message"]


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_a_413_and_the_connection_stays_usable(
    gateway: "Gateway", chunked: bool
) -> None:
    body = b'{"model":"auto","x":"' + b"A" * (13 << 20) + b'"}'
    async with gateway.http.post(
        gateway.chat_url,
        data=iter_of(body),
        headers={} if chunked else {"content-length": str(len(body))},
    ) as answer:
        error = (await answer.json())["error"]
    assert (answer.status, error["code"]) == (413, "body_too_large")
    async with gateway.http.get(f"{gateway.address}/healthz") as answer:
        assert answer.status == 200


async def test_a_compressed_body_is_a_415(gateway: "Gateway") -> None:
    headers = {"content-encoding": "gzip"}
    async with gateway.http.post(gateway.chat_url, data=b"\x1f\x8b", headers=headers) as answer:
        assert answer.status == 415


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/chat/completions"), ("GET", "/v1/models"), ("GET", "/healthz"), ("GET", "/x")],
)
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"host": "evil.example"}, "host_refused"),
        ({"origin": "https://evil.example"}, "origin_refused"),
        ({"origin": "null"}, "origin_refused"),
    ],
)
async def test_web_pages_are_refused_on_every_endpoint(
    gateway: "Gateway", method: str, path: str, headers: dict[str, str], code: str
) -> None:
    body = b'{"model":"auto","messages":[{"role":"user","content":"hard"}]}'
    url = gateway.address + path
    async with gateway.http.request(method, url, data=body, headers=headers) as answer:
        error = (await answer.json())["error"]
    assert (answer.status, error["code"]) == (403, code)
    assert "access-control-allow-origin" not in answer.headers
    assert gateway.big.n_requests == 0


async def test_an_unknown_path_of_anthropic_s_answers_in_its_shape(gateway: "Gateway") -> None:
    async with gateway.http.post(f"{gateway.address}/v1/messages/batches") as answer:
        document = await answer.json()
    assert (answer.status, document["type"]) == (404, "error")
    assert document["error"]["type"] == "not_found_error"
