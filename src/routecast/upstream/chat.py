"""One chat completion from one OpenAI-compatible endpoint: one attempt, no memory.

Failures are told apart by what the caller may do about them (``AttemptError``). Messages hold the
model's name and a status; never the key, never a word of request or answer.
"""

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp

from routecast.data.rows import without_lone_surrogates
from routecast.upstream.dialect import Dialect
from routecast.upstream.endpoint import Endpoint
from routecast.upstream.retry import RETRIED_STATUSES, AttemptError, parse_retry_after

Message = Mapping[str, Any]
"""One message of a conversation: ``role`` and ``content``, and whatever else the API knows."""

MAX_REPLY_BYTES = 16 * 2**20
"""A longer answer is refused: no verdict and no answer to a prompt is that long."""

SPENT_QUOTA = "insufficient_quota"
"""OpenAI's code for an account without money: status 429, but waiting does not help."""

SOMETIMES_REFUSED = ("top_logprobs", "logprobs")
"""Parameters that servers refuse in words, without naming them in a field of their own."""

_WORD = re.compile(r"[A-Za-z0-9_.\-]{1,64}")


@dataclass(frozen=True, kw_only=True)
class ChatRequest:
    """What to ask.

    Attributes:
        messages: The conversation, oldest first; at least one.
        max_output_tokens: The answer ends there at the latest.
        temperature: None leaves it to the upstream.
        json_schema: Schema of the reply, an object's; None asks for plain text.
    """

    messages: tuple[Message, ...]
    max_output_tokens: int
    temperature: float | None = None
    json_schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class ChatReply:
    """What came back.

    Attributes:
        text: The answer's text, lone surrogates replaced; empty when the model refused or ran out
            of tokens before it.
        finish_reason: The upstream's word: ``stop``, ``length``; None when it said nothing.
        n_input_tokens: As billed; None when the upstream does not say.
        n_output_tokens: As billed, hidden reasoning included; None likewise.
    """

    text: str
    finish_reason: str | None = None
    n_input_tokens: int | None = None
    n_output_tokens: int | None = None


@dataclass(frozen=True, kw_only=True)
class ChatTimeouts:
    """How long to wait for one answer.

    Attributes:
        connect_s: Until the connection stands.
        read_s: Between any two pieces of the answer, the first included.
        total_s: In all.
    """

    connect_s: float = 10.0
    read_s: float = 600.0
    total_s: float = 3600.0


@asynccontextmanager
async def open_session() -> AsyncIterator[aiohttp.ClientSession]:
    """Open the connections that chat calls share; without cookies and limits of their own."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
    ) as session:
        yield session


def chat_body(
    endpoint: Endpoint, request: ChatRequest, dialect: Dialect | None = None
) -> dict[str, Any]:
    """Return the JSON object to send."""
    dialect = dialect or Dialect()
    body: dict[str, Any] = {
        "model": endpoint.model,
        "messages": list(request.messages),
        dialect.output_limit: request.max_output_tokens,
    }
    if request.temperature is not None and dialect.takes_temperature:
        body["temperature"] = request.temperature
    if request.json_schema is not None:
        schema = {"name": "reply", "strict": True, "schema": request.json_schema}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


async def send_chat(
    session: aiohttp.ClientSession,
    endpoint: Endpoint,
    request: ChatRequest,
    *,
    timeouts: ChatTimeouts,
    dialect: Dialect | None = None,
) -> ChatReply:
    """Ask once.

    Raises:
        AttemptError: When there is no usable answer, with what is known about the reason. Nothing
            is retried and no redirect is followed.
    """
    body = chat_body(endpoint, request, dialect)
    reply = await post_json(session, endpoint, "/chat/completions", body, timeouts=timeouts)
    return read_reply(reply, who=f"model {endpoint.name!r}")


async def post_json(
    session: aiohttp.ClientSession,
    endpoint: Endpoint,
    path: str,
    body: Mapping[str, Any],
    *,
    timeouts: ChatTimeouts,
) -> bytes:
    """Send one JSON object to an endpoint, and return the body of its answer of status 200.

    Raises:
        AttemptError: When there is no whole answer, or one of another status.
    """
    who = f"model {endpoint.name!r}"
    timeout = aiohttp.ClientTimeout(
        total=timeouts.total_s, sock_connect=timeouts.connect_s, sock_read=timeouts.read_s
    )
    try:
        async with session.post(
            endpoint.url(path),
            json=body,
            headers=endpoint.headers(),
            timeout=timeout,
            allow_redirects=False,
        ) as response:
            reply = await _read_body(response, who)
            if response.status != 200:
                raise _refusal(response, reply, endpoint)
            return reply
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise AttemptError(
            f"{who} cannot be reached ({type(error).__name__}); check its base_url and that it "
            "is running",
            is_transient=True,
        ) from None
    except TimeoutError:
        raise AttemptError(
            f"{who} did not answer in time", is_transient=True, may_be_charged=True
        ) from None
    except aiohttp.ClientError as error:
        raise AttemptError(
            f"{who} broke off its answer ({type(error).__name__})",
            is_transient=True,
            may_be_charged=True,
        ) from None


def read_reply(body: bytes, *, who: str) -> ChatReply:
    """Read the body of a chat completion.

    Raises:
        AttemptError: If it is not JSON, or holds no first choice with a message.
    """
    try:
        document = json.loads(body)
        choice = document["choices"][0]
        message = choice["message"]
        text = _text_of(message.get("content"))
        usage = document.get("usage")
        reason = choice.get("finish_reason")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        raise AttemptError(
            f"{who} answered with something that is no chat completion",
            status=200,
            is_transient=True,
            may_be_charged=True,
        ) from None
    usage = usage if isinstance(usage, dict) else {}
    return ChatReply(
        text=without_lone_surrogates(text),
        finish_reason=reason if isinstance(reason, str) else None,
        n_input_tokens=_count(usage.get("prompt_tokens")),
        n_output_tokens=_count(usage.get("completion_tokens")),
    )


async def _read_body(response: aiohttp.ClientResponse, who: str) -> bytes:
    chunks = bytearray()
    async for chunk in response.content.iter_chunked(2**16):
        chunks += chunk
        if len(chunks) > MAX_REPLY_BYTES:
            raise AttemptError(
                f"{who} sent more than {MAX_REPLY_BYTES} bytes",
                status=response.status,
                is_transient=False,
                may_be_charged=True,
            )
    return bytes(chunks)


def _refusal(response: aiohttp.ClientResponse, body: bytes, endpoint: Endpoint) -> AttemptError:
    """Say what a status other than 200 means; of the body, only short single words are used."""
    fault = _fault(body)
    code = _word(fault.get("code"), endpoint)
    parameter = _word(fault.get("param"), endpoint) or _named_in(fault.get("message"))
    kind = code or _word(fault.get("type"), endpoint)
    retry_after = response.headers.get("Retry-After")
    return AttemptError(
        f"model {endpoint.name!r} answered status {response.status}{f' ({kind})' if kind else ''}",
        status=response.status,
        is_transient=response.status in RETRIED_STATUSES and code != SPENT_QUOTA,
        retry_after_s=parse_retry_after(retry_after, now=datetime.now(UTC)),
        parameter=parameter,
        code=code,
    )


def _fault(body: bytes) -> Mapping[str, Any]:
    """Return the error object of a refusal; empty when there is none.

    Some servers put its fields at the top (vLLM until 0.10), or give a message only (Ollama).
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(document, dict):
        return {}
    fault = document.get("error", document)
    return fault if isinstance(fault, dict) else {"message": fault}


def _named_in(message: object) -> str | None:
    """Return the parameter that a refusal is about, where only its text says so.

    Of the text, nothing but our own names of parameters is ever passed on.
    """
    if not isinstance(message, str):
        return None
    return next((name for name in SOMETIMES_REFUSED if name in message), None)


def _word(value: object, endpoint: Endpoint) -> str | None:
    """Return a value that is a plain word and gives nothing away."""
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        return None
    return None if endpoint.api_key and endpoint.api_key in value else value


def _text_of(content: Any) -> str:  # noqa: ANN401 (whatever the upstream sent)
    """Return the text of a message's content; the parts' texts joined where it has parts."""
    if isinstance(content, list):
        return "".join(part["text"] for part in content if part.get("type") == "text")
    if content is None:
        return ""
    if not isinstance(content, str):
        raise TypeError(type(content))
    return content


def _count(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None
