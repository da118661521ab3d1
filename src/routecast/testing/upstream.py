"""A simulated upstream that speaks every API: no model, its own name as the answer."""

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.types import Receive, Scope, Send

from routecast.testing.asgi import answer_lifespan, read_body, send_answer
from routecast.testing.chat import complete_chat, stream_chat
from routecast.testing.completions import complete_text, stream_text
from routecast.testing.delivery import (
    ClientLeft,
    Line,
    deliver_plain,
    deliver_stream,
    forestall,
    line_of,
    wait_for,
)
from routecast.testing.embeddings import embed_texts
from routecast.testing.faults import Fault
from routecast.testing.messages import answer_message, count_message_tokens, stream_message
from routecast.testing.responses import respond, response_id, stream_response
from routecast.testing.simulation import Json, Simulation


@dataclass(frozen=True)
class _Shape:
    """How one path answers: a whole document (words say what is refused), or a stream."""

    answer: Callable[[Simulation], Json | str]
    stream: Callable[[Simulation], Iterator[bytes]] | None = None


_SHAPES = {
    "/v1/chat/completions": _Shape(complete_chat, stream_chat),
    "/v1/responses": _Shape(respond, stream_response),
    "/v1/completions": _Shape(complete_text, stream_text),
    "/v1/messages": _Shape(answer_message, stream_message),
    "/v1/messages/count_tokens": _Shape(count_message_tokens),
    "/v1/embeddings": _Shape(embed_texts),
}


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
    """An ASGI app with OpenAI's and Anthropic's paths, and ``/v1/models``.

    Answers are plain or streamed, as asked. Every one is simulated: it holds the upstream's own
    name, arrives after ``latency_s``, and follows the rules of ``routecast.testing.simulation``.
    As the real ones do, ``/v1/messages`` wants ``anthropic-version``, and ``/v1/responses`` goes on
    from its own responses only.

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
        answer: str | Callable[[Json], str] | None = None,
        n_recorded: int = 100,
    ) -> None:
        """Set up an upstream that behaves.

        Args:
            name: Its model's name.
            latency_s: Seconds before the first byte of each answer.
            answer: What it says, whatever it is held to, or what gives that for a request's body;
                by default that it is a simulation, and its name, or the plainest document that fits
                a schema.
            n_recorded: How many requests it remembers.
        """
        self.name = name
        self.latency_s = latency_s
        self.requests: deque[RecordedRequest] = deque(maxlen=n_recorded)
        self._answer = answer
        self._faults: deque[Fault] = deque()
        self._responses: deque[str] = deque(maxlen=n_recorded)
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
            await self._serve(scope["path"], body, line_of(scope, receive, send))
        except ClientLeft:
            self.n_cancelled += 1

    def _record(self, scope: Scope, body: bytes) -> None:
        query = scope["query_string"].decode("latin-1")
        headers = [
            (key.decode("latin-1"), text.decode("latin-1")) for key, text in scope["headers"]
        ]
        path = f"{scope['path']}?{query}" if query else scope["path"]
        self.requests.append(RecordedRequest(path, tuple(headers), body))
        self.n_requests += 1

    async def _serve(self, path: str, body: bytes, line: Line) -> None:
        if path == "/v1/models":
            models = [{"id": self.name, "object": "model", "created": 0, "owned_by": "simulated"}]
            await _send_json(line.send, {"object": "list", "data": models})
        elif path in _SHAPES:
            await self._answer_request(path, body, line)
        else:
            await _refuse(line.send, path, f"no such path: {path}", status=404)

    async def _answer_request(self, path: str, body: bytes, line: Line) -> None:
        number = self.n_requests
        fault = self._faults.popleft() if self._faults else None
        await wait_for(self.latency_s, line.receive)
        if await forestall(fault, line):
            return
        try:
            request = json.loads(body)
        except (ValueError, RecursionError) as error:
            await _refuse(line.send, path, f"not JSON: {type(error).__name__}")
            return
        answer = self._answer(request) if callable(self._answer) else self._answer
        simulation = Simulation(
            name=self.name,
            text=answer or f"This is a simulated answer by {self.name}.",
            is_scripted=answer is not None,
            number=number,
            request=request,
        )
        refusal = self._refusal(path, simulation)
        if refusal is not None:
            await _refuse(line.send, path, refusal)
            return
        shape = _SHAPES[path]
        if request.get("stream") and shape.stream is not None:
            await deliver_stream(shape.stream(simulation), fault, line)
            return
        document = shape.answer(simulation)
        if isinstance(document, str):
            await _refuse(line.send, path, document)
        else:
            await deliver_plain(json.dumps(document).encode(), fault, line)

    def _refusal(self, path: str, simulation: Simulation) -> str | None:
        """Say what the real upstream would refuse, and remember what it made."""
        if path.startswith("/v1/messages"):
            if self.requests[-1].header("anthropic-version") is None:
                return "anthropic-version: header is required"
        elif path == "/v1/responses":
            previous = simulation.request.get("previous_response_id")
            if previous is not None and previous not in self._responses:
                return f"Previous response with id '{previous}' not found."
            self._responses.append(response_id(simulation))
        return None


async def _refuse(send: Send, path: str, message: str, *, status: int = 400) -> None:
    error: dict[str, Any] = {"message": message, "type": "invalid_request_error"}
    if path.startswith("/v1/messages"):
        await _send_json(send, {"type": "error", "error": error}, status=status)
    else:
        await _send_json(send, {"error": {**error, "code": None}}, status=status)


async def _send_json(send: Send, document: Mapping[str, Any], *, status: int = 200) -> None:
    headers = {"content-type": "application/json"}
    await send_answer(send, json.dumps(document).encode(), status=status, headers=headers)
