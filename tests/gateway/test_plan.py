"""An endpoint made ready for calls."""

import pytest

from routecast.errors import ConfigError
from routecast.gateway.plan import open_session, prepare_upstream
from routecast.gateway.surfaces import SURFACES
from routecast.policy.settings import ServerSettings
from routecast.upstream.endpoint import Endpoint, Timeouts

pytestmark = pytest.mark.anyio


def test_the_settings_arrive_where_they_count() -> None:
    endpoint = Endpoint(
        name="big",
        model='gpt-"5"',
        base_url="http://127.0.0.1:1/v1/",
        timeouts=Timeouts(connect_s=1.0, first_byte_s=2.0, total_s=4.0),
        n_retries=3,
    )
    server = ServerSettings(breaker_failures=2, breaker_open_s=7.0, retry_budget=0.0)
    upstream = prepare_upstream(endpoint, server)
    assert (upstream.name, upstream.model_json) == ("big", b'"gpt-\\"5\\""')
    assert str(upstream.urls["/messages"]) == "http://127.0.0.1:1/v1/messages"
    assert {surface.upstream_path for surface in SURFACES.values()} == upstream.urls.keys()
    timeout = upstream.timeout
    assert (timeout.connect, timeout.sock_read, timeout.total) == (1.0, 2.0, 4.0)
    assert upstream.retry_policy.n_attempts == 4
    assert not upstream.budget.spend()
    for _ in range(2):
        upstream.breaker.record_failure(upstream.breaker.admit())
    assert 6.9 < upstream.breaker.wait_s <= 7.0


def test_a_base_url_that_is_none_is_refused_by_its_setting() -> None:
    endpoint = Endpoint(name="big", model="m", base_url="http://127.0.0.1:port/v1")
    with pytest.raises(ConfigError, match=r"models\.big\.base_url is not a URL"):
        prepare_upstream(endpoint, ServerSettings())


async def test_the_session_keeps_no_cookies_and_unpacks_nothing() -> None:
    async with open_session() as session:
        session.cookie_jar.update_cookies({"a": "b"})
        assert list(session.cookie_jar) == []
        assert session.auto_decompress is False
        assert session.trust_env is False
    assert session.closed
