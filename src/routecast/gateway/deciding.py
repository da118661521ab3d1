"""From a request to the models that may answer it, in order, and why; nothing is called here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from routecast.errors import ConfigError, RequestError
from routecast.gateway.body import RequestBody
from routecast.gateway.conversations import Conversations, read_origins
from routecast.gateway.headers import RawHeaders
from routecast.gateway.large_bodies import in_thread_if_large
from routecast.gateway.needs import read_needs
from routecast.gateway.overrides import Wish, read_wish, refuse_wish
from routecast.gateway.prompt import text_to_score
from routecast.gateway.routes import Route, RouteTable
from routecast.gateway.scorer import Scorer
from routecast.gateway.scoring import decide_route
from routecast.gateway.surfaces import Surface
from routecast.policy.decide import Decision, Reason
from routecast.policy.gates import choose_capable
from routecast.policy.goals import Goal
from routecast.upstream.apis import Api


class Decided(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who answers a request.

    Attributes:
        route: The route's name; None for a model that was named directly.
        decision: Which model answers, and why.
        candidates: That model's name, then who is asked when it fails; none twice.
    """

    route: str | None
    decision: Decision
    candidates: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Decider:
    """Decides requests.

    Attributes:
        table: What clients may ask for.
        scorers: By the routers' names in the settings.
        conversations: Which model made which response.
    """

    table: RouteTable
    scorers: Mapping[str, Scorer]
    conversations: Conversations

    async def decide(self, surface: Surface, body: RequestBody, headers: RawHeaders) -> Decided:
        """Decide one request.

        Args:
            surface: What was called.
            body: What was sent.
            headers: The client's, names in lower case.

        Raises:
            RequestError: If nothing that exists can answer it as it stands.
        """
        target = self.table.find(body.model, surface)
        wish = read_wish(headers)
        if not isinstance(target, Route):
            if wish is not None:
                raise refuse_wish(wish, f"{body.model[:100]!r} is a model; name a route")
            decision = Decision(target.name, None, None, Reason.DIRECT)
            return Decided(route=None, decision=decision, candidates=(target.name,))
        decision, fallbacks = await self._decide_route(target, surface, body, wish)
        candidates = dict.fromkeys((decision.model, *fallbacks))
        return Decided(route=target.name, decision=decision, candidates=tuple(candidates))

    async def _decide_route(
        self, route: Route, surface: Surface, body: RequestBody, wish: Wish | None
    ) -> tuple[Decision, Sequence[str]]:
        """Return the decision, and who may stand in for the chosen model."""
        if wish is not None:
            route = _grant(wish, route)
        forced = None if wish is None else _forced_model(wish, route)
        origin = None
        if surface.api is Api.RESPONSES:
            origin = await self._find_origin(route, body)
        if origin is not None:
            if wish is not None and forced not in {None, origin}:
                raise refuse_wish(wish, f"{origin!r} made what this request goes on from")
            return Decision(origin, None, None, Reason.SAME_CONVERSATION), ()
        capable: Sequence[str] = route.models_by_api[surface.api]
        if route.has_gates:
            needs = await in_thread_if_large(len(body.content), read_needs, body, surface.api)
            capable = choose_capable(needs, {name: route.models[name] for name in capable})
        if wish is not None and forced is not None:
            if forced not in capable:
                raise refuse_wish(wish, f"{forced!r} cannot take this request; {capable!r} can")
            return Decision(forced, None, None, Reason.FORCED), ()
        fallbacks = [name for name in route.fallback_models if name in capable]
        pair = [name for name in (route.strong, route.weak) if name in capable]
        if len(pair) < 2:
            return Decision((pair or capable)[0], None, None, Reason.ONLY_CAPABLE), fallbacks
        text = await in_thread_if_large(
            len(body.content),
            text_to_score,
            body.fields,
            surface.api,
            choice=route.text,
            sticky=route.sticky,
        )
        scorer = self.scorers[route.router_name]
        timeout_s = route.router_timeout_s
        return await decide_route(route, text, scorer=scorer, timeout_s=timeout_s), fallbacks

    async def _find_origin(self, route: Route, body: RequestBody) -> str | None:
        """Return the model that made what the request goes on from; None if it begins anew."""
        origins = read_origins(body.fields)
        for name, identity in origins.items():
            model = await self.conversations.find(identity)
            if model is None:
                raise RequestError(
                    f"{name} {identity[:100]!r} is unknown here: no model made it through this "
                    "gateway, or so long ago that it is forgotten; send the whole conversation as "
                    "input, or name the model that made it instead of the route",
                    code="unknown_conversation",
                )
            if model not in route.models:
                raise RequestError(
                    f"{name} {identity[:100]!r} was made by {model!r}, which is no model of route "
                    f"{route.name!r}; name that model instead of the route",
                    code="foreign_conversation",
                )
        return model if origins else None


def _grant(wish: Wish, route: Route) -> Route:
    """Return the route as the client wants it.

    Raises:
        RequestError: If the route does not allow it, or its router cannot tell.
    """
    if wish.kind not in route.overrides:
        allowed = sorted(route.overrides)
        raise refuse_wish(wish, f"route {route.name!r} allows {allowed!r}")
    if wish.kind == "force":
        return route
    try:
        return route.with_goal(Goal(wish.kind, wish.share))
    except ConfigError as error:
        raise refuse_wish(wish, error) from None


def _forced_model(wish: Wish, route: Route) -> str | None:
    if wish.role is None:
        return None
    return route.strong if wish.role == "strong" else route.weak
