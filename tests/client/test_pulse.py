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
from zkrpc.wire.message import PONG, Dialect, control_frame

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


@pytest.mark.parametrize("zkrpc", [True, False])
def test_server_that_pings_and_never_reads_is_left(zkrpc: bool) -> None:
    """It is alive, as it says all the time, and of no use: calls to it would pile up here."""
    with Peer(silent) as peer:
        owner, now = Owner(POLICY), 0.0
        owner.may_leave_unheard = lambda connection: False  # type: ignore[attr-defined]  # asked for foreign ones only
        connection = Connection.dial(
            peer.endpoint, Dialect.HEADER_BINARY, WireLimits(), 1.0, owner, zkrpc=zkrpc, clock=lambda: now
        )
        wait_until(lambda: peer.links)
        connection._protocol.receive_data(control_frame(PONG), 0.0) if zkrpc else None
        peer.freeze()
        callers = [gevent.spawn(connection.call, b"echo", b"x" * 4_000_000, 100.0) for _ in range(2)]
        gevent.sleep(0.05)
        for now in (3.1, 3.2, 3.3):
            peer.links[0].protocol.peer_is_zkrpc = True
            peer.links[0].protocol.send_ping()
            peer.links[0].flush() if zkrpc else None
            gevent.sleep(0.01)
            connection.tick(now)
            assert not connection.closed
        connection.tick(3.4)
        gevent.joinall(callers, timeout=5)
        assert connection.closed and all("the server does not read" in str(one.exception) for one in callers)


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
