"""Simulated responses, in the shape of OpenAI's Responses API."""

import time
from collections.abc import Iterator
from typing import Any

from routecast.testing.simulation import (
    Json,
    Simulation,
    ToolCall,
    call_tools,
    events_of,
    n_characters,
    n_tokens,
    simulate_text,
    words_of,
)


def response_id(simulation: Simulation) -> str:
    """Return the identifier that the next request may go on from; no two models share one."""
    return f"resp_simulated_{simulation.name}_{simulation.number}"


def respond(simulation: Simulation) -> Json:
    """Return a whole answer."""
    return _response(simulation, "completed", _output(simulation))


def stream_response(simulation: Simulation) -> Iterator[bytes]:
    """Yield the answer as server-sent events, numbered and named as OpenAI does."""
    yield from events_of(
        (document["type"], {**document, "sequence_number": i})
        for i, document in enumerate(_documents(simulation))
    )


def _documents(simulation: Simulation) -> Iterator[Json]:
    opening = _response(simulation, "in_progress", [])
    yield {"type": "response.created", "response": opening}
    yield {"type": "response.in_progress", "response": opening}
    output = _output(simulation)
    for i, item in enumerate(output):
        yield from _item_documents(i, item)
    yield {"type": "response.completed", "response": _response(simulation, "completed", output)}


def _item_documents(i: int, item: Json) -> Iterator[Json]:
    """Yield one output item: a message word by word, or a call with its arguments at once."""
    place = {"output_index": i}
    within = {**place, "item_id": item["id"]}
    if item["type"] == "function_call":
        opening = {**item, "arguments": "", "status": "in_progress"}
        yield {"type": "response.output_item.added", **place, "item": opening}
        arguments = item["arguments"]
        yield {"type": "response.function_call_arguments.delta", **within, "delta": arguments}
        yield {
            "type": "response.function_call_arguments.done",
            **within,
            "name": item["name"],
            "arguments": arguments,
        }
    else:
        (part,) = item["content"]
        within["content_index"] = 0
        opening = {**item, "content": [], "status": "in_progress"}
        yield {"type": "response.output_item.added", **place, "item": opening}
        yield {"type": "response.content_part.added", **within, "part": {**part, "text": ""}}
        for word in words_of(part["text"]):
            delta = {"delta": word, "logprobs": []}
            yield {"type": "response.output_text.delta", **within, **delta}
        done = {"text": part["text"], "logprobs": []}
        yield {"type": "response.output_text.done", **within, **done}
        yield {"type": "response.content_part.done", **within, "part": part}
    yield {"type": "response.output_item.done", **place, "item": item}


def _output(simulation: Simulation) -> list[Json]:
    """Return the calls that are demanded, or a message."""
    calls = call_tools(simulation, _demanded_tools(simulation.request))
    if calls:
        return [_call_item(call) for call in calls]
    form = (simulation.request.get("text") or {}).get("format") or {}
    schema = form.get("schema") if form.get("type") == "json_schema" else None
    text = simulate_text(simulation, schema)
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return [
        {
            "id": f"msg_simulated_{simulation.number}",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [part],
        }
    ]


def _demanded_tools(request: Any) -> list[tuple[str, Json]]:  # noqa: ANN401 (whatever a client sent)
    choice = request.get("tool_choice")
    tools = [tool for tool in request.get("tools") or [] if tool.get("type") == "function"]
    if isinstance(choice, dict):
        tools = [tool for tool in tools if tool["name"] == choice.get("name")]
    elif choice != "required":
        return []
    return [(tool["name"], tool.get("parameters") or {}) for tool in tools]


def _call_item(call: ToolCall) -> Json:
    return {
        "id": f"fc_{call.identity}",
        "type": "function_call",
        "call_id": call.identity,
        "name": call.name,
        "arguments": call.arguments_json,
        "status": "completed",
    }


def _response(simulation: Simulation, status: str, output: list[Json]) -> Json:
    request = simulation.request
    conversation = request.get("conversation")
    if isinstance(conversation, str):
        conversation = {"id": conversation}
    return {
        "id": response_id(simulation),
        "object": "response",
        "created_at": int(time.time()),
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": request.get("instructions"),
        "metadata": {},
        "model": simulation.name,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": request.get("previous_response_id"),
        "conversation": conversation,
        "temperature": 1.0,
        "tool_choice": request.get("tool_choice", "auto"),
        "tools": request.get("tools") or [],
        "top_p": 1.0,
        "usage": _usage(simulation) if status == "completed" else None,
    }


def _usage(simulation: Simulation) -> Json:
    given = simulation.request.get("input") or ""
    items = [{"content": given}] if isinstance(given, str) else given
    n_input = n_tokens(sum(n_characters(item.get("content")) for item in items))
    n_output = n_tokens(len(simulation.text))
    return {
        "input_tokens": n_input,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": n_output,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": n_input + n_output,
    }
