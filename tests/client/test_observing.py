"""What a client's observers are told of calls and their attempts, with the whole stack of both sides in memory."""

from __future__ import annotations

import contextvars
import dataclasses
import json
from typing import Any

import gevent
import pytest

import zkrpc
from tests.support.echo import EchoHandler, idl
from tests.support.listening import Listener
from zkrpc.call import Call, ServerCall
from zkrpc.client.observing import member_observer_of, observer_of, outcome_of
from zkrpc.config import BreakerConfig, ClientConfig, ServerConfig
from zkrpc.deadline import Deadline
from zkrpc.endpoint import Endpoint
from zkrpc.errors import ConnectionLost, Draining, Executed, Unavailable
from zkrpc.telemetry.events import (
    AttemptFinished,
    AttemptStarted,
    BreakerClosed,
    BreakerOpened,
    CallFinished,
    CallHedged,
    CallRetried,
    CallStarted,
    ClientEvent,
    ConnectionClosed,
    ConnectionEvent,
    ConnectionFailed,
    ConnectionOpened,
    ConnectivityChanged,
    MemberEvent,
    MemberJoined,
    MemberLeft,
    MemberSpared,
    RetryBudgetExhausted,
    ServerEvent,
)
from zkrpc.telemetry.observer import Observers
from zkrpc.testing.loopback import Loopback

OF_CALLS = (CallStarted, CallFinished, AttemptStarted, AttemptFinished, CallRetried, CallHedged, RetryBudgetExhausted)


def echoes(*interceptors: Any, handler: type[EchoHandler] = EchoHandler) -> zkrpc.Service:
    """The service, with something around its handlers."""
    config = ServerConfig(linger=0, drain_timeout=1)
    return zkrpc.Service(idl.Echo, handler, name="echoes", config=config, interceptors=interceptors)


def refusing(times: int, error: Exception) -> Any:
    """An interceptor of a server that refuses so many calls, all replicas together."""
    left = [times]

    def refuse(call: ServerCall, proceed: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise error
        return proceed(call)

    return refuse


def test_observer_hears_of_a_call_and_its_attempt() -> None:
    """When they start and how they end, in this order, with the names of the IDL and of whoever answered."""
    listener = Listener(*OF_CALLS)
    with Loopback(echoes(), observers=[listener]) as stub:
        assert stub.echo("x") == "x"
    started, attempt, answered, finished = listener.events
    common = {"service": "echoes", "interface": "Echo", "method": "echo"}
    assert isinstance(started, CallStarted) and 4 < started.timeout <= 5
    assert attempt == AttemptStarted(attempt=1, **common)
    assert isinstance(answered, AttemptFinished) and isinstance(finished, CallFinished)
    assert answered == AttemptFinished(attempt=1, endpoint="memory:0", seconds=answered.seconds, **common)
    assert finished == CallFinished(attempts=1, endpoint="memory:0", seconds=finished.seconds, **common)
    assert 0 < answered.seconds <= finished.seconds < 5


def test_observer_hears_of_a_call_that_is_sent_again() -> None:
    """Each attempt and how it ended, why there is another one and after which pause, and one end of it all."""
    listener = Listener(*OF_CALLS)
    with Loopback(echoes(refusing(1, Draining("soon"))), replicas=2, observers=[listener]) as stub:
        assert stub.echo("x") == "x"
    assert listener.names == [
        *("CallStarted", "AttemptStarted", "AttemptFinished", "CallRetried"),
        *("AttemptStarted", "AttemptFinished", "CallFinished"),
    ]
    first, second = listener.of(AttemptFinished)
    assert (first.attempt, first.error, first.executed) == (1, "Draining", "no")
    assert (second.attempt, second.error, second.executed) == (2, "", "yes")
    assert first.endpoint != second.endpoint
    (retried,) = listener.of(CallRetried)
    assert (retried.attempt, retried.endpoint, retried.error, retried.pause) == (1, first.endpoint, "Draining", 0.0)
    (finished,) = listener.of(CallFinished)
    assert (finished.attempts, finished.endpoint, finished.error) == (2, second.endpoint, "")


def test_observer_hears_how_a_call_failed() -> None:
    """By an exception that the IDL declares, by one that it does not, for want of an instance."""
    listener = Listener(CallFinished)
    loopback = Loopback(echoes(), observers=[listener], config=ClientConfig(patience=0))
    with loopback as stub:
        for how in ("declared", "undeclared"):
            with pytest.raises((idl.Oops, zkrpc.RemoteError)):
                stub.fail(how)
        loopback.kill(0)
        loopback.unlist(0)
        with pytest.raises(zkrpc.Unavailable):
            stub.echo("x")
    outcomes = [(one.error, one.declared, one.executed, one.endpoint) for one in listener.of(CallFinished)]
    assert outcomes == [
        ("Oops", True, "yes", "memory:0"),
        ("RemoteError", False, "yes", "memory:0"),
        ("Unavailable", False, "no", ""),
    ]


def test_observer_hears_of_a_call_that_its_caller_left() -> None:
    """By a timeout of its own; nobody knows how far it came."""
    listener = Listener(CallFinished, AttemptFinished)
    with Loopback(echoes(), observers=[listener]) as stub, gevent.Timeout(0.05, False):
        stub.slow("x", 5000)
    assert [(type(one).__name__, one.error, one.executed) for one in listener.events] == [  # type: ignore[attr-defined]
        ("AttemptFinished", "Cancelled", "maybe"),
        ("CallFinished", "Cancelled", "maybe"),
    ]


def test_observer_hears_of_a_call_that_found_no_members() -> None:
    """It went no further than to the client, and has a start and an end all the same."""
    listener = Listener(*OF_CALLS)
    stub = Loopback(echoes(), observers=[listener]).stub
    stub.close()
    with pytest.raises(Unavailable, match="closed"):
        stub.echo("x")
    assert listener.names == ["CallStarted", "CallFinished"]
    (finished,) = listener.of(CallFinished)
    assert (finished.attempts, finished.endpoint, finished.error, finished.executed) == (0, "", "Unavailable", "no")


def test_observer_hears_of_a_hedged_call_in_the_context_of_its_caller() -> None:
    """The second copy is another attempt, told in a copy of the caller's context; the slower one is cancelled."""
    trace: contextvars.ContextVar[str] = contextvars.ContextVar("trace", default="none")
    calls: list[str] = []

    class OnceSlow(EchoHandler):
        def echo(self, text: str) -> str:
            calls.append(text)
            gevent.sleep(0 if len(calls) > 1 else 5)
            return text

    class Tracing(Listener):
        def receive(self, event: Any) -> None:
            super().receive(event)
            traces.append(trace.get())

    traces: list[str] = []
    listener = Tracing(*OF_CALLS)
    config = ClientConfig(hedge=0.02)
    with Loopback(echoes(handler=OnceSlow), replicas=2, observers=[listener], config=config) as stub:
        trace.set("this one")
        assert stub.echo("x") == "x"
    assert listener.names == [
        *("CallStarted", "AttemptStarted", "CallHedged", "AttemptStarted"),
        *("AttemptFinished", "AttemptFinished", "CallFinished"),
    ]
    assert set(traces) == {"this one"}
    assert [event.attempt for event in listener.of(CallHedged)] == [2]
    assert [(event.attempt, event.error) for event in listener.of(AttemptFinished)] == [(2, ""), (1, "Cancelled")]


def test_observer_hears_when_the_budget_is_exhausted() -> None:
    """A call was not sent again, though it might have been."""
    listener = Listener(RetryBudgetExhausted, CallRetried)
    config = ClientConfig(retry_ratio=0.0, retry_reserve=0.0)
    service = echoes(refusing(1, zkrpc.Overloaded("full")))
    with Loopback(service, replicas=2, observers=[listener], config=config) as stub:
        with pytest.raises(zkrpc.Overloaded):
            stub.echo("x")
    assert listener.events == [RetryBudgetExhausted(service="echoes")]


def test_what_nobody_wants_to_hear_is_not_in_the_stack() -> None:
    """Neither around calls nor around attempts nor at the budget; and nothing at all if nobody wants any of it."""

    def withdraw(now: float) -> bool:
        return True

    def made(*kinds: Any) -> Any:
        return observer_of(Observers([Listener(*kinds)]), lambda: "echoes", lambda: 0.0)

    assert made(ServerEvent) is None and observer_of(Observers(), lambda: "", lambda: 0.0) is None
    calls, attempts, budget = made(CallFinished), made(AttemptFinished), made(RetryBudgetExhausted)
    assert calls.around_calls and not calls.around_attempts and calls.withdrawing(withdraw) is withdraw
    assert attempts.around_attempts and not attempts.around_calls
    assert budget.withdrawing(withdraw) is not withdraw and budget.withdrawing(withdraw)(0.0)
    call = Call("echo", None, Deadline(at=5.0), descriptor=idl.Echo.methods["echo"])
    attempts.failed(call, 0.0, Unavailable("away"))
    assert all(made(ClientEvent).around_calls)


@pytest.mark.parametrize(
    "error, expected",
    [
        (None, ("", False, "yes")),
        (ConnectionLost("gone", executed=Executed.MAYBE), ("ConnectionLost", False, "maybe")),
        (idl.Oops(why="so"), ("Oops", True, "yes")),
        (TypeError("no such argument"), ("TypeError", False, "no")),
        (ValueError("an interceptor's own"), ("ValueError", False, "maybe")),
        (gevent.GreenletExit(), ("Cancelled", False, "maybe")),
    ],
)
def test_outcome_of_a_call(error: BaseException | None, expected: tuple[str, bool, str]) -> None:
    """Its name, whether it is declared, and what is known of the execution."""
    call = Call("fail", None, Deadline(at=5.0), descriptor=idl.Echo.methods["fail"])
    assert outcome_of(call, error) == expected


def test_observer_hears_of_members_and_connections() -> None:
    """Who joins, how the way to it is, when connections open and end and why, who leaves."""
    listener = Listener(MemberEvent, ConnectionEvent)
    loopback = Loopback(echoes(), replicas=2, observers=[listener])
    with loopback as stub:
        for _ in range(10):
            stub.echo("x")
        assert [(one.instance, one.endpoint) for one in listener.of(MemberJoined)] == [
            ("replica-0", "memory:0"),
            ("replica-1", "memory:1"),
        ]
        opened = [one.endpoint for one in listener.of(ConnectionOpened)]
        assert sorted(opened) == ["memory:0", "memory:1"]
        changes = [(one.instance, one.state, one.standing) for one in listener.of(ConnectivityChanged)]
        assert changes[:2] == [("replica-" + opened[0][-1], state, "well") for state in ("connecting", "ready")]
        loopback.drain(0)
        assert [(one.endpoint, one.reason) for one in listener.of(ConnectionClosed)] == [("memory:0", "closed")]
        assert [one.instance for one in listener.of(MemberLeft)] == ["replica-0"]
        loopback.kill(1)
        with pytest.raises(zkrpc.Unavailable):
            stub.options(timeout=0.2).echo("x")
        assert [(one.endpoint, one.reason) for one in listener.of(ConnectionClosed)][1:] == [("memory:1", "closed")]
        failed = listener.of(ConnectionFailed)
        assert failed and {(one.endpoint, one.reason) for one in failed} == {("memory:1", "Connection refused")}
        last = listener.of(ConnectivityChanged)[-1]
        assert (last.state, last.standing, last.reason) == ("transient_failure", "down", "Connection refused")
    assert all(0 <= one.seconds < 60 for one in listener.of(ConnectionOpened) + failed)
    assert {one.service for one in listener.of(ClientEvent)} == {"echoes"}


def test_observer_hears_of_breakers_and_of_members_to_be_spared() -> None:
    """When and for how long others are preferred, and when that is over."""
    listener = Listener(BreakerOpened, BreakerClosed, MemberSpared)
    left = [5]

    def failing(call: ServerCall, proceed: Any) -> Any:
        left[0] -= 1
        if left[0] == -2:
            raise zkrpc.Overloaded("full", retry_after=0.25)
        return proceed(call) if left[0] < 0 else object()

    config = ClientConfig(breaker=BreakerConfig(open_first=0.05))
    with Loopback(echoes(failing), observers=[listener], config=config) as stub:
        for _ in range(5):
            with pytest.raises(zkrpc.RemoteError):
                stub.echo("x")
        (opened,) = listener.events
        assert isinstance(opened, BreakerOpened) and 0.02 < opened.seconds <= 0.05
        gevent.sleep(0.06)
        assert stub.echo("closes it") == "closes it"
        assert stub.echo("is refused once") == "is refused once"
    closed, spared = listener.events[1:]
    assert spared == MemberSpared(service="echoes", instance="replica-0", endpoint="memory:0", seconds=0.25)
    assert closed == BreakerClosed(service="echoes", instance="replica-0", endpoint="memory:0")


def test_status_says_what_a_client_knows() -> None:
    """Of each instance: how the way to it is, what it costs, and what speaks against it; and of its own means."""
    loopback = Loopback(echoes(), replicas=2)
    with loopback as stub:
        assert zkrpc.status(stub).members == () and zkrpc.status(stub).calls == 0
        for _ in range(10):
            stub.echo("x")
        status = zkrpc.status(stub)
        assert (status.service, status.closed, status.connections, status.calls) == ("echoes", False, 2, 10)
        assert status.retry_tokens > 50
        for number, member in enumerate(status.members):
            assert (member.instance, member.endpoint) == (f"replica-{number}", f"memory:{number}")
            assert (member.connectivity, member.standing, member.failure) == ("ready", "well", None)
            assert (member.breaker, member.probe_in, member.spared_for) == ("closed", None, None)
            assert member.in_flight == 0 and member.latency is not None and 0 < member.latency < 5
            assert (member.is_picked, member.is_kept, list(member.protocols)) == (True, False, ["zkrpc"])
        loopback.kill(1)
        assert zkrpc.status(stub).members[1].connectivity == "idle"
        loopback.drain(0)
        with pytest.raises(zkrpc.Unavailable):
            stub.options(timeout=0.2).echo("x")
        (gone,) = zkrpc.status(stub).members
        assert (gone.instance, gone.connectivity, gone.standing) == ("replica-1", "transient_failure", "down")
        assert gone.failure == "Connection refused"
        assert json.loads(json.dumps(dataclasses.asdict(zkrpc.status(stub)), allow_nan=False))["calls"] == 11
    assert zkrpc.status(stub).closed


def test_observer_is_not_told_of_a_connection_that_was_none() -> None:
    """One that was closed before it counted as open, by a client that ended meanwhile."""
    listener = Listener()
    observer = member_observer_of(Observers([listener]), lambda: "echoes", lambda: 1.0)
    assert observer is not None and member_observer_of(Observers(), lambda: "", lambda: 0.0) is None

    class Connection:
        endpoint, silent, draining = Endpoint("h", 1), True, False

    connection = Connection()
    observer.closed(connection)
    assert listener.events == []
    observer.opened(connection, 0.5)
    observer.closed(connection)
    assert listener.events == [
        ConnectionOpened(service="echoes", endpoint="h:1", seconds=0.5),
        ConnectionClosed(service="echoes", endpoint="h:1", seconds=0.0, reason="silent"),
    ]
    connection.draining = True
    observer.opened(connection, 0.5)
    observer.closed(connection)
    assert listener.of(ConnectionClosed)[1].reason == "draining"
