"""A silent server: it is asked, then left by those who may leave, then given up; or it comes back."""

from __future__ import annotations

import dataclasses

import gevent
import pytest

from tests.client.test_connection import BODY, Owner, ask
from tests.support.scripted_servers import Peer, echo, silent
from tests.support.waiting import eventually
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
            peer.endpoint, Dialect.HEADER_BINARY, WireLimits(), 60.0, owner, zkrpc=True, clock=lambda: now
        )
        peer.freeze()
        movable = gevent.spawn(connection.call, b"echo", BODY, 100.0, movable=True)
        other = gevent.spawn(connection.call, b"echo", BODY, 100.0)
        gevent.sleep(0.01)
        for now in (1.0, 2.0):
            connection.tick(now)
        movable.join(60)
        assert isinstance(movable.exception, ConnectionLost) and movable.exception.executed is Executed.MAYBE
        assert (connection.silent, connection.pending, owner.events) == (True, 1, ["silent"])
        assert "silent" in repr(connection._pulse)
        for now in (3.0, 4.0):
            connection.tick(now)
        other.join(60)
        assert "no sign of life" in str(other.exception)
        assert owner.events == ["silent", "silent", "closed"]


@pytest.mark.parametrize("zkrpc", [True, False])
def test_server_that_pings_and_never_reads_is_left(zkrpc: bool) -> None:
    """It is alive, as it says all the time, and of no use: calls to it would pile up here."""
    with Peer(silent) as peer:
        owner, now = Owner(POLICY), 0.0
        owner.may_leave_unheard = lambda connection: False  # type: ignore[attr-defined]  # asked for foreign ones only
        connection = Connection.dial(
            peer.endpoint, Dialect.HEADER_BINARY, WireLimits(), 60.0, owner, zkrpc=zkrpc, clock=lambda: now
        )
        eventually(lambda: peer.links)
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
        gevent.joinall(callers, timeout=60)
        assert connection.closed and all("the server does not read" in str(one.exception) for one in callers)


def test_pulse_comes_back_with_any_byte() -> None:
    """What was only late is trusted again."""
    with Peer() as peer:
        owner, now = Owner(POLICY), 0.0
        connection = Connection.dial(
            peer.endpoint, Dialect.HEADER_BINARY, WireLimits(), 60.0, owner, zkrpc=True, clock=lambda: now
        )
        peer.freeze()
        caller = gevent.spawn(ask, connection)
        gevent.sleep(0.01)
        for now in (1.0, 2.0):
            connection.tick(now)
        assert connection.silent
        now = 2.5
        peer.thaw()
        caller.join(60)
        eventually(lambda: connection._protocol.last_heard_at == now)
        connection.tick(now)
        assert (connection.silent, owner.events) == (False, ["silent", "heard"])
        connection.close()


class ForeignOwner(Owner):
    """Says whether somebody else could do the work of a server that has not sent a byte."""

    def __init__(self, may_leave: bool) -> None:
        super().__init__(POLICY)
        self.may_leave = may_leave

    def may_leave_unheard(self, connection: Connection) -> bool:
        return self.may_leave


class Foreign:
    """A connection to a Thrift server that is not zkrpc's and answers nothing by itself, at a time of our own."""

    def __init__(self, peer: Peer, owner: Owner) -> None:
        self.now = 0.0
        self._peer = peer
        self.connection = Connection.dial(
            peer.endpoint, Dialect.HEADER_BINARY, WireLimits(), 60.0, owner, zkrpc=False, clock=lambda: self.now
        )

    def call(self, movable: bool = False) -> gevent.Greenlet[..., object]:
        """A call that has reached the server."""
        arrived = len(self._peer.requests)
        caller = gevent.spawn(self.connection.call, b"echo", BODY, 1000.0, movable=movable)
        eventually(lambda: len(self._peer.requests) > arrived)
        return caller

    def tick(self, *times: float) -> None:
        """The looks at these times."""
        for self.now in times:
            self.connection.tick(self.now)


def test_foreign_server_that_never_sent_a_byte_is_left_by_who_may_leave() -> None:
    """It is never asked; the call that must not be sent twice stays, and its answer makes the server trusted."""
    owner = ForeignOwner(may_leave=True)
    with Peer(silent) as peer:
        foreign = Foreign(peer, owner)
        connection, movable, other = foreign.connection, foreign.call(movable=True), foreign.call()
        foreign.tick(1.0)
        assert (connection.silent, owner.events) == (False, [])
        foreign.tick(2.0, 3.0)
        movable.join(60)
        assert isinstance(movable.exception, ConnectionLost) and movable.exception.executed is Executed.MAYBE
        assert (connection.silent, connection.pending, owner.events) == (True, 1, ["silent", "silent"])
        foreign.now = 3.5
        echo(peer.links[0], peer.requests[1])
        peer.links[0].flush()
        assert other.get(timeout=60)
        foreign.tick(3.6)
        assert (connection.silent, connection.closed, owner.events) == (False, False, ["silent", "silent", "heard"])
        connection.close()


def test_foreign_server_that_nobody_waits_for_any_more_is_given_up() -> None:
    """All calls have left it, so nothing is owed that could still come."""
    owner = ForeignOwner(may_leave=True)
    with Peer(silent) as peer:
        foreign = Foreign(peer, owner)
        movable = foreign.call(movable=True)
        foreign.tick(1.0, 2.0)
        movable.join(60)
        assert isinstance(movable.exception, ConnectionLost)
        assert foreign.connection.closed and owner.events == ["silent", "closed"]


def test_foreign_server_is_waited_for_if_nobody_else_could_do_the_work() -> None:
    """It may take as long as it likes; the silence is only a suspicion."""
    owner = ForeignOwner(may_leave=False)
    with Peer(silent) as peer:
        foreign = Foreign(peer, owner)
        caller = foreign.call(movable=True)
        foreign.tick(*map(float, range(1, 100)))
        assert (foreign.connection.silent, foreign.connection.pending, owner.events) == (False, 1, [])
        foreign.connection.close()
        caller.join(60)


def test_foreign_server_that_has_sent_a_byte_is_never_taken_for_silent() -> None:
    """It speaks Thrift, and its handler may be slow."""
    owner = ForeignOwner(may_leave=True)
    with Peer(echo) as peer:
        foreign = Foreign(peer, owner)
        foreign.now = 0.5
        foreign.call().get(timeout=60)
        peer.script = silent
        slow = foreign.call(movable=True)
        foreign.tick(*map(float, range(1, 100)))
        assert (foreign.connection.silent, foreign.connection.pending, owner.events) == (False, 1, [])
        foreign.connection.close()
        slow.join(60)


def test_foreign_server_is_not_reproached_with_a_silence_in_which_it_owed_nothing() -> None:
    """Only what passes after the call counts, however soon an idle server that can be asked would be."""
    owner = ForeignOwner(may_leave=True)
    owner.keepalive = dataclasses.replace(POLICY, idle_time=1.0)
    with Peer(silent) as peer:
        foreign = Foreign(peer, owner)
        foreign.tick(*map(float, range(1, 100)))
        assert not foreign.connection.closed and not owner.events
        caller = foreign.call(movable=True)
        foreign.tick(100.0)
        assert not foreign.connection.silent
        foreign.tick(101.0)
        caller.join(60)
        assert owner.events == ["silent", "closed"]


def test_silence_is_nothing_to_an_owner_that_does_not_mind() -> None:
    """Without a policy nobody is asked, suspected or given up."""
    owner = Owner(keepalive=None)
    with Peer(silent) as peer:
        foreign = Foreign(peer, owner)
        caller = foreign.call(movable=True)
        foreign.tick(*map(float, range(1, 100)))
        assert (foreign.connection.silent, foreign.connection.pending, owner.events) == (False, 1, [])
        foreign.connection.close()
        caller.join(60)
