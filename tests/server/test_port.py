"""What a supervisor holds for its workers."""

from __future__ import annotations

import errno
import socket

import pytest

from zkrpc.endpoint import Endpoint
from zkrpc.server.port import Port


def free_port(family: socket.AddressFamily = socket.AF_INET, host: str = "127.0.0.1") -> int:
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_port_is_held_but_refuses_until_somebody_listens(host: str) -> None:
    """Others cannot have it, and callers go elsewhere at once; whoever inherits it makes it accept."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    port = Port(Endpoint(host, free_port(family, host)))
    port.open()
    with pytest.raises(OSError) as caught, socket.socket(family) as other:
        other.bind((host, port.endpoint.port))
    assert caught.value.errno == errno.EADDRINUSE
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, port.endpoint.port), timeout=5)
    with socket.socket(fileno=socket.dup(port.descriptor)) as listener:
        listener.listen()
        socket.create_connection((host, port.endpoint.port), timeout=5).close()
        descriptor = port.descriptor
        port.open()
        assert port.descriptor == descriptor, "it has it already"
    port.close()
    port.close()


def test_port_that_somebody_has_can_be_had_later() -> None:
    """Failing leaves nothing behind, and the next try begins anew; connections that are left are in nobody's way."""
    port = Port(Endpoint("127.0.0.1", free_port()))
    with socket.create_server(("127.0.0.1", port.endpoint.port)) as other:
        with pytest.raises(OSError) as caught:
            port.open()
        assert caught.value.errno == errno.EADDRINUSE
        client = socket.create_connection(("127.0.0.1", port.endpoint.port), timeout=5)
        accepted, _ = other.accept()
    with client, accepted:
        port.open()
    port.close()
