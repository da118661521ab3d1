"""The gateway as a process."""

import socket
from pathlib import Path

import pytest

from routecast.errors import ConfigError
from routecast.gateway.server import address_of, bind
from routecast.gateway.tls import TlsFiles


def test_only_loopback_is_bound_unless_asked() -> None:
    with bind(0) as listener:
        host, port = listener.getsockname()
        assert host == "127.0.0.1"
        assert port > 0
        assert address_of(listener) == f"http://127.0.0.1:{port}"


def test_every_address_can_be_bound_and_is_reached_over_loopback() -> None:
    with bind(0, host="0.0.0.0") as listener:
        host, port = listener.getsockname()
        assert host == "0.0.0.0"
        assert address_of(listener) == f"http://127.0.0.1:{port}"


def test_a_name_is_resolved_and_an_address_may_have_colons() -> None:
    with bind(0, host="localhost") as listener:
        assert listener.getsockname()[0] in {"127.0.0.1", "::1"}
    if socket.has_ipv6:
        with bind(0, host="::1") as listener:
            port = listener.getsockname()[1]
            tls = TlsFiles(certificate=Path("certificate.pem"), key=Path("key.pem"))
            assert address_of(listener, tls=tls) == f"https://[::1]:{port}"


def test_a_port_in_use_is_named_with_the_next_step() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} on 127.0.0.1 is in use.*--port"):
            bind(port)


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"is no address of this machine.*--host"):
        bind(0, host="192.0.2.1")


def test_a_host_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"host 'not a host' cannot be resolved"):
        bind(0, host="not a host")


def test_a_port_can_be_bound_again_at_once() -> None:
    with bind(0) as listener:
        port = listener.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        served, _ = listener.accept()
        served.close()  # the side that closes first keeps the port in TIME_WAIT
        client.close()
    with bind(port) as again:
        assert again.getsockname()[1] == port
