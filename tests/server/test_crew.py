"""The loop that runs a connection's requests: in C and in Python it does the same."""

from __future__ import annotations

import gc
import itertools
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import Event
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.leaks import forget_names
from fuzz.mutation import mutate
from tests.support.echo import EchoHandler, idl
from tests.support.waiting import eventually
from zkrpc.config import ServerConfig, WireLimits
from zkrpc.server.accounts import Account, Meter, Tally
from zkrpc.server.admission import Admission
from zkrpc.server.compiled import IS_COMPILED, CrewCore, learn
from zkrpc.server.connection import ServerConnection
from zkrpc.server.dispatch import Answer
from zkrpc.server.greenlet_pool import GreenletPool
from zkrpc.server.intake import Intake
from zkrpc.server.server import Server
from zkrpc.server.turns import LONG, NOTABLE, SLICE, Turns
from zkrpc.wire.message import Dialect, MessageKind, ProtocolState, write_head

METHODS = idl.Echo.methods
PEER = "127.0.0.1:5"


class Handler(EchoHandler):
    """Answers, blocks for a moment, or fails as asked, without a word of it in the log."""

    def echo(self, text: str) -> str:
        return text

    def slow(self, text: str, milliseconds: int) -> str:
        gevent.sleep(0)
        return text


class Watcher:
    """What the connection waits with for its socket; the test fires it."""

    def __init__(self) -> None:
        self.callback: Callable[[], object] | None = None

    def start(self, callback: Callable[[], object], update: bool = True) -> None:
        self.callback = callback

    def stop(self) -> None:
        self.callback = None

    close = stop


class Socket:
    """Gives out chunks, one for each read, and gathers what is sent."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.sent = bytearray()
        self.readable, self.writable = Watcher(), Watcher()

    def watcher(self, events: int) -> Watcher:
        return self.readable if events == 1 else self.writable

    def setblocking(self, blocking: bool) -> None:
        assert not blocking

    def recv(self, size: int) -> bytes:
        if not self.chunks:
            raise BlockingIOError
        chunk = self.chunks.pop(0)
        if len(chunk) > size:
            self.chunks.insert(0, chunk[size:])
        return chunk[:size]

    def send(self, data: bytes) -> int:
        self.sent += data
        return len(data)

    def close(self) -> None:
        self.chunks.clear()


class InPython(ServerConnection):
    """One that does in Python what each read goes through."""

    __slots__ = ()

    receive = ServerConnection._receive_in_python
    _work = ServerConnection._work_in_python
    _run_requests = ServerConnection._run_requests_in_python


class IntakeInPython(Intake):
    """The same of what it reads with."""

    __slots__ = ()

    _read = Intake._read_in_python


class PoolInPython(GreenletPool):
    """And of the greenlets."""

    begin, employ = GreenletPool.begin_in_python, GreenletPool.employ_in_python


class Bench:
    """A server with one connection that is served in Python, or by what is in use."""

    def __init__(self, *, pure: bool, **config: Any) -> None:
        limits = WireLimits(max_frame=2048)
        self.server = Server(idl.Echo, Handler(), config=ServerConfig(linger=0.0, wire=limits, **config))
        self.server.begin()
        self.socket = Socket()
        self.connection = self.server.adopt(self.socket, PEER)
        if pure:
            self.connection.__class__ = InPython
            self.server.greenlets.__class__ = PoolInPython
            intake: Any = self.connection._intake
            intake.__class__ = IntakeInPython
            self.socket.readable.start(intake._read)

    def feed(self, *chunks: bytes) -> None:
        """Has the hub read these, and waits until all is done."""
        self.socket.chunks += chunks
        done = Event()

        def read() -> None:
            callback = self.socket.readable.callback
            if callback is not None:
                callback()
            done.set()

        while self.socket.chunks:
            done.clear()
            gevent.get_hub().loop.run_callback(read)
            assert done.wait(60)
        connection, protocol = self.connection, self.connection.protocol
        eventually(
            lambda: connection.closed
            or (protocol.state is ProtocolState.OPEN and not protocol.in_flight and not connection._work_armed)
        )
        eventually(lambda: not connection._serving)

    def frames(self) -> list[bytes]:
        """What was sent, in no order: handlers that block end when they do."""
        rest, found = bytes(self.socket.sent), []
        while rest:
            end = 4 + int.from_bytes(rest[:4], "big")
            found.append(rest[:end])
            rest = rest[end:]
        return sorted(found)

    def counts(self) -> Any:
        """All that was counted of requests, and of bytes."""
        tallies = [
            (account.caller, sorted((name, tally.calls, tally.errors) for name, tally in account.tallies.items()))
            for account in self.server.accounts._all()
        ]
        admission, connection = self.server.admission, self.connection
        held = connection._received, connection._holds, connection._holding.size, self.server.buffers.total
        # Whether it waits for a turn is a matter of time.
        state = connection._intake.is_reading or connection._intake.is_waiting, len(connection._outbox)
        return (
            tallies, admission.running, admission.queued, connection.share.holding, connection._serving, held, state
        )  # fmt: skip


def frame(name: str, *args: Any, seqid: int = 1, kind: int = MessageKind.CALL, plain: bool = False) -> bytes:
    """A request on the wire."""
    method = METHODS.get(name, METHODS["echo"])
    dialect = Dialect.FRAMED_BINARY if plain else Dialect.HEADER_BINARY
    body = method.encode_arguments(method.bind(args, {}), dialect.payload)
    return write_head(dialect, kind, name.encode(), seqid, len(body)) + body


CALLS = [
    ("echo", "x"), ("echo", "y" * 200), ("slow", "z", 1), ("fail", "declared"), ("fail", "undeclared"),
    ("fail", "timeout"), ("note", "x"), ("note", "bad"), ("large", 1000), ("large", 4000), ("large", -1),
    ("missing", "x"), ("fail", "called out"),
]  # fmt: skip


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """Requests of every kind, now and then spoilt, cut anywhere."""
    plain = draw(st.booleans())
    calls = draw(st.lists(st.tuples(st.sampled_from(CALLS), st.booleans()), min_size=1, max_size=12))
    frames = [
        frame(name, *args, seqid=seqid, kind=MessageKind.ONEWAY if oneway else MessageKind.CALL, plain=plain)
        for seqid, ((name, *args), oneway) in enumerate(calls, 1)
    ]
    if draw(st.integers(0, 5)) == 0:
        frames[-1] = mutate(frames, draw(st.randoms(use_true_random=False)))
    stream = b"".join(frames)
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=4)))
    return [part for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True) if (part := stream[start:end])]


@settings(max_examples=60, deadline=None)
@given(chunks=streams(), crowded=st.booleans())
def test_both_loops_do_the_same(chunks: list[bytes], crowded: bool) -> None:
    """The same answers, and the same counts of callers, places and requests, when a single handler may run, too.

    After bytes that end the connection, what was answered before is a matter of time; then only that end is compared.
    """
    found = []
    for pure in (False, True):
        bench = Bench(pure=pure, **({"max_concurrent": 1, "max_queue": 50} if crowded else {}))
        try:
            bench.feed(*chunks)
            closed = bench.connection.closed
            found.append(closed or (bench.frames(), bench.counts()))
        finally:
            bench.server.kill()
    assert found[0] == found[1]


@pytest.mark.parametrize("pure", [False, True])
def test_request_is_known_by_its_worker_while_it_runs(pure: bool) -> None:
    """And by nobody afterwards."""
    bench, seen = Bench(pure=pure), []

    def echo(text: str) -> str:
        connection, worker = bench.connection, gevent.getcurrent()
        request = connection.served_by(worker)  # type: ignore[arg-type]
        assert request is not None
        seen.append((request.name, worker))
        return text

    vars(bench.server.dispatcher._table[b"echo"].handler.__self__)["echo"] = echo
    bench.server.dispatcher, _ = bench.server._make_dispatcher(bench.server.observers)
    bench.connection.renew_dispatch()
    try:
        bench.feed(frame("echo", "x"))
    finally:
        bench.server.kill()
    [(name, worker)] = seen
    assert name == b"echo" and bench.connection.served_by(worker) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(("requests", "spent"), [(1, 0.0), (2, 16e-6), (5, 28e-6), (70, 288e-6)])
@pytest.mark.parametrize("pure", [False, True])
def test_turns_are_charged_what_is_worth_it(pure: bool, requests: int, spent: float) -> None:
    """Not a single quick call; the time of each read that is longer; and who has used much of a slice waits."""
    bench, moments = Bench(pure=pure), itertools.count()
    turns = Turns(Watcher(), lambda: 1.0, lambda: 0.0)
    connection: Any = bench.connection
    connection._turns, connection.clock = turns, lambda: next(moments) * 4e-6
    try:
        # By turns that nobody gives.
        connection._intake._turns = turns
        bench.feed(b"".join(frame("echo", "x", seqid=seqid) for seqid in range(requests)))
        first = turns._spent
        assert first == pytest.approx(spent) and connection._intake.is_waiting is (spent > LONG)
        if not connection._intake.is_waiting:
            bench.feed(b"".join(frame("echo", "x", seqid=seqid) for seqid in range(requests)))
            assert turns._spent == pytest.approx(2 * spent)
    finally:
        bench.server.kill()


@pytest.mark.parametrize("pure", [False, True])
def test_loop_keeps_nothing(pure: bool) -> None:
    """Of ten thousand requests that went well, and of some that did not."""
    bench = Bench(pure=pure)
    chunk = b"".join(frame("echo", "x", seqid=seqid) for seqid in range(1, 61))
    chunk += frame("large", 4000, seqid=100) + frame("fail", "declared", seqid=101) + frame("note", "x", seqid=102)

    def work() -> None:
        bench.feed(*[chunk] * 20)
        bench.socket.sent.clear()
        bench.server.dispatcher._table[b"note"].handler.__self__.notes.clear()

    def held() -> tuple[int, int]:
        gc.collect()
        forget_names()
        shared: list[Any] = [bench.connection, bench.server.admission, bench.connection.meter, Answer, PEER]
        return tracemalloc.get_traced_memory()[0], sum(map(sys.getrefcount, shared))

    work()
    tracemalloc.start()
    try:
        work()
        before = held()
        for _ in range(8):
            work()
        after = held()
    finally:
        tracemalloc.stop()
        bench.server.kill()
    assert after[0] - before[0] < 20_000 and abs(after[1] - before[1]) < 10


@pytest.mark.skipif(not IS_COMPILED, reason="in pure Python there is nothing to be told")
def test_core_refuses_what_it_cannot_work_with() -> None:
    """A connection that is not complete, and classes without the slots that it fills."""
    rest = Answer, MessageKind.REPLY, 100e-6, SLICE, NOTABLE, LONG, ProtocolState.OPEN
    with pytest.raises(TypeError, match="complete"):
        CrewCore()._run_requests(None)
    with pytest.raises(TypeError, match="no slot"):
        learn(Meter, Account, Tally, object, *rest)
    learn(Meter, Account, Tally, Admission, *rest)
