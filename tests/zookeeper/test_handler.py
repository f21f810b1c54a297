"""How kazoo waits and dials here."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator

import gevent
import gevent.socket
import pytest
from kazoo.exceptions import AuthFailedError, ConnectionDropped

from zkrpc.endpoint import Endpoint
from zkrpc.zookeeper.diagnosis import Diagnosis
from zkrpc.zookeeper.handler import Handler


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected sockets."""
    left, right = socket.socketpair()
    with left, right:
        yield left, right


def test_handler_returns_at_once_what_is_ready(pair: tuple[socket.socket, socket.socket]) -> None:
    """Nobody else gets a turn for it, and an end counts as readable."""
    left, right = pair
    handler, turns = Handler(1.0, Diagnosis(())), list[int]()
    gevent.spawn(turns.append, 1)
    assert handler.select([], [left], [], 5.0) == ([], [left], [])
    right.send(b"x")
    assert handler.select([left], [], [], 5.0) == ([left], [], [])
    left.recv(1)
    right.close()
    assert handler.select([left], [], [], 5.0) == ([left], [], []) and not turns


def test_handler_gives_others_their_turns_between_messages(pair: tuple[socket.socket, socket.socket]) -> None:
    """There it is asked for two sockets, and asks the hub, also for what is ready."""
    left, right = pair
    turns: list[int] = []
    gevent.spawn(turns.append, 1)
    right.send(b"x")
    assert Handler(1.0, Diagnosis(())).select([left, right], [], [], 5.0) == ([left], [], []) and turns


def test_handler_waits_for_what_is_not_ready(pair: tuple[socket.socket, socket.socket]) -> None:
    """Others go on meanwhile, and it ends with the time."""
    left, right = pair
    handler = Handler(1.0, Diagnosis(()))
    assert handler.select([left], [], [], 0.01) == ([], [], [])
    gevent.spawn(right.send, b"x")
    assert handler.select([left], [], [], 5.0) == ([left], [], [])


def test_handler_complains_of_what_is_closed_as_kazoo_expects(pair: tuple[socket.socket, socket.socket]) -> None:
    """A connection that was closed meanwhile is no failure of ours."""
    pair[0].close()
    with pytest.raises(TypeError, match="Invalid file descriptor"):
        Handler(1.0, Diagnosis(())).select([pair[0]], [], [], 1.0)


# Dialling, and what is made of its failures


@pytest.fixture
def diagnosis() -> Diagnosis:
    """What it is told to."""
    return Diagnosis([Endpoint("127.0.0.1", 1), Endpoint("zk.invalid", 2), Endpoint("a..b", 3)])


@pytest.mark.parametrize(
    ("server", "finding"),
    [
        (("127.0.0.1", 1), "127.0.0.1:1: connection refused: nothing listens there"),
        (("zk.invalid", 2), "zk.invalid:2: its name is not known"),
        (("a..b", 3), "a..b:3: its name is not known"),
    ],
)
def test_a_dial_that_fails_says_why(server: tuple[str, int], finding: str, diagnosis: Diagnosis) -> None:
    """To the diagnosis, with the address; kazoo gets the error it expects."""
    handler = Handler(5.0, diagnosis)
    with pytest.raises(OSError):
        handler.create_connection(server, timeout=10.0, hostname="kazoo's own")
    assert finding in diagnosis.describe(0.0) and handler.server == Endpoint(*server)


def test_each_dial_begins_with_another_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two that take connections, one may say nothing after that; it must not be chosen for ever."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
        with socket.create_server(("127.0.0.2", port)):
            found = [(socket.AF_INET, 1, 6, "", (host, port)) for host in ("127.0.0.1", "127.0.0.2")]
            monkeypatch.setattr(gevent.socket, "getaddrinfo", lambda *_, **__: found)
            handler, peers = Handler(5.0, Diagnosis(())), []
            for _ in range(4):
                sock = handler.create_connection(("zk", port), timeout=5.0)
                peers.append(sock.getpeername()[0])
                sock.close()
    assert peers == ["127.0.0.1", "127.0.0.2"] * 2


def test_server_that_has_hung_up_already_is_found_out_by_the_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before its address was asked for: the dial succeeds, and nothing is left open."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        theirs.close()
        with pytest.raises(ConnectionResetError):
            ours.recv(1)
    monkeypatch.setattr("zkrpc.zookeeper.handler.connect_first", lambda *_: ours)
    handler = Handler(1.0, Diagnosis(()))
    handler.create_connection(("127.0.0.1", 1), timeout=1.0).close()
    assert handler.server == Endpoint("127.0.0.1", 1) and handler.address is None


@pytest.mark.parametrize(
    ("error", "seen", "finding"),
    [
        (ConnectionDropped("socket connection broken"), False, "hangs up: it has more of them from this host"),
        (ConnectionDropped("socket connection broken"), True, "does not know a higher transaction id"),
        (Handler.timeout_exception("time-out"), True, "takes connections and says nothing"),
        (AuthFailedError(), False, "authentication failed"),
        (ConnectionDropped("invalid server response"), False, "it failed (ConnectionDropped: invalid server response)"),
    ],
)
def test_a_greeting_that_fails_says_why(error: BaseException, seen: bool, finding: str, diagnosis: Diagnosis) -> None:
    """Hanging up is told from saying nothing, and with what it may mean."""
    handler = Handler(5.0, diagnosis)
    handler.receive_greeting_failed(error, seen_anything=seen)
    assert diagnosis.describe(0.0) == ""
    handler.server = Endpoint("127.0.0.1", 1)
    handler.receive_greeting_failed(error, seen_anything=seen)
    assert finding in diagnosis.describe(0.0)


@pytest.mark.parametrize(
    ("code", "finding"),
    [
        (errno.EPIPE, "takes connections and hangs up"),
        (errno.ECONNRESET, "takes connections and hangs up"),
        (errno.EHOSTUNREACH, "no route to it (No route to host)"),
        (errno.ENETUNREACH, "no route to it (Network is unreachable)"),
        (errno.EMFILE, "it failed (Too many open files)"),
    ],
)
def test_the_systems_reasons_are_told_in_words(
    code: int, finding: str, diagnosis: Diagnosis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of what is rare on loopback."""

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("zkrpc.zookeeper.handler.connect_first", fail)
    with pytest.raises(OSError):
        Handler(5.0, diagnosis).create_connection(("127.0.0.1", 1), timeout=1.0)
    assert f"127.0.0.1:1: {finding}" in diagnosis.describe(0.0)
