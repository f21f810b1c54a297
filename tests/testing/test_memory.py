"""Sockets in memory."""

from __future__ import annotations

import gevent
import pytest
from gevent import get_hub

from zkrpc.testing.memory import READ, memory_pair


def test_memory_sockets_carry_bytes_both_ways() -> None:
    """What one end sends the other receives, in pieces if asked for pieces; nothing there means BlockingIOError."""
    ours, theirs = memory_pair()
    assert ours.send(b"question") == 8
    assert theirs.recv(4) + theirs.recv(100) == b"question"
    with pytest.raises(BlockingIOError):
        theirs.recv(1)
    theirs.send(b"answer")
    assert ours.recv(100) == b"answer" and "open" in repr(ours)


def test_memory_socket_gives_what_was_sent_before_the_end() -> None:
    """After a close the other end reads the rest, then the end; sending into it fails."""
    ours, theirs = memory_pair()
    ours.send(b"last words")
    ours.close()
    assert theirs.recv(100) == b"last words" and theirs.recv(100) == b""
    for sock in (ours, theirs):
        with pytest.raises(OSError):
            sock.send(b"x")
    with pytest.raises(OSError):
        ours.recv(1)


def test_memory_watcher_calls_back_while_bytes_are_there() -> None:
    """It is level-triggered like the loop's own: unread bytes call back again, a stopped one is silent."""
    ours, theirs = memory_pair()
    seen: list[bytes] = []
    watcher = theirs.watcher(READ)
    watcher.start(lambda: seen.append(theirs.recv(2)))
    gevent.sleep(0)
    assert seen == []
    ours.send(b"abcd")
    for _ in range(5):
        gevent.sleep(0)
    assert seen == [b"ab", b"cd"]
    watcher.stop()
    ours.send(b"ef")
    gevent.sleep(0.001)
    assert seen == [b"ab", b"cd"]
    watcher.close()


def test_memory_watcher_can_be_waited_for() -> None:
    """The hub's own ``wait`` takes it."""
    ours, theirs = memory_pair()
    gevent.spawn_later(0.01, ours.send, b"x")
    with gevent.Timeout(60):
        get_hub().wait(theirs.watcher(READ))
    assert theirs.recv(1) == b"x"
