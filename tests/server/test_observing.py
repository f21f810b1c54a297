"""What a server's observers are told of requests, of peers and of its life, and what its status says."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from tests.server.test_dispatch import ECHO, FAIL, NOTE, PEER, Handler, Strongest
from tests.server.test_server import METHODS, Running
from tests.support.echo import idl
from tests.support.listening import Listener
from tests.support.requests import binary, call_of, oneway_of
from tests.support.waiting import eventually
from zkrpc.call import ServerCall
from zkrpc.caller import NOBODY, Caller
from zkrpc.config import ServerConfig
from zkrpc.errors import Draining, Executed, NotPrimary
from zkrpc.idl import load_text
from zkrpc.idl.served import ServedInterface
from zkrpc.server.accounts import Account, Accounts, Meter
from zkrpc.server.dispatch import Answer, Dispatcher, turn_down, uninterruptible
from zkrpc.server.handlers import Handlers
from zkrpc.server.lifecycle import Step
from zkrpc.server.observing import ObservedDispatcher, RequestObserver, TracedDispatcher, make_dispatcher
from zkrpc.telemetry.events import (
    OTHER,
    DrainStarted,
    DrainStepTaken,
    PeerConnected,
    PeerDisconnected,
    PeerRefused,
    RequestFinished,
    RequestRefused,
    ServerStarted,
    ServerStopped,
)
from zkrpc.telemetry.observer import Observer, Observers
from zkrpc.telemetry.recording import settle
from zkrpc.wire.message import Request
from zkrpc.wire.status import OVERLOADED

BILLING = Caller("billing", "1.2")


class Bench:
    """A dispatcher that is observed, at a time that the test sets."""

    def __init__(self, *interceptors: Any, listener: Listener | None = None) -> None:
        self.listener = listener or Listener()
        self.handler = Handler()
        self.now = 10.5
        self.observer = RequestObserver(Observers([self.listener]), "echoes", idl.Echo, lambda: self.now)
        self.dispatcher = ObservedDispatcher(
            self.observer,
            idl.Echo,
            self.handler,
            interceptors=interceptors,
            on_failure=lambda failure: None,
            clock=lambda: self.now,
        )

    def met(self, request: Any) -> tuple[str, bool, str]:
        """Error, declared, executed of one request that is dispatched at 10.0."""
        self.dispatcher.dispatch(request, PEER, 10.0)
        (event,) = self.listener.of(RequestFinished)
        self.listener.events.clear()
        return event.error, event.declared, event.executed


def test_observer_hears_of_a_request_when_how_long_and_whose() -> None:
    """The time in the queue, the handler's, the peer, what that goes by, and the IDL's names."""
    bench = Bench()
    bench.dispatcher.dispatch(call_of("echo", binary(ECHO, "x"), received_at=9.75), PEER, 10.0, BILLING)
    bench.dispatcher.dispatch(call_of("Echo:echo", binary(ECHO, "x"), received_at=9.75), PEER, 10.0, BILLING)
    finished = RequestFinished(
        service="echoes",
        interface="Echo",
        method="echo",
        peer=PEER,
        caller="billing",
        queued=0.25,
        seconds=0.5,
        executed="yes",
    )
    assert bench.listener.events == [finished, finished]


class Counter(Listener):
    """Records how long requests take that go well."""

    recorded = (RequestFinished,)

    def __init__(self) -> None:
        super().__init__(RequestFinished)
        self.recorded_of: list[Any] = []

    def recorder(self, kind: Any, service: str, interface: str, method: str, target: str) -> Any:
        return lambda seconds: self.recorded_of.extend((service, interface, method, target, one) for one in seconds)


def test_duration_of_each_request_that_goes_well_is_noted() -> None:
    """And no event of it is made. Of what failed, was declared, revoked or unknown there is one."""

    def revoke(call: ServerCall, proceed: Any) -> Any:
        if call.arguments == ("revoked",):
            call.revoked = NotPrimary("no longer")
        return proceed(call)

    counter = Counter()
    bench = Bench(revoke, listener=counter)
    bench.dispatcher.dispatch(call_of("echo", binary(ECHO, "x")), PEER, 10.0)
    bench.dispatcher.dispatch(call_of("Echo:echo", binary(ECHO, "x")), PEER, 10.25)
    bench.dispatcher.dispatch(oneway_of("note", binary(NOTE, "x")), PEER, 10.0)
    settle()
    names = ("echoes", "Echo")
    assert counter.recorded_of == [(*names, "echo", "", 0.5), (*names, "echo", "", 0.25), (*names, "note", "", 0.5)]
    assert bench.listener.events == []
    assert bench.met(call_of("echo", binary(ECHO, "revoked"))) == ("NotPrimary", False, "no")
    assert bench.met(call_of("nothing", b"")) == ("UnknownMethod", False, "no")
    bench.handler.raises(idl.Oops(why="so"))
    assert bench.met(call_of("fail", binary(FAIL, "x"))) == ("Oops", True, "yes")
    settle()
    assert len(counter.recorded_of) == 3


def test_recorders_and_others_hear_of_the_same_requests(start: Any) -> None:
    """Over a connection: those that went well, also of handlers that blocked."""
    counter, listener = Counter(), Listener(RequestFinished)
    peer = start(counter, listener, max_concurrent=1).peer()
    for name, arguments in (("slow", ("x", 20)), ("echo", ("x",)), ("fail", ("x",)), ("slow", ("x", 20))):
        peer.call(METHODS[name], *arguments)
    assert eventually(lambda: len(listener.events) == 4)
    settle()
    assert sorted(one[2] for one in counter.recorded_of) == ["echo", "slow", "slow"]
    assert all((one[2] == "echo" or 0.01 < one[4]) and one[4] < 10 for one in counter.recorded_of)
    assert [event.error for event in counter.of(RequestFinished)] == ["ValueError"]


def test_recorder_that_fails_costs_no_request(caplog: pytest.LogCaptureFixture, start: Any) -> None:
    """It is logged once, and the requests have their answers."""

    class Broken(Counter):
        urgent = 0.0

        def recorder(self, *names: Any) -> Any:
            return lambda seconds: 1 / 0

    peer = start(Broken()).peer()
    assert [peer.call(METHODS["echo"], text) for text in ("x", "y")] == ["x", "y"]
    assert len([one for one in caplog.records if "RequestFinished" in one.getMessage()]) == 1


def test_observer_hears_what_became_of_a_call() -> None:
    """For each way in which it can end, what the caller is told; and of what the IDL does not declare, what it was."""
    bench = Bench()
    assert bench.met(call_of("echo", binary(ECHO, "x"))) == ("", False, "yes")
    bench.handler.raises(idl.Oops(why="so"))
    assert bench.met(call_of("fail", binary(FAIL, "x"))) == ("Oops", True, "yes")
    assert bench.met(call_of("echo", binary(ECHO, "x"))) == ("Oops", False, "yes")
    bench.handler.raises(ValueError("secret"))
    assert bench.met(call_of("fail", binary(FAIL, "x"))) == ("ValueError", False, "yes")
    bench.handler.script = lambda text: 7
    assert bench.met(call_of("echo", binary(ECHO, "x"))) == ("TypeError", False, "yes")
    assert bench.met(call_of("echo", b"\x0b\0\x01")) == ("ProtocolError", False, "no")
    assert bench.met(call_of("echo", headers={"Deadline-Budget": "1"})) == ("DeadlineExceeded", False, "no")
    assert bench.met(call_of("nope")) == ("UnknownMethod", False, "no")


def test_observer_hears_what_became_of_a_oneway_call() -> None:
    """Though nobody is answered."""
    bench = Bench()
    assert bench.met(oneway_of("note", binary(NOTE, "x"))) == ("", False, "yes")
    bench.handler.raises(ValueError("secret"))
    assert bench.met(oneway_of("note", binary(NOTE, "x"))) == ("ValueError", False, "yes")
    assert bench.met(oneway_of("note", headers={"Deadline-Budget": "1"})) == ("DeadlineExceeded", False, "no")
    assert bench.met(oneway_of("note", b"\x0b\0\x01")) == ("ProtocolError", False, "no")
    assert bench.met(oneway_of("nope")) == ("UnknownMethod", False, "no")


def test_observer_hears_what_interceptors_make_of_a_call() -> None:
    """One that refuses it, before the handler has run; one that revokes its outcome; one that notes an epoch."""

    def refusing(call: ServerCall, proceed: Any) -> Any:
        raise Draining("no more")

    def revoking(call: ServerCall, proceed: Any) -> Any:
        value = proceed(call)
        call.revoked = NotPrimary("lapsed", epoch=7, executed=Executed.MAYBE)
        return value

    def numbering(call: ServerCall, proceed: Any) -> Any:
        call.epoch = 7
        return proceed(call)

    assert Bench(refusing).met(call_of("echo", binary(ECHO, "x"))) == ("Draining", False, "no")
    assert Bench(refusing).met(oneway_of("note", binary(NOTE, "x"))) == ("Draining", False, "no")
    assert Bench(revoking).met(call_of("echo", binary(ECHO, "x"))) == ("NotPrimary", False, "maybe")
    bench = Bench(numbering)
    bench.dispatcher.dispatch(call_of("echo", binary(ECHO, "x")), PEER, 10.0)
    assert [event.epoch for event in bench.listener.of(RequestFinished)] == [7]


def test_observer_hears_of_a_handler_that_was_ended() -> None:
    """By what no handler should catch; nobody knows how far it came."""
    bench = Bench()
    bench.handler.raises(Strongest())
    with pytest.raises(Strongest):
        bench.dispatcher.dispatch(call_of("echo", binary(ECHO, "x")), PEER, 10.0)
    (event,) = bench.listener.of(RequestFinished)
    assert (event.error, event.executed) == ("Strongest", "maybe")


def test_observer_hears_of_a_request_that_was_refused() -> None:
    """Why, and how long it waited; also of a oneway call, whose caller is not told. What a peer calls a method that
    there is not is not repeated."""
    bench = Bench()
    request = call_of("echo", received_at=10.25)
    bench.observer.refused(request, PEER, BILLING, turn_down(request, "full", OVERLOADED))
    dropped = oneway_of("x" * 100, received_at=10.5)
    bench.observer.refused(dropped, PEER, BILLING, turn_down(dropped, "full", OVERLOADED))
    about = {"service": "echoes", "interface": "Echo", "peer": PEER, "caller": "billing"}
    assert bench.listener.events == [
        RequestRefused(method="echo", queued=0.25, error="Overloaded", **about),
        RequestRefused(method=OTHER, queued=0.0, error="Overloaded", **about),
    ]


def test_observer_hears_of_a_refusal_after_the_peer_has_its_answer() -> None:
    """And by the name that the connection's caller has by then."""
    bench, answered = Bench(), []
    meter = Meter(Accounts(idl.Echo), "10.0.0.1")

    def answer(request: Request, refusal: Answer) -> None:
        answered.append((request, refusal, list(bench.listener.events)))

    answer_and_tell = bench.observer.observe_refusals(answer, PEER, meter)
    meter.account = Account(BILLING)
    request = call_of("echo")
    refusal = turn_down(request, "full", OVERLOADED)
    answer_and_tell(request, refusal)
    assert answered == [(request, refusal, [])]
    (event,) = bench.listener.of(RequestRefused)
    assert (event.peer, event.caller, event.error) == (PEER, "billing", "Overloaded")


# -- which dispatcher a server has


class Tracing:
    """Traces the requests that have a ``traceparent``, and those of every peer whose hello has one."""

    def __init__(self) -> None:
        self.observer: Observer = Listener(RequestFinished, RequestRefused)
        self.services: list[str] = []

    def trace_server(self, service: str, names: Mapping[bytes, str]) -> Tracing:
        """It traces all servers."""
        assert names[b"echo"] == names[b"Echo:echo"] == "Echo/echo"
        self.services.append(service)
        return self

    def choose(self, plain: Any, told: Any, introduction: Mapping[str, str]) -> Any:
        """See the class."""

        def run(request: Request, peer: str, now: float, caller: Caller = NOBODY) -> Any:
            traced = "traceparent" in request.headers or "traceparent" in introduction
            return (told if traced else plain)(request, peer, now, caller)

        return run


class Made:
    """What a server with these observers, and perhaps a tracing, has for its requests."""

    def __init__(self, *observers: Observer, tracing: Any = None) -> None:
        self.handler = Handler()
        self.failures: list[str] = []
        self.dispatcher, self.observer = make_dispatcher(
            Observers(observers),
            tracing,
            "echoes",
            idl.Echo,
            self.handler,
            clock=lambda: 10.5,
            on_failure=lambda failure: self.failures.append(failure.method),
        )


def test_unobserved_server_has_the_plain_dispatcher() -> None:
    """And so has one whose observers want other events: none of this code runs for its requests."""
    for made in (Made(), Made(Listener(PeerConnected))):
        assert type(made.dispatcher) is Dispatcher and made.observer is None


@pytest.mark.parametrize("kind", [RequestFinished, RequestRefused])
def test_server_whose_requests_are_wanted_has_the_observed_one(kind: Any) -> None:
    """Whether it is those that ended or those that were refused."""
    made = Made(Listener(kind))
    assert type(made.dispatcher) is ObservedDispatcher and made.observer is not None


def test_tracing_hears_of_the_requests_that_it_chose() -> None:
    """The observers hear of all of them, each once."""
    listener, tracing = Listener(RequestFinished), Tracing()
    dispatcher = Made(listener, tracing=tracing).dispatcher
    assert tracing.services == ["echoes"]
    traced = call_of("echo", binary(ECHO, "x"), headers={"traceparent": "00-1"}, received_at=9.75)
    untraced = call_of("echo", binary(ECHO, "x"), received_at=9.5)
    first, second = (dispatcher.dispatch(request, PEER, 10.0, BILLING) for request in (traced, untraced))
    assert first is not None and first == second
    assert isinstance(tracing.observer, Listener)
    assert [event.queued for event in tracing.observer.of(RequestFinished)] == [0.25]
    assert [(event.queued, event.caller) for event in listener.of(RequestFinished)] == [
        (0.25, "billing"),
        (0.5, "billing"),
    ]


def test_tracing_chooses_by_what_the_peer_has_said_of_itself() -> None:
    """For all its requests at once, when it says its hello."""
    tracing = Tracing()
    made = Made(tracing=tracing)
    assert type(made.dispatcher) is TracedDispatcher and made.observer is None
    request = call_of("echo", binary(ECHO, "x"))
    made.dispatcher.dispatch_for({})(request, PEER, 10.0, BILLING)
    assert isinstance(tracing.observer, Listener) and not tracing.observer.events
    made.dispatcher.dispatch_for({"traceparent": "00-1"})(request, PEER, 10.0, BILLING)
    assert tracing.observer.names == ["RequestFinished"]


@pytest.mark.parametrize("by_introduction", [False, True])
def test_refusal_of_a_traced_request_is_told_to_the_tracing_alone(by_introduction: bool) -> None:
    """The answer goes out first; observers of everything hear of it from whoever refuses."""
    listener, tracing = Listener(RequestRefused), Tracing()
    dispatcher = Made(listener, tracing=tracing).dispatcher
    assert isinstance(dispatcher, TracedDispatcher)
    answered: list[Any] = []
    protocol: Any = SimpleNamespace(peer_headers={"traceparent": "00-1"} if by_introduction else {})
    refuse_and_trace = dispatcher.trace_refusals(lambda *parts: answered.append(parts), PEER, protocol)
    headers = {} if by_introduction else {"traceparent": "00-1"}
    traced = call_of("echo", binary(ECHO, "x"), headers=headers, received_at=9.75)
    refusal = turn_down(traced, "full", OVERLOADED)
    refuse_and_trace(traced, refusal)
    assert answered == [(traced, refusal)]
    assert isinstance(tracing.observer, Listener)
    (event,) = tracing.observer.of(RequestRefused)
    assert (event.method, event.error, event.queued) == ("echo", "Overloaded", 0.75) and not listener.events
    protocol.peer_headers = {}
    refuse_and_trace(call_of("echo", binary(ECHO, "x")), refusal)
    assert len(answered) == 2 and len(tracing.observer.of(RequestRefused)) == 1


def test_traced_server_ends_handlers_as_any_other() -> None:
    """Which of them may be ended, and what their callers and the log are told then."""
    made, plain = Made(tracing=Tracing()), Made()
    for request in (call_of("echo"), oneway_of("note"), call_of("nothing")):
        assert made.dispatcher.may_interrupt(request) is plain.dispatcher.may_interrupt(request)
        assert made.dispatcher.failed(request, PEER, Strongest()) == plain.dispatcher.failed(request, PEER, Strongest())
    assert made.failures == plain.failures == ["echo", "note", "nothing"]


@pytest.fixture
def start() -> Iterator[Any]:
    """Starts servers that end with the test."""
    started: list[Running] = []

    def starter(*observers: Any, steps: Any = None, **fields: Any) -> Running:
        config = ServerConfig(**{"linger": 0, "drain_timeout": 1, **fields})
        started.append(Running(config=config, observers=observers, name="echoes", steps=steps))
        return started[-1]

    yield starter
    for running in started:
        running.close()


def test_observer_hears_the_whole_life_of_a_server(start: Any) -> None:
    """Its start, its peers, their requests, each step of its stop, one that fails included, and its end."""

    def fail() -> None:
        raise ValueError("no session")

    listener = Listener()
    running = start(listener, steps={Step.WITHDRAW: lambda: None, Step.CLOSE_SESSION: fail})
    peer = running.peer()
    assert peer.call(METHODS["echo"], "x") == "x"
    peer.close()
    eventually(lambda: bool(listener.of(PeerDisconnected)))
    assert running.server.stop(60)
    assert listener.names[:4] == ["ServerStarted", "PeerConnected", "RequestFinished", "PeerDisconnected"]
    assert listener.events[0] == ServerStarted(service="echoes", endpoint=str(running.endpoint))
    (joined,), (left,) = listener.of(PeerConnected), listener.of(PeerDisconnected)
    assert joined.peer == left.peer and left.reason == "" and 0 <= left.seconds < 60
    assert listener.of(DrainStarted) == [DrainStarted(service="echoes", calls=0)]
    steps = [(event.step, event.error) for event in listener.of(DrainStepTaken)]
    assert steps == [
        ("withdraw", ""),
        ("announce_draining", ""),
        ("stop_accepting", ""),
        ("close_idle", ""),
        ("close_session", "ValueError: no session"),
    ]
    (stopped,) = listener.of(ServerStopped)
    assert listener.events[-1] is stopped and (stopped.service, stopped.calls) == ("echoes", 0)


def test_observer_hears_why_a_peer_was_cut_off(start: Any) -> None:
    """What was wrong with what it sent."""
    listener = Listener(PeerDisconnected)
    peer = start(listener).peer()
    peer.socket.sendall(b"GET / HTTP/1.1\r\n\r\n")
    peer.wait_closed()
    eventually(lambda: bool(listener.events))
    assert "HTTP" in listener.of(PeerDisconnected)[0].reason


def test_observer_hears_of_a_peer_for_which_there_is_no_room(start: Any) -> None:
    """It was never connected, as far as the server is concerned."""
    listener = Listener(PeerConnected, PeerRefused)
    running = start(listener, max_connections=1)
    assert running.peer().call(METHODS["echo"], "x") == "x"
    running.peer().wait_closed()
    assert listener.names == ["PeerConnected", "PeerRefused"]


def test_status_says_what_a_server_has_and_does(start: Any) -> None:
    """While one handler blocks and another call waits; a call beyond that is refused, and its observer is told."""
    listener = Listener(RequestRefused)
    running = start(listener, max_concurrent=1, max_queue=1)
    slow = running.handler.slow
    running.handler.slow = uninterruptible(lambda text, milliseconds: slow(text, milliseconds))
    peer = running.peer()
    for number in range(3):
        peer.send(METHODS["slow"], "x", 300, token=number)
    assert peer.read() == [2]
    status = running.server.status()
    assert (status.service, status.interface, status.endpoint) == ("echoes", "Echo", str(running.endpoint))
    assert (status.state, status.accepts_calls, status.announced_draining) == ("serving", True, False)
    assert (status.running, status.limit, status.max_concurrent) == (1, 1, 1)
    assert (status.queued, status.max_queue, dict(status.calls)) == (1, 1, {"slow": 2})
    assert (status.connections, [one.address for one in status.peers]) == (1, ["127.0.0.1"])
    assert (status.peers[0].connections, status.peers[0].holding, status.peers[0].queued) == (1, 1, 1)
    assert 0 <= status.buffered <= status.max_buffered and status.max_connections > 1
    assert json.loads(json.dumps(dataclasses.asdict(status)))["calls"] == {"slow": 2}
    assert [(event.method, event.error) for event in listener.of(RequestRefused)] == [("slow", "Overloaded")]
    peer.read(2)
    assert running.server.stop(60) and running.server.status().state == "stopped"


def test_requests_of_several_interfaces_are_told_apart() -> None:
    """Events and durations have the interface's name and the method's own; what nobody has goes to the default one."""
    several = load_text("service Users { string get() } service Audit { string get(), string log() }")
    served = ServedInterface([several.Users, several.Audit], "users")

    class Both:
        def get(self) -> str:
            return "x"

        def log(self) -> str:
            raise ValueError("the disk is full")

    counter, body = Counter(), binary(several.Users.methods["get"])
    observer = RequestObserver(Observers([counter]), "users", served, lambda: 10.5)
    handlers, options = Handlers(served, [Both(), Both()]), {"on_failure": lambda failure: None, "clock": lambda: 10.5}
    dispatcher = ObservedDispatcher(observer, served, handlers, **options)
    for name in ("get", "users:get", "Audit:get", "Audit:log", "Third:log", "log"):
        dispatcher.dispatch(call_of(name, body), PEER, 10.0)
    denied = call_of("Audit:get")
    refusal = turn_down(denied, "full", OVERLOADED)
    observer.refused(denied, PEER, BILLING, refusal)
    settle()
    assert [one[1:3] for one in counter.recorded_of] == [("Users", "get")] * 2 + [("Audit", "get")]
    told = [(one.interface, one.method) for one in counter.of(RequestFinished)]
    assert told == [("Audit", "log"), ("Users", OTHER), ("Users", OTHER)]
    everything = Listener(RequestRefused)
    RequestObserver(Observers([everything]), "users", served, lambda: 10.5).refused(denied, PEER, BILLING, refusal)
    assert [(one.interface, one.method) for one in everything.of(RequestRefused)] == [("Audit", "get")]
