"""The server over real sockets: answers, concurrency, limits, and the way it stops."""

from __future__ import annotations

import logging
import struct
import time
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from tests.support.echo import EchoHandler, idl
from tests.support.waiting import eventually
from tests.support.wire_frames import TAKEN
from tests.support.wire_peer import Peer
from zkrpc.config import ServerConfig, WireLimits
from zkrpc.endpoint import Endpoint
from zkrpc.errors import ConfigError, LocalProtocolError, Overloaded
from zkrpc.server.lifecycle import LifecycleState, Step
from zkrpc.server.server import Server
from zkrpc.wire.message import Dialect

METHODS = idl.Echo.methods
UNTIL_TOLD = -1


class Handler(EchoHandler):
    """Its ``slow`` may take until it is told to go on; knows which calls of it have begun."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[str] = []
        self.go_on = Event()

    def slow(self, text: str, milliseconds: int) -> str:
        self.begun.append(text)
        if milliseconds == UNTIL_TOLD:
            self.go_on.wait(60)
            return text
        return super().slow(text, milliseconds)


class Running:
    """A server, its handler, and the peers to be closed with it."""

    def __init__(self, **options: Any) -> None:
        self.handler = Handler()
        self.server = Server(idl.Echo, self.handler, **options)
        self.endpoint = self.server.bind(Endpoint("127.0.0.1", 0))
        self.server.start()
        self.peers: list[Peer] = []

    def peer(self, **options: Any) -> Peer:
        self.peers.append(Peer(self.endpoint, **options))
        return self.peers[-1]

    def close(self) -> None:
        for peer in self.peers:
            peer.close()
        self.server.kill()


@pytest.fixture
def start() -> Iterator[Any]:
    """Starts servers that end with the test."""
    started: list[Running] = []

    def starter(*, linger: float = 0.0, drain_timeout: float = 5.0, **fields: Any) -> Running:
        options = {name: fields.pop(name) for name in ("steps", "interceptors") if name in fields}
        config = ServerConfig(linger=linger, drain_timeout=drain_timeout, **fields)
        started.append(Running(config=config, **options))
        return started[-1]

    yield starter
    for running in started:
        running.close()


@pytest.mark.parametrize("dialect", TAKEN)
def test_server_answers_in_the_dialect_of_the_caller(start: Any, dialect: Dialect) -> None:
    """One port speaks what the caller speaks: results, declared exceptions and failures."""
    peer = start().peer(dialect=dialect, zkrpc=False)
    assert peer.call(METHODS["echo"], "grüße") == "grüße"
    assert peer.call(METHODS["pair"], idl.Pair(left="a", right=2)) == idl.Pair(left="a", right=2)
    with pytest.raises(idl.Oops) as caught:
        peer.call(METHODS["fail"], "declared")
    assert caught.value.why == "as declared"
    kind, message, _ = peer.call(METHODS["fail"], "undeclared")
    assert kind == 6 and "internal error" in message
    assert peer.call(METHODS["echo"], "still here") == "still here"


@pytest.mark.parametrize("how", ["undeclared", "timeout", "called out"])
def test_server_keeps_the_details_of_a_failure(start: Any, how: str, caplog: pytest.LogCaptureFixture) -> None:
    """The caller learns that it was executed and failed; the log has the traceback; the connection lives on."""
    peer = start().peer()
    with caplog.at_level(logging.ERROR):
        kind, message, headers = peer.call(METHODS["fail"], how)
    assert kind == 6 and "secret" not in message
    assert headers["zkrpc-executed"] == "yes" and headers["zkrpc-error"] == "RemoteError"
    assert "Echo: fail (call " in caplog.text and caplog.records[0].exc_info
    assert peer.call(METHODS["echo"], "next") == "next"


def test_server_refuses_a_result_that_does_not_fit(start: Any) -> None:
    """A handler that returns an int for a string is an internal error, executed."""
    peer = start().peer()
    kind, _, headers = peer.call(METHODS["large"], -1)
    assert kind == 6 and headers["zkrpc-executed"] == "yes"


def test_server_says_when_a_reply_is_too_large(start: Any) -> None:
    """A reply over max_frame is an answer with the reason, not a broken connection."""
    peer = start(wire=WireLimits(max_frame=2000)).peer()
    kind, message, headers = peer.call(METHODS["large"], 5000)
    assert kind == 6 and "max_frame" in message and headers["zkrpc-executed"] == "yes"
    assert peer.call(METHODS["large"], 10) == "x" * 10


def test_server_refuses_what_it_does_not_know_or_cannot_read(start: Any) -> None:
    """An unknown method and unreadable arguments are answered as not executed, on a connection that lives on."""
    running = start()
    peer = running.peer()
    now = time.monotonic()
    for name, body, expected in ((b"nope", b"\0", 1), (b"echo", b"\x0b\x00\x01\x00\x00\x00\x63x", 7)):
        peer.protocol.send_call(name, body, "raw", deadline_at=now + 60, now=now)
        peer.socket.sendall(peer.protocol.data_to_send())
        peer.read()
        kind, _, headers = peer.result("raw", METHODS["echo"])
        assert kind == expected and headers["zkrpc-executed"] == "no"
    assert peer.call(METHODS["echo"], "next") == "next"


def test_server_finds_a_method_by_its_multiplexed_name(start: Any) -> None:
    """``Service:method`` works as well as ``method``."""
    peer = start().peer(dialect=Dialect.FRAMED_BINARY, zkrpc=False)
    method, now = METHODS["echo"], time.monotonic()
    body = method.encode_arguments(method.bind(("hi",), {}))
    peer.protocol.send_call(b"Echo:echo", body, "call", deadline_at=now + 60, now=now)
    peer.socket.sendall(peer.protocol.data_to_send())
    peer.read()
    assert peer.result("call", method) == "hi"


def test_server_lets_a_slow_call_delay_nobody(start: Any) -> None:
    """On one connection, calls sent after slow ones are answered first, and all are answered."""
    running = start()
    peer = running.peer()
    for number in range(5):
        peer.send(METHODS["slow"], "s", UNTIL_TOLD, token=f"slow-{number}")
    for number in range(50):
        peer.send(METHODS["echo"], "e", token=f"echo-{number}")
    first = peer.read(50)
    assert all(str(token).startswith("echo") for token in first)
    assert len(running.handler.begun) == 5
    running.handler.go_on.set()
    assert sorted(peer.read(5)) == [f"slow-{number}" for number in range(5)]


def test_server_runs_calls_of_one_seqid_one_after_another(start: Any) -> None:
    """A client that numbers every call alike gets its answers in the order of its calls."""
    running = start()
    sock = socket.create_connection((running.endpoint.host, running.endpoint.port), timeout=60)
    frames = b""
    for method, args in (("slow", ("first", 100)), ("echo", ("second",)), ("echo", ("third",))):
        body = METHODS[method].encode_arguments(METHODS[method].bind(args, {}))
        name = method.encode()
        message = struct.pack("!II", 0x80010001, len(name)) + name + struct.pack("!i", 0) + body
        frames += struct.pack("!I", len(message)) + message
    sock.sendall(frames)
    received = b""
    while received.count(b"third") < 1:
        received += sock.recv(4096)
    assert received.index(b"first") < received.index(b"second") < received.index(b"third")
    sock.close()


def test_server_runs_oneway_calls_without_an_answer(start: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing comes back for them, not even when they fail."""
    running = start()
    peer = running.peer()
    peer.send(METHODS["note"], "good")
    with caplog.at_level(logging.ERROR):
        peer.send(METHODS["note"], "bad")
        assert peer.call(METHODS["echo"], "after") == "after"
    assert running.handler.notes == ["good", "bad"] and "Echo: note (call " in caplog.text


def test_server_shows_the_handler_its_call(start: Any) -> None:
    """Metadata, peer and deadline are there in ``current_call``."""
    running = start()
    peer = running.peer()
    peer.call(METHODS["echo"], "x", timeout=20.0, headers={"tenant": "blue"})
    (call,) = running.handler.seen
    assert call.headers["tenant"] == "blue" and call.method == "echo"
    assert call.peer == "{}:{}".format(*peer.socket.getsockname())
    assert 10.0 < call.deadline.remaining(call.received_at) <= 20.0


def test_server_drops_work_whose_deadline_has_passed(start: Any) -> None:
    """A call that waited longer than its caller does is not run."""
    running = start()
    peer = running.peer()
    now = time.monotonic()
    method = METHODS["echo"]
    body = method.encode_arguments(method.bind(("late",), {}))
    peer.protocol.send_call(b"echo", body, "late", deadline_at=now + 0.0004, now=now)
    peer.socket.sendall(peer.protocol.data_to_send())
    peer.read()
    _, _, headers = peer.result("late", method)
    assert headers["zkrpc-error"] == "DeadlineExceeded" and headers["zkrpc-executed"] == "no"
    assert running.handler.seen == []


def test_server_refuses_beyond_its_concurrency_at_once(start: Any) -> None:
    """What is over max_concurrent and its queue is answered Overloaded while the others still run."""
    running = start(max_concurrent=2, max_queue=0)
    peer = running.peer()
    for number in range(4):
        peer.send(METHODS["slow"], "s", UNTIL_TOLD, token=number)
    for token in peer.read(2):
        _, _, headers = peer.result(token, METHODS["slow"])
        assert headers["zkrpc-error"] == "Overloaded" and headers["zkrpc-executed"] == "no"
    assert len(running.handler.begun) == 2
    running.handler.go_on.set()
    assert len(peer.read(2)) == 2


def test_server_lets_interceptors_refuse(start: Any) -> None:
    """An interceptor that raises a CallError before the handler ran is a refusal with its headers."""

    def shedding(call: Any, proceed: Any) -> Any:
        if call.method == "echo":
            raise Overloaded("not now", retry_after=0.25)
        return proceed(call)

    peer = start(interceptors=[shedding]).peer()
    _, message, headers = peer.call(METHODS["echo"], "x")
    assert message == "not now" and headers["zkrpc-retry-after-ms"] == "250" and headers["zkrpc-executed"] == "no"
    assert peer.call(METHODS["slow"], "y", 0) == "y"


def test_server_names_what_is_no_thrift(start: Any, caplog: pytest.LogCaptureFixture) -> None:
    """HTTP on the port is told so, and gets one clear line in the log and a closed connection; others are not
    touched."""
    running = start()
    peer = running.peer()
    assert peer.call(METHODS["echo"], "a") == "a"
    stranger = socket.create_connection((running.endpoint.host, running.endpoint.port), timeout=60)
    with caplog.at_level(logging.WARNING):
        stranger.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with stranger.makefile("rb") as answer:
            assert answer.read().startswith(b"HTTP/1.1 400 Bad Request")
        gevent.sleep(0)
    assert "HTTP" in caplog.text
    stranger.close()
    assert peer.call(METHODS["echo"], "b") == "b"


def test_server_cuts_off_a_peer_that_says_nothing(start: Any) -> None:
    """A connection without a first frame is closed after its time."""
    running = start(wire=WireLimits(first_frame_timeout=0.2))
    idle = socket.create_connection((running.endpoint.host, running.endpoint.port), timeout=60)
    began = time.monotonic()
    assert idle.recv(1) == b"" and time.monotonic() - began < 30
    idle.close()


def test_server_bounds_what_it_keeps_for_a_peer_that_does_not_read(start: Any) -> None:
    """Replies pile up only to the cap; when the peer reads again, all of them come."""
    running = start(wire=WireLimits(max_unsent=256 * 1024))
    peer = running.peer()
    calls, size = 64, 128 * 1024
    sender = gevent.spawn(lambda: [peer.send(METHODS["large"], size, token=number) for number in range(calls)])
    gevent.sleep(0.3)
    (connection,) = running.server._connections
    assert len(connection._outbox) < 256 * 1024 + 40 * size
    assert sorted(peer.read(calls)) == list(range(calls))
    sender.join(60)


def test_server_cuts_off_a_peer_that_never_reads(start: Any) -> None:
    """After max_write_stall the connection is closed and its memory freed."""
    running = start(max_write_stall=0.3, wire=WireLimits(max_unsent=64 * 1024))
    peer = running.peer()
    for number in range(80):
        peer.send(METHODS["large"], 256 * 1024, token=number)
    eventually(lambda: not running.server._connections)


def test_server_refuses_connections_beyond_its_limit(start: Any) -> None:
    """One over max_connections is closed at accept; the others are served."""
    running = start(max_connections=1)
    peer = running.peer()
    assert peer.call(METHODS["echo"], "a") == "a"
    extra = socket.create_connection((running.endpoint.host, running.endpoint.port), timeout=60)
    assert extra.recv(1) == b""
    extra.close()
    assert peer.call(METHODS["echo"], "b") == "b"


# -- stopping


def test_server_stop_finishes_calls_in_flight(start: Any) -> None:
    """A call that runs when the drain begins is answered, and a zkrpc peer is told before anything closes."""
    running = start(linger=0.2)
    peer = running.peer()
    peer.send(METHODS["slow"], "done", UNTIL_TOLD, token="slow")
    eventually(lambda: running.handler.begun)
    running.server.begin_stop()
    gevent.sleep(0.4)
    running.handler.go_on.set()
    assert peer.read() == ["slow"] and peer.result("slow", METHODS["slow"]) == "done"
    assert peer.protocol.draining
    assert running.server.wait_stopped(60)
    peer.wait_closed()


def test_server_serves_while_it_lingers(start: Any) -> None:
    """Callers that have not heard of the drain are served; afterwards the port is closed."""
    running = start(linger=6.0)
    plain = running.peer(dialect=Dialect.FRAMED_BINARY, zkrpc=False)
    assert plain.call(METHODS["echo"], "before") == "before"
    running.server.begin_stop()
    gevent.sleep(0.1)
    assert plain.call(METHODS["echo"], "lingering") == "lingering"
    late = running.peer(dialect=Dialect.FRAMED_BINARY, zkrpc=False)
    assert late.call(METHODS["echo"], "late") == "late"
    assert running.server.wait_stopped(60)
    with pytest.raises(OSError):
        running.peer()


def test_server_answers_stragglers_as_maybe_executed(start: Any) -> None:
    """A call that outlives the drain time is answered with the truth: it may have been done."""
    running = start(linger=0.0, drain_timeout=0.3)
    peer = running.peer()
    peer.send(METHODS["slow"], "never", UNTIL_TOLD, token="slow")
    eventually(lambda: running.handler.begun)
    began = time.monotonic()
    assert running.server.stop(60) and time.monotonic() - began < 30
    peer.read()
    _, _, headers = peer.result("slow", METHODS["slow"])
    assert headers["zkrpc-error"] == "Draining" and headers["zkrpc-executed"] == "maybe"


def test_server_refuses_new_calls_when_only_stragglers_are_left(start: Any) -> None:
    """After the linger time a call is answered Draining, executed=no, so that it can go elsewhere."""
    running = start(linger=0.0, drain_timeout=60.0)
    peer = running.peer()
    peer.send(METHODS["slow"], "s", UNTIL_TOLD, token="slow")
    eventually(lambda: running.handler.begun)
    running.server.begin_stop()
    gevent.sleep(0.1)
    peer.protocol.draining = False
    peer.send(METHODS["echo"], "late", token="late")
    peer.read()
    _, _, headers = peer.result("late", METHODS["echo"])
    assert headers["zkrpc-error"] == "Draining" and headers["zkrpc-executed"] == "no"
    running.handler.go_on.set()
    peer.read()
    assert running.server.wait_stopped(60)


def test_server_executes_the_steps_it_was_given_in_order(start: Any) -> None:
    """What the composition root hands in happens at its place, and one that fails does not stop the others."""
    done: list[str] = []

    def failing() -> None:
        done.append("withdraw")
        raise RuntimeError("ZooKeeper is away")

    running = start(
        steps={
            Step.HAND_OVER: lambda: done.append("hand over"),
            Step.WITHDRAW: failing,
            Step.CLOSE_SESSION: lambda: done.append("close session"),
        }
    )
    assert running.server.stop(60)
    assert done == ["hand over", "withdraw", "close session"]
    assert running.server.state is LifecycleState.STOPPED and "stopped" in repr(running.server)


def test_server_kill_waits_for_nobody(start: Any) -> None:
    """It frees everything at once, calls in flight or not."""
    running = start(linger=60.0)
    peer = running.peer()
    peer.send(METHODS["slow"], "s", UNTIL_TOLD, token="slow")
    eventually(lambda: running.handler.begun)
    running.server.begin_stop()
    gevent.sleep(0.05)
    began = time.monotonic()
    running.server.kill()
    assert time.monotonic() - began < 30
    peer.wait_closed()


def test_server_says_what_to_do_about_mistakes(start: Any) -> None:
    """A handler without a method, a taken port, starting before binding: each error says what to do."""
    with pytest.raises(
        ConfigError, match=r"(?s)object does not fit Echo:\n  object\.echo is missing.*\n  object\.slow is missing"
    ):
        Server(idl.Echo, object())
    taken = start().endpoint
    with pytest.raises(ConfigError, match=f"cannot listen on {taken}"):
        Server(idl.Echo, EchoHandler()).bind(taken)
    with pytest.raises(LocalProtocolError, match="bind"):
        Server(idl.Echo, EchoHandler()).start()


def test_server_says_once_what_many_connections_of_an_address_did(start: Any, caplog: Any) -> None:
    """Garbage on each of them, as fast as it comes: one line; and a few tracebacks for what a handler does not bear."""
    running = start()
    for _ in range(30):
        with socket.create_connection(("127.0.0.1", running.endpoint.port)) as sock:
            sock.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
            assert sock.recv(100) == b""
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == ["SSH, not Thrift"]
    peer = running.peer()
    for _ in range(30):
        peer.call(METHODS["fail"], "with a secret")
    assert len([record for record in caplog.records if record.exc_info]) == 10
    assert peer.call(METHODS["echo"], "served") == "served"
