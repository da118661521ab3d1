"""The gateway as a process."""

import socket

import pytest

from routecast.errors import ConfigError
from routecast.gateway.server import bind_loopback


def test_only_loopback_is_bound() -> None:
    with bind_loopback(0) as listener:
        host, port = listener.getsockname()
        assert host == "127.0.0.1"
        assert port > 0


def test_a_port_in_use_is_named_with_the_next_step() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} on 127.0.0.1 is in use.*--port"):
            bind_loopback(port)


def test_a_port_can_be_bound_again_at_once() -> None:
    with bind_loopback(0) as listener:
        port = listener.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        served, _ = listener.accept()
        served.close()  # the side that closes first keeps the port in TIME_WAIT
        client.close()
    with bind_loopback(port) as again:
        assert again.getsockname()[1] == port
