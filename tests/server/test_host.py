"""What connections use of a server is there."""

from __future__ import annotations

from tests.support.echo import EchoHandler, idl
from zkrpc.server.host import ConnectionHost
from zkrpc.server.server import Server


def test_server_has_what_its_connections_need() -> None:
    """Every attribute and method that the protocol names."""
    server = Server(idl.Echo, EchoHandler())
    names = {*ConnectionHost.__annotations__, *(name for name in vars(ConnectionHost) if not name.startswith("_"))}
    assert {"config", "admission", "forget"} <= names
    assert [name for name in names if not hasattr(server, name)] == []
