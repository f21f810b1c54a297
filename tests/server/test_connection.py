"""One accepted connection: what runs while handlers block, who goes first, and what is freed at the end."""

from __future__ import annotations

import contextlib
import gc
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent import socket as cooperative
from gevent.event import Event

from tests.support.echo import EchoHandler, idl
from tests.support.waiting import eventually
from tests.support.wire_frames import TAKEN, framed, message
from tests.support.wire_peer import Peer
from zkrpc.caller import Caller
from zkrpc.config import ServerConfig, WireLimits
from zkrpc.endpoint import Endpoint
from zkrpc.identity import Identity
from zkrpc.server.accounts import STRANGER
from zkrpc.server.connection import ServerConnection
from zkrpc.server.dispatch import Dispatcher, uninterruptible
from zkrpc.server.intake import Intake
from zkrpc.server.server import Server
from zkrpc.wire.message import Dialect, MessageKind, ProtocolState

METHODS = idl.Echo.methods


class Handler(EchoHandler):
    """Blocks in ``slow`` until told to go on, and knows how many are inside."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = Event()
        self.inside: list[str] = []
        self.server: Any = None

    def slow(self, text: str, milliseconds: int) -> str:
        self.inside.append(text)
        self.go_on.wait(60)
        return text

    def note(self, text: str) -> None:
        super().note(text)
        if text == "busy":
            time.sleep(0.002)  # the whole process

    def fail(self, how: str) -> None:
        if how == "exit":
            raise gevent.GreenletExit
        if how == "system exit":
            raise SystemExit(3)
        if how == "kill":
            self.server.kill()
        elif how == "stop":
            self.server.begin_stop()
        else:
            super().fail(how)


class Running:
    """A server with one handler, and the peers to be closed with it."""

    def __init__(self, **fields: Any) -> None:
        self.handler = Handler()
        self.server = self.handler.server = Server(
            idl.Echo, self.handler, config=ServerConfig(**{"linger": 0.0, "drain_timeout": 5.0, **fields})
        )
        self.endpoint = self.server.bind(Endpoint("127.0.0.1", 0))
        self.server.start()
        self.peers: list[Any] = []

    def peer(self, **options: Any) -> Peer:
        """A peer that speaks the protocol."""
        self.peers.append(Peer(self.endpoint, **options))
        return self.peers[-1]

    def socket(self, address: str = "127.0.0.1") -> Any:
        """A peer that is only a socket, at that loopback address."""
        place = self.endpoint.host, self.endpoint.port
        self.peers.append(cooperative.create_connection(place, timeout=60, source_address=(address, 0)))
        return self.peers[-1]

    def connection(self) -> ServerConnection:
        """The only connection."""
        eventually(lambda: self.server._connections)
        (connection,) = self.server._connections
        return connection

    def close(self) -> None:
        """Ends everything."""
        self.handler.go_on.set()
        for peer in self.peers:
            peer.close()
        self.server.kill()


def mark_uninterruptible(running: Running) -> None:
    """Has the handler of ``slow`` be one that must not be interrupted."""
    uninterruptible(Handler.slow)
    try:
        running.server.dispatcher = Dispatcher(idl.Echo, running.handler, on_failure=lambda failure: None)
    finally:
        del Handler.slow.zkrpc_uninterruptible  # type: ignore[attr-defined]


def greenlets() -> int:
    """Greenlets that have not ended."""
    return sum(1 for one in gc.get_objects() if isinstance(one, gevent.Greenlet) and not one.dead)


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    """Starts servers that end with the test, and leave neither greenlets nor watchers behind."""
    started: list[Running] = []
    loop = gevent.get_hub().loop
    gevent.sleep(0)
    before, watchers = greenlets(), loop.activecnt

    def starting(**fields: Any) -> Running:
        started.append(Running(**fields))
        return started[-1]

    yield starting
    for running in started:
        running.close()
    eventually(lambda: greenlets() <= before and loop.activecnt <= watchers)


# -- running beside each other


def test_connection_has_one_greenlet_per_blocked_handler(start: Any) -> None:
    """All calls of one batch block side by side, while others are served; later ones run in the same greenlets."""
    running = start()
    peer = running.peer()
    peer.call(METHODS["echo"], "first")
    idle = greenlets()
    for number in range(10):
        peer.send(METHODS["slow"], f"s{number}", 0, token=number)
    eventually(lambda: len(running.handler.inside) == 10)
    # One of the ten is the greenlet that ran the first call, and one more will run the next.
    assert greenlets() == idle + 9
    assert peer.call(METHODS["echo"], "meanwhile") == "meanwhile"
    assert "serving=10" in repr(running.connection())
    running.handler.go_on.set()
    assert sorted(peer.read(10)) == list(range(10))
    running.handler.inside.clear()
    running.handler.go_on.clear()
    for number in range(10):
        peer.send(METHODS["slow"], f"s{number}", 0, token=number)
    eventually(lambda: len(running.handler.inside) == 10)
    assert greenlets() == idle + 10


def test_connection_runs_a_quick_batch_without_a_new_greenlet(start: Any) -> None:
    """Handlers that do not block run in one that is there already."""
    running = start()
    peer = running.peer()
    peer.call(METHODS["echo"], "first")
    before = greenlets()
    for number in range(50):
        peer.send(METHODS["echo"], "x", token=number)
    assert sorted(peer.read(50)) == list(range(50))
    assert greenlets() == before


def test_connection_serves_what_a_blocked_call_held_back(start: Any) -> None:
    """Calls of one id wait for each other, whichever greenlet is free by then."""
    running = start()
    sock = running.socket()
    frames = []
    for name, args in (("slow", ("one", 0)), ("slow", ("two", 0)), ("echo", ("three",)), ("echo", ("four",))):
        method = METHODS[name]
        body = method.encode_arguments(method.bind(args, {}))
        frames.append(message(name.encode(), 1, body, dialect=Dialect.FRAMED_BINARY))
    sock.sendall(b"".join(frames))
    eventually(lambda: running.handler.inside)
    gevent.sleep(0.02)
    assert running.handler.inside == ["one"]
    running.handler.go_on.set()
    received = b""
    while b"four" not in received:
        received += sock.recv(4096)
    places = [received.index(text) for text in (b"one", b"two", b"three", b"four")]
    assert places == sorted(places)


def test_connection_lets_others_go_first_now_and_then(start: Any) -> None:
    """A peer that keeps its socket full does not keep the rest waiting until it is done."""
    running = start()
    flooding, other = running.peer(zkrpc=False), running.peer()
    other.call(METHODS["echo"], "warm")
    method, count = METHODS["echo"], 20_000
    body = method.encode_arguments(method.bind(("x" * 200,), {}))
    flood = b"".join(message(b"echo", number, body) for number in range(1, count + 1))
    running.handler.seen.clear()

    def drain() -> None:
        while flooding.socket.recv(1 << 20):
            pass

    jobs = [gevent.spawn(drain), gevent.spawn(flooding.socket.sendall, flood)]
    try:
        eventually(lambda: running.handler.seen)
        assert other.call(METHODS["echo"], "me too") == "me too"
        assert len(running.handler.seen) < count / 4
        eventually(lambda: len(running.handler.seen) == count + 1, 60)
    finally:
        gevent.killall(jobs)


# -- what handlers may do to it


@pytest.mark.parametrize("how", ["exit", "system exit"])
def test_connection_answers_for_a_handler_that_ended_its_greenlet(start: Any, how: str) -> None:
    """The caller is not left waiting, and the connection is not left without a reader."""
    peer = start().peer()
    kind, _, headers = peer.call(METHODS["fail"], how)
    assert kind == 6 and headers["zkrpc-executed"] == "yes"
    assert peer.call(METHODS["echo"], "next") == "next"


@pytest.mark.parametrize("dialect", TAKEN)
def test_connection_survives_a_oneway_message_for_a_method_that_answers(start: Any, dialect: Dialect) -> None:
    """No answer is due, none is sent, and the next call is served."""
    running = start()
    peer = running.peer(dialect=dialect, zkrpc=False)
    for name, argument in (("echo", "x"), ("fail", "declared"), ("fail", "undeclared")):
        method = METHODS[name]
        body = method.encode_arguments(method.bind((argument,), {}), dialect.payload)
        peer.socket.sendall(message(name.encode(), 77, body, kind=MessageKind.ONEWAY, dialect=dialect))
    assert peer.call(METHODS["echo"], "next") == "next"
    assert len(running.handler.seen) == 2 and running.server.admission.running == 0


def test_connection_runs_and_answers_long_messages_that_follow_each_other(start: Any) -> None:
    """However many of them are read before one is run, also if the end of the stream is right behind the last."""
    running = start()
    peer = running.peer()
    texts = [chr(97 + one) * 40_000 for one in range(12)]
    for token, text in enumerate(texts):
        peer.send(METHODS["echo"], text, token=token)
    assert peer.read(12) == list(range(12))
    assert [peer.result(token, METHODS["echo"]) for token in range(12)] == texts
    last = running.peer()
    for text in texts[:3]:
        last.send(METHODS["note"], text)
    last.socket.shutdown(socket.SHUT_WR)
    eventually(lambda: running.handler.notes == texts[:3])
    last.wait_closed()


def test_connection_can_be_closed_from_inside_a_handler(start: Any) -> None:
    """A handler that kills its own server gets to its end; its caller sees the connection close."""
    running = start()
    peer = running.peer()
    peer.send(METHODS["fail"], "kill")
    peer.wait_closed()
    eventually(lambda: running.server.admission.running == 0)
    assert not running.server._connections


def test_connection_answers_the_call_that_began_the_stop(start: Any) -> None:
    """It is in flight like any other."""
    running = start()
    peer = running.peer()
    assert peer.call(METHODS["fail"], "stop") is None
    peer.wait_closed()
    assert running.server.wait_stopped(60)


# -- peers that leave


def test_handlers_end_with_the_connection_of_their_caller(start: Any) -> None:
    """Their places are free at once, and calls that were held back behind them never run."""
    running = start()
    sock = running.socket()
    method = METHODS["slow"]
    for number, name in ((1, "one"), (2, "two"), (2, "held back")):
        sock.sendall(message(b"slow", number, method.encode_arguments(method.bind((name, 0), {}))))
    eventually(lambda: len(running.handler.inside) == 2)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    eventually(lambda: not running.server._connections)
    assert running.server.admission.running == 0
    running.handler.go_on.set()
    gevent.sleep(0.01)
    assert running.handler.inside == ["one", "two"]


def test_handler_that_must_not_be_interrupted_outlives_its_connection(start: Any) -> None:
    """Its answer is dropped; its place is free when it is done."""
    running = start()
    mark_uninterruptible(running)
    sock = running.socket()
    method = METHODS["slow"]
    sock.sendall(message(b"slow", 1, method.encode_arguments(method.bind(("careful", 0), {}))))
    eventually(lambda: running.handler.inside)
    sock.close()
    eventually(lambda: not running.server._connections)
    assert running.server.admission.running == 1
    running.handler.go_on.set()
    eventually(lambda: running.server.admission.running == 0)


def slow_calls(running: Running, count: int) -> Any:
    """So many calls that block, from another address than everybody else's; the socket they came by."""
    sock = running.socket("127.0.0.2")
    method = METHODS["slow"]
    for number in range(count):
        sock.sendall(message(b"slow", number, method.encode_arguments(method.bind((f"slow {number}", 0), {}))))
    return sock


def test_slow_calls_of_one_address_leave_places_to_another(start: Any) -> None:
    """They fill what there is but the reserve, and the queue, and somebody else's call is answered all the same."""
    running = start(max_concurrent=16, max_queue=4)
    peer = running.peer()
    assert peer.call(METHODS["echo"], "before") == "before"
    slow_calls(running, 40)
    eventually(lambda: running.server.admission.queued == 4)
    assert len(running.handler.inside) == 14
    assert peer.call(METHODS["echo"], "meanwhile") == "meanwhile"


def test_places_come_back_when_all_callers_of_an_address_leave(start: Any) -> None:
    """Whatever ran, waited or was refused for them: the books are balanced."""
    running = start(max_concurrent=16, max_queue=4)
    peer = running.peer()
    assert peer.call(METHODS["echo"], "before") == "before"
    for _ in range(3):
        sock = slow_calls(running, 40)
        eventually(lambda: running.server.admission.queued == 4)
        sock.close()
        eventually(lambda: running.server.admission.running == running.server.admission.queued == 0)
        assert len(running.server.shares) == 1
    assert peer.call(METHODS["echo"], "after") == "after"


def test_idle_connections_of_one_address_do_not_lock_others_out(start: Any) -> None:
    """Those over its part are closed for newcomers of other addresses, the one that was not used for longest first."""
    running = start(max_connections=6)
    idle = [running.socket("127.0.0.2") for _ in range(6)]
    eventually(lambda: len(running.server._connections) == 6)
    peers = [running.peer() for _ in range(3)]
    for peer in peers:
        assert peer.call(METHODS["echo"], "let in") == "let in"
    assert [sock.recv(1) for sock in idle[:3]] == [b"", b"", b""]
    assert len(running.server._connections) == 6


def test_connection_is_freed_when_its_peer_resets_it_before_the_reply(start: Any) -> None:
    """The failed send closes it, whoever sends."""
    running = start()
    peer, other = running.peer(), running.peer()
    other.call(METHODS["echo"], "warm")
    peer.send(METHODS["slow"], "s", 0)
    eventually(lambda: running.handler.inside)
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    running.handler.go_on.set()
    peer.close()
    eventually(lambda: len(running.server._connections) == 1)
    assert other.call(METHODS["echo"], "next") == "next"


def test_connection_runs_what_came_before_a_bad_frame(start: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Then it closes: only this one, with one line in the log."""
    running = start()
    other = running.peer()
    sock = running.socket()
    method = METHODS["note"]
    note = method.encode_arguments(method.bind(("before",), {}))
    sock.sendall(message(b"note", 1, note, kind=MessageKind.ONEWAY) + framed(b"\x0f\xfe" + bytes(20)))
    assert sock.recv(100) == b""
    assert running.handler.notes == ["before"]
    eventually(lambda: "unknown dialect" in caplog.text)
    assert other.call(METHODS["echo"], "x") == "x"


def test_connection_runs_all_that_came_before_a_bad_frame_however_long_it_takes(start: Any) -> None:
    """Answers leave in the middle of a read; that is no moment to close."""
    running = start()
    sock = running.socket()
    method = METHODS["note"]
    notes = [method.encode_arguments(method.bind((text,), {})) for text in ("busy", "busy", "last")]
    good = b"".join(message(b"note", 1, note, kind=MessageKind.ONEWAY) for note in notes)
    sock.sendall(good + framed(b"\x0f\xfe" + bytes(20)))
    assert sock.recv(100) == b""
    assert running.handler.notes == ["busy", "busy", "last"]


# -- slow peers


def test_connection_of_a_slow_sender_is_cut(start: Any) -> None:
    """A frame that stays incomplete for its time ends it, also after good calls."""
    running = start(wire=WireLimits(partial_frame_timeout=0.3))
    peer = running.peer()
    assert peer.call(METHODS["echo"], "good") == "good"
    peer.socket.sendall(message()[:-3])
    began = time.monotonic()
    peer.wait_closed()
    assert 0.2 < time.monotonic() - began < 30
    eventually(lambda: not running.server._connections)


def test_connection_that_has_much_to_do_lets_others_go_first(start: Any) -> None:
    """What came in one read is run a slice at a time, all of it and in order; a neighbour is served in between."""
    running = start()
    greedy, neighbour = running.socket(), running.peer()
    assert neighbour.call(METHODS["echo"], "before") == "before"
    method = METHODS["note"]
    texts = [*["busy"] * 150, "last"]
    notes = [method.encode_arguments(method.bind((text,), {})) for text in texts]
    greedy.sendall(b"".join(message(b"note", 1, note, kind=MessageKind.ONEWAY) for note in notes))
    eventually(lambda: running.handler.notes)
    assert neighbour.call(METHODS["echo"], "in between") == "in between"
    assert len(running.handler.notes) < 75
    eventually(lambda: running.handler.notes[-1:] == ["last"])
    assert running.handler.notes == texts


def test_connection_that_is_asked_to_end_looks_once_more_before_it_closes(start: Any) -> None:
    """A call that came in the moment in which the last reply leaves is served, and its reply not lost to a reset."""
    running = start(linger=0.3)
    peer = running.peer(zkrpc=False, dialect=Dialect.HEADER_BINARY)
    peer.send(METHODS["slow"], "last", 0, token="last")
    eventually(lambda: running.handler.inside)
    running.connection().finish()
    peer.send(METHODS["echo"], "one more", token="one more")
    running.handler.go_on.set()
    assert peer.read(2, timeout=60) == ["last", "one more"]


def test_connection_that_is_asked_to_end_serves_what_it_had_no_turn_for(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls that came before, and lie in the socket still, are answered before it closes."""
    running = start(linger=0.3)
    peer = running.peer(zkrpc=False, dialect=Dialect.HEADER_BINARY)
    connection, wait_for_turn = running.connection(), Intake.wait_for_turn

    def wait_and_finish(intake: Intake, **how: bool) -> None:
        wait_for_turn(intake, **how)
        connection.finish()

    monkeypatch.setattr(Intake, "wait_for_turn", wait_and_finish)
    for number in range(40):
        peer.send(METHODS["large"], 300_000, token=number)
    eventually(lambda: connection.asked_to_end_at is not None)
    for number in range(40, 60):
        peer.send(METHODS["echo"], "more", token=number)
    assert len(peer.read(60)) == 60
    peer.wait_closed()


def flooded(running: Running) -> tuple[Peer, ServerConnection]:
    """A peer that asks for more than it reads, and the connection that has stopped reading it."""
    peer = running.peer()
    for number in range(60):
        peer.send(METHODS["large"], 256 * 1024, token=number)
    connection = running.connection()
    eventually(lambda: connection._intake.is_reading is False)
    return peer, connection


def test_connection_that_waits_for_room_goes_on_when_there_is_some(start: Any) -> None:
    """Nothing is lost, however often it had to stop."""
    running = start(wire=WireLimits(max_unsent=64 * 1024))
    peer, connection = flooded(running)
    peer.send(METHODS["echo"], "behind it", token="last")
    assert len(peer.read(61)) == 61
    assert connection.is_quiet and not connection.closed


def test_connection_begins_no_call_while_its_replies_wait_to_be_read(start: Any) -> None:
    """What came in one read is not all run: no more is kept than the bound, a slice's work and a reply."""
    running = start(wire=WireLimits(max_unsent=1024 * 1024), max_write_stall=60.0)
    peer, neighbour = running.peer(), running.peer()
    calls = [message(b"large", seqid, METHODS["large"].encode_arguments(METHODS["large"].bind((262_144,), {})))
             for seqid in range(1, 401)]  # fmt: skip
    peer.socket.sendall(b"".join(calls))
    connection = running.connection()
    eventually(lambda: connection._outbox.is_full)
    for _ in range(20):
        assert neighbour.call(METHODS["echo"], "meanwhile") == "meanwhile"
    assert len(connection._outbox) < 16 * 1024 * 1024
    assert connection.protocol.in_flight > 200
    received = 0
    with gevent.Timeout(60):
        while received < 400 * 262_144:
            received += len(peer.socket.recv(1 << 20))
    eventually(lambda: connection.is_quiet)


def test_connection_gives_its_place_away_while_its_replies_wait_to_be_read(start: Any) -> None:
    """A call that waited for a place is refused, not executed, when its turn comes to nobody who reads."""
    running = start(wire=WireLimits(max_unsent=64 * 1024), max_write_stall=60.0, max_concurrent=1, max_queue=8)
    neighbour, greedy = running.peer(), running.peer()
    neighbour.send(METHODS["slow"], "holds the place", 0, token="slow")
    eventually(lambda: running.handler.inside)
    greedy.send(METHODS["note"], "waits for it")
    greedy.send(METHODS["echo"], "so does this", token="echo")
    eventually(lambda: running.server.admission.queued == 2)
    (connection,) = [one for one in running.server.connections if [*one._queue]]
    connection._outbox.push(b"\0" * 20_000_000)
    assert connection._outbox.is_full
    running.handler.go_on.set()
    neighbour.read()
    assert neighbour.call(METHODS["echo"], "has it now") == "has it now"
    assert not running.handler.notes and not connection.protocol.in_flight


def test_connection_that_is_read_too_slowly_is_cut(start: Any) -> None:
    """Some kilobytes now and then hold it for no longer than nothing at all would."""
    running = start(max_write_stall=0.5, min_read_rate=1_000_000.0)
    sock = running.socket()
    sock.setsockopt(cooperative.SOL_SOCKET, cooperative.SO_RCVBUF, 4096)
    body = METHODS["large"].encode_arguments(METHODS["large"].bind((4_000_000,), {}))
    sock.sendall(b"".join(message(b"large", seqid, body) for seqid in range(1, 11)))
    connection = running.connection()
    with gevent.Timeout(60):
        while not connection.closed:
            sock.recv(1024)
            gevent.sleep(0.01)


def test_connections_hold_no_more_together_than_the_server_has_room_for(start: Any) -> None:
    """Halves of large frames on many connections: the greediest are cut, and a neighbour's calls are served."""
    running = start(max_buffered=4 * 1024 * 1024)
    neighbour = running.peer()
    assert neighbour.call(METHODS["echo"], "before") == "before"
    half = message(b"echo", 1, METHODS["echo"].encode_arguments(METHODS["echo"].bind(("x" * 1_000_000,), {})))[:-9]
    socks = [running.socket() for _ in range(20)]
    for sock in socks:
        with contextlib.suppress(ConnectionError):
            sock.sendall(half)
        assert neighbour.call(METHODS["echo"], "meanwhile") == "meanwhile"
        assert running.server.buffers.total <= 4 * 1024 * 1024
    eventually(lambda: len(running.server.connections) <= 6)
    assert neighbour.call(METHODS["echo"], "y" * 500_000) == "y" * 500_000
    for sock in socks:
        sock.close()
    eventually(lambda: running.server.buffers.total == 0)


def test_connection_is_freed_without_a_collection_when_it_closes(start: Any) -> None:
    """With half a frame, replies that nobody has read, calls in the queue, and one that runs."""
    running = start(max_concurrent=1, max_write_stall=60.0)
    peer = running.peer()
    for number in range(2):
        peer.send(METHODS["large"], 4_000_000, token=number)
    eventually(lambda: running.connection()._outbox)
    for number in range(8, 12):
        peer.send(METHODS["slow"], "waits", 0, token=number)
    eventually(lambda: running.handler.inside)
    peer.socket.sendall(message(b"echo", 99, b"x" * 100_000)[:-1])
    eventually(lambda: running.connection().protocol.held_bytes > 50_000)
    gc.collect()
    gc.disable()
    try:
        connection = running.connection()
        protocol, outbox, queue = (connection.protocol, connection._outbox, connection._queue)
        peer.close()
        eventually(lambda: not running.server.connections)
        assert (protocol.held_bytes, list(protocol.ready), protocol.data_to_send(), len(outbox)) == (0, [], b"", 0)
        assert not list(queue) and not connection._serving
    finally:
        gc.enable()
    assert running.server.buffers.total == 0 and running.server.admission.running == 0


def test_connection_that_waits_for_room_is_freed_at_once(start: Any) -> None:
    """Closing it leaves nothing waiting for a socket that is gone."""
    running = start(wire=WireLimits(max_unsent=64 * 1024), max_write_stall=60.0)
    _, connection = flooded(running)
    connection.close()
    connection.close()
    assert not running.server._connections


def test_connection_sends_its_last_replies_to_a_slow_reader_before_it_closes(start: Any) -> None:
    """A stop waits, within its bounds, until a peer that reads has read everything."""
    running = start()
    peer = running.peer(zkrpc=False, dialect=Dialect.FRAMED_BINARY)
    for number in range(20):
        peer.send(METHODS["large"], 1024 * 1024, token=number)
    eventually(lambda: running.connection()._outbox)
    running.server.begin_stop()
    gevent.sleep(0.05)
    assert len(peer.read(20)) == 20
    peer.wait_closed()
    assert running.server.wait_stopped(60)


# -- calls that wait, and calls that nobody waits for


def test_call_over_the_limit_waits_its_turn(start: Any) -> None:
    """One runs, one waits, one is refused; the one that waited runs as soon as there is room."""
    running = start(max_concurrent=1)
    peer = running.peer()
    for token in ("runs", "waits", "refused"):
        peer.send(METHODS["slow"], token, 0, token=token)
    assert peer.read() == ["refused"]
    kind, message, headers = peer.result("refused", METHODS["slow"])
    assert headers["zkrpc-error"] == "Overloaded" and "1 wait" in message
    assert running.handler.inside == ["runs"]
    running.handler.go_on.set()
    assert peer.read(2) == ["runs", "waits"]
    assert running.handler.inside == ["runs", "waits"]
    assert peer.call(METHODS["echo"], "next") == "next"
    assert running.server.admission.running == 0


def test_call_that_waited_past_its_deadline_is_answered_and_not_run(start: Any) -> None:
    """Nobody would read what it returned."""
    running = start(max_concurrent=1)
    peer, other = running.peer(), running.peer()
    peer.send(METHODS["slow"], "runs", 0, token="runs")
    eventually(lambda: running.handler.inside)
    other.send(METHODS["slow"], "waits", 0, token="waits", timeout=0.03)
    eventually(lambda: running.server.admission.queued == 1)
    gevent.sleep(0.05)
    running.handler.go_on.set()
    assert other.read() == ["waits"]
    assert other.result("waits", METHODS["slow"])[2]["zkrpc-error"] == "DeadlineExceeded"
    assert running.handler.inside == ["runs"]


def test_waiting_call_goes_with_its_connection(start: Any) -> None:
    """Its place in the queue is free for others."""
    running = start(max_concurrent=1)
    peer, other = running.peer(), running.peer()
    peer.send(METHODS["slow"], "runs", 0, token="runs")
    eventually(lambda: running.handler.inside)
    other.send(METHODS["slow"], "waits", 0, token="waits")
    eventually(lambda: running.server.admission.queued == 1)
    other.close()
    eventually(lambda: running.server.admission.queued == 0)
    running.handler.go_on.set()
    assert peer.read() == ["runs"]
    assert running.handler.inside == ["runs"]


def test_cancelled_handler_is_ended_and_its_place_is_free(start: Any) -> None:
    """No answer leaves, the connection lives on, and whoever waited runs."""
    running = start(max_concurrent=1)
    peer = running.peer()
    call_ids = []
    for token in ("runs", "waits"):
        peer.send(METHODS["slow"], token, 0, token=token)
        call_ids.append(peer.protocol.waiting()[-1][0])
    eventually(lambda: running.server.admission.queued == 1)
    peer.protocol.cancel_call(call_ids[0])
    peer.socket.sendall(peer.protocol.data_to_send())
    eventually(lambda: running.handler.inside == ["runs", "waits"])
    running.handler.go_on.set()
    assert peer.read() == ["waits"]
    assert peer.call(METHODS["echo"], "next") == "next"
    assert running.server.admission.running == 0


def test_cancelled_call_leaves_the_queue(start: Any) -> None:
    """It never runs."""
    running = start(max_concurrent=1)
    peer = running.peer()
    peer.send(METHODS["slow"], "runs", 0, token="runs")
    peer.send(METHODS["slow"], "waits", 0, token="waits")
    eventually(lambda: running.server.admission.queued == 1)
    peer.protocol.cancel_call(peer.protocol.waiting()[-1][0])
    peer.socket.sendall(peer.protocol.data_to_send())
    eventually(lambda: running.server.admission.queued == 0)
    running.handler.go_on.set()
    assert peer.read() == ["runs"]
    assert running.handler.inside == ["runs"]


def test_uninterruptible_handler_finishes_for_nobody(start: Any) -> None:
    """It is marked because half of it must not be done."""
    running = start()
    mark_uninterruptible(running)
    peer = running.peer()
    peer.send(METHODS["slow"], "careful", 0, token="careful")
    eventually(lambda: running.handler.inside)
    peer.protocol.cancel_call(peer.protocol.waiting()[-1][0])
    peer.socket.sendall(peer.protocol.data_to_send())
    assert peer.call(METHODS["echo"], "meanwhile") == "meanwhile"
    assert running.server.admission.running == 1
    running.handler.go_on.set()
    eventually(lambda: running.server.admission.running == 0)


def test_handler_is_ended_after_its_deadline_even_if_the_caller_says_nothing(start: Any) -> None:
    """A caller that died, or does not know how to cancel; calls of one id that it held back run then."""
    running = start()
    sock = running.socket()
    slow, echo = METHODS["slow"], METHODS["echo"]
    sock.sendall(
        message(b"slow", 1, slow.encode_arguments(slow.bind(("x", 0), {})), headers={"Deadline-Budget": "500"})
        + message(b"echo", 1, echo.encode_arguments(echo.bind(("held back",), {})))
    )
    received = b""
    while b"held back" not in received:
        received += sock.recv(4096)
    assert running.handler.inside == ["x"]
    eventually(lambda: running.server.admission.running == 0)


def test_handler_that_ran_for_one_held_back_is_ended_after_its_deadline_too(start: Any) -> None:
    """The first of two calls of one id blocks and is ended, and then the second one, which nobody leads."""
    running = start()
    sock = running.socket()
    slow = METHODS["slow"]
    for text, budget in (("first", "500"), ("second", "1500")):
        body = slow.encode_arguments(slow.bind((text, 0), {}))
        sock.sendall(message(b"slow", 1, body, headers={"Deadline-Budget": budget}))
    eventually(lambda: running.handler.inside[:1] == ["first"])
    eventually(lambda: running.handler.inside == ["first", "second"])
    eventually(lambda: running.server.admission.running == 0)


def test_server_attends_to_a_connection_only_while_a_handler_blocks(start: Any) -> None:
    """What answers at once costs nothing beside it."""
    running = start()
    peer = running.peer()
    assert peer.call(METHODS["echo"], "quick") == "quick"
    assert not running.server.attended
    peer.send(METHODS["slow"], "slow", 0, token="slow")
    eventually(lambda: running.server.attended == {running.connection()})
    running.handler.go_on.set()
    eventually(lambda: not running.server.attended)


# -- connections that are old, idle, or dead


def test_old_connection_is_drained_for_a_new_one(start: Any) -> None:
    """Its calls in flight are answered first."""
    running = start(max_connection_age=0.05)
    peer = running.peer()
    peer.send(METHODS["slow"], "x", 0, token="x")
    eventually(lambda: running.handler.inside)
    eventually(lambda: running.connection().protocol.state is ProtocolState.DRAINING)
    running.handler.go_on.set()
    assert peer.read() == ["x"]
    peer.wait_closed()


def test_old_connection_is_cut_after_its_grace(start: Any) -> None:
    """Even in the middle of a call."""
    running = start(max_connection_age=0.05, max_connection_age_grace=0.05)
    peer = running.peer()
    peer.send(METHODS["slow"], "x", 0, token="x")
    peer.wait_closed()


def test_idle_connection_is_drained(start: Any) -> None:
    """A peer that only pings is idle."""
    running = start(max_connection_idle=0.2)
    peer = running.peer(dialect=Dialect.FRAMED_BINARY, zkrpc=False)
    assert peer.call(METHODS["echo"], "x") == "x"
    peer.wait_closed()


def test_dead_peer_is_asked_and_then_closed(start: Any) -> None:
    """It has sent nothing for a while, and answers no ping; one that answers is left alone."""
    running = start(keepalive_time=0.1, keepalive_timeout=3.0)
    dead, alive = running.peer(), running.peer()
    for peer in (dead, alive):
        assert peer.call(METHODS["echo"], "x") == "x"
    answering = gevent.spawn(alive.read, 1, 30)
    eventually(lambda: len(running.server._connections) == 1, 60)
    gevent.sleep(3.5)
    assert len(running.server._connections) == 1
    answering.kill()
    assert alive.call(METHODS["echo"], "still here") == "still here"


def test_peer_that_comes_during_a_drain_is_told_at_once(start: Any) -> None:
    """Whoever had no connection when it was announced must not find out by a refusal."""
    running = start(linger=5.0)
    running.server.begin_stop()
    eventually(lambda: running.server.is_draining)
    peer = running.peer()
    assert peer.call(METHODS["echo"], "x") == "x"
    eventually(lambda: peer.protocol.draining or peer.read(0) and False)


# -- who calls


def test_connection_counts_the_calls_of_whoever_its_peer_says_it_is(start: Any) -> None:
    """Said in a hello, or with the first call; a plain peer has no way to say it. Handlers see it, too."""
    running = start()
    billing = Caller("billing", "1.2")
    dialects = (
        {"caller": billing},
        {"caller": billing, "zkrpc": False},
        {"caller": billing, "zkrpc": False, "dialect": Dialect.HEADER_COMPACT},
        {"caller": billing, "dialect": Dialect.FRAMED_BINARY},
        {},
    )
    for options in dialects:
        peer = running.peer(**options)
        assert peer.call(METHODS["echo"], "a") == peer.call(METHODS["echo"], "a") == "a"
    with pytest.raises(idl.Oops):
        peer.call(METHODS["fail"], "declared")
    assert "internal error" in peer.call(METHODS["fail"], "undeclared")[1]
    named, unnamed = running.server.status().callers
    assert (named.name, named.version, named.calls, named.errors, named.connections) == ("billing", "1.2", 6, 0, 3)
    assert (unnamed.name, unnamed.calls, unnamed.errors, unnamed.connections) == ("unnamed:loopback", 6, 1, 2)
    assert [(one.method, one.calls, one.errors) for one in unnamed.methods] == [("echo", 4, 0), ("fail", 2, 1)]
    assert [call.caller for call in running.handler.seen[::2]] == [billing] * 3 + [Caller("unnamed:loopback")] * 2
    assert abs(time.time() - (named.called_at or 0)) < 60
    for peer in running.peers:
        peer.close()
    eventually(lambda: [one.connections for one in running.server.status().callers] == [0, 0])


def test_peer_with_an_identity_has_its_share_and_its_account(start: Any) -> None:
    """Instead of those of its address, which others may have, too; handlers see who it is."""
    running, web = start(), Identity(spiffe="spiffe://prod/ns/shop/sa/web")
    for _ in range(2):
        peer = running.peer(caller=Caller("billing"))
        eventually(lambda: any(one.meter.identity is None for one in running.server.connections))
        (connection,) = [one for one in running.server.connections if one.meter.identity is None]
        connection.identify(web)
        assert peer.call(METHODS["echo"], "a") == "a"
    stranger = running.peer()
    assert stranger.call(METHODS["echo"], "a") == "a"
    status = running.server.status()
    assert {one.address: one.connections for one in status.peers} == {web.spiffe: 2, "127.0.0.1": 1}
    assert {one.name: one.calls for one in status.callers} == {web.spiffe: 2, "unnamed:loopback": 1}
    assert [one.caller.identity for one in running.handler.seen] == [web, web, None]
    running.peer()
    eventually(lambda: len(running.server.connections) == 4)
    (connection,) = [one for one in running.server.connections if one.meter.account is STRANGER]
    connection.identify(Identity())
    assert connection.share.address == "127.0.0.1"
    for peer in running.peers:
        peer.close()
    eventually(lambda: not running.server.status().peers)


def test_calls_that_are_not_run_are_counted_too(start: Any) -> None:
    """Also as errors, as their caller was refused; one that is given up counts as a call."""
    running = start(max_concurrent=1, max_queue=0)
    peer = running.peer(caller=Caller("billing"))
    peer.send(METHODS["slow"], "x", 0, token=1)
    eventually(lambda: running.handler.inside == ["x"])
    peer.send(METHODS["slow"], "y", 0, token=2)
    peer.read()
    (billing,) = running.server.status().callers
    assert (billing.calls, billing.errors) == (2, 1)


def test_peers_that_make_up_names_are_bounded(start: Any) -> None:
    """A name for each connection, another for each version, and names that would repaint a terminal."""
    running = start()
    for number in range(300):
        peer = running.peer(caller=Caller(f"x{number}", f"{number}"))
        peer.call(METHODS["echo"], "a")
        peer.close()
    running.peer(caller=Caller("\x1b[2J")).call(METHODS["echo"], "a")
    callers = running.server.status().callers
    assert len(callers) == 257 and sum(one.calls for one in callers) == 301
    assert (callers[0].name, callers[0].calls) == ("_OTHER", 45)
