"""``POST /v1/chat/completions``: the hot path, read from top to bottom."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import urandom

from starlette.types import Receive, Scope, Send

from routecast.gateway.body import read_request_body
from routecast.gateway.headers import decision_headers, upstream_headers
from routecast.gateway.intake import read_body
from routecast.gateway.plan import Plan, Upstream
from routecast.gateway.prompt import text_to_score
from routecast.gateway.relay import relay
from routecast.gateway.routes import Route, RouteTable
from routecast.gateway.scorer import Scorer
from routecast.gateway.scoring import decide_route
from routecast.gateway.surfaces import SURFACES
from routecast.policy.decide import Decision, Reason
from routecast.policy.settings import ServerSettings
from routecast.upstream.apis import Api

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
    scorers: Mapping[str, Scorer]

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
            body = read_request_body(content)
        else:
            body = await asyncio.to_thread(read_request_body, content)
        target = self.table.find(body.model)
        if isinstance(target, Route):
            decision = await decide_route(
                target,
                text_to_score(body.fields, Api.CHAT),
                scorer=self.scorers[target.name],
                timeout_s=target.router_timeout_s,
            )
            names = list(dict.fromkeys([decision.model, *target.fallback_models]))
        else:
            decision = Decision(target.name, None, None, Reason.DIRECT)
            names = [decision.model]
        decision_id = urandom(12).hex()
        plan = Plan(
            candidates=tuple(self.upstreams[name] for name in names),
            surface=SURFACES["/v1/chat/completions"],
            query=scope["query_string"],
            body_for=lambda upstream: body.with_model(upstream.model_json),
            headers_for=lambda upstream: upstream_headers(
                scope["headers"], upstream.endpoint.headers()
            ),
        )
        await relay(
            scope["state"]["session"],
            plan,
            answer_headers=lambda name, _: decision_headers(
                replace(decision, model=name), decision_id
            ),
            keep_alive_s=self.settings.keep_alive_s,
            receive=receive,
            send=send,
        )
