"""Simulated chat completions, in OpenAI's shape."""

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


def complete_chat(simulation: Simulation) -> Json:
    """Return a whole answer."""
    text, calls = _say(simulation)
    message: Json = {"role": "assistant", "content": text, "refusal": None}
    if calls:
        message["tool_calls"] = [_call_fields(call) for call in calls]
    reason = "tool_calls" if calls else "stop"
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
    return {
        **_envelope(simulation, "chat.completion"),
        "choices": [choice],
        "usage": _usage(simulation),
    }


def stream_chat(simulation: Simulation) -> Iterator[bytes]:
    """Yield the answer as server-sent events, one word or tool call each."""
    yield from events_of((None, chunk) for chunk in _chunks(simulation))
    yield b"data: [DONE]\n\n"


def _chunks(simulation: Simulation) -> Iterator[Json]:
    envelope = _envelope(simulation, "chat.completion.chunk")
    text, calls = _say(simulation)
    deltas: list[Json] = [{"role": "assistant", "content": "" if text is not None else None}]
    deltas += [{"content": word} for word in words_of(text)] if text is not None else []
    for i, call in enumerate(calls):
        fields = _call_fields(call)
        arguments = fields["function"].pop("arguments")
        opening = {"index": i, **fields, "function": {**fields["function"], "arguments": ""}}
        deltas.append({"tool_calls": [opening]})
        deltas.append({"tool_calls": [{"index": i, "function": {"arguments": arguments}}]})
    for delta in deltas:
        yield {**envelope, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    reason = "tool_calls" if calls else "stop"
    yield {**envelope, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
    if (simulation.request.get("stream_options") or {}).get("include_usage"):
        yield {**envelope, "choices": [], "usage": _usage(simulation)}


def _say(simulation: Simulation) -> tuple[str | None, list[ToolCall]]:
    """Return the text, or the calls that are demanded instead of one."""
    request = simulation.request
    calls = call_tools(simulation, _demanded_tools(request))
    if calls:
        return None, calls
    form = request.get("response_format") or {}
    is_held = form.get("type") == "json_schema"
    schema = (form["json_schema"].get("schema") or {}) if is_held else None
    return simulate_text(simulation, schema), []


def _demanded_tools(request: Any) -> list[tuple[str, Json]]:  # noqa: ANN401 (whatever a client sent)
    """Return name and schema of the tools that must be called."""
    choice = request.get("tool_choice")
    functions = [tool["function"] for tool in request.get("tools") or [] if "function" in tool]
    if isinstance(choice, dict):
        functions = [f for f in functions if f["name"] == choice.get("function", {}).get("name")]
    elif choice != "required":
        return []
    return [(function["name"], function.get("parameters") or {}) for function in functions]


def _call_fields(call: ToolCall) -> Json:
    function = {"name": call.name, "arguments": call.arguments_json}
    return {"id": call.identity, "type": "function", "function": function}


def _envelope(simulation: Simulation, kind: str) -> Json:
    identity = f"chatcmpl-simulated-{simulation.number}"
    return {
        "id": identity,
        "object": kind,
        "created": int(time.time()),
        "model": simulation.name,
    }


def _usage(simulation: Simulation) -> dict[str, int]:
    """Count tokens by the stated rule: the text of all messages in, the answer out."""
    messages = simulation.request.get("messages") or []
    n_input = n_tokens(sum(n_characters(message.get("content")) for message in messages))
    n_output = n_tokens(len(simulation.text))
    return {
        "prompt_tokens": n_input,
        "completion_tokens": n_output,
        "total_tokens": n_input + n_output,
    }
