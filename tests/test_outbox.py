"""Bytes on their way out, over a socket that takes only a few at a time."""

from __future__ import annotations

from typing import Any

import gevent
import pytest

from zkrpc.outbox import Outbox


class Sock:
    """Takes ``room`` bytes, or fails."""

    def __init__(self) -> None:
        self.room = 0
        self.taken = b""
        self.broken = False

    def send(self, chunk: bytes) -> int:
        if self.broken:
            raise OSError("gone")
        if not self.room:
            raise BlockingIOError
        sent, self.room = min(self.room, len(chunk)), max(0, self.room - len(chunk))
        self.taken += bytes(chunk[:sent])
        return sent


class Watcher:
    """Fires when the test says so."""

    callback: Any = None
    closed = False

    def start(self, callback: Any) -> None:
        self.callback = callback

    def stop(self) -> None:
        self.callback = None

    def close(self) -> None:
        self.closed = True


class Bench:
    """An outbox and all around it."""

    def __init__(self) -> None:
        self.sock, self.watcher, self.now = Sock(), Watcher(), 0.0
        self.events: list[str] = []
        self.outbox = Outbox(
            self.sock,
            self.watcher,
            clock=lambda: self.now,
            on_empty=lambda: self.events.append("empty"),
            on_broken=self._break,
        )

    def _break(self, error: OSError) -> None:
        self.events.append(f"broken: {error}")
        self.outbox.close()

    def make_room(self, size: int) -> None:
        """The peer reads."""
        self.sock.room = size
        if self.watcher.callback is not None:
            self.watcher.callback()


@pytest.fixture
def bench() -> Bench:
    """Fresh for each test."""
    return Bench()


def test_outbox_sends_at_once_what_the_socket_takes(bench: Bench) -> None:
    """Nothing waits, nobody is told."""
    bench.sock.room = 10
    bench.outbox.push(b"")
    bench.outbox.push(b"abc")
    assert (bench.sock.taken, len(bench.outbox), bench.events) == (b"abc", 0, [])


def test_outbox_keeps_the_rest_in_order_and_says_when_all_has_left(bench: Bench) -> None:
    """Later bytes line up behind earlier ones."""
    bench.sock.room = 2
    bench.outbox.push(b"abcd")
    bench.outbox.push(b"ef")
    assert repr(bench.outbox) == "<Outbox unsent=4>"
    bench.make_room(0)
    bench.make_room(3)
    assert (bench.sock.taken, bench.events) == (b"abcde", [])
    bench.make_room(9)
    assert (bench.sock.taken, bench.events, bench.watcher.callback) == (b"abcdef", ["empty"], None)


def test_outbox_knows_how_long_nothing_was_taken(bench: Bench) -> None:
    """Each byte that is taken starts the clock anew; an empty one does not stall."""
    assert not bench.outbox.has_stalled(100.0, 1.0)
    bench.outbox.push(b"abc")
    assert not bench.outbox.has_stalled(1.0, 1.0)
    assert bench.outbox.has_stalled(1.1, 1.0)
    bench.now = 5.0
    bench.make_room(1)
    assert not bench.outbox.has_stalled(6.0, 1.0)


def test_outbox_wakes_all_who_wait_for_the_peer_to_take_some(bench: Bench) -> None:
    """Each byte taken is progress; none for too long is none."""
    bench.outbox.push(b"abcd")
    waiting = [gevent.spawn(bench.outbox.await_progress, 60.0) for _ in range(2)]
    gevent.sleep(0)
    bench.make_room(1)
    assert [one.get(timeout=60) for one in waiting] == [True, True]
    assert bench.outbox.await_progress(0.01) is False


def test_outbox_tells_of_a_broken_socket_and_frees_whoever_waits(bench: Bench) -> None:
    """At once, or when the rest is to leave."""
    bench.outbox.push(b"abc")
    waiting = gevent.spawn(bench.outbox.await_progress, 60.0)
    gevent.sleep(0)
    bench.sock.broken = True
    bench.watcher.callback()
    assert waiting.get(timeout=60) is False
    assert (bench.events, bench.watcher.closed) == (["broken: gone"], True)
    other = Bench()
    other.sock.broken = True
    other.outbox.push(b"abc")
    assert (other.events, len(other.outbox)) == (["broken: gone"], 0)


def full_bench() -> Bench:
    """With a capacity of ten bytes, of which four must leave within the time that is asked about."""
    bench = Bench()
    bench.outbox = Outbox(
        bench.sock,
        bench.watcher,
        clock=lambda: bench.now,
        on_empty=lambda: bench.events.append(f"{len(bench.outbox)} left"),
        on_broken=bench._break,
        capacity=10,
        pace=4,
    )
    return bench


def test_outbox_is_full_beyond_its_capacity_until_half_has_left() -> None:
    """It tells when there is room again and when it is empty, each once; below its capacity only the latter."""
    bench = full_bench()
    bench.outbox.push(b"x" * 10)
    assert not bench.outbox.is_full
    bench.outbox.push(b"x")
    assert bench.outbox.is_full
    bench.make_room(5)
    assert bench.outbox.is_full and not bench.events
    bench.make_room(1)
    assert not bench.outbox.is_full and bench.events == ["5 left"]
    bench.make_room(1)
    bench.make_room(4)
    assert bench.events == ["5 left", "0 left"]
    bench.outbox.push(b"x" * 12)
    assert bench.outbox.is_full
    bench.make_room(12)
    assert not bench.outbox.is_full and bench.events[-1] == "0 left"


def test_outbox_has_stalled_when_the_peer_takes_less_than_it_must() -> None:
    """A byte now and then is no reading; enough of them start the time anew."""
    bench = full_bench()
    bench.outbox.push(b"x" * 10)
    for bench.now, taken, stalled in ((1.0, 2, False), (1.9, 1, False), (2.1, 0, True), (2.2, 1, False)):
        bench.make_room(taken)
        assert bench.outbox.has_stalled(bench.now, 2.0) is stalled, bench.now
    bench.now = 4.0
    bench.make_room(3)
    assert not bench.outbox.has_stalled(4.1, 2.0) and bench.outbox.has_stalled(4.3, 2.0)
    bench.make_room(9)
    bench.now = 9.0
    bench.outbox.push(b"x")
    assert not bench.outbox.has_stalled(10.0, 2.0)
