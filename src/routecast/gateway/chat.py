"""``POST /v1/chat/completions``: the hot path, read from top to bottom."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from os import urandom

from starlette.types import Receive, Scope, Send

from routecast.gateway.body import read_chat_body
from routecast.gateway.headers import decision_headers, upstream_headers
from routecast.gateway.intake import read_body
from routecast.gateway.relay import Call, Upstream, forward
from routecast.gateway.routes import Route, RouteTable
from routecast.gateway.scoring import decide_route
from routecast.policy.decide import Decision, Reason
from routecast.policy.settings import ServerSettings

_MAX_BYTES_ON_LOOP = 1 << 18  # larger bodies are read in a thread, so that the loop stays free


@dataclass(frozen=True, kw_only=True)
class ChatEndpoint:
    """Routes and relays chat completions.

    Attributes:
        table: What clients may ask for.
        upstreams: The configured models by name, ready for calls.
        settings: Limits and timeouts.
    """

    table: RouteTable
    upstreams: Mapping[str, Upstream]
    settings: ServerSettings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request.

        Raises:
            RequestError: If the request is not usable; nothing has been sent then.
            UpstreamError: If the upstream failed before it answered; likewise.
        """
        max_bytes = self.settings.max_body_mib << 20
        content = await read_body(scope["headers"], receive, max_bytes=max_bytes)
        if content is None:
            return
        if len(content) <= _MAX_BYTES_ON_LOOP:
            body = read_chat_body(content)
        else:
            body = await asyncio.to_thread(read_chat_body, content)
        target = self.table.find(body.model)
        if isinstance(target, Route):
            decision = decide_route(target, body.messages)
        else:
            decision = Decision(target.name, None, None, Reason.DIRECT)
        upstream = self.upstreams[decision.model]
        answer_headers = decision_headers(decision, urandom(12).hex())
        scope["routecast.headers"] = answer_headers
        call = Call(
            upstream=upstream,
            query=scope["query_string"],
            headers=upstream_headers(scope["headers"], upstream.endpoint.headers()),
            body=body.with_model(upstream.model_json),
        )
        await forward(
            scope["state"]["session"],
            call,
            answer_headers=answer_headers,
            receive=receive,
            send=send,
        )
