"""One upstream call as a byte relay: what the upstream says goes to the client as it comes.

Retries, fallback chains and breakers will stand around ``forward``, before its first byte.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO

import aiohttp
from multidict import CIMultiDict, istr
from starlette.types import Receive, Send
from yarl import URL

from routecast.errors import ConfigError, UpstreamError, UpstreamTimeoutError
from routecast.gateway.errors import error_object
from routecast.gateway.events import EventCutter
from routecast.gateway.headers import RawHeaders, client_headers
from routecast.upstream.endpoint import Endpoint

_LOGGER = logging.getLogger("routecast.gateway")
_MAX_BYTES_AT_ONCE = 1 << 20  # larger bodies are written in pieces, so that the loop stays free
_AUTOMATIC = (istr("Accept"), istr("Accept-Encoding"), istr("Content-Type"), istr("User-Agent"))


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """An endpoint with everything about a chat call that does not change between calls.

    Attributes:
        endpoint: Where the model is.
        chat_url: The address of its chat completions.
        model_json: Its own name for the model, as a JSON string.
        timeout: How long one call may wait.
    """

    endpoint: Endpoint
    chat_url: URL
    model_json: bytes
    timeout: aiohttp.ClientTimeout


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One request as it goes upstream.

    Attributes:
        upstream: Whom to ask.
        query: The query string of the client's request.
        headers: With the upstream's key.
        body: With the upstream's name for the model.
    """

    upstream: Upstream
    query: bytes
    headers: CIMultiDict[str]
    body: bytes

    @property
    def name(self) -> str:
        """The model's name in the settings."""
        return self.upstream.endpoint.name


def prepare_upstream(endpoint: Endpoint) -> Upstream:
    """Make an endpoint ready for calls.

    Raises:
        ConfigError: If its base URL is not a URL.
    """
    try:
        chat_url = URL(endpoint.url("/chat/completions"))
    except ValueError as error:
        raise ConfigError(f"models.{endpoint.name}.base_url is not a URL: {error}") from None
    timeouts = endpoint.timeouts
    return Upstream(
        endpoint=endpoint,
        chat_url=chat_url,
        model_json=json.dumps(endpoint.model).encode(),
        timeout=aiohttp.ClientTimeout(
            total=timeouts.total_s, connect=timeouts.connect_s, sock_read=timeouts.first_byte_s
        ),
    )


@asynccontextmanager
async def open_session() -> AsyncIterator[aiohttp.ClientSession]:
    """Open the pool of upstream connections, and close it at the end.

    It keeps nothing of an answer and changes nothing in it: no cookies, no decompression.
    """
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    ) as session:
        yield session


async def forward(
    session: aiohttp.ClientSession,
    call: Call,
    *,
    answer_headers: RawHeaders,
    receive: Receive,
    send: Send,
) -> None:
    """Send a request upstream and pass the answer on, until either side leaves.

    Args:
        session: The pool of connections.
        call: What to send, and to whom.
        answer_headers: What is added to the answer's headers.
        receive: Tells when the client leaves: then the call is cancelled at once.
        send: Takes the answer, as fast as the client takes it.

    Raises:
        UpstreamError: If the upstream failed before the first byte of an answer.
    """
    worker = asyncio.current_task()
    watcher = asyncio.create_task(_cancel_when_client_leaves(receive, worker))
    try:
        response = await _ask(session, call)
        try:
            await _answer(response, call.upstream.endpoint, answer_headers, send)
        finally:
            response.close()  # drops the connection unless the answer was read to its end
    except asyncio.CancelledError:
        if worker is None or not watcher.done():
            raise
        worker.uncancel()
        _LOGGER.info("the client left; the call to model %r is cancelled", call.name)
    finally:
        watcher.cancel()


async def _cancel_when_client_leaves(
    receive: Receive, worker: "asyncio.Task[object] | None"
) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    if worker is not None:
        worker.cancel()


async def _ask(session: aiohttp.ClientSession, call: Call) -> aiohttp.ClientResponse:
    """Return the upstream's answer once its head is there."""
    url = call.upstream.chat_url
    if call.query:
        url = URL(f"{url}?{call.query.decode('latin-1')}", encoded=True)
    absent = [header for header in _AUTOMATIC if header not in call.headers]
    try:
        return await session.post(
            url,
            data=call.body if len(call.body) <= _MAX_BYTES_AT_ONCE else BytesIO(call.body),
            headers=call.headers,
            skip_auto_headers=absent or None,  # the client's silence is passed on too
            allow_redirects=False,
            timeout=call.upstream.timeout,
        )
    except TimeoutError as error:
        step = "connect" if isinstance(error, aiohttp.ConnectionTimeoutError) else "answer"
        _LOGGER.warning("model %r did not %s in time", call.name, step)
        raise UpstreamTimeoutError(
            f"model {call.name!r} did not {step} in time; try again"
        ) from None
    except aiohttp.ClientError as error:
        _LOGGER.warning("model %r failed before an answer: %s", call.name, _kind(error))
        raise UpstreamError(
            f"model {call.name!r} could not be reached or broke off before it answered; try again"
        ) from None


def _kind(error: Exception) -> str:
    """Name an error for the log, without its text: that may hold what was sent."""
    reason = error.strerror if isinstance(error, OSError) else None
    return f"{type(error).__name__} ({reason})" if reason else type(error).__name__


async def _answer(
    response: aiohttp.ClientResponse,
    endpoint: Endpoint,
    answer_headers: RawHeaders,
    send: Send,
) -> None:
    """Pass status, headers and body on."""
    connection = response.connection
    if connection is not None and connection.protocol is not None:
        connection.protocol.read_timeout = endpoint.timeouts.between_chunks_s
    headers = client_headers(response.raw_headers)
    cutter = EventCutter() if _is_open_event_stream(headers) else None
    headers += answer_headers
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    content = response.content
    more = True
    while more:
        try:
            chunk = await content.readany()
        except (aiohttp.ClientError, TimeoutError) as error:
            _LOGGER.warning("model %r broke off: %s", endpoint.name, _kind(error))
            await _end_broken(endpoint.name, cutter, send)
            return
        more = not content.at_eof()
        if cutter is not None:
            chunk = cutter.feed(chunk) if more else cutter.feed(chunk) + cutter.flush()
        if chunk or not more:
            await send({"type": "http.response.body", "body": chunk, "more_body": more})


def _is_open_event_stream(headers: RawHeaders) -> bool:
    """Return whether an event could be added at the end of this answer."""
    named = dict(headers)
    return (
        named.get(b"content-type", b"").lower().startswith(b"text/event-stream")
        and b"content-length" not in named
        and named.get(b"content-encoding", b"identity") == b"identity"
    )


async def _end_broken(name: str, cutter: EventCutter | None, send: Send) -> None:
    """Tell the client that the answer is incomplete.

    Between two events, that is an error event and the end of the stream. Anywhere else nothing
    can be said any more: the answer is left without its end, and the server drops the connection.
    """
    if cutter is None or cutter.inside_event:
        return
    error = UpstreamError(f"model {name!r} broke off in the middle of its answer; try again")
    event = b"data: " + error_object(error) + b"\n\n"
    await send({"type": "http.response.body", "body": event, "more_body": False})
