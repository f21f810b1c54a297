"""What a session says of itself in the log."""

from __future__ import annotations

import logging
import socket
import struct
import threading

import pytest

from zkrpc.endpoint import Endpoint
from zkrpc.testing.clock import ManualClock
from zkrpc.zookeeper.health import SessionHealth
from zkrpc.zookeeper.operations import ConnectString, SessionState

HOSTS = ConnectString.parse("127.0.0.1:1/app")


@pytest.fixture
def clock() -> ManualClock:
    """Time that passes when told to."""
    return ManualClock()


def test_another_timeout_than_asked_for_is_said_once(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    """And again only when it is another one; what was granted is kept."""
    session = SessionHealth(HOSTS, 1.0, clock, lambda: None)
    for granted in (4.0, 4.0, 1.0, 1.0):
        session.receive_connected(granted)
        assert session.granted == granted
    (record,) = caplog.records
    assert "grants a session timeout of 4 s instead of the 1 s asked for" in record.message


def test_each_loss_is_said_once(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    """However often the control greenlet looks."""
    session = SessionHealth(HOSTS, 4.0, clock, lambda: None)
    session.receive_connected(4.0)
    for state in (SessionState.SUSPENDED, SessionState.SUSPENDED, SessionState.LOST, SessionState.LOST):
        session.receive_lost(state is SessionState.LOST)
        session.tell(state)
    assert [record.message for record in caplog.records] == [
        "ZooKeeper session suspended (127.0.0.1:1/app)",
        "ZooKeeper session lost (127.0.0.1:1/app)",
    ]
    clock.advance(1.5)
    assert session.next_timer(False) == clock()
    session.tell(SessionState.LOST)
    assert caplog.records[-1].levelno == logging.ERROR and "no ZooKeeper session for 1.5 s" in caplog.text
    assert "the session is lost for 1.5 s: 127.0.0.1:1" in session.explain(SessionState.LOST)
    session.receive_connected(4.0)
    clock.advance(2.0)
    session.tell(SessionState.CONNECTED)
    assert "there is a ZooKeeper session again, after 1.5 s" in caplog.text
    assert session.explain(SessionState.CONNECTED) == "the session is connected"


def test_a_client_that_dies_again_and_again_is_rebuilt_ever_more_slowly(clock: ManualClock) -> None:
    """A server that refuses our credentials kills one client after the other."""
    session = SessionHealth(HOSTS, 4.0, clock, lambda: None)
    assert [session.receive_death("x") for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    session.receive_connected(4.0)
    assert session.receive_death("x") == 0.5


def test_a_server_that_hangs_up_on_newcomers_too_is_not_another_one(clock: ManualClock) -> None:
    """The newcomer is tried after the timeout that was granted, and the session stays."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Endpoint(*listener.getsockname())
    woken: list[None] = []
    session = SessionHealth(ConnectString.parse(str(server)), 4.0, clock, lambda: woken.append(None))
    session.receive_connected(2.0)
    session.receive_hang_up(server)
    assert woken and session.next_timer(False) == clock() + 2.0 and not session.is_estranged()
    clock.advance(2.0)
    assert not session.is_estranged()
    session.receive_hang_up(server)
    assert not session.is_estranged() and session.next_timer(False) == clock() + 1.0


def test_a_server_that_takes_newcomers_and_not_us_ends_the_session(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """That is said as an error, once, and all begins anew; after a newcomer was taken none is tried again."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def grant() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                connection.sendall(struct.pack("!iiiqi16s?", 37, 0, 1000, 7, 16, b"p" * 16, False))
                connection.recv(100)

        server = Endpoint(*listener.getsockname())
        session = SessionHealth(ConnectString.parse(str(server)), 4.0, clock, lambda: None)
        session.receive_hang_up(server)
        clock.advance(4.0)
        granting = threading.Thread(target=grant)
        granting.start()
        try:
            assert not session.is_estranged()
        finally:
            granting.join(60)
    assert session.next_timer(False) is None and not session.is_estranged()
    session.receive_hang_up(server)
    assert session.is_estranged() and not session.is_estranged()
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.message.startswith(
        f"{server} takes new sessions and hangs up on ours: it does not know a transaction"
    )
    assert record.message.endswith("beginning a new session")


def test_an_end_that_zookeeper_tells_clears_it_of_suspicion(clock: ManualClock) -> None:
    """It answered, so no newcomer need be tried; a connection that is merely lost says nothing."""
    server = Endpoint("127.0.0.1", 1)
    session = SessionHealth(HOSTS, 4.0, clock, lambda: None)
    session.receive_hang_up(server)
    session.receive_lost(expired=False)
    clock.advance(10.0)
    assert session.next_timer(False) is not None
    session.tell(SessionState.LOST)
    assert session.next_timer(False) == 4.0
    session.receive_lost(expired=True)
    assert session.next_timer(False) != 4.0
