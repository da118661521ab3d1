"""A simulated OpenAI-compatible upstream: no model, its own name as the answer."""

import asyncio
import gzip
import json
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from starlette.types import Receive, Scope, Send

from routecast.testing.asgi import answer_lifespan, read_body, send_answer
from routecast.testing.faults import Fault, Gzip, Hang, Refuse, StopMidStream

CHARACTERS_PER_TOKEN = 4
"""The stated rule of the simulated usage: one token per four characters, rounded up."""


@dataclass(frozen=True)
class RecordedRequest:
    """One request as it arrived.

    Attributes:
        path: With the query string, if there was one.
        headers: In order of arrival, names in lower case.
        body: Every byte of it.
    """

    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the first value of a header, or None."""
        return next((value for key, value in self.headers if key == name), None)


class FakeUpstream:
    """An ASGI app with ``/v1/chat/completions``, ``/v1/embeddings`` and ``/v1/models``.

    Completions are plain or streamed, as asked.

    Every answer is simulated: it holds the upstream's own name, arrives after ``latency_s``, and
    its token usage follows the rule of ``CHARACTERS_PER_TOKEN``.

    Attributes:
        name: Its model's name, and what it says.
        latency_s: Seconds before the first byte of each answer.
        requests: The last requests that arrived, oldest first.
        n_requests: How many arrived in all.
        n_cancelled: How many clients left before their answer was complete.
    """

    def __init__(
        self,
        name: str,
        *,
        latency_s: float = 0.0,
        answer: str | None = None,
        n_recorded: int = 100,
    ) -> None:
        """Set up an upstream that behaves.

        Args:
            name: Its model's name.
            latency_s: Seconds before the first byte of each answer.
            answer: What it says; by default that it is a simulation, and its name.
            n_recorded: How many requests it remembers.
        """
        self.name = name
        self.latency_s = latency_s
        self.requests: deque[RecordedRequest] = deque(maxlen=n_recorded)
        self._answer = answer or f"This is a simulated answer by {name}."
        self._faults: deque[Fault] = deque()
        self.reset()

    def reset(self) -> None:
        """Forget every request and every fault that is still to come."""
        self.requests.clear()
        self._faults.clear()
        self.n_requests = 0
        self.n_cancelled = 0

    def misbehave(self, *faults: Fault) -> None:
        """Give each of the next requests one of these faults, in order."""
        self._faults.extend(faults)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send)
            return
        body = await read_body(receive)
        self._record(scope, body)
        try:
            await self._serve(scope, body, send, receive)
        except _ClientLeft:
            self.n_cancelled += 1

    def _record(self, scope: Scope, body: bytes) -> None:
        query = scope["query_string"].decode("latin-1")
        headers = [
            (key.decode("latin-1"), text.decode("latin-1")) for key, text in scope["headers"]
        ]
        path = f"{scope['path']}?{query}" if query else scope["path"]
        self.requests.append(RecordedRequest(path, tuple(headers), body))
        self.n_requests += 1

    async def _serve(self, scope: Scope, body: bytes, send: Send, receive: Receive) -> None:
        if scope["path"] == "/v1/models":
            models = [{"id": self.name, "object": "model", "created": 0, "owned_by": "simulated"}]
            await _send_json(send, {"object": "list", "data": models})
        elif scope["path"] == "/v1/chat/completions":
            await self._complete(body, send, receive)
        elif scope["path"] == "/v1/embeddings":
            await self._embed(body, send, receive)
        else:
            await _send_json(send, _error(f"no such path: {scope['path']}"), status=404)

    async def _complete(self, body: bytes, send: Send, receive: Receive) -> None:
        fault = self._faults.popleft() if self._faults else None
        await _sleep(self.latency_s, receive)
        if isinstance(fault, Hang):
            await _sleep(fault.duration_s, receive)
        if isinstance(fault, Refuse):
            await send_answer(send, fault.body, status=fault.status, headers=fault.headers)
            return
        try:
            request = json.loads(body)
        except (ValueError, RecursionError) as error:
            await _send_json(send, _error(f"not JSON: {type(error).__name__}"), status=400)
            return
        usage = _usage(request, self._answer)
        if request.get("stream"):
            events = list(self._events(request, usage))
            await self._stream(events, fault, send, receive)
        else:
            answer = json.dumps(self._completion(usage)).encode()
            await self._send_plain(answer, fault, send, receive)

    async def _embed(self, body: bytes, send: Send, receive: Receive) -> None:
        """Answer with `simulated_embedding` of each text, the last one first."""
        fault = self._faults.popleft() if self._faults else None
        await _sleep(self.latency_s, receive)
        if isinstance(fault, Hang):
            await _sleep(fault.duration_s, receive)
        if isinstance(fault, Refuse):
            await send_answer(send, fault.body, status=fault.status, headers=fault.headers)
            return
        try:
            given = json.loads(body)["input"]
        except (ValueError, RecursionError, KeyError, TypeError) as error:
            await _send_json(send, _error(f"no input: {type(error).__name__}"), status=400)
            return
        texts = [given] if isinstance(given, str) else given
        if not texts or not all(isinstance(text, str) and text for text in texts):
            await _send_json(send, _error("an input is empty or no text"), status=400)
            return
        entries = [
            {"object": "embedding", "index": index, "embedding": simulated_embedding(text)}
            for index, text in reversed(list(enumerate(texts)))
        ]
        n_tokens = _n_tokens(sum(map(len, texts)))
        usage = {"prompt_tokens": n_tokens, "total_tokens": n_tokens}
        answer = {"object": "list", "data": entries, "model": self.name, "usage": usage}
        await self._send_plain(json.dumps(answer).encode(), fault, send, receive)

    def _completion(self, usage: Mapping[str, int]) -> dict[str, Any]:
        message = {"role": "assistant", "content": self._answer, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        return {**self._envelope("chat.completion"), "choices": [choice], "usage": usage}

    def _envelope(self, kind: str) -> dict[str, Any]:
        identity = f"chatcmpl-simulated-{self.n_requests}"
        return {"id": identity, "object": kind, "created": int(time.time()), "model": self.name}

    def _events(self, request: Mapping[str, Any], usage: Mapping[str, int]) -> Iterator[bytes]:
        """The answer as server-sent events, one word each."""
        envelope = self._envelope("chat.completion.chunk")
        deltas: list[dict[str, str]] = [{"role": "assistant", "content": ""}]
        deltas += [{"content": word} for word in _words(self._answer)]
        for delta in deltas:
            choice = {"index": 0, "delta": delta, "finish_reason": None}
            yield _event({**envelope, "choices": [choice]})
        yield _event({**envelope, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if (request.get("stream_options") or {}).get("include_usage"):
            yield _event({**envelope, "choices": [], "usage": usage})
        yield b"data: [DONE]\n\n"

    async def _send_plain(
        self, answer: bytes, fault: Fault | None, send: Send, receive: Receive
    ) -> None:
        headers = {"content-type": "application/json"}
        if isinstance(fault, Gzip):
            answer = gzip.compress(answer)
            headers["content-encoding"] = "gzip"
        if isinstance(fault, StopMidStream):
            headers["content-length"] = str(len(answer))
            await send_answer(send, answer[: len(answer) // 2], headers=headers, more=True)
            await _sleep(fault.hang_s, receive)
            return  # the server drops the connection of an app that stops here
        await send_answer(send, answer, headers=headers)

    async def _stream(
        self, events: list[bytes], fault: Fault | None, send: Send, receive: Receive
    ) -> None:
        headers = {"content-type": "text/event-stream; charset=utf-8"}
        if isinstance(fault, Gzip):
            headers["content-encoding"] = "gzip"
            await send_answer(send, gzip.compress(b"".join(events)), headers=headers)
            return
        stop = fault if isinstance(fault, StopMidStream) else None
        sent = events if stop is None else [*events[: stop.n_events], stop.tail]
        await send_answer(send, b"", headers=headers, more=True)
        for event in sent:
            await send({"type": "http.response.body", "body": event, "more_body": True})
            await asyncio.sleep(0)
        if stop is None:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await _sleep(stop.hang_s, receive)


def simulated_embedding(text: str) -> list[float]:
    """Return eight numbers that a hash of the text decides, in [-1, 1]; not of length 1."""
    return [byte / 127.5 - 1.0 for byte in blake2b(text.encode(), digest_size=8).digest()]


class _ClientLeft(Exception):  # noqa: N818 (it is an event, not a fault)
    """The client closed the connection."""


async def _sleep(duration_s: float, receive: Receive) -> None:
    """Wait, unless the client leaves."""
    if duration_s <= 0:
        return
    try:
        async with asyncio.timeout(duration_s):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return
    raise _ClientLeft


def _words(text: str) -> list[str]:
    first, *rest = text.split(" ")
    return [first, *(f" {word}" for word in rest)]


def _event(chunk: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "code": None}}


async def _send_json(send: Send, document: Mapping[str, Any], *, status: int = 200) -> None:
    headers = {"content-type": "application/json"}
    await send_answer(send, json.dumps(document).encode(), status=status, headers=headers)


def _n_tokens(n_characters: int) -> int:
    return -(-n_characters // CHARACTERS_PER_TOKEN)


def _usage(request: Mapping[str, Any], answer: str) -> dict[str, int]:
    """Count tokens by the stated rule: the text of all messages in, the answer out."""
    n_input = _n_tokens(sum(_n_characters(m.get("content")) for m in request.get("messages", [])))
    n_output = _n_tokens(len(answer))
    return {
        "prompt_tokens": n_input,
        "completion_tokens": n_output,
        "total_tokens": n_input + n_output,
    }


def _n_characters(content: str | list[dict[str, Any]] | None) -> int:
    if isinstance(content, list):
        return sum(len(part.get("text") or "") for part in content)
    return len(content or "")
