"""``routecast doctor``: everything that a gateway needs is tried, and each fault gets a fix.

Unlike ``load_gateway``, which stops at the first fault, this goes on and finds them all.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from routecast.errors import ArtifactError, ConfigError, MissingExtraError
from routecast.gateway.conversations import (
    check_place,
    conversations_file,
    keeps_conversations,
)
from routecast.gateway.guard import check_exposure, is_loopback_host
from routecast.gateway.loading import (
    load_routers,
    read_settings,
    resolve_client_keys,
    resolve_endpoints,
)
from routecast.gateway.probe import Probe, probe_upstream
from routecast.gateway.routes import build_route_table
from routecast.gateway.server import bind
from routecast.gateway.tls import find_tls_files
from routecast.policy.settings import ServerSettings, Settings
from routecast.upstream.apis import Api
from routecast.upstream.endpoint import Endpoint


class State(StrEnum):
    """What was found."""

    OK = "ok"
    WARNING = "warning"
    """It can be served, and may not do what is expected."""

    FAULT = "fault"
    """It cannot be served, or some requests will fail."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was tried.

    Attributes:
        subject: The setting that it is about, such as ``models.big``.
        state: What came of it.
        message: The same in words; never a secret.
        fix: What to do next; None where nothing is to be done.
    """

    subject: str
    state: State
    message: str
    fix: str | None = None


def _ok(subject: str, message: str) -> Finding:
    return Finding(subject=subject, state=State.OK, message=message)


def _fault(subject: str, error: Exception, *, fix: str) -> Finding:
    table = ".".join(subject.split(".")[:2])
    message = str(error).removeprefix(f"{subject}: ").removeprefix(f"{table}: ")
    return Finding(subject=subject, state=State.FAULT, message=message, fix=fix)


async def examine(
    path: Path,
    environ: Mapping[str, str],
    *,
    insecure: bool = False,
    asks: bool = False,
    timeout_s: float = 10.0,
) -> list[Finding]:
    """Try everything that ``routecast serve`` would need.

    Args:
        path: The settings file.
        environ: Where ``env:NAME`` secrets are.
        insecure: Whether other machines may call without a key.
        asks: Whether to send each model one short request in each of its APIs, which may cost a
            fraction of a cent; otherwise its upstream is only asked which models it has.
        timeout_s: How long each upstream may take.

    Returns:
        At least one finding; server first, then models, then routes.
    """
    try:
        settings = read_settings(path)
    except ConfigError as error:
        fix = "correct the file; routecast config reference explains every setting"
        return [_fault("settings", ConfigError(line), fix=fix) for line in str(error).split("\n")]
    n_models, n_routes = len(settings.models), len(settings.routes)
    findings = [_ok("settings", f"{path} can be read; models: {n_models}, routes: {n_routes}")]
    folder = path.parent
    findings += _examine_server(settings.server, environ, folder, insecure=insecure)
    findings += _examine_state(settings, folder)
    per_model = await asyncio.gather(
        *(
            _examine_model(settings, name, environ, folder, asks=asks, timeout_s=timeout_s)
            for name in settings.models
        )
    )
    findings += [finding for found in per_model for finding in found]
    for name in settings.routes:
        findings += _examine_route(settings, name, environ, folder)
    return findings


def _examine_server(
    server: ServerSettings, environ: Mapping[str, str], folder: Path, *, insecure: bool
) -> Iterator[Finding]:
    try:
        check_exposure(server, insecure=insecure)
    except ConfigError as error:
        fix = 'set client_keys = ["env:NAME"] in [server], or host = "127.0.0.1"'
        yield _fault("server.host", error, fix=fix)
    try:
        n_keys = len(resolve_client_keys(server, environ, folder=folder))
    except ConfigError as error:
        yield _fault("server.client_keys", error, fix="set the variable, or write the file")
    else:
        if n_keys:
            yield _ok("server.client_keys", f"{n_keys} found")
    try:
        tls = find_tls_files(server, folder=folder)
    except ConfigError as error:
        fix = "name a PEM certificate and its own key; openssl req -x509 -nodes makes both"
        yield _fault("server.tls_certificate", error, fix=fix)
    else:
        if tls is not None:
            yield _ok("server.tls_certificate", "certificate and key fit together")
        elif not is_loopback_host(server.host):
            yield Finding(
                subject="server.tls_certificate",
                state=State.WARNING,
                message="other machines reach the gateway over plain http, so keys and prompts can "
                "be read on the way",
                fix="set tls_certificate and tls_key, or put a proxy with TLS before it",
            )
    yield _examine_port(server)


def _examine_state(settings: Settings, folder: Path) -> Iterator[Finding]:
    if not keeps_conversations(settings):
        return
    place = conversations_file(settings.server, folder)
    try:
        check_place(place)
    except ConfigError as error:
        fix = "let state_folder in [server] name a folder that can be written"
        yield _fault("server.state_folder", error, fix=fix)
    else:
        yield _ok("server.state_folder", f"{str(place.parent)!r} can be written")


def _examine_port(server: ServerSettings) -> Finding:
    try:
        bind(server.port, host=server.host).close()
    except ConfigError as error:
        return Finding(
            subject="server.port",
            state=State.WARNING,
            message=str(error),
            fix="if this gateway is not running already, end what is, or choose another port",
        )
    return _ok("server.port", f"port {server.port} on {server.host} is free")


async def _examine_model(
    settings: Settings,
    name: str,
    environ: Mapping[str, str],
    folder: Path,
    *,
    asks: bool,
    timeout_s: float,
) -> list[Finding]:
    subject = f"models.{name}"
    alone = settings.model_copy(update={"models": {name: settings.models[name]}})
    try:
        endpoint = resolve_endpoints(alone, environ, folder=folder)[name]
    except ConfigError as error:
        return [_fault(f"{subject}.api_key", error, fix="set the variable, or write the file")]
    findings = list(_examine_address(subject, endpoint))
    apis = [api for api in Api if api in endpoint.apis] if asks else [None]
    probes = [probe_upstream(endpoint, asks=api, timeout_s=timeout_s) for api in apis]
    return findings + [_found(subject, probe) for probe in await asyncio.gather(*probes)]


def _found(subject: str, probe: Probe) -> Finding:
    state = State.OK if probe.fix is None else State.FAULT if probe.is_fault else State.WARNING
    return Finding(subject=subject, state=state, message=probe.message, fix=probe.fix)


def _examine_address(subject: str, endpoint: Endpoint) -> Iterator[Finding]:
    if endpoint.api_key is None:
        return
    yield _ok(f"{subject}.api_key", "key found")
    url = urlsplit(endpoint.base_url)
    if url.scheme == "http" and not is_loopback_host(url.hostname or ""):
        yield Finding(
            subject=f"{subject}.base_url",
            state=State.WARNING,
            message="the key goes over plain http, where it can be read on the way",
            fix="use https:// if the upstream speaks it",
        )


def _examine_route(
    settings: Settings, name: str, environ: Mapping[str, str], folder: Path
) -> Iterator[Finding]:
    subject, route = f"routes.{name}", settings.routes[name]
    alone = settings.model_copy(update={"routes": {name: route}})
    try:
        routers = load_routers(alone, folder=folder, environ=environ)
    except (ConfigError, ArtifactError, MissingExtraError) as error:
        fix = 'use router = "default", or train one: routecast train --help'
        yield _fault(f"{subject}.router", error, fix=fix)
        return
    yield _ok(f"{subject}.router", f"router {route.router!r} loads")
    try:
        built = build_route_table(alone, routers, {}).routes[name]
    except ConfigError as error:
        fix = f"calibrate router {route.router!r}, or give the route a threshold"
        yield _fault(f"{subject}.{route.goal.name}", error, fix=fix)
        return
    sample = f", read from {built.calibration_sample}" if built.calibration_sample else ""
    yield _ok(
        f"{subject}.{route.goal.name}",
        f"{route.goal.value:g} means {route.strong} from {built.threshold:.4g} on{sample}",
    )
