"""What clients may ask for: routes, configured models, and ``router-NAME-THRESHOLD``."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from routecast.artifacts import LoadedRouter
from routecast.errors import ConfigError, RequestError
from routecast.policy.cuts import Cut
from routecast.policy.goals import cut_for_goal
from routecast.policy.names import parse_router_name
from routecast.policy.route_settings import RouteSettings
from routecast.policy.settings import Settings
from routecast.routers.protocol import Router
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
        router: Scores the prompts.
        calibration_sample: What the threshold was read from, in words; None if it was given.
    """

    name: str
    strong: str
    weak: str
    fallback: str
    cut: Cut
    router_name: str
    router: Router
    calibration_sample: str | None

    @property
    def threshold(self) -> float:
        """Win probability from which the strong model answers."""
        return self.cut.threshold


@dataclass(frozen=True)
class RouteTable:
    """Every name that clients may send.

    Attributes:
        routes: By name.
        endpoints: The configured models, by name.
    """

    routes: Mapping[str, Route]
    endpoints: Mapping[str, Endpoint]

    def find(self, model: str) -> Route | Endpoint:
        """Return the route, or the model that was named directly.

        Raises:
            RequestError: Status 404, with a list of what exists.
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
        return found

    def _by_router(self, model: str) -> Route | None:
        """Return the first route that uses the named router, with the threshold in the name."""
        asked = parse_router_name(model)
        if asked is None:
            return None
        for route in self.routes.values():
            if route.router_name == asked.router:
                return replace(route, cut=Cut(asked.threshold), calibration_sample=None)
        return None


def build_route(name: str, settings: RouteSettings, loaded: LoadedRouter) -> Route:
    """Turn a route's goal into a cut.

    Raises:
        ConfigError: If the router cannot answer the goal; the message says what to run.
    """
    try:
        cut = cut_for_goal(loaded, settings.goal)
    except ConfigError as error:
        raise ConfigError(f"routes.{name}: {error}") from None
    is_given = settings.goal.name == "threshold"
    if settings.tie_share is not None:
        cut = replace(cut, tie_share=settings.tie_share)
    return Route(
        name=name,
        strong=settings.strong,
        weak=settings.weak,
        fallback=settings.strong if settings.on_router_error == "strong" else settings.weak,
        cut=cut,
        router_name=settings.router,
        router=loaded.router,
        calibration_sample=None if is_given else loaded.calibration_sample,
    )


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
        name: build_route(name, route, routers[route.router])
        for name, route in settings.routes.items()
    }
    return RouteTable(routes, endpoints)
