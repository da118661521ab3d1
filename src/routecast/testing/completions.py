"""Simulated text completions, in OpenAI's older shape."""

import time
from collections.abc import Iterator

from routecast.testing.simulation import Json, Simulation, events_of, n_tokens, words_of


def complete_text(simulation: Simulation) -> Json:
    """Return a whole answer."""
    return {**_envelope(simulation, simulation.text, "stop"), "usage": _usage(simulation)}


def stream_text(simulation: Simulation) -> Iterator[bytes]:
    """Yield the answer as server-sent events, one word each."""
    yield from events_of((None, chunk) for chunk in _chunks(simulation))
    yield b"data: [DONE]\n\n"


def _chunks(simulation: Simulation) -> Iterator[Json]:
    for word in words_of(simulation.text):
        yield _envelope(simulation, word, None)
    yield _envelope(simulation, "", "stop")
    if (simulation.request.get("stream_options") or {}).get("include_usage"):
        yield {**_envelope(simulation, "", None), "choices": [], "usage": _usage(simulation)}


def _envelope(simulation: Simulation, text: str, reason: str | None) -> Json:
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": reason}
    return {
        "id": f"cmpl-simulated-{simulation.number}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": simulation.name,
        "choices": [choice],
    }


def _usage(simulation: Simulation) -> dict[str, int]:
    prompt = simulation.request.get("prompt") or ""
    texts = [prompt] if isinstance(prompt, str) else prompt
    n_input = n_tokens(sum(len(text) for text in texts if isinstance(text, str)))
    n_output = n_tokens(len(simulation.text))
    return {
        "prompt_tokens": n_input,
        "completion_tokens": n_output,
        "total_tokens": n_input + n_output,
    }
