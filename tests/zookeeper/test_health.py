"""What a session says of itself in the log, and when it is given up that is neither continued nor ended."""

from __future__ import annotations

import logging
import socket
import struct
import threading
import time

import gevent
import pytest

from tests.support.scripted_servers import closed_port
from zkrpc.dev.zookeeper import DevZooKeeper
from zkrpc.endpoint import Endpoint
from zkrpc.testing.clock import ManualClock
from zkrpc.zookeeper.health import Divergence, SessionHealth, grants_new_sessions
from zkrpc.zookeeper.operations import ConnectString, SessionState

ONE, TWO = Endpoint("10.0.0.1", 2181), Endpoint("10.0.0.2", 2181)
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
    assert "the session has been lost for 1.5 s: 127.0.0.1:1" in session.explain(SessionState.LOST)
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
    clock.advance(1.0)
    assert session.receive_death("x") == 30  # it was connected for a moment, as one is that is refused
    session.receive_connected(4.0)
    clock.advance(31.0)
    assert session.receive_death("x") == 0.5


def test_server_that_refuses_new_sessions_too_has_not_diverged(clock: ManualClock) -> None:
    """It is probed after the timeout that was granted, and the session stays."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Endpoint(*listener.getsockname())
    woken: list[None] = []
    session = SessionHealth(ConnectString.parse(str(server)), 4.0, clock, lambda: woken.append(None))
    session.receive_connected(2.0)
    session.receive_hang_up(server)
    assert woken and session.next_timer(False) == clock() + 2.0 and not session.has_diverged()
    clock.advance(2.0)
    assert not session.has_diverged()
    session.receive_hang_up(server)
    assert not session.has_diverged() and session.next_timer(False) == clock() + 1.0


def test_server_that_grants_new_sessions_and_not_ours_ends_the_session(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """That is said as an error, once, and all begins anew; after a new session was granted no other is asked for."""
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
            assert not session.has_diverged()
        finally:
            granting.join(60)
    assert session.next_timer(False) is None and not session.has_diverged()
    session.receive_hang_up(server)
    assert session.has_diverged() and not session.has_diverged()
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.message.startswith(
        f"{server} takes new sessions and hangs up on ours: it does not know a transaction"
    )
    assert record.message.endswith("beginning a new session")


def test_an_end_that_zookeeper_tells_clears_it_of_suspicion(clock: ManualClock) -> None:
    """It answered, so it need not be probed; a connection that is merely lost says nothing."""
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


def test_server_that_grants_new_sessions_and_not_ours_has_another_history() -> None:
    """It is probed after a session timeout of hanging up; grants a new session, and hangs up on us again."""
    divergence = Divergence()
    assert divergence.next_timer() is None
    divergence.receive_hang_up(ONE, 4.0, 10.0)
    divergence.receive_hang_up(ONE, 4.0, 13.0)
    assert divergence.next_timer() == 14.0 and divergence.suspects() == (ONE,)
    divergence.receive_probed(ONE, True, 14.1)
    assert divergence.next_timer() is None and divergence.diverged is None
    divergence.receive_hang_up(ONE, 4.0, 14.2)
    assert divergence.diverged == ONE and repr(divergence) == "<Divergence refusing=1 granting=1>"
    divergence.receive_answer()
    assert divergence.diverged is None and divergence.suspects() == ()


def test_server_that_grants_nobody_a_session_means_nobody_in_particular() -> None:
    """No quorum, or too many connections: it is probed on and on, and the session stays."""
    divergence = Divergence()
    divergence.receive_hang_up(ONE, 4.0, 0.0)
    for at in (4.0, 5.0, 6.0):
        assert divergence.next_timer() == at
        divergence.receive_probed(ONE, False, at)
        divergence.receive_hang_up(ONE, 4.0, at + 0.5)
    assert divergence.diverged is None and divergence.next_timer() == 7.0


def test_server_that_comes_back_takes_us_before_it_is_certain() -> None:
    """A quorum that is found again grants new sessions and, in the same moments, ours."""
    divergence = Divergence()
    divergence.receive_hang_up(ONE, 4.0, 0.0)
    divergence.receive_probed(ONE, True, 4.0)
    divergence.receive_answer()
    divergence.receive_hang_up(ONE, 4.0, 5.0)
    assert divergence.diverged is None and divergence.next_timer() == 9.0


def test_a_server_is_judged_by_what_it_does_itself() -> None:
    """That another one grants new sessions says nothing of one that only lags behind."""
    divergence = Divergence()
    divergence.receive_hang_up(TWO, 4.0, 0.0)
    divergence.receive_hang_up(ONE, 4.0, 1.0)
    assert divergence.suspects() == (ONE, TWO)
    divergence.receive_probed(ONE, True, 4.0)
    divergence.receive_probed(TWO, False, 4.0)
    divergence.receive_hang_up(TWO, 4.0, 4.1)
    assert divergence.diverged is None
    divergence.receive_hang_up(ONE, 4.0, 4.2)
    assert divergence.diverged == ONE


@pytest.mark.zookeeper
def test_server_that_serves_grants_new_sessions(zookeeper_server: DevZooKeeper) -> None:
    """The hub goes on meanwhile."""
    turns: list[int] = []
    gevent.spawn(turns.append, 1)
    assert grants_new_sessions(Endpoint("127.0.0.1", zookeeper_server.ports[0]), 5.0, time.monotonic) and turns


@pytest.mark.parametrize(
    "answer", [b"", struct.pack("!iiiqi", 20, 0, 0, 0, 0), b"HTTP/1.1 400 Bad Request\r\n", b"\0\0"]
)
def test_server_that_answers_otherwise_grants_no_session(answer: bytes) -> None:
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
            assert not grants_new_sessions(Endpoint(*listener.getsockname()), 5.0, time.monotonic)
        finally:
            server.join(60)


def test_server_that_cannot_be_asked_grants_no_session() -> None:
    """Refused, mute, or no name at all: within the time."""
    assert not grants_new_sessions(closed_port(), 1.0, time.monotonic)
    assert not grants_new_sessions(Endpoint("a..b", 1), 1.0, time.monotonic)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        assert not grants_new_sessions(Endpoint(*mute.getsockname()), 0.1, time.monotonic)
