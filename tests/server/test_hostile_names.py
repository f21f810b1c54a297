"""Hostile names against a server of several interfaces: endless, huge, made up without end, and no text at all."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from tests.support.waiting import eventually
from tests.support.wire_frames import BODIES, message, split_messages
from zkrpc.codec import Payload, decode_failure
from zkrpc.config import ServerConfig
from zkrpc.idl import load_text
from zkrpc.idl.served import ServedInterface
from zkrpc.server.handlers import Handlers
from zkrpc.server.server import Server
from zkrpc.telemetry.events import OTHER, RequestFinished
from zkrpc.telemetry.observer import Observer
from zkrpc.testing.memory import MemorySocket, memory_pair
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.message import Dialect
from zkrpc.wire.server import MAX_NAME

IDL = load_text("service Users { string echo(1: string text) }\nservice Audit { string note(1: string text) }")
ODD = {
    "a NUL": b"Users:ec\0ho",
    "a NUL for a name": b"\0:echo",
    "bytes that are no text": b"Users:\xff\xfe\xed\xa0\x80",
    "a service that is no text": b"\xff\xfe:echo",
    "no service": b":echo",
    "no method": b"Users:",
    "nothing": b"",
    "colons only": b":" * MAX_NAME,
    "a service twice": b"Users:Users:echo",
    "another service's method": b"Audit:echo",
    "the other's method by a plain name": b"note",
    "a service of another case": b"USERS:echo",
    "a service that goes on": b"Users.more:echo",
    "the longest name": b"Users:" + b"e" * (MAX_NAME - 6),
    "line breaks": b"Users:echo\r\nforged line",
}


MADE_UP = 3000


class Labels(Observer):
    """What requests are called where they are counted."""

    kinds = (RequestFinished,)

    def __init__(self) -> None:
        self.seen: set[tuple[str, str]] = set()

    def receive(self, event: Any) -> None:
        self.seen.add((event.interface, event.method))


class Handler:
    """Of both interfaces."""

    def echo(self, text: str) -> str:
        return text

    def note(self, text: str) -> str:
        return text


class Peer:
    """A server, and one connection to it."""

    def __init__(self) -> None:
        self.labels = Labels()
        served = ServedInterface([IDL.Users, IDL.Audit], "accounts")
        self.server = Server(
            served,
            Handlers(served, [Handler(), Handler()]),
            name="accounts",
            config=ServerConfig(),
            observers=[self.labels],
        )
        self.server.begin()
        self.sock = self.connect()

    def connect(self) -> MemorySocket:
        """Another connection."""
        ours, theirs = memory_pair()
        self.server.adopt(theirs, "10.0.0.9:1")
        return ours

    def ask(self, stream: bytes, dialect: Dialect, count: int = 1) -> list[tuple[int, bytes, str]]:
        """So many answers: the kind, the name, and the text of those that are failures."""
        self.sock.send(stream)
        came, found = b"", []
        while len(found) < count:
            eventually(lambda: self.sock.is_readable)
            came += self.sock.recv(1 << 20)
            found = split_messages(came, dialect) if dialect.is_framed else self._unframed(came, dialect, count)
        answers = []
        for opening in found:
            kind, name, _, offset = opening.envelope()
            failed = kind == MessageKind.EXCEPTION
            told = decode_failure(opening.frame[offset:], 0, dialect.payload)[0] if failed else ""
            answers.append((kind, name, told))
        return answers

    @staticmethod
    def _unframed(came: bytes, dialect: Dialect, count: int) -> list[Any]:
        try:
            return split_messages(came, dialect)
        except AssertionError:  # the rest is on its way
            return []

    def works(self, dialect: Dialect) -> bool:
        """Whether both interfaces are called as they should be, the default one by a plain name, too."""
        return all(
            self.ask(message(name, 7, BODIES[dialect.payload], dialect=dialect), dialect)[0][0] == MessageKind.REPLY
            for name in (b"echo", b"Users:echo", b"accounts:echo", b"Audit:note")
        )


@pytest.fixture
def peer() -> Iterator[Peer]:
    """One peer of a server that ends with the test."""
    made = Peer()
    yield made
    made.server.kill()


DIALECTS = [Dialect.HEADER_BINARY, Dialect.FRAMED_COMPACT, Dialect.BINARY, Dialect.COMPACT]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", ODD.values(), ids=list(ODD))
def test_odd_names_are_unknown_methods(peer: Peer, name: bytes, dialect: Dialect) -> None:
    """Each is refused alone, in words without a line break, and counts as one and the same method."""
    assert peer.works(dialect)
    ((kind, _, told),) = peer.ask(message(name, 8, BODIES[dialect.payload], dialect=dialect), dialect)
    assert kind == MessageKind.EXCEPTION and ("unknown method" in told or "there is no service" in told)
    assert "\n" not in told and "\0" not in told
    assert peer.works(dialect)
    assert peer.labels.seen == {("Users", "echo"), ("Audit", "note"), ("Users", OTHER)}


def test_made_up_names_without_end_leave_nothing_behind(peer: Peer) -> None:
    """Services that nobody serves, each once: all of them are one label and one count."""

    def batch(start: int) -> bytes:
        numbers = range(start, start + 500)
        return b"".join(message(b"Service%d:method%d" % (one, one), one, BODIES[Payload.BINARY]) for one in numbers)

    tracemalloc.start()
    try:
        for start in range(0, MADE_UP, 500):
            answers = peer.ask(batch(start), Dialect.HEADER_BINARY, 500)
            assert {kind for kind, _, _ in answers} == {MessageKind.EXCEPTION}
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert kept < 3_000_000, "more than the shapes of the last two thousand messages"
    assert peer.labels.seen == {("Users", OTHER)}
    (caller,) = peer.server.status().callers
    assert [one.method for one in caller.methods] == [OTHER] and caller.calls == MADE_UP
    assert peer.works(Dialect.HEADER_BINARY)


@pytest.mark.parametrize("dialect", [Dialect.HEADER_BINARY, Dialect.FRAMED_BINARY, Dialect.FRAMED_COMPACT])
def test_names_that_are_too_long_are_refused_alone(peer: Peer, dialect: Dialect) -> None:
    """Whichever side of the colon is."""
    for name in (b"x" * 1000 + b":echo", b"Users:" + b"x" * 100_000):
        ((kind, named, told),) = peer.ask(message(name, 8, BODIES[dialect.payload], dialect=dialect), dialect)
        assert kind == MessageKind.EXCEPTION and f"over {MAX_NAME}" in told and not named
    assert peer.works(dialect)


@pytest.mark.parametrize("beginning", [b"\x80\1\0\1\x7f\xff\xff\xffUsers:", b"\x82\x21\1\xff\xff\xff\xff\7Users:"])
def test_name_without_an_end_ends_the_connection(peer: Peer, beginning: bytes) -> None:
    """Without frames its length is all that is known of it: nothing is kept for what may come."""
    sock = peer.connect()
    sock.send(beginning)
    with gevent.Timeout(30, AssertionError("still open")):
        try:
            while True:
                sock.send(b"x" * 1000)
                gevent.sleep(0)
        except BrokenPipeError:
            pass
    assert peer.server.buffers.total < 100_000
    assert peer.works(Dialect.HEADER_BINARY)
