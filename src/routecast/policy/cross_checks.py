"""What no single table of routecast.toml can know: whether its names fit together."""

from collections.abc import Iterator

from routecast.policy.route_settings import RouteSettings
from routecast.policy.settings import Settings
from routecast.upstream.apis import Api


def cross_check(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield what does not fit: the key's path, and what is wrong with its value."""
    for name, route in settings.routes.items():
        if name in settings.models:
            yield (
                ("routes", name),
                "has the name of a model; clients could not tell them apart: rename one",
            )
        if route.router_endpoint is not None and route.router_endpoint not in settings.models:
            yield (
                ("routes", name, "router_endpoint"),
                f"= {route.router_endpoint!r} is no configured model; choose one of "
                f"{sorted(settings.models)!r}",
            )
        for other in list(settings.routes)[: list(settings.routes).index(name)]:
            if not _loads_alike(route, settings.routes[other]):
                yield (
                    ("routes", name),
                    f"loads router {route.router!r} with another router_endpoint or "
                    f"router_embedder than route {other!r}; write them alike",
                )
        unknown = list(_unknown_models(route, settings))
        for key, model in unknown:
            choices = sorted(settings.models)
            if key == "fallback":
                choices = list(dict.fromkeys(["strong", "weak", *choices]))
            yield (
                ("routes", name, key),
                f"= {model!r} is no configured model; choose one of {choices!r}",
            )
        if not unknown and not routable_apis(route, settings):
            yield ("routes", name), f"has models that share no API: {_apis_of(route, settings)}"


def _loads_alike(one: RouteSettings, other: RouteSettings) -> bool:
    """Tell whether a router that two routes share, if they do, is loaded in one way."""
    return one.router != other.router or (one.router_endpoint, one.router_embedder) == (
        other.router_endpoint,
        other.router_embedder,
    )


def routable_apis(route: RouteSettings, settings: Settings) -> frozenset[Api]:
    """Return the APIs in which the route can be asked: those that both of its models speak.

    Embeddings are never among them, since vectors of two models don't mix.
    """
    strong, weak = settings.models[route.strong], settings.models[route.weak]
    return frozenset(strong.apis) & frozenset(weak.apis) - {Api.EMBEDDINGS}


def _unknown_models(route: RouteSettings, settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield each key and name that points at no model."""
    for role in ("strong", "weak"):
        model = getattr(route, role)
        if model not in settings.models:
            yield role, model
    for model in route.fallback or ():
        if model not in {"strong", "weak", *settings.models}:
            yield "fallback", model


def _apis_of(route: RouteSettings, settings: Settings) -> str:
    parts = [
        f"{model} has apis = {[str(api) for api in settings.models[model].apis]!r}"
        for model in (route.strong, route.weak)
    ]
    return f"{', '.join(parts)}; give both one of chat, responses, completions or messages"
