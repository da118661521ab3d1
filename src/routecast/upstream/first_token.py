"""The most probable first tokens of an answer, from an OpenAI-compatible endpoint: one attempt.

Two APIs are asked: ``/chat/completions``, whose server puts its chat template around the text, and
``/completions``, which takes the text as it is. Their answers come in two shapes: OpenAI's chat,
vLLM's chat, Ollama and llama.cpp (for both APIs) give a list of token objects, OpenAI's and vLLM's
``/completions`` give parallel lists.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from routecast.upstream.apis import Api
from routecast.upstream.chat import ChatTimeouts, post_json
from routecast.upstream.dialect import Dialect
from routecast.upstream.endpoint import Endpoint
from routecast.upstream.retry import AttemptError

_PATHS: Final = {Api.CHAT: "/chat/completions", Api.COMPLETIONS: "/completions"}

NEVER: Final = -9999.0
"""Servers write -9999, or the lowest float, for a probability of 0."""

NO_LOGPROBS: Final = "no_logprobs"
"""Our own code for an answer of status 200 that leaves log-probabilities out."""


@dataclass(frozen=True, kw_only=True)
class TokenChance:
    """One token that may come first.

    Attributes:
        token: Its text as the server writes it.
        logprob: Natural logarithm of its probability, 0 or less; -inf for 0.
    """

    token: str
    logprob: float


@dataclass(frozen=True, kw_only=True)
class FirstTokenRequest:
    """What to ask.

    Attributes:
        text: The whole instruction.
        api: ``CHAT`` or ``COMPLETIONS``.
        n_top: How many tokens to return.
    """

    text: str
    api: Api
    n_top: int


def first_token_body(
    endpoint: Endpoint, request: FirstTokenRequest, dialect: Dialect | None = None
) -> dict[str, Any]:
    """Return the JSON object to send: one token, the most probable one."""
    dialect = dialect or Dialect()
    body: dict[str, Any] = {"model": endpoint.model}
    if request.api is Api.CHAT:
        body["messages"] = [{"role": "user", "content": request.text}]
        body |= {"logprobs": True, "top_logprobs": request.n_top, dialect.output_limit: 1}
    else:
        body |= {"prompt": request.text, "logprobs": request.n_top, "max_tokens": 1}
    if dialect.takes_temperature:
        body["temperature"] = 0.0
    return body


async def send_first_token(
    session: aiohttp.ClientSession,
    endpoint: Endpoint,
    request: FirstTokenRequest,
    *,
    timeouts: ChatTimeouts,
    dialect: Dialect | None = None,
) -> tuple[TokenChance, ...]:
    """Ask once.

    Returns:
        The most probable tokens that may come first, the most probable first, each text once;
        empty when the answer ended before its first token.

    Raises:
        AttemptError: When there is no usable answer. Its ``parameter`` is ``logprobs`` or
            ``top_logprobs`` where the model refuses these, its ``code`` is `NO_LOGPROBS` where it
            answers without them. Nothing is retried.
    """
    body = first_token_body(endpoint, request, dialect)
    reply = await post_json(session, endpoint, _PATHS[request.api], body, timeouts=timeouts)
    return read_first_token(reply, who=f"model {endpoint.name!r}")


def read_first_token(body: bytes, *, who: str) -> tuple[TokenChance, ...]:
    """Read the body of an answer, in either shape.

    Raises:
        AttemptError: If it is no completion, or has no log-probabilities.
    """
    try:
        choice = json.loads(body)["choices"][0]
        found = choice.get("logprobs")
        chances = None if found is None else list(_chances(found))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise AttemptError(
            f"{who} answered with something that is no completion with log-probabilities",
            status=200,
            is_transient=True,
            may_be_charged=True,
        ) from None
    if chances is None:
        raise AttemptError(
            f"{who} answered without log-probabilities",
            status=200,
            is_transient=False,
            may_be_charged=True,
            code=NO_LOGPROBS,
        )
    best: dict[str, float] = {}
    for token, logprob in chances:
        best[token] = max(logprob, best.get(token, -math.inf))
    ordered = sorted(best.items(), key=lambda one: -one[1])
    return tuple(TokenChance(token=token, logprob=logprob) for token, logprob in ordered)


def _chances(logprobs: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield token and log-probability of whatever may stand at the first place."""
    if "tokens" in logprobs:
        for column in logprobs["top_logprobs"][:1] if logprobs.get("top_logprobs") else []:
            yield from ((token, _logprob(value)) for token, value in (column or {}).items())
        for token, value in list(zip(logprobs["tokens"], logprobs["token_logprobs"], strict=True))[
            :1
        ]:
            yield token, _logprob(value)
        return
    for entry in (logprobs["content"] or [])[:1]:
        for one in (*(entry.get("top_logprobs") or []), entry):
            yield _text(one["token"]), _logprob(one["logprob"])


def _text(token: object) -> str:
    if not isinstance(token, str):
        raise TypeError(type(token))
    return token


def _logprob(value: object) -> float:
    """Read a log-probability; what servers write for a probability of 0 becomes -inf."""
    if value is None:
        return -math.inf
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise TypeError(value)
    return -math.inf if value <= NEVER else min(0.0, float(value))
