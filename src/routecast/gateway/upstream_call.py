"""One try of one upstream, down to the bytes: what it answered, or why it did not."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy, istr
from yarl import URL

from routecast.gateway.failures import Failure, describe_failure
from routecast.gateway.plan import Plan, Upstream
from routecast.upstream.chat import SPENT_QUOTA
from routecast.upstream.retry import parse_retry_after

_LOGGER = logging.getLogger("routecast.gateway")
_MAX_BYTES_AT_ONCE = 1 << 18  # larger bodies are written in pieces, so that the loop stays free
_AUTOMATIC = (istr("Accept"), istr("Accept-Encoding"), istr("Content-Type"), istr("User-Agent"))
_SPENT = SPENT_QUOTA.encode()


async def post(
    session: aiohttp.ClientSession, plan: Plan, upstream: Upstream
) -> aiohttp.ClientResponse | Failure:
    """Return the upstream's answer once its head is there, or why there is none."""
    url = upstream.urls[plan.surface.upstream_path]
    if plan.query:
        url = URL(f"{url}?{plan.query.decode('latin-1')}", encoded=True)
    headers = plan.headers_for(upstream)
    body = plan.body_for(upstream)
    absent = [header for header in _AUTOMATIC if header not in headers]
    try:
        return await session.post(
            url,
            data=body if len(body) <= _MAX_BYTES_AT_ONCE else _pieces_of(body, headers),
            headers=headers,
            skip_auto_headers=absent or None,  # the client's silence is passed on too
            allow_redirects=False,
            timeout=upstream.timeout,
        )
    except (aiohttp.ClientError, TimeoutError) as error:
        failure = _failure_before_an_answer(error)
        _log(upstream, failure, error)
        return failure


def _pieces_of(body: bytes, headers: CIMultiDict[str]) -> AsyncIterator[bytes]:
    """Return a large body in pieces; its length is said, so that they are not sent as chunks.

    Left to itself, the client would write as long as the upstream takes it, and nobody else would
    have a turn.
    """
    headers["Content-Length"] = str(len(body))

    async def give_pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), _MAX_BYTES_AT_ONCE):
            yield body[start : start + _MAX_BYTES_AT_ONCE]
            await asyncio.sleep(0)

    return give_pieces()


async def read_first_chunk(response: aiohttp.ClientResponse, upstream: Upstream) -> bytes | Failure:
    """Return the first of an answer's body, empty if it has none; or why there is none."""
    try:
        chunk = await response.content.readany()
    except (aiohttp.ClientError, TimeoutError) as error:
        failure = _failure_before_an_answer(error)
        _log(upstream, failure, error)
        return failure
    connection = response.connection  # None once the whole answer is there
    if connection is not None and connection.protocol is not None:
        connection.protocol.read_timeout = upstream.endpoint.timeouts.between_chunks_s
        if connection.transport is not None and connection.transport.is_reading():
            connection.protocol.start_timeout()  # the one that runs still has the other length
    return chunk


async def read_chunk(response: aiohttp.ClientResponse, upstream: Upstream) -> bytes | Failure:
    """Return what comes next of an answer's body, or why nothing does."""
    try:
        return await response.content.readany()
    except (aiohttp.ClientError, TimeoutError) as error:
        failure = Failure.SILENT if isinstance(error, TimeoutError) else Failure.BROKE_OFF
        _log(upstream, failure, error)
        return failure


def has_end(response: aiohttp.ClientResponse) -> bool:
    """Return whether the answer's end can be told from a connection that was lost.

    Without a length and without chunks, an answer lasts until the connection closes, for whatever
    reason it does.
    """
    headers = response.headers
    return "Content-Length" in headers or "Transfer-Encoding" in headers


def read_retry_after_s(headers: CIMultiDictProxy[str]) -> float | None:
    """Return how long an upstream asks us to wait, None if it does not say.

    OpenAI's ``retry-after-ms`` is the more exact one where both are there.
    """
    milliseconds = parse_retry_after(headers.get("retry-after-ms"), now=datetime.now(UTC))
    if milliseconds is not None:
        return milliseconds / 1000
    return parse_retry_after(headers.get("retry-after"), now=datetime.now(UTC))


def may_retry(headers: CIMultiDictProxy[str], body: bytes) -> bool:
    """Return whether a refusal may pass: not if the upstream says no, or the account is empty."""
    return headers.get("x-should-retry") != "false" and _SPENT not in body


def _failure_before_an_answer(error: Exception) -> Failure:
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return Failure.CONNECT_TIMEOUT
    if isinstance(error, TimeoutError):
        return Failure.FIRST_BYTE_TIMEOUT
    if isinstance(error, aiohttp.ClientSSLError):
        return Failure.TLS
    if isinstance(error, aiohttp.ClientConnectorError):
        return Failure.CONNECT
    return Failure.HUNG_UP


def _log(upstream: Upstream, failure: Failure, error: Exception) -> None:
    fields = {"model": upstream.name, "failure": str(failure)}
    message = describe_failure(upstream.name, failure)
    _LOGGER.warning("%s: %s", message, _kind(error), extra={"fields": fields})


def _kind(error: Exception) -> str:
    """Name an error for the log, without its text: that may hold what was sent."""
    reason = error.strerror if isinstance(error, OSError) else None
    return f"{type(error).__name__} ({reason})" if reason else type(error).__name__
