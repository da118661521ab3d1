"""Whether an upstream answers, and knows the model: asked once, for ``routecast doctor``."""

import difflib
import json
from dataclasses import dataclass
from typing import Any

import aiohttp

from routecast.upstream.apis import Api
from routecast.upstream.endpoint import Endpoint

_QUESTION = "Reply with the one word: yes"
_REQUESTS: dict[Api, tuple[str, dict[str, Any]]] = {
    Api.CHAT: ("/chat/completions", {"messages": [{"role": "user", "content": _QUESTION}]}),
    Api.RESPONSES: ("/responses", {"input": _QUESTION}),
    Api.MESSAGES: (
        "/messages",
        {"max_tokens": 16, "messages": [{"role": "user", "content": _QUESTION}]},
    ),
    Api.COMPLETIONS: ("/completions", {"prompt": _QUESTION, "max_tokens": 16}),
    Api.EMBEDDINGS: ("/embeddings", {"input": _QUESTION}),
}
_ANTHROPIC_VERSION = {"anthropic-version": "2023-06-01"}
_MAX_BYTES = 1 << 22


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What an upstream said.

    Attributes:
        message: In words; never a secret, and nothing of an error's text.
        fix: What to do next; None where all is well.
        is_fault: Whether requests will fail, as far as can be told.
    """

    message: str
    fix: str | None = None
    is_fault: bool = False


async def probe_upstream(endpoint: Endpoint, *, asks: Api | None, timeout_s: float) -> Probe:
    """Ask an upstream for its list of models, or for one short answer.

    Args:
        endpoint: With its key.
        asks: The API in which to send the model a short request instead, one that it declares;
            it may cost something.
        timeout_s: How long it may take in all.
    """
    api = asks or min(endpoint.apis, key=list(_REQUESTS).index)
    path, request = _REQUESTS[api]
    headers = endpoint.headers(api) | (_ANTHROPIC_VERSION if api is Api.MESSAGES else {})
    url = endpoint.url(path if asks else "/models")
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(timeout_s)) as session,
            session.request(
                "POST" if asks else "GET",
                url,
                headers=headers,
                json={"model": endpoint.model, **request} if asks else None,
                allow_redirects=False,
            ) as answer,
        ):
            content = await answer.content.read(_MAX_BYTES)
    except TimeoutError:
        fix = "see whether it is overloaded, or the network or a proxy is in the way"
        return _failed(f"{url} did not answer within {timeout_s:g} s", fix)
    except aiohttp.ClientError as error:
        return _unreachable(endpoint, url, error)
    if asks and answer.status == 200:
        return Probe(message=f"{url} answered as {endpoint.model!r}")
    if answer.status != 200:
        return _refused(endpoint, url, answer.status, asks=asks)
    return _listed(endpoint, url, content)


def _failed(message: str, fix: str) -> Probe:
    return Probe(message=message, fix=fix, is_fault=True)


def _unreachable(endpoint: Endpoint, url: str, error: aiohttp.ClientError) -> Probe:
    setting = f"models.{endpoint.name}.base_url"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        fix = f"correct {setting}, or make the system trust its certificate (SSL_CERT_FILE)"
        return _failed(f"{url} shows a certificate that is not trusted", fix)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return _failed(f"the host of {url} is not known", f"correct {setting}, or the network")
    if isinstance(error, aiohttp.ClientConnectorError):
        start = "ollama serve" if ":11434" in url else "start the upstream"
        return _failed(f"nobody listens at {url}", f"{start}, or correct {setting}")
    fix = f"see whether {setting} is right, http or https included"
    return _failed(f"{url} broke off or did not speak HTTP ({type(error).__name__})", fix)


def _refused(endpoint: Endpoint, url: str, status: int, *, asks: Api | None) -> Probe:
    name = endpoint.name
    if status in {401, 403}:
        if endpoint.api_key is None:
            fix = f'set models.{name}.api_key = "env:NAME", and put the key into that variable'
            return _failed(f"{url} asks for a key (status {status})", fix)
        fix = f"put a valid key where models.{name}.api_key points"
        return _failed(f"{url} refuses the key (status {status})", fix)
    if status == 429:
        fix = "see the account's limits and credit at the upstream"
        return Probe(message=f"{url} is out of quota or too busy (status 429)", fix=fix)
    if status >= 500:
        return _failed(
            f"{url} fails (status {status})", "see the upstream's own status page or log"
        )
    fix = f"see whether models.{name}.base_url ends with the version, such as /v1"
    if asks:
        fix += f", and whether it has model {endpoint.model!r} and speaks {asks.value!r}, as "
        fix += f"models.{name}.apis says"
        return _failed(f"{url} refuses a plain request (status {status})", fix)
    fix += "; routecast doctor --ask tries a request"
    return Probe(message=f"{url} has no list of models (status {status})", fix=fix)


def _listed(endpoint: Endpoint, url: str, content: bytes) -> Probe:
    """Look for the model; upstreams need not list every model that they have."""
    names = _model_names(content)
    if names is None:
        fix = f"see whether models.{endpoint.name}.base_url is an API's address, not a web page's"
        return Probe(message=f"{url} answers with something else than a list of models", fix=fix)
    # A tag (llama3.2:latest) or a date (claude-sonnet-4-5-20250929) may follow the name.
    if any(
        name == endpoint.model or name.startswith((f"{endpoint.model}:", f"{endpoint.model}-2"))
        for name in names
    ):
        return Probe(message=f"{url} lists {endpoint.model!r}")
    close = difflib.get_close_matches(endpoint.model, names, n=3, cutoff=0.3) or names[:3]
    pull = f", or run: ollama pull {endpoint.model}" if ":11434" in url else ""
    return Probe(
        message=f"{url} answers, and does not list {endpoint.model!r}; it lists {len(names)}, "
        f"such as {close!r}",
        fix=f"set models.{endpoint.name}.model to one of them{pull}; routecast doctor --ask "
        "tells whether it works all the same",
    )


def _model_names(content: bytes) -> list[str] | None:
    """Return the names in a list of models, None if it is none."""
    try:
        entries = json.loads(content)["data"]
        return [str(entry["id"]) for entry in entries]
    except (ValueError, RecursionError, KeyError, TypeError):
        return None
