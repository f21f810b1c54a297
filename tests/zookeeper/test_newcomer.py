"""Being somebody who has seen nothing of a server, for a moment."""

from __future__ import annotations

import socket
import struct
import threading

import gevent
import pytest

from tests.support.scripted_servers import closed_port
from zkrpc.dev.zookeeper import DevZooKeeper
from zkrpc.endpoint import Endpoint
from zkrpc.zookeeper.newcomer import takes_newcomers


@pytest.mark.zookeeper
def test_a_server_that_serves_takes_newcomers(zookeeper_server: DevZooKeeper) -> None:
    """The hub goes on meanwhile."""
    turns: list[int] = []
    gevent.spawn(turns.append, 1)
    assert takes_newcomers(Endpoint("127.0.0.1", zookeeper_server.ports[0]), 5.0) and turns


@pytest.mark.parametrize(
    "answer", [b"", struct.pack("!iiiqi", 20, 0, 0, 0, 0), b"HTTP/1.1 400 Bad Request\r\n", b"\0\0"]
)
def test_who_grants_nothing_does_not_take_newcomers(answer: bytes) -> None:
    """It hangs up, refuses, speaks another language, or breaks off."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                connection.sendall(answer)

        server = threading.Thread(target=serve)
        server.start()
        try:
            assert not takes_newcomers(Endpoint(*listener.getsockname()), 5.0)
        finally:
            server.join(5)


def test_who_cannot_be_asked_does_not_take_newcomers() -> None:
    """Refused, mute, or no name at all: within the time."""
    assert not takes_newcomers(closed_port(), 1.0)
    assert not takes_newcomers(Endpoint("a..b", 1), 1.0)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        assert not takes_newcomers(Endpoint(*mute.getsockname()), 0.1)
