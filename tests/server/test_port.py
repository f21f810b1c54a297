"""What a supervisor holds for its workers."""

from __future__ import annotations

import errno
import socket

import pytest

from zkrpc.dev.zookeeper import free_ports
from zkrpc.endpoint import Endpoint
from zkrpc.server.port import Port, bind_socket


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_port_is_held_but_refuses_until_somebody_listens(host: str) -> None:
    """Others cannot have it, and callers go elsewhere at once; whoever inherits it makes it accept."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    port = Port(Endpoint(host, *free_ports(1)))
    port.open()
    with pytest.raises(OSError) as caught, socket.socket(family) as other:
        other.bind((host, port.endpoint.port))
    assert caught.value.errno == errno.EADDRINUSE
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, port.endpoint.port), timeout=60)
    with socket.socket(fileno=socket.dup(port.descriptor)) as listener:
        listener.listen()
        socket.create_connection((host, port.endpoint.port), timeout=60).close()
        descriptor = port.descriptor
        port.open()
        assert port.descriptor == descriptor, "it has it already"
    port.close()
    port.close()


def test_port_that_somebody_has_can_be_had_later() -> None:
    """Failing leaves nothing behind, and the next try begins anew; connections that are left are in nobody's way."""
    port = Port(Endpoint("127.0.0.1", *free_ports(1)))
    with socket.create_server(("127.0.0.1", port.endpoint.port)) as other:
        with pytest.raises(OSError) as caught:
            port.open()
        assert caught.value.errno == errno.EADDRINUSE
        client = socket.create_connection(("127.0.0.1", port.endpoint.port), timeout=60)
        accepted, _ = other.accept()
    with client, accepted:
        port.open()
    port.close()


class WithNames(socket.socket):
    """A socket on a machine where ``six.test`` has IPv6 addresses only, and ``none.test`` none at all."""

    def bind(self, address: tuple[str, int]) -> None:  # type: ignore[override]
        host, port = address
        if host == "none.test" or (host == "six.test" and self.family is socket.AF_INET):
            raise socket.gaierror(socket.EAI_NONAME, f"{host} has no address of {self.family.name}")
        super().bind(("::1" if host == "six.test" else host, port))


def test_name_that_has_ipv6_addresses_only_can_be_bound() -> None:
    """What a name stands for is tried in both families; a name without any address is told as it was at first."""
    with bind_socket(Endpoint("six.test", 0), WithNames) as bound:
        assert bound.family is socket.AF_INET6 and bound.getsockname()[0] == "::1"
    with bind_socket(Endpoint("127.0.0.1", 0), WithNames) as bound:
        assert bound.family is socket.AF_INET
    with pytest.raises(socket.gaierror, match="no address of AF_INET$"):
        bind_socket(Endpoint("none.test", 0), WithNames)
