"""One try of one upstream, down to the bytes: what it answered, or why it did not."""

import asyncio
import logging
import ssl
from datetime import UTC, datetime

from routecast.errors import RequestError
from routecast.gateway.connection import UpstreamAnswer
from routecast.gateway.failures import Failure, describe_failure
from routecast.gateway.headers import RawHeaders
from routecast.gateway.plan import Plan, Upstream
from routecast.gateway.pool import ConnectionPool
from routecast.upstream.chat import SPENT_QUOTA
from routecast.upstream.retry import parse_retry_after

_LOGGER = logging.getLogger("routecast.gateway")
_SPENT = SPENT_QUOTA.encode()


async def post(pool: ConnectionPool, plan: Plan, upstream: Upstream) -> UpstreamAnswer | Failure:
    """Return the upstream's answer once its head is there, or why there is none."""
    timeouts = upstream.endpoint.timeouts
    body = plan.body_for(upstream)
    head = _request_head(plan, upstream, n_bytes=len(body))
    ends_s = asyncio.get_running_loop().time() + timeouts.total_s
    try:
        connection = await pool.connect(
            upstream.origin, within_s=min(timeouts.connect_s, timeouts.total_s)
        )
    except OSError as error:
        return _note(upstream, _failure_to_connect(error), error)
    try:
        return await connection.ask(head, body, first_byte_s=timeouts.first_byte_s, ends_s=ends_s)
    except OSError as error:
        return _note(upstream, _failure_before_an_answer(error), error)


def _request_head(plan: Plan, upstream: Upstream, *, n_bytes: int) -> bytes:
    """Return what goes before the body; the client's silence on a header is passed on too."""
    path = upstream.paths[plan.surface.upstream_path]
    if plan.query:
        path = b"%b?%b" % (path, plan.query)
    headers = plan.headers_for(upstream)
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    if not lines.count(b"\n") == lines.count(b"\r") == len(headers):  # no server lets it pass
        raise RequestError("a header holds a line break; send it in one line")
    return b"POST %b HTTP/1.1\r\nhost: %b\r\n%bcontent-length: %d\r\n\r\n" % (
        path, upstream.host, lines, n_bytes,
    )  # fmt: skip


async def read_first_chunk(answer: UpstreamAnswer, upstream: Upstream) -> bytes | Failure:
    """Return the first of an answer's body, empty if it has none; or why there is none."""
    try:
        return await answer.read(within_s=upstream.endpoint.timeouts.first_byte_s)
    except OSError as error:
        return _note(upstream, _failure_before_an_answer(error), error)


async def read_chunk(answer: UpstreamAnswer, upstream: Upstream) -> bytes | Failure:
    """Return what comes next of an answer's body, or why nothing does."""
    try:
        return await answer.read(within_s=upstream.endpoint.timeouts.between_chunks_s)
    except OSError as error:
        failure = Failure.SILENT if isinstance(error, TimeoutError) else Failure.BROKE_OFF
        return _note(upstream, failure, error)


def read_retry_after_s(headers: RawHeaders) -> float | None:
    """Return how long an upstream asks us to wait, None if it does not say.

    OpenAI's ``retry-after-ms`` is the more exact one where both are there.
    """
    named = {name: value.decode("latin-1") for name, value in headers}
    milliseconds = parse_retry_after(named.get(b"retry-after-ms"), now=datetime.now(UTC))
    if milliseconds is not None:
        return milliseconds / 1000
    return parse_retry_after(named.get(b"retry-after"), now=datetime.now(UTC))


def may_retry(headers: RawHeaders, body: bytes) -> bool:
    """Return whether a refusal may pass: not if the upstream says no, or the account is empty."""
    return (b"x-should-retry", b"false") not in headers and _SPENT not in body


def _failure_to_connect(error: OSError) -> Failure:
    if isinstance(error, TimeoutError):
        return Failure.CONNECT_TIMEOUT
    return Failure.TLS if isinstance(error, ssl.SSLError) else Failure.CONNECT


def _failure_before_an_answer(error: OSError) -> Failure:
    return Failure.FIRST_BYTE_TIMEOUT if isinstance(error, TimeoutError) else Failure.HUNG_UP


def _note(upstream: Upstream, failure: Failure, error: OSError) -> Failure:
    """Log why a try failed, and return it."""
    fields = {"model": upstream.name, "failure": str(failure)}
    message = describe_failure(upstream.name, failure)
    _LOGGER.warning("%s: %s", message, _kind(error), extra={"fields": fields})
    return failure


def _kind(error: OSError) -> str:
    """Name an error for the log, without its text: that may hold what was sent."""
    return f"{type(error).__name__} ({error.strerror})" if error.strerror else type(error).__name__
