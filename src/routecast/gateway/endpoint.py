"""One surface's endpoint: the hot path, read from top to bottom."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter

from starlette.types import Receive, Scope, Send

from routecast.errors import RoutecastError
from routecast.gateway.ask_usage import UsageChunkFilter, ask_for_usage
from routecast.gateway.body import RequestBody, read_request_body
from routecast.gateway.deciding import Decided, Decider
from routecast.gateway.errors import code_of, send_error, status_of
from routecast.gateway.events import Tap
from routecast.gateway.exchange import Observer, RelayResult, Served
from routecast.gateway.guard import Guard
from routecast.gateway.headers import RawHeaders, decision_headers, upstream_headers
from routecast.gateway.intake import read_body, send_then_drain
from routecast.gateway.large_bodies import MAX_BYTES_ON_LOOP, in_thread_if_large
from routecast.gateway.leaving import watch_client
from routecast.gateway.plan import Plan, Upstream
from routecast.gateway.relay import relay
from routecast.gateway.request_id import CURRENT_IDS, find_request_id, make_id
from routecast.gateway.request_id import HEADER as REQUEST_ID
from routecast.gateway.response_ids import ResponseIdReader
from routecast.gateway.stopping import is_stop, stop_error
from routecast.gateway.surfaces import Surface
from routecast.gateway.usage import UsageReader, limit_encodings
from routecast.policy.settings import ServerSettings
from routecast.upstream.apis import Api

BodyFor = Callable[[Upstream], bytes]


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """What every surface's endpoint shares.

    Attributes:
        guard: Who may ask.
        decider: Who answers.
        upstreams: The configured models by name, ready for calls.
        settings: Limits.
        observers: Told of every request.
    """

    guard: Guard
    decider: Decider
    upstreams: Mapping[str, Upstream]
    settings: ServerSettings
    observers: tuple[Observer, ...] = ()


@dataclass(slots=True)
class _Request:
    """What is known of one request so far."""

    request_id: str
    decision_id: str
    began_s: float
    is_read: bool = False
    body: RequestBody | None = None
    decided: Decided | None = None
    usage_asked_of: set[str] = field(default_factory=set)
    relay_began_s: float | None = None
    result: RelayResult | None = None
    status: int = 499
    error_code: str | None = None


@dataclass(frozen=True)
class SurfaceEndpoint:
    """Serves one path: authenticate, read, decide, relay, tell.

    Attributes:
        surface: The path and its API.
        gateway: What all endpoints share.
    """

    surface: Surface
    gateway: Gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; errors are answered in the API's own shape."""
        decision_id = make_id()
        request_id = find_request_id(scope["headers"], otherwise=decision_id)
        CURRENT_IDS.set((request_id, decision_id))
        request = _Request(request_id, decision_id, perf_counter())
        try:
            self.gateway.guard.check(scope["path"], scope["headers"])
            await self._serve(request, scope, receive, send)
        except RoutecastError as error:
            if not request.is_read:
                send = send_then_drain(send, receive)
            await self._refuse(request, error, send)
        except asyncio.CancelledError as cancelled:
            if not is_stop(cancelled):
                raise
            await self._refuse(request, stop_error(), send)
        finally:
            self._tell(request)

    async def _refuse(self, request: _Request, error: RoutecastError, send: Send) -> None:
        request.status, request.error_code = status_of(error), code_of(error)
        own = [(REQUEST_ID, request.request_id.encode())]
        await send_error(send, error, api=self.surface.api, headers=own)

    async def _serve(self, request: _Request, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a caller that may ask.

        Raises:
            RequestError: If the request is not usable; nothing has been sent then.
        """
        gateway, headers = self.gateway, scope["headers"]
        content = await read_body(headers, receive, max_bytes=gateway.settings.max_body_mib << 20)
        if content is None:
            return
        request.began_s, request.is_read = perf_counter(), True
        body = await in_thread_if_large(len(content), read_request_body, content)
        request.body = body
        request.decided = decided = await gateway.decider.decide(self.surface, body, headers)
        candidates = tuple(gateway.upstreams[name] for name in decided.candidates)
        body_for: BodyFor = partial(self._body_for, request, body)
        if len(content) > MAX_BYTES_ON_LOOP:
            body_for = await _prepare_body(body_for, candidates[0], len(content))
        plan = Plan(
            candidates=candidates,
            surface=self.surface,
            query=scope["query_string"],
            body_for=body_for,
            headers_for=partial(self._headers_for, headers, body),
            taps_for=partial(self._taps_for, request),
        )
        request.relay_began_s = perf_counter()
        request.result = result = await relay(
            scope["state"]["pool"],
            plan,
            answer_headers=partial(_answer_headers, request, decided),
            keep_alive_s=gateway.settings.keep_alive_s,
            watch=partial(watch_client, scope, receive),
            send=send,
        )
        request.status = 499 if result.status is None else result.status
        request.error_code = result.error_code

    def _asks_usage(self, body: RequestBody, upstream: Upstream) -> bool:
        """Return whether a stream is asked for a usage that its client may not want."""
        return (
            upstream.endpoint.ask_usage
            and body.is_stream
            and self.surface.api in {Api.CHAT, Api.COMPLETIONS}
        )

    def _body_for(self, request: _Request, body: RequestBody, upstream: Upstream) -> bytes:
        content = body.with_model(upstream.model_json)
        asking = ask_for_usage(content) if self._asks_usage(body, upstream) else None
        if asking is None:
            return content
        request.usage_asked_of.add(upstream.name)
        return asking

    def _headers_for(
        self, headers: RawHeaders, body: RequestBody, upstream: Upstream
    ) -> RawHeaders:
        """Return what goes upstream; where an answer must be read, so that it can be."""
        api = self.surface.api
        passed = upstream_headers(headers, upstream.key_headers[api])
        if self._asks_usage(body, upstream):
            return limit_encodings(passed, to_identity=True)
        if upstream.endpoint.price is not None or api is Api.RESPONSES:
            return limit_encodings(passed)
        return passed

    def _taps_for(
        self, request: _Request, upstream: Upstream, headers: RawHeaders
    ) -> tuple[Tap, ...]:
        """Return who looks at a good answer on its way."""
        named = dict(headers)
        encoding = named.get(b"content-encoding", b"identity")
        is_stream = named.get(b"content-type", b"").lower().startswith(b"text/event-stream")
        taps: tuple[Tap, ...] = (UsageReader(encoding),)
        if self.surface.api is Api.RESPONSES:
            remember = partial(self._remember, upstream.name)
            taps += (ResponseIdReader(remember, is_stream=is_stream, encoding=encoding),)
        if is_stream and encoding == b"identity" and upstream.name in request.usage_asked_of:
            taps += (UsageChunkFilter(),)
        return taps

    def _remember(self, model: str, identity: str) -> None:
        self.gateway.decider.conversations.remember(identity, model)

    def _tell(self, request: _Request) -> None:
        """Tell the observers what became of a request."""
        body, decided = request.body, request.decided
        served = Served(
            request_id=request.request_id,
            decision_id=request.decision_id,
            surface=self.surface,
            asked="" if body is None else body.model,
            route=None if decided is None else decided.route,
            decision=None if decided is None else decided.decision,
            result=request.result,
            status=request.status,
            own_s=(request.relay_began_s or perf_counter()) - request.began_s,
            error_code=request.error_code,
        )
        for observe in self.gateway.observers:
            observe(served)


async def _prepare_body(body_for: BodyFor, first: Upstream, n_bytes: int) -> BodyFor:
    """Return the same, with the body of the first upstream made ready in a thread."""
    prepared = await in_thread_if_large(n_bytes, body_for, first)
    return lambda upstream: prepared if upstream is first else body_for(upstream)


def _answer_headers(request: _Request, decided: Decided, model: str, fell_back: bool) -> RawHeaders:
    headers = decision_headers(
        decided.decision, request.decision_id, answered_by=model if fell_back else None
    )
    headers.append((REQUEST_ID, request.request_id.encode()))
    return headers
