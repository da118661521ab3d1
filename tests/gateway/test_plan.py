"""An endpoint made ready for calls."""

import pytest

from routecast.errors import ConfigError
from routecast.gateway.plan import prepare_upstream
from routecast.gateway.pool import Origin
from routecast.gateway.surfaces import SURFACES
from routecast.policy.settings import ServerSettings
from routecast.upstream.apis import Api
from routecast.upstream.endpoint import Endpoint, Timeouts


def test_the_settings_arrive_where_they_count() -> None:
    endpoint = Endpoint(
        name="big",
        model='gpt-"5"',
        base_url="http://127.0.0.1:1/v1/",
        api_key="sk-1",
        apis=frozenset({Api.CHAT, Api.MESSAGES}),
        timeouts=Timeouts(connect_s=1.0, first_byte_s=2.0, total_s=4.0),
        n_retries=3,
    )
    server = ServerSettings(breaker_failures=2, breaker_open_s=7.0, retry_budget=0.0)
    upstream = prepare_upstream(endpoint, server)
    assert (upstream.name, upstream.model_json) == ("big", b'"gpt-\\"5\\""')
    assert upstream.origin == Origin("127.0.0.1", 1, is_tls=False)
    assert upstream.host == b"127.0.0.1:1"
    assert upstream.paths["/messages"] == b"/v1/messages"
    assert {surface.upstream_path for surface in SURFACES.values()} == upstream.paths.keys()
    assert upstream.key_headers == {
        Api.CHAT: [(b"authorization", b"Bearer sk-1")],
        Api.MESSAGES: [(b"x-api-key", b"sk-1")],
    }
    assert upstream.retry_policy.n_attempts == 4
    assert not upstream.budget.spend()
    for _ in range(2):
        upstream.breaker.record_failure(upstream.breaker.admit())
    assert 6.9 < upstream.breaker.wait_s <= 7.0


def test_a_base_url_that_is_none_is_refused_by_its_setting() -> None:
    endpoint = Endpoint(name="big", model="m", base_url="http://127.0.0.1:port/v1")
    with pytest.raises(ConfigError, match=r"models\.big\.base_url is not a URL"):
        prepare_upstream(endpoint, ServerSettings())


@pytest.mark.parametrize(
    ("base_url", "origin", "host", "path"),
    [
        ("https://api.openai.com/v1", ("api.openai.com", 443, True), b"api.openai.com", b"/v1"),
        ("http://[::1]:8080", ("::1", 8080, False), b"[::1]:8080", b""),
        ("http://h:80/a%2Fb c/", ("h", 80, False), b"h", b"/a%2Fb%20c"),
        ("https://bücher.de", ("xn--bcher-kva.de", 443, True), b"xn--bcher-kva.de", b""),
    ],
)  # fmt: skip
def test_a_base_url_is_taken_apart(
    base_url: str, origin: tuple[str, int, bool], host: bytes, path: bytes
) -> None:
    endpoint = Endpoint(name="big", model="m", base_url=base_url)
    upstream = prepare_upstream(endpoint, ServerSettings())
    assert (upstream.origin, upstream.host) == (origin, host)
    assert upstream.paths["/chat/completions"] == path + b"/chat/completions"


@pytest.mark.parametrize("base_url", ["/v1", "ftp-like:"])
def test_a_base_url_without_a_host_is_refused(base_url: str) -> None:
    with pytest.raises(ConfigError, match="names no host"):
        prepare_upstream(Endpoint(name="big", model="m", base_url=base_url), ServerSettings())
