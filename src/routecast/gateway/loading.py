"""From routecast.toml to settings, routers and endpoints, or a message that says why not."""

from collections.abc import Mapping
from pathlib import Path

from routecast.artifacts import LoadedRouter, load_router
from routecast.errors import ConfigError
from routecast.policy.model_settings import ModelSettings
from routecast.policy.parse import parse_settings
from routecast.policy.settings import Settings
from routecast.routers.registry import BASELINES
from routecast.upstream.endpoint import Endpoint, Timeouts
from routecast.upstream.prices import Price
from routecast.upstream.secrets import resolve_secret


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


def load_routers(
    settings: Settings, *, folder: Path, environ: Mapping[str, str] | None = None
) -> dict[str, LoadedRouter]:
    """Load each router that a route names.

    Args:
        settings: Checked settings.
        folder: Where relative router folders begin: the settings file's own folder.
        environ: Where a router that asks an endpoint looks up ``env:NAME`` for its key.

    Returns:
        The routers by the name that the routes use.

    Raises:
        ConfigError: If there is no such router.
        ArtifactError: If one is damaged or does not fit.
    """
    names = sorted({route.router for route in settings.routes.values()})
    return {name: load_router(_place(name, folder), environ=environ) for name in names}


def _place(name: str, folder: Path) -> str:
    """Return what ``load_router`` should load for a router's name in the settings."""
    if name == "default" or name in BASELINES or not (folder / name).exists():
        return name
    return str(folder / name)


def resolve_endpoints(settings: Settings, environ: Mapping[str, str]) -> dict[str, Endpoint]:
    """Return the configured models with their secrets.

    Raises:
        ConfigError: If a secret is missing; the message names the setting and the variable or
            file.
    """
    return {
        name: _endpoint_of(name, model, _resolve_key(name, model.api_key, environ))
        for name, model in settings.models.items()
    }


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


def _resolve_key(name: str, reference: str | None, environ: Mapping[str, str]) -> str | None:
    try:
        return None if reference is None else resolve_secret(reference, environ)
    except ConfigError as error:
        raise ConfigError(f"models.{name}.api_key: {error}") from None
