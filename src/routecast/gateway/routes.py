"""What clients may ask for: routes, configured models, and ``router-NAME-THRESHOLD``."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from routecast.artifacts import LoadedRouter
from routecast.errors import ConfigError, RequestError
from routecast.gateway.surfaces import SURFACES, Surface
from routecast.policy.abstaining import Abstentions, OnRouterError
from routecast.policy.cross_checks import routable_apis
from routecast.policy.cuts import Cut
from routecast.policy.gates import Capabilities
from routecast.policy.goals import Goal, cut_for_goal
from routecast.policy.model_settings import ModelSettings
from routecast.policy.names import parse_router_name
from routecast.policy.route_settings import Override, TextChoice
from routecast.policy.settings import Settings
from routecast.routers.protocol import Router
from routecast.upstream.apis import Api
from routecast.upstream.endpoint import Endpoint


@dataclass(frozen=True, kw_only=True)
class Route:
    """A route whose goal has become a threshold.

    Attributes:
        name: What clients ask for.
        strong: Name of the model for prompts at or above the threshold.
        weak: Name of the model for the others.
        fallback: Name of the model that answers when there is no win probability.
        cut: From where on the strong model answers.
        router_name: As the settings name it.
        loaded: Scores the prompts, and turns a goal into a cut.
        calibration_sample: What the threshold was read from, in words; None if it was given.
        apis: Those in which both models can be asked.
        models: The pair and everybody in the fallback chain by name, with what each can take.
        models_by_api: Their names, by the APIs of the route that each speaks.
        fallback_models: Who is asked after the chosen model, in this order; it may be among them.
        text: What of a request is scored.
        sticky: Whether the first user turn is scored instead.
        overrides: What clients may ask for by headers.
        router_timeout_s: How long a router beside the event loop may take.
    """

    name: str
    strong: str
    weak: str
    fallback: str
    cut: Cut
    router_name: str
    loaded: LoadedRouter
    calibration_sample: str | None
    apis: frozenset[Api] = frozenset({Api.CHAT})
    models: Mapping[str, Capabilities] = field(default_factory=dict)
    models_by_api: Mapping[Api, tuple[str, ...]] = field(default_factory=dict)
    fallback_models: tuple[str, ...] = ()
    text: TextChoice = "last_user"
    sticky: bool = False
    overrides: frozenset[Override] = frozenset()
    router_timeout_s: float = 0.25

    @property
    def router(self) -> Router:
        """Scores the prompts."""
        return self.loaded.router

    @property
    def threshold(self) -> float:
        """Win probability from which the strong model answers."""
        return self.cut.threshold

    @property
    def abstentions(self) -> Abstentions:
        """The prompts of the router's calibration sample without a score, and who answers them."""
        answered_by: OnRouterError = "strong" if self.fallback == self.strong else "weak"
        return Abstentions(self.loaded.abstained_share, answered_by)

    @cached_property
    def has_gates(self) -> bool:
        """Whether one of the models does not take everything."""
        return not all(model.takes_everything for model in self.models.values())

    def with_goal(self, goal: Goal) -> "Route":
        """Return the route with another goal.

        Raises:
            ConfigError: If the router cannot answer it.
        """
        answered_by = self.abstentions.answered_by
        cut = cut_for_goal(self.loaded, goal, on_router_error=answered_by)
        return replace(self, cut=cut, calibration_sample=None)


@dataclass(frozen=True)
class RouteTable:
    """Every name that clients may send.

    Attributes:
        routes: By name.
        endpoints: The configured models, by name.
    """

    routes: Mapping[str, Route]
    endpoints: Mapping[str, Endpoint]

    @property
    def apis(self) -> dict[str, frozenset[Api]]:
        """Every name, routes first, with the APIs in which it can be asked."""
        routes = {name: route.apis for name, route in self.routes.items()}
        return routes | {name: endpoint.apis for name, endpoint in self.endpoints.items()}

    def find(self, model: str, surface: Surface) -> Route | Endpoint:
        """Return the route, or the model that was named directly.

        Raises:
            RequestError: Status 404, with a list of what exists; 400 if it exists and cannot be
                asked on this surface, with a list of what can.
        """
        found = self.routes.get(model) or self.endpoints.get(model) or self._by_router(model)
        if found is None:
            raise RequestError(
                f"unknown model {model[:100]!r}; routes: {list(self.routes)!r}, models: "
                f"{list(self.endpoints)!r}, or router-NAME-THRESHOLD with NAME one of "
                f"{sorted({route.router_name for route in self.routes.values()})!r} and "
                "THRESHOLD from 0 to 1",
                status=404,
                code="model_not_found",
            )
        if surface.api not in found.apis:
            raise self._wrong_surface(model, found, surface)
        return found

    def speaking(self, api: Api) -> list[str]:
        """Return the names that can be asked in an API, routes first."""
        return [name for name, spoken in self.apis.items() if api in spoken]

    def _wrong_surface(self, model: str, found: Route | Endpoint, surface: Surface) -> RequestError:
        able = self.speaking(surface.api)
        choice = f"name one of {able!r} here"
        if not able:
            choice = f"no model here has {str(surface.api)!r} among its apis"
        if isinstance(found, Route) and not surface.is_routable:
            return RequestError(
                f"{model!r} is a route, and vectors of two models don't mix; {choice}",
                code="route_cannot_embed",
            )
        paths = [known.path for known in SURFACES.values() if known.api in found.apis]
        return RequestError(
            f"{model!r} is not served at {surface.path}; ask it at {' or '.join(paths)}; {choice}",
            code="model_not_served_here",
        )

    def _by_router(self, model: str) -> Route | None:
        """Return the first route that uses the named router, with the threshold in the name."""
        asked = parse_router_name(model)
        if asked is None:
            return None
        for route in self.routes.values():
            if route.router_name == asked.router:
                return replace(route, cut=Cut(asked.threshold), calibration_sample=None)
        return None


def build_route_table(
    settings: Settings,
    routers: Mapping[str, LoadedRouter],
    endpoints: Mapping[str, Endpoint],
) -> RouteTable:
    """Make ready every route of the settings.

    Args:
        settings: Checked settings.
        routers: By the name that routes use; each that a route names must be there.
        endpoints: Every configured model, by name.

    Raises:
        ConfigError: If a router is missing or cannot answer a route's goal.
    """
    missing = {route.router for route in settings.routes.values()} - routers.keys()
    if missing:
        raise ConfigError(f"routers {sorted(missing)!r} are not loaded; got {sorted(routers)!r}")
    routes = {
        name: build_route(name, settings, routers[route.router])
        for name, route in settings.routes.items()
    }
    return RouteTable(routes, endpoints)


def build_route(name: str, settings: Settings, loaded: LoadedRouter) -> Route:
    """Turn a route's goal into a cut.

    Raises:
        ConfigError: If the router cannot answer the goal; the message says what to run.
    """
    route = settings.routes[name]
    try:
        cut = cut_for_goal(loaded, route.goal, on_router_error=route.on_router_error)
    except ConfigError as error:
        raise ConfigError(f"routes.{name}: {error}") from None
    is_given = route.goal.name == "threshold"
    if route.tie_share is not None:
        cut = replace(cut, tie_share=route.tie_share)
    apis = routable_apis(route, settings)
    models = dict.fromkeys((route.strong, route.weak, *route.fallback_models))
    return Route(
        name=name,
        strong=route.strong,
        weak=route.weak,
        fallback=route.strong if route.on_router_error == "strong" else route.weak,
        cut=cut,
        router_name=route.router,
        loaded=loaded,
        calibration_sample=None if is_given else loaded.calibration_sample,
        apis=apis,
        models={model: _capabilities(settings.models[model]) for model in models},
        models_by_api={
            api: tuple(name for name in models if api in settings.models[name].apis) for api in apis
        },
        fallback_models=tuple(route.fallback_models),
        text=route.text,
        sticky=route.sticky,
        overrides=frozenset(route.overrides),
        router_timeout_s=route.router_timeout_ms / 1e3,
    )


def _capabilities(model: ModelSettings) -> Capabilities:
    return Capabilities(
        tools=model.tools,
        images=model.images,
        json_schema=model.json_schema,
        context_tokens=model.context_tokens,
    )
