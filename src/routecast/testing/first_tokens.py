"""A fake model that gives log-probabilities, in the shapes of the servers that do."""

import asyncio
import json
import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

from starlette.types import Receive, Scope, Send

from routecast.testing.asgi import answer_lifespan, read_body, send_answer
from routecast.testing.faults import Fault, Hang, Refuse
from routecast.testing.upstream import RecordedRequest

Server = Literal["openai", "vllm", "llama.cpp", "ollama"]
"""Whose answers are imitated."""

Distribution = Callable[[str], Mapping[str, float]]
"""Called with the whole text that was sent; returns the probability of each first token."""

LOWEST_FLOAT = -3.4028234663852886e38
"""What llama.cpp writes for the logarithm of 0; vLLM and OpenAI write -9999."""

_MAX_TOP = {"openai": 20, "vllm": 20, "llama.cpp": 10_000, "ollama": 20}


class FakeFirstTokens:
    """An ASGI app with ``/v1/chat/completions`` and ``/v1/completions`` that returns logprobs.

    Attributes:
        requests: The last requests that arrived, oldest first.
        n_requests: How many arrived in all.
        n_at_once: The most that were under way at a time.
    """

    def __init__(
        self,
        server: Server,
        distribution: Distribution,
        *,
        gives_logprobs: bool = True,
        latency_s: float = 0.0,
    ) -> None:
        """Set up a server that behaves.

        Args:
            server: Whose shapes it answers in.
            distribution: What its model says.
            gives_logprobs: Otherwise it refuses them as that server does: OpenAI and vLLM with a
                status, llama.cpp and Ollama by leaving them out.
            latency_s: Seconds before each answer.

        Raises:
            ValueError: If nobody knows such a server.
        """
        if server not in get_args(Server):
            raise ValueError(f"unknown server {server!r}; choose one of {get_args(Server)!r}")
        self.requests: deque[RecordedRequest] = deque(maxlen=100)
        self.n_requests = 0
        self.n_at_once = 0
        self._server, self._distribution = server, distribution
        self._gives_logprobs, self._latency_s = gives_logprobs, latency_s
        self._faults: deque[Fault | None] = deque()
        self._n_under_way = 0

    def misbehave(self, *faults: Fault | None) -> None:
        """Give each of the next requests one of these faults: `Refuse`, `Hang`, None for none."""
        self._faults.extend(faults)

    def clear(self) -> None:
        """Forget the faults that are still to come."""
        self._faults.clear()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send)
            return
        body = await read_body(receive)
        headers = [
            (key.decode("latin-1"), text.decode("latin-1")) for key, text in scope["headers"]
        ]
        self.requests.append(RecordedRequest(scope["path"], tuple(headers), body))
        self.n_requests += 1
        self._n_under_way += 1
        self.n_at_once = max(self.n_at_once, self._n_under_way)
        try:
            await self._serve(scope["path"], body, send)
        finally:
            self._n_under_way -= 1

    async def _serve(self, path: str, body: bytes, send: Send) -> None:
        fault = self._faults.popleft() if self._faults else None
        pause_s = self._latency_s + (fault.duration_s if isinstance(fault, Hang) else 0.0)
        await asyncio.sleep(pause_s)
        if isinstance(fault, Refuse):
            await send_answer(send, fault.body, status=fault.status, headers=fault.headers)
            return
        status, document = self._answer(path, json.loads(body))
        headers = {"content-type": "application/json"}
        await send_answer(send, json.dumps(document).encode(), status=status, headers=headers)

    def _answer(self, path: str, request: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        if path not in ("/v1/chat/completions", "/v1/completions"):
            return 404, {"error": {"message": f"no such path: {path}", "code": None}}
        is_chat = path == "/v1/chat/completions"
        n_top = request.get("top_logprobs" if is_chat else "logprobs") or 0
        if n_top and not self._gives_logprobs and self._server in ("openai", "vllm"):
            return 400, refusal_of_logprobs(self._server)
        if n_top > _MAX_TOP[self._server]:
            return 400, refusal_of_many(n_top, _MAX_TOP[self._server])
        text = request["messages"][-1]["content"] if is_chat else request["prompt"]
        ranked = sorted(self._distribution(text).items(), key=lambda one: -one[1])
        logprobs = None
        if n_top and self._gives_logprobs:
            as_lists = not is_chat and self._server in ("openai", "vllm")
            entries = [self._entry(token, chance) for token, chance in ranked[:n_top]]
            logprobs = _parallel(entries) if as_lists else _listed(entries)
        return 200, self._completion(ranked[0][0] if ranked else "", logprobs, is_chat=is_chat)

    def _entry(self, token: str, chance: float) -> dict[str, Any]:
        """Return one token as the server describes it."""
        lowest = LOWEST_FLOAT if self._server == "llama.cpp" else -9999.0
        logprob = math.log(chance) if chance > 0 else lowest
        entry: dict[str, Any] = {"token": token, "logprob": logprob}
        if self._server != "ollama":
            entry["bytes"] = list(token.encode())
        if self._server == "llama.cpp":
            entry["id"] = len(token)
        return entry

    def _completion(
        self, text: str, logprobs: Mapping[str, Any] | None, *, is_chat: bool
    ) -> dict[str, Any]:
        answer: dict[str, Any] = (
            {"message": {"role": "assistant", "content": text}} if is_chat else {"text": text}
        )
        choice = {"index": 0, **answer, "finish_reason": "length"}
        if logprobs is not None or self._server in ("openai", "vllm"):
            choice["logprobs"] = logprobs
        return {
            "id": f"simulated-{self.n_requests}",
            "object": "chat.completion" if is_chat else "text_completion",
            "created": 0,
            "model": "simulated",
            "choices": [choice],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }


def _listed(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Token objects: the shape of chat, and of all of llama.cpp."""
    if not entries:
        return {"content": []}
    return {"content": [{**entries[0], "top_logprobs": entries}]}


def _parallel(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Parallel lists: the shape of OpenAI's and vLLM's text completions."""
    first = entries[:1]
    return {
        "text_offset": [0 for _ in first],
        "tokens": [one["token"] for one in first],
        "token_logprobs": [one["logprob"] for one in first],
        "top_logprobs": [{one["token"]: one["logprob"] for one in entries} for _ in first],
    }


def refusal_of_logprobs(server: Server) -> dict[str, Any]:
    """Return the body with which a server refuses log-probabilities."""
    if server == "vllm":
        message = "logprobs is not supported for this model"
        return {"object": "error", "message": message, "type": "BadRequestError", "code": 400}
    return {
        "error": {
            "message": "Unsupported parameter: 'logprobs' is not supported with this model.",
            "type": "invalid_request_error",
            "param": "logprobs",
            "code": "unsupported_parameter",
        }
    }


def refusal_of_many(n_asked: int, n_allowed: int) -> dict[str, Any]:
    """Return the body with which vLLM refuses to return so many tokens."""
    message = (
        f"Requested sample logprobs of {n_asked}, which is greater than max allowed: {n_allowed}"
    )
    return {"error": {"message": message, "type": "BadRequestError", "param": None, "code": 400}}
