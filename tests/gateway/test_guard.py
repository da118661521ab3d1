"""Who may talk to a gateway without keys."""

import pytest

from routecast.errors import RequestError
from routecast.gateway.guard import check_caller

LOOPBACK = [
    b"127.0.0.1", b"127.0.0.1:6060", b"localhost", b"LocalHost:80", b"[::1]", b"[::1]:6060",
]  # fmt: skip


@pytest.mark.parametrize("host", LOOPBACK)
def test_programs_on_this_machine_pass(host: bytes) -> None:
    check_caller([(b"accept", b"*/*"), (b"host", host)])


@pytest.mark.parametrize("host", LOOPBACK)
def test_a_page_of_this_server_s_own_passes(host: bytes) -> None:
    check_caller([(b"host", host), (b"origin", b"http://" + host)])


@pytest.mark.parametrize(
    "host",
    [
        b"", b"evil.example", b"evil.example:6060", b"127.0.0.1.evil.example", b"localhost.evil",
        b"127.0.0.1:evil", b"127.0.0.1:", b"::1", b"[::1", b"0.0.0.0", b"127.0.0.2", b"192.168.0.1",
        b"user@127.0.0.1", b"127.0.0.1, evil.example",
    ],
)  # fmt: skip
def test_a_host_that_is_not_loopback_is_refused(host: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        check_caller([(b"host", host)])
    assert (caught.value.status, caught.value.code) == (403, "host_refused")


def test_no_host_and_two_hosts_are_refused() -> None:
    for headers in ([], [(b"host", b"localhost"), (b"host", b"localhost")]):
        with pytest.raises(RequestError, match="its own machine only"):
            check_caller(headers)


@pytest.mark.parametrize(
    "origin",
    [
        b"https://evil.example", b"null", b"", b"http://localhost:3000", b"http://127.0.0.1",
        b"https://127.0.0.1:6060", b"http://127.0.0.1:6060.evil.example",
    ],
)  # fmt: skip
def test_a_page_of_another_origin_is_refused(origin: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        check_caller([(b"host", b"127.0.0.1:6060"), (b"origin", origin)])
    assert (caught.value.status, caught.value.code) == (403, "origin_refused")


def test_two_origins_are_never_our_own() -> None:
    own = (b"origin", b"http://127.0.0.1:6060")
    with pytest.raises(RequestError):
        check_caller([(b"host", b"127.0.0.1:6060"), own, own])
