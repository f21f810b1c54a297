"""Ending a dead process's session."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from gevent.event import Event

from zkrpc.endpoint import Endpoint
from zkrpc.zookeeper.closing import SessionCloser, close_session
from zkrpc.zookeeper.session import Session

PASSWORD = b"\1" * 16


class Script:
    """A server that answers each connection's frames with given bytes, then hangs up, or stays silent."""

    def __init__(self, *answers: bytes, silent: bool = False) -> None:
        self.received: list[bytes] = []
        self._answers = answers
        self._done = threading.Event()
        self._silent = silent
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def hosts(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def _serve(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        with connection:
            for answer in self._answers:
                self.received.append(connection.recv(65536))
                connection.sendall(answer)
            if self._silent:
                self._done.wait(60)

    def close(self) -> None:
        self._done.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(60)


def frame(body: bytes) -> bytes:
    """A length and a body."""
    return struct.pack("!i", len(body)) + body


RESUMED = frame(struct.pack("!iiqi16sb", 0, 4000, 7, 16, PASSWORD, 0))
GONE = frame(struct.pack("!iiqi16sb", 0, 0, 0, 16, b"\0" * 16, 0))
CLOSED = frame(struct.pack("!iqi", 1, 99, 0))


@pytest.fixture
def scripts() -> Iterator[ExitStack]:
    """Closes the servers of a test."""
    with ExitStack() as stack:
        yield stack


def scripted(stack: ExitStack, *answers: bytes, silent: bool = False) -> Script:
    """A scripted server that ends with the test."""
    script = Script(*answers, silent=silent)
    stack.callback(script.close)
    return script


def test_closing_sends_two_frames(scripts: ExitStack) -> None:
    """Connect with the session's id and password, then closeSession: the bytes of ZooKeeper's protocol."""
    server = scripted(scripts, RESUMED, CLOSED)
    assert close_session(server.hosts + "/chroot", 7, PASSWORD, 60)
    assert server.received[0] == frame(struct.pack("!iqiqi", 0, 0, 10_000, 7, 16) + PASSWORD + b"\0")
    assert server.received[1] == frame(struct.pack("!ii", 1, -11))


def test_closing_tries_the_next_server(scripts: ExitStack) -> None:
    """One refuses, one hangs up in the middle, one answers nonsense, one closes."""
    servers = [
        "127.0.0.1:1",
        scripted(scripts, RESUMED[:9]).hosts,
        scripted(scripts, frame(b"x" * 5000)).hosts,
        scripted(scripts, b"HTTP/1.1 400 Bad Request\r\n").hosts,
        scripted(scripts, RESUMED, CLOSED).hosts,
    ]
    assert close_session(",".join(servers), 7, PASSWORD, 60)


def test_closing_a_session_that_is_gone_changes_nothing(scripts: ExitStack) -> None:
    """It had ended before, so this call did not end it."""
    assert not close_session(scripted(scripts, GONE).hosts, 7, PASSWORD, 2.0)


def test_closing_believes_the_next_server_when_the_answer_was_lost(scripts: ExitStack) -> None:
    """Asked one to close, got no answer; the next says it is gone: it was ended by us."""
    first, second = scripted(scripts, RESUMED), scripted(scripts, GONE)
    assert close_session(f"{first.hosts},{second.hosts}", 7, PASSWORD, 60)


def test_closing_does_not_wait_long_for_one_server(scripts: ExitStack) -> None:
    """One accepts and is mute, as a machine that is frozen; the next is asked beside it."""
    mute, well = scripted(scripts, silent=True), scripted(scripts, RESUMED, CLOSED)
    started_at = time.monotonic()
    assert close_session(f"{mute.hosts},{well.hosts}", 7, PASSWORD, 30.0)
    assert time.monotonic() - started_at < 10.0


def test_closing_believes_the_next_server_while_the_first_is_still_silent(scripts: ExitStack) -> None:
    """It may have been ended by the one that has not answered yet."""
    mute, second = scripted(scripts, RESUMED, silent=True), scripted(scripts, GONE)
    assert close_session(f"{mute.hosts},{second.hosts}", 7, PASSWORD, 60)


def test_closing_is_refused(scripts: ExitStack) -> None:
    """An error in the answer is no success."""
    refused = frame(struct.pack("!iqi", 1, 99, -112))
    assert not close_session(scripted(scripts, RESUMED, refused).hosts, 7, PASSWORD, 2.0)


def test_closing_is_bounded_when_nobody_answers(scripts: ExitStack) -> None:
    """However many are silent."""
    silent = [scripted(scripts, silent=True).hosts for _ in range(3)]
    started_at = time.monotonic()
    assert not close_session(",".join(silent), 7, PASSWORD, 0.3)
    assert time.monotonic() - started_at < 8.0
    assert not close_session(silent[0], 7, PASSWORD, 0.0)


def test_closer_asks_the_servers_that_it_was_told_of(scripts: ExitStack) -> None:
    """Those that it was given first stay the last resort, and the chroot what it is; few servers are remembered."""
    server = scripted(scripts, RESUMED, CLOSED)
    closer = SessionCloser("127.0.0.1:1/chroot", 5.0)
    assert (closer.hosts, closer.moved) == ("127.0.0.1:1/chroot", False)
    closer.follow([Endpoint.parse(server.hosts), Endpoint("127.0.0.1", 1)])
    assert (closer.hosts, closer.moved) == (f"{server.hosts},127.0.0.1:1/chroot", True)
    closer.close(7, PASSWORD)
    closer.wait()
    assert server.received[1] == frame(struct.pack("!ii", 1, -11))
    closer.follow([Endpoint("10.0.0.1", port) for port in range(1, 1000)])
    assert closer.hosts.count(":") == 65 and closer.hosts.endswith(",127.0.0.1:1/chroot")
    assert repr(closer).startswith("<SessionCloser 10.0.0.1:1,")


def test_closing_needs_neither_gevent_nor_a_client() -> None:
    """A supervisor imports it in a plain process."""
    program = "import sys, zkrpc.zookeeper.closing; print([m for m in ('gevent', 'kazoo') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.zookeeper
def test_closing_takes_a_dead_owners_nodes_away(zookeeper: str) -> None:
    """On a real server: with the wrong password nothing happens, with the right one the nodes go within moments."""
    owner, watcher = Session(zookeeper), Session(zookeeper)
    try:
        for session in (owner, watcher):
            session.start()
            assert session.wait_connected(60)
        owner.znodes.create("/e", ephemeral=True)
        gone = Event()
        watcher.znodes.exists("/e", gone)
        assert owner.session_id is not None and owner.password is not None
        assert not close_session(zookeeper, owner.session_id, b"\0" * 16, 2.0)
        assert not gone.wait(0.05)
        assert close_session(zookeeper, owner.session_id, owner.password, 60)
        assert gone.wait(60)
        assert watcher.znodes.exists("/e") is None
    finally:
        owner.close()
        watcher.close()
