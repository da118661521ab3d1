"""Who may talk to the gateway, with keys and without."""

from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from routecast.errors import ConfigError, RequestError
from routecast.gateway.guard import Guard, allow_origins, build_guard, is_loopback_host
from routecast.policy.settings import ServerSettings

CHAT = "/v1/chat/completions"
LOOPBACK = [
    b"127.0.0.1", b"127.0.0.1:6060", b"localhost", b"LocalHost:80", b"[::1]", b"[::1]:6060",
    b"127.0.0.2",
]  # fmt: skip
ENDPOINTS = [CHAT, "/v1/models", "/metrics", "/healthz", "/readyz", "/", "/nowhere"]


def guard(*keys: str, insecure: bool = False, **settings: Any) -> Guard:  # noqa: ANN401
    references = tuple(f"env:KEY_{position}" for position in range(len(keys)))
    return build_guard(ServerSettings(client_keys=references, **settings), keys, insecure=insecure)


def code_of(guard: Guard, headers: list[tuple[bytes, bytes]], *, path: str = CHAT) -> str | None:
    """The refusal's code, after a look at its status; None if the request passes."""
    try:
        guard.check(path, headers)
    except RequestError as refusal:
        error = refusal
    else:
        return None
    assert error.status == (401 if error.code.endswith("api_key") else 403)
    return error.code


@pytest.mark.parametrize("host", LOOPBACK)
def test_programs_on_this_machine_pass(host: bytes) -> None:
    assert code_of(guard(), [(b"accept", b"*/*"), (b"host", host)]) is None


@pytest.mark.parametrize("host", LOOPBACK)
def test_a_page_of_this_server_s_own_passes(host: bytes) -> None:
    assert code_of(guard(), [(b"host", host), (b"origin", b"http://" + host)]) is None


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize(
    "host",
    [
        b"", b"evil.example", b"evil.example:6060", b"127.0.0.1.evil.example", b"localhost.evil",
        b"127.0.0.1:evil", b"127.0.0.1:", b"::1", b"[::1", b"0.0.0.0", b"192.168.0.1", b"[::]",
        b"user@127.0.0.1", b"127.0.0.1, evil.example", b"2130706433", b"0x7f.1", b"\xff",
    ],
)  # fmt: skip
def test_a_host_that_is_not_loopback_is_refused_on_every_endpoint(host: bytes, path: str) -> None:
    assert code_of(guard(), [(b"host", host)], path=path) == "host_refused"


def test_no_host_and_two_hosts_are_refused() -> None:
    for headers in ([], [(b"host", b"localhost"), (b"host", b"localhost")]):
        assert code_of(guard(), headers) == "host_refused"


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize(
    "origin",
    [
        b"https://evil.example", b"null", b"", b"http://localhost:3000", b"http://127.0.0.1",
        b"https://127.0.0.1:6060", b"http://127.0.0.1:6060.evil.example",
    ],
)  # fmt: skip
def test_a_page_of_another_origin_is_refused_on_every_endpoint(origin: bytes, path: str) -> None:
    headers = [(b"host", b"127.0.0.1:6060"), (b"origin", origin)]
    assert code_of(guard(), headers, path=path) == "origin_refused"


def test_two_origins_are_never_our_own() -> None:
    own = (b"origin", b"http://127.0.0.1:6060")
    assert code_of(guard(), [(b"host", b"127.0.0.1:6060"), own, own]) == "origin_refused"


def test_under_tls_our_own_origin_is_https() -> None:
    tls = guard(tls_certificate="certificate.pem", tls_key="key.pem")
    host = (b"host", b"localhost:6060")
    assert code_of(tls, [host, (b"origin", b"https://localhost:6060")]) is None
    assert code_of(tls, [host, (b"origin", b"http://localhost:6060")]) == "origin_refused"


@pytest.mark.parametrize("name", [b"authorization", b"x-api-key", b"api-key"])
def test_a_key_opens_every_endpoint_from_anywhere(name: bytes) -> None:
    keyed = guard("first", "second", host="0.0.0.0")
    value = b"Bearer second" if name == b"authorization" else b"second"
    headers = [(b"host", b"models.example"), (b"origin", b"https://a.example"), (name, value)]
    assert [code_of(keyed, headers, path=path) for path in ENDPOINTS] == [None] * len(ENDPOINTS)


def test_one_right_key_among_several_is_enough() -> None:
    headers = [(b"authorization", b"Bearer unused"), (b"x-api-key", b"right")]
    assert code_of(guard("right"), headers) is None


def test_without_a_right_key_only_the_watchers_paths_answer() -> None:
    keyed = guard("right")
    loopback = (b"host", b"127.0.0.1")
    missing = {path: code_of(keyed, [loopback], path=path) for path in ENDPOINTS}
    assert {path for path, code in missing.items() if code is None} == {"/healthz", "/readyz"}
    assert set(missing.values()) == {None, "missing_api_key"}
    assert code_of(keyed, [loopback, (b"x-api-key", b"wrong")]) == "invalid_api_key"


def test_a_refusal_never_repeats_the_key() -> None:
    with pytest.raises(RequestError) as caught:
        guard("right").check(CHAT, [(b"x-api-key", b"sk-wrong")])
    assert "sk-wrong" not in str(caught.value)
    assert "right" not in str(caught.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "models.example"])
def test_listening_beyond_this_machine_needs_keys_or_insecure(host: str) -> None:
    with pytest.raises(ConfigError, match=r"client_keys in \[server\].*--insecure"):
        guard(host=host)
    assert guard("key", host=host).keys is not None
    assert guard(host=host, insecure=True).any_host


def test_insecure_takes_any_host_and_still_no_foreign_page() -> None:
    insecure = guard(host="0.0.0.0", insecure=True)
    host = (b"host", b"models.example")
    assert code_of(insecure, [host]) is None
    assert code_of(insecure, [host, (b"origin", b"https://evil.example")]) == "origin_refused"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost", "LOCALHOST"])
def test_loopback_is_known_by_name_and_address(host: str) -> None:
    assert is_loopback_host(host)


def page_client(origins: list[str]) -> TestClient:
    return TestClient(allow_origins(PlainTextResponse("hello"), origins))


def test_without_origins_no_page_may_read_an_answer() -> None:
    app = PlainTextResponse("hello")
    assert allow_origins(app, []) is app
    answer = page_client([]).get("/", headers={"origin": "https://app.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_page_of_a_configured_origin_may_ask_and_read() -> None:
    client = page_client(["https://app.example"])
    asked = {
        "origin": "https://app.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,x-stainless-lang",
    }
    preflight = client.options(CHAT, headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://app.example"
    assert "x-stainless-lang" in preflight.headers["access-control-allow-headers"]
    answer = client.get("/", headers={"origin": "https://app.example"})
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert "x-routecast-model" in answer.headers["access-control-expose-headers"]
    foreign = client.options(CHAT, headers={**asked, "origin": "https://evil.example"})
    assert foreign.status_code == 400
    assert "access-control-allow-origin" not in foreign.headers
