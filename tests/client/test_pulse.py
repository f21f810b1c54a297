"""A silent server: it is asked, then left by those who may leave, then given up; or it comes back."""

from __future__ import annotations

import gevent
import pytest

from tests.client.peers import Peer, silent, wait_until
from tests.client.test_connection import BODY, Owner, ask
from zkrpc.client.connection import Connection
from zkrpc.config import WireLimits
from zkrpc.errors import ConnectionLost, Executed
from zkrpc.wire.keepalive import KeepalivePolicy
from zkrpc.wire.message import Dialect

pytestmark = pytest.mark.usefixtures("clean")

POLICY = KeepalivePolicy(time=1.0, patience=1.0, timeout=3.0, longest_step=1.0)


def test_pulse_lets_movable_calls_go_and_gives_up_at_last() -> None:
    """The one that may be sent twice leaves after the patience; the other waits for the end of the connection."""
    with Peer(silent) as peer:
        owner, now = Owner(POLICY), 0.0
        connection = Connection.dial(
            peer.endpoint, Dialect.HEADER_BINARY, WireLimits(), 1.0, owner, zkrpc=True, clock=lambda: now
        )
        peer.freeze()
        movable = gevent.spawn(connection.call, b"echo", BODY, 100.0, movable=True)
        other = gevent.spawn(connection.call, b"echo", BODY, 100.0)
        gevent.sleep(0.01)
        for now in (1.0, 2.0):
            connection.tick(now)
        movable.join(5)
        assert isinstance(movable.exception, ConnectionLost) and movable.exception.executed is Executed.MAYBE
        assert (connection.silent, connection.pending, owner.events) == (True, 1, ["silent"])
        assert "silent" in repr(connection._pulse)
        for now in (3.0, 4.0):
            connection.tick(now)
        other.join(5)
        assert "no sign of life" in str(other.exception)
        assert owner.events == ["silent", "silent", "closed"]


def test_pulse_comes_back_with_any_byte() -> None:
    """What was only late is trusted again."""
    with Peer() as peer:
        owner, now = Owner(POLICY), 0.0
        connection = Connection.dial(
            peer.endpoint, Dialect.HEADER_BINARY, WireLimits(), 1.0, owner, zkrpc=True, clock=lambda: now
        )
        peer.freeze()
        caller = gevent.spawn(ask, connection)
        gevent.sleep(0.01)
        for now in (1.0, 2.0):
            connection.tick(now)
        assert connection.silent
        now = 2.5
        peer.thaw()
        caller.join(5)
        wait_until(lambda: connection._protocol.last_heard_at == now)
        connection.tick(now)
        assert (connection.silent, owner.events) == (False, ["silent", "heard"])
        connection.close()
