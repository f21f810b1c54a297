"""Accepting over real sockets, with a process that runs out of descriptors."""

from __future__ import annotations

import collections
import logging
import resource
import socket
import time
from collections.abc import Iterator

import gevent
import pytest

from tests.server.test_server import METHODS, Running
from tests.support.waiting import eventually
from zkrpc.server.acceptor import Acceptor
from zkrpc.server.turns import SLICE


@pytest.fixture
def running() -> Iterator[Running]:
    """A server that ends with the test."""
    made = Running()
    yield made
    made.close()


def test_acceptor_pauses_without_descriptors_and_goes_on_by_itself(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """It says so once, in one line and without a traceback; whoever is connected is served; nothing spins; and those
    who waited are accepted when there is room."""
    peer = running.peer()
    assert peer.call(METHODS["echo"], "before") == "before"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    waiting = []
    with socket.socket() as probe:
        highest = probe.fileno()
    try:
        # One more descriptor, for the client's side of a connection that the server then has none for.
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
        waiting.append(socket.create_connection((running.endpoint.host, running.endpoint.port), timeout=60))
        eventually(lambda: "cannot accept connections" in caplog.text, 60)
        began, busy = time.monotonic(), time.process_time()
        while time.monotonic() - began < 1.0:
            assert peer.call(METHODS["echo"], "meanwhile") == "meanwhile"
            gevent.sleep(0.1)
        assert time.process_time() - busy < 0.5
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    eventually(lambda: "accepting connections again" in caplog.text, 60)
    for sock in waiting:
        sock.close()
    records = [record for record in caplog.records if record.name == "zkrpc.server.acceptor"]
    assert [record.levelno for record in records] == [logging.ERROR, logging.WARNING]
    assert "Too many open files" in records[0].message and records[0].exc_info is None


def test_acceptor_gives_each_connection_its_turn(running: Running) -> None:
    """Many who connect at once are all served."""
    socks = [socket.create_connection((running.endpoint.host, running.endpoint.port), timeout=60) for _ in range(250)]
    eventually(lambda: len(running.server.connections) == 250, 60)
    for sock in socks:
        sock.close()
    eventually(lambda: not running.server.connections, 60)
    assert "Acceptor" in repr(running.server._acceptor)


def test_acceptor_takes_a_crowd_in_slices() -> None:
    """As many at once as a slice of time allows, and the rest in later rounds of the loop."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    now, rounds = [0.0], [0]
    taken: list[tuple[int, socket.socket]] = []

    def take(sock: socket.socket, address: object) -> None:
        now[0] += SLICE / 20
        taken.append((rounds[0], sock))

    acceptor = Acceptor(listener, take, lambda: now[0])
    check = gevent.get_hub().loop.check()
    check.start(lambda: rounds.__setitem__(0, rounds[0] + 1))
    crowd = [socket.create_connection(listener.getsockname(), timeout=60) for _ in range(10)]
    acceptor.start()
    eventually(lambda: len(taken) == 10)
    check.stop()
    check.close()
    acceptor.close()
    for sock in (*crowd, *(sock for _, sock in taken)):
        sock.close()
    assert max(collections.Counter(number for number, _ in taken).values()) == 4
