"""From routecast.toml to everything that a gateway needs, or a message that says why not."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from routecast.artifacts import LoadedRouter, load_router
from routecast.embed.protocol import Embedder
from routecast.embed.registry import load_embedder
from routecast.errors import ArtifactError, ConfigError
from routecast.gateway.conversations import (
    check_place,
    conversations_file,
    keeps_conversations,
)
from routecast.gateway.guard import Guard, build_guard
from routecast.gateway.routes import RouteTable, build_route_table
from routecast.gateway.tls import TlsFiles, find_tls_files
from routecast.policy.model_settings import ModelSettings
from routecast.policy.parse import parse_settings
from routecast.policy.settings import ServerSettings, Settings
from routecast.routers.registry import BASELINES
from routecast.upstream.endpoint import Endpoint, Timeouts
from routecast.upstream.prices import Price
from routecast.upstream.secrets import resolve_secret


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A gateway that can be served.

    Attributes:
        settings: As they were checked.
        table: What clients may ask for.
        guard: Who may ask.
        tls: None for plain HTTP.
    """

    settings: Settings
    table: RouteTable
    guard: Guard
    tls: TlsFiles | None


def load_gateway(
    settings: Settings, environ: Mapping[str, str], *, path: Path, insecure: bool = False
) -> Loaded:
    """Look up the secrets, read the TLS files, load the routers and find their thresholds.

    Args:
        settings: Checked settings.
        environ: Where ``env:NAME`` secrets are.
        path: The settings file; relative paths begin at its folder, and messages begin with it.
        insecure: Whether other machines may call without a key.

    Raises:
        ConfigError: If a secret, file or router is missing, a router cannot answer a route's goal,
            the state folder cannot be used, or the gateway would be open to other machines without
            a key.
        ArtifactError: If a router is damaged or does not fit.
    """
    try:
        return _load(settings, environ, folder=path.parent, insecure=insecure)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from None


def _load(
    settings: Settings, environ: Mapping[str, str], *, folder: Path, insecure: bool
) -> Loaded:
    keys = resolve_client_keys(settings.server, environ, folder=folder)
    guard = build_guard(settings.server, keys, insecure=insecure)
    tls = find_tls_files(settings.server, folder=folder)
    endpoints = resolve_endpoints(settings, environ, folder=folder)
    if keeps_conversations(settings):
        check_place(conversations_file(settings.server, folder))
    routers = load_routers(settings, folder=folder, environ=environ)
    table = build_route_table(settings, routers, endpoints)
    return Loaded(settings=settings, table=table, guard=guard, tls=tls)


def read_settings(path: Path) -> Settings:
    """Read and check routecast.toml.

    Raises:
        ConfigError: If the file is missing, is not text, or its settings are not accepted.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"there is no file {str(path)!r}; name one with --config") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{str(path)!r} is not UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{str(path)!r} cannot be read: {error.strerror}") from None
    return parse_settings(text, source=str(path))


def override_server(
    settings: Settings, *, host: str | None = None, port: int | None = None
) -> Settings:
    """Return the settings with the host and port of the command line, where it gives them."""
    given = {"host": host, "port": port}
    server = settings.server.model_copy(update={k: v for k, v in given.items() if v is not None})
    return settings.model_copy(update={"server": server})


def load_routers(
    settings: Settings, *, folder: Path, environ: Mapping[str, str] | None = None
) -> dict[str, LoadedRouter]:
    """Load each router that a route names.

    Args:
        settings: Checked settings.
        folder: Where relative router folders begin: the settings file's own folder.
        environ: Where ``env:NAME`` secrets are.

    Returns:
        The routers by the name that the routes use.

    Raises:
        ConfigError: If there is no such router; the message names the route.
        ArtifactError: If one is damaged or does not fit; so does this one.
    """
    keys = {route.router: key for key, route in settings.routes.items()}
    return {name: _load_one(settings, keys[name], folder, environ or {}) for name in sorted(keys)}


def _load_one(
    settings: Settings, key: str, folder: Path, environ: Mapping[str, str]
) -> LoadedRouter:
    """Load a route's router with the endpoint and the embedder that the route names."""
    route = settings.routes[key]
    name, key = route.router, f"routes.{key}.router"
    place = _place(name, folder)
    endpoint = None
    if (asked := route.router_endpoint) is not None:
        alone = settings.model_copy(update={"models": {asked: settings.models[asked]}})
        endpoint = resolve_endpoints(alone, environ, folder=folder)[asked]
    try:
        embedder = _named_embedder(route.router_embedder, folder)
        loaded = load_router(place, embedder=embedder, endpoint=endpoint)
        _check_endpoint(loaded, endpoint)
        return loaded
    except ConfigError as error:
        is_known = name == "default" or name in BASELINES or Path(place).exists()
        searched = "" if is_known else f"; looked in {str(folder.absolute())!r}"
        raise ConfigError(f"{key}: {error}{searched}") from None
    except ArtifactError as error:
        raise ArtifactError(f"{key}: {error}") from None


def _named_embedder(name: str | None, folder: Path) -> Embedder | None:
    """Load the embedder that a route names; a relative folder begins at the settings file's."""
    if name is None:
        return None
    kind, _, where = name.partition(":")
    if kind == "sentence" and where.strip() and (folder / where).is_dir():
        name = f"sentence:{folder / where}"
    return load_embedder(name)


def _check_endpoint(loaded: LoadedRouter, endpoint: Endpoint | None) -> None:
    """Refuse a model that is not the one whose answers the router was calibrated on."""
    if endpoint is None:
        return
    model = None if loaded.manifest is None else loaded.manifest.settings.get("model")
    if loaded.manifest is None or loaded.manifest.router != "causal-endpoint":
        raise ConfigError(
            f"router_endpoint = {endpoint.name!r} is for routers of the family 'causal-endpoint'; "
            "leave it out"
        )
    if endpoint.model != model:
        raise ConfigError(
            f"the router was calibrated on the model {model!r}, and router_endpoint = "
            f"{endpoint.name!r} is {endpoint.model!r}; name a model of [models] with "
            f"model = {model!r}, or train the router on that one"
        )


def _place(name: str, folder: Path) -> str:
    """Return what ``load_router`` should load for a router's name in the settings."""
    if name == "default" or name in BASELINES or not (folder / name).exists():
        return name
    return str(folder / name)


def resolve_endpoints(
    settings: Settings, environ: Mapping[str, str], *, folder: Path | None = None
) -> dict[str, Endpoint]:
    """Return the configured models with their secrets.

    Args:
        settings: Checked settings.
        environ: Where ``env:NAME`` secrets are.
        folder: Where relative ``file:PATH`` secrets begin; the working directory if None.

    Raises:
        ConfigError: If a secret is missing; the message names the setting and the variable or
            file.
    """
    return {
        name: _endpoint_of(
            name,
            model,
            None
            if model.api_key is None
            else _resolve(f"models.{name}.api_key", model.api_key, environ, folder),
        )
        for name, model in settings.models.items()
    }


def resolve_client_keys(
    settings: ServerSettings, environ: Mapping[str, str], *, folder: Path | None = None
) -> list[str]:
    """Return the keys that clients must show, as the settings list them.

    Args:
        settings: Checked settings.
        environ: Where ``env:NAME`` secrets are.
        folder: Where relative ``file:PATH`` secrets begin; the working directory if None.

    Raises:
        ConfigError: If one is missing; the message names the setting and the variable or file.
    """
    return [
        _resolve(f"server.client_keys[{position}]", reference, environ, folder)
        for position, reference in enumerate(settings.client_keys)
    ]


def _endpoint_of(name: str, model: ModelSettings, api_key: str | None) -> Endpoint:
    price = model.price
    return Endpoint(
        name=name,
        model=model.model,
        base_url=model.base_url,
        api_key=api_key,
        price=None if price is None else Price(**price.model_dump()),
        apis=frozenset(model.apis),
        timeouts=Timeouts(
            connect_s=model.connect_timeout_s,
            first_byte_s=model.first_byte_timeout_s,
            between_chunks_s=model.between_chunks_timeout_s,
            total_s=model.total_timeout_s,
        ),
        n_retries=model.retries,
        ask_usage=model.ask_usage,
    )


def _resolve(key: str, reference: str, environ: Mapping[str, str], folder: Path | None) -> str:
    try:
        return resolve_secret(reference, environ, folder=folder)
    except ConfigError as error:
        raise ConfigError(f"{key}: {error}") from None
