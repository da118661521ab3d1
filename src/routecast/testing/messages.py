"""Simulated messages, in the shape of Anthropic's API."""

import json
from collections.abc import Iterator
from typing import Any

from routecast.testing.simulation import (
    Json,
    Simulation,
    call_tools,
    events_of,
    n_characters,
    n_tokens,
    simulate_text,
    words_of,
)


def answer_message(simulation: Simulation) -> Json:
    """Return a whole answer."""
    blocks = _blocks(simulation)
    return {**_envelope(simulation), "content": blocks, "stop_reason": _stop_reason(blocks)}


def stream_message(simulation: Simulation) -> Iterator[bytes]:
    """Yield the answer as server-sent events, named as Anthropic does."""
    yield from events_of((document["type"], document) for document in _documents(simulation))


def count_message_tokens(simulation: Simulation) -> Json:
    """Return the answer of ``/v1/messages/count_tokens``."""
    return {"input_tokens": _n_input_tokens(simulation.request)}


def _documents(simulation: Simulation) -> Iterator[Json]:
    blocks = _blocks(simulation)
    opening = _envelope(simulation)
    usage = opening["usage"]
    yield {"type": "message_start", "message": {**opening, "usage": {**usage, "output_tokens": 1}}}
    yield {"type": "ping"}
    for i, block in enumerate(blocks):
        if block["type"] == "text":
            empty = {**block, "text": ""}
            deltas = [{"type": "text_delta", "text": word} for word in words_of(block["text"])]
        else:
            empty = {**block, "input": {}}
            deltas = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
        yield {"type": "content_block_start", "index": i, "content_block": empty}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": i, "delta": delta}
        yield {"type": "content_block_stop", "index": i}
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": _stop_reason(blocks), "stop_sequence": None},
        "usage": {"output_tokens": usage["output_tokens"]},
    }
    yield {"type": "message_stop"}


def _blocks(simulation: Simulation) -> list[Json]:
    """Return the calls that are demanded, or a text."""
    request = simulation.request
    calls = call_tools(simulation, _demanded_tools(request))
    if calls:
        return [
            {"type": "tool_use", "id": call.identity, "name": call.name, "input": call.arguments}
            for call in calls
        ]
    form = (request.get("output_config") or {}).get("format") or request.get("output_format") or {}
    schema = form.get("schema") if form.get("type") == "json_schema" else None
    return [{"type": "text", "text": simulate_text(simulation, schema)}]


def _demanded_tools(request: Any) -> list[tuple[str, Json]]:  # noqa: ANN401 (whatever a client sent)
    choice = request.get("tool_choice") or {}
    tools = request.get("tools") or []
    if choice.get("type") == "tool":
        tools = [tool for tool in tools if tool["name"] == choice.get("name")]
    elif choice.get("type") != "any":
        return []
    return [(tool["name"], tool.get("input_schema") or {}) for tool in tools]


def _stop_reason(blocks: list[Json]) -> str:
    return "tool_use" if blocks[0]["type"] == "tool_use" else "end_turn"


def _envelope(simulation: Simulation) -> Json:
    return {
        "id": f"msg_simulated_{simulation.number}",
        "type": "message",
        "role": "assistant",
        "model": simulation.name,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": _n_input_tokens(simulation.request),
            "output_tokens": n_tokens(len(simulation.text)),
        },
    }


def _n_input_tokens(request: Any) -> int:  # noqa: ANN401 (whatever a client sent)
    contents = [message.get("content") for message in request.get("messages") or []]
    return n_tokens(sum(map(n_characters, [request.get("system"), *contents])))
