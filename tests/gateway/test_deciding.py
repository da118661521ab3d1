"""What the gateway decides, asked over ``POST /v1/route``: nothing is called."""

import json
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.gateway.conftest import Gateway, StartGateway

pytestmark = pytest.mark.anyio

EASY = [{"role": "user", "content": "an easy prompt"}]
HARD = [{"role": "user", "content": "a hard prompt"}]
IMAGE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]
TOOLS = [{"type": "function", "function": {"name": "f"}}]


async def ask(
    gateway: "Gateway", *, api: str | None = None, status: int = 200, **asked: object
) -> dict[str, Any]:
    """Ask for a decision; fields with ``x_`` are headers."""
    headers = {
        name.replace("_", "-"): str(asked.pop(name))
        for name in list(asked)
        if name.startswith("x_")
    }
    url = f"{gateway.address}/v1/route" + (f"?api={api}" if api else "")
    body = BytesIO(json.dumps({"model": "auto", **asked}).encode())
    async with gateway.http.post(url, data=body, headers=headers) as answer:
        document: dict[str, Any] = await answer.json()
    assert answer.status == status, document
    assert gateway.big.n_requests == gateway.small.n_requests == 0
    error: dict[str, Any] = document.get("error", document)
    return error


async def test_a_decision_is_told_whole_and_nothing_is_called(full_gateway: "Gateway") -> None:
    decided = await ask(full_gateway, messages=HARD)
    assert len(decided.pop("decision")) == 24
    assert decided == {
        "route": "auto", "model": "big", "win_probability": 0.9, "threshold": 0.5,
        "reason": "reaches_threshold", "candidates": ["big"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("api", "fields", "text"),
    [
        (None, {"messages": HARD}, "a hard prompt"),
        (None, {"input": "hard"}, "hard"),
        (None, {"prompt": ["hard", "one"]}, "hard\n\none"),
        ("messages", {"messages": HARD}, "a hard prompt"),
        ("chat", {"messages": HARD, "prompt": "easy"}, "a hard prompt"),
    ],
)
async def test_every_api_s_body_is_understood(
    full_gateway: "Gateway", api: str | None, fields: dict[str, Any], text: str
) -> None:
    assert (await ask(full_gateway, api=api, **fields))["model"] == "big"
    assert full_gateway.router.prompts == [text]


async def test_an_api_that_no_route_has_is_refused(full_gateway: "Gateway") -> None:
    refused = await ask(full_gateway, api="embeddings", status=400, messages=HARD)
    assert "choose one of ['chat', 'responses', 'completions', 'messages']" in refused["message"]


async def test_a_direct_model_and_a_named_router_are_told_too(full_gateway: "Gateway") -> None:
    direct = await ask(full_gateway, model="small", messages=HARD)
    assert (direct["model"], direct["reason"], direct["route"]) == ("small", "direct", None)
    assert (direct["win_probability"], direct["threshold"]) == (None, None)
    named = await ask(full_gateway, model="router-words-0.05", messages=EASY)
    assert (named["model"], named["threshold"]) == ("big", 0.05)


async def test_errors_are_those_of_the_endpoint_itself(full_gateway: "Gateway") -> None:
    refused = await ask(full_gateway, model="nobody", status=404, messages=HARD)
    assert refused["code"] == "model_not_found"


async def test_a_client_may_set_the_threshold(full_gateway: "Gateway") -> None:
    decided = await ask(full_gateway, messages=EASY, x_routecast_threshold=0.1)
    assert (decided["model"], decided["threshold"]) == ("big", 0.1)


async def test_a_client_may_set_the_share_of_strong_calls(full_gateway: "Gateway") -> None:
    # The sample's quantiles are uniform: 5% of strong calls begin at 0.95, 95% at 0.05.
    few = await ask(full_gateway, messages=HARD, x_routecast_strong_share=0.05)
    many = await ask(full_gateway, messages=EASY, x_routecast_strong_share=0.95)
    assert (few["model"], few["threshold"]) == ("small", pytest.approx(0.95))
    assert (many["model"], many["threshold"]) == ("big", pytest.approx(0.05))


async def test_a_client_may_force_a_role_and_nothing_is_scored(full_gateway: "Gateway") -> None:
    for role, model in (("strong", "big"), ("weak", "small")):
        decided = await ask(full_gateway, messages=HARD, x_routecast_force=role)
        assert (decided["model"], decided["reason"]) == (model, "forced")
    assert full_gateway.router.prompts == []


async def test_wishes_are_for_routes_alone(full_gateway: "Gateway") -> None:
    refused = await ask(
        full_gateway, model="big", status=400, messages=HARD, x_routecast_threshold=0.1
    )
    assert "x-routecast-threshold is refused: 'big' is a model; name a route" in refused["message"]


async def test_a_route_allows_what_it_says_and_no_more(
    starts_full_gateway: "StartGateway",
) -> None:
    async with starts_full_gateway(route_settings='overrides = ["force"]') as gateway:
        assert (await ask(gateway, messages=EASY, x_routecast_force="strong"))["model"] == "big"
        refused = await ask(gateway, status=400, messages=EASY, x_routecast_threshold=0.1)
    assert refused["code"] == "invalid_routecast_header"
    assert "route 'auto' allows ['force']" in refused["message"]


async def test_a_share_is_refused_where_the_router_has_no_sample(gateway: "Gateway") -> None:
    refused = await ask(gateway, status=400, messages=EASY, x_routecast_strong_share=0.1)
    assert "x-routecast-strong-share is refused: router 'length-like' has no" in refused["message"]


CHAT = 'apis = ["chat"]\n'


async def test_what_only_one_model_can_serve_goes_there_unscored(
    starts_full_gateway: "StartGateway",
) -> None:
    small = CHAT + "tools = false\nimages = false\njson_schema = false\ncontext_tokens = 2000"
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}
    async with starts_full_gateway(big_settings=CHAT, small_settings=small) as gateway:
        for fields in (
            {"messages": EASY, "tools": TOOLS},
            {"messages": IMAGE},
            {"messages": EASY, "response_format": schema},
            {"messages": [{"role": "user", "content": "easy " * 2_000}]},
            {"messages": EASY, "max_tokens": 2_000},
        ):
            decided = await ask(gateway, **fields)
            assert (decided["model"], decided["reason"]) == ("big", "only_capable"), fields
        assert gateway.router.prompts == []
        decided = await ask(gateway, messages=EASY, tools=[], max_tokens=100)
        assert (decided["model"], decided["reason"]) == ("small", "below_threshold")
        refused = await ask(gateway, status=400, messages=IMAGE, x_routecast_force="weak")
    assert "'small' cannot take this request; ['big'] can" in refused["message"]


async def test_what_no_model_can_serve_is_a_400_that_names_what_each_lacks(
    starts_full_gateway: "StartGateway",
) -> None:
    async with starts_full_gateway(
        big_settings=CHAT + "images = false", small_settings=CHAT + "tools = false"
    ) as gateway:
        refused = await ask(gateway, status=400, messages=IMAGE, tools=TOOLS)
    assert refused["code"] == "no_capable_model"
    assert "'big' does not take images; 'small' does not take tools" in refused["message"]


async def test_a_stand_in_speaks_the_api_and_can_take_the_request(
    starts_full_gateway: "StartGateway",
) -> None:
    async with starts_full_gateway(
        big_settings=CHAT, small_settings=CHAT + "images = false",
        chain='["embedder", "weak", "strong"]',
    ) as gateway:  # fmt: skip
        assert (await ask(gateway, messages=HARD))["candidates"] == ["big", "small"]
        assert (await ask(gateway, messages=EASY))["candidates"] == ["small", "big"]
        assert (await ask(gateway, messages=IMAGE))["candidates"] == ["big"]
        forced = await ask(gateway, messages=HARD, x_routecast_force="weak")
        assert forced["candidates"] == ["small"]
        assert (await ask(gateway, model="small", messages=HARD))["candidates"] == ["small"]


async def test_a_request_that_no_one_of_the_pair_can_take_goes_to_a_stand_in_that_can(
    starts_full_gateway: "StartGateway",
) -> None:
    both = CHAT + "images = false"
    third = '[models.third]\nmodel = "x"\nbase_url = "http://127.0.0.1:1/v1"\n'
    async with starts_full_gateway(
        big_settings=both,
        small_settings=both + "\n" + third,
        chain='["third"]',
    ) as gateway:
        decided = await ask(gateway, messages=IMAGE)
    assert (decided["model"], decided["reason"]) == ("third", "only_capable")


SIX_TURNS = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": "first"},
    {"role": "assistant", "content": "yes"},
    {"role": "user", "content": "second"},
]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ("", "second"),
        ('text = "last_user"', "second"),
        ('text = "user_turns"', "first\n\nsecond"),
        ('text = "all_turns"', "be brief\n\nfirst\n\nyes\n\nsecond"),
        ("sticky = true", "first"),
    ],
)
async def test_a_route_reads_what_its_settings_say(
    starts_full_gateway: "StartGateway", settings: str, text: str
) -> None:
    async with starts_full_gateway(route_settings=settings) as gateway:
        await ask(gateway, messages=SIX_TURNS)
        assert gateway.router.prompts == [text]


async def test_a_large_body_is_decided_as_a_small_one_is(full_gateway: "Gateway") -> None:
    decided = await ask(full_gateway, messages=HARD, padding="x" * 2_000_000)
    assert decided["model"] == "big"
    body = json.dumps({"model": "auto", "messages": HARD, "padding": "x" * 40_000_000})
    url = f"{full_gateway.address}/v1/route"
    async with full_gateway.http.post(url, data=BytesIO(body.encode())) as answer:
        assert answer.status == 413


@pytest.mark.parametrize("asked", [{"messages": HARD}, {"input": "hard"}])
async def test_a_model_of_embeddings_alone_is_refused_in_the_model_s_words(
    starts_gateway: Any,  # noqa: ANN401 (conftest's protocol)
    asked: dict[str, Any],
) -> None:
    settings = '[models.vec]\nmodel = "v"\nbase_url = "http://127.0.0.1:1"\napis = ["embeddings"]'
    async with starts_gateway(route_settings=settings) as gateway:
        error = await ask(gateway, model="vec", status=400, **asked)
    assert "model 'vec' has apis ['embeddings']" in error["message"]
    assert "name a route or another model" in error["message"]
    assert "/v1/" not in error["message"]
