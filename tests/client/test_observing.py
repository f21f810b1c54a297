"""What a client's observers are told of calls and their attempts, with the whole stack of both sides in memory."""

from __future__ import annotations

import contextvars
from typing import Any

import gevent
import pytest

import zkrpc
from tests.support.echo import EchoHandler, idl
from tests.support.listening import Listener
from tests.support.waiting import eventually
from tests.support.worlds import World
from zkrpc.call import Call, ServerCall
from zkrpc.client.observing import observer_of, outcome_of
from zkrpc.config import ClientConfig, ServerConfig
from zkrpc.deadline import Deadline
from zkrpc.errors import ConnectionLost, Draining, Executed, Unavailable
from zkrpc.telemetry.events import (
    AttemptFinished,
    AttemptStarted,
    CallFinished,
    CallHedged,
    CallRetried,
    CallStarted,
    ClientEvent,
    RetryBudgetExhausted,
    ServerEvent,
)
from zkrpc.telemetry.observer import Observers
from zkrpc.telemetry.recording import settle

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


def test_observer_hears_of_a_call_and_its_attempt(world: World) -> None:
    """When they start and how they end, in this order, with the names of the IDL and of whoever answered."""
    listener = Listener(*OF_CALLS)
    with world.loopback(echoes(), observers=[listener]) as stub:
        assert stub.options(timeout=60).echo("x") == "x"
    started, attempt, answered, finished = listener.events
    common = {"service": "echoes", "interface": "Echo", "method": "echo"}
    assert isinstance(started, CallStarted) and 30 < started.timeout <= 60
    assert attempt == AttemptStarted(attempt=1, **common)
    assert isinstance(answered, AttemptFinished) and isinstance(finished, CallFinished)
    assert answered == AttemptFinished(attempt=1, endpoint="memory:0", seconds=answered.seconds, **common)
    assert finished == CallFinished(attempts=1, endpoint="memory:0", seconds=finished.seconds, **common)
    assert 0 < answered.seconds <= finished.seconds < 60


def test_observer_hears_of_a_call_that_is_sent_again(world: World) -> None:
    """Each attempt and how it ended, why there is another one and after which pause, and one end of it all."""
    listener = Listener(*OF_CALLS)
    with world.loopback(echoes(refusing(1, Draining("soon"))), replicas=2, observers=[listener]) as stub:
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


def test_observer_hears_how_a_call_failed(world: World) -> None:
    """By an exception that the IDL declares, by one that it does not, for want of an instance."""
    listener = Listener(CallFinished)
    loopback = world.loopback(echoes(), observers=[listener], config=ClientConfig(patience=0))
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


def test_observer_hears_of_a_call_that_its_caller_left(world: World) -> None:
    """By no fault of the call; nobody knows how far it came."""
    listener = Listener(AttemptStarted, AttemptFinished, CallFinished)
    with world.loopback(echoes(), observers=[listener]) as stub:
        caller = gevent.spawn(stub.slow, "x", 5000)
        eventually(lambda: listener.events)
        caller.kill()
        eventually(lambda: listener.of(CallFinished))
    _, *ended = listener.events
    assert [(type(one).__name__, one.error, one.executed) for one in ended] == [  # type: ignore[attr-defined]
        ("AttemptFinished", "Cancelled", "maybe"),
        ("CallFinished", "Cancelled", "maybe"),
    ]


def test_observer_hears_of_a_call_that_found_no_members(world: World) -> None:
    """It went no further than to the client, and has a start and an end all the same."""
    listener = Listener(*OF_CALLS)
    with world.loopback(echoes(), observers=[listener]) as stub:
        stub.close()
        with pytest.raises(Unavailable, match="closed"):
            stub.echo("x")
    assert listener.names == ["CallStarted", "CallFinished"]
    (finished,) = listener.of(CallFinished)
    assert (finished.attempts, finished.endpoint, finished.error, finished.executed) == (0, "", "Unavailable", "no")


def test_observer_hears_of_a_hedged_call_in_the_context_of_its_caller(world: World) -> None:
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
    with world.loopback(echoes(handler=OnceSlow), replicas=2, observers=[listener], config=config) as stub:
        trace.set("this one")
        assert stub.echo("x") == "x"
    assert listener.names == [
        *("CallStarted", "AttemptStarted", "CallHedged", "AttemptStarted"),
        *("AttemptFinished", "AttemptFinished", "CallFinished"),
    ]
    assert set(traces) == {"this one"}
    assert [event.attempt for event in listener.of(CallHedged)] == [2]
    assert [(event.attempt, event.error) for event in listener.of(AttemptFinished)] == [(2, ""), (1, "Cancelled")]


def test_observer_hears_when_the_budget_is_exhausted(world: World) -> None:
    """A call was not sent again, though it might have been."""
    listener = Listener(RetryBudgetExhausted, CallRetried)
    config = ClientConfig(retry_ratio=0.0, retry_reserve=0.0)
    service = echoes(refusing(1, zkrpc.Overloaded("full")))
    with world.loopback(service, replicas=2, observers=[listener], config=config) as stub:
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
    attempts.failed(call, Unavailable("away"))
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


class Counter(Listener):
    """Records the durations of calls that go well."""

    recorded = (CallFinished,)

    def __init__(self, *kinds: Any) -> None:
        super().__init__(*kinds)
        self.durations: list[float] = []
        self.names_of: tuple[str, ...] = ()

    def recorder(self, kind: Any, *names: str) -> Any:
        self.names_of = names
        return self.durations.extend


def passing(call: Call, proceed: Any) -> Any:
    """An interceptor that changes nothing."""
    return proceed(call)


WAYS: list[dict[str, Any]] = [{}, {"interceptors": [passing]}, {"config": ClientConfig(hedge=5.0)}]
"""Clients in which a call is timed by its attempt, around an interceptor, and around the layer of hedges."""


@pytest.mark.parametrize("others", [[], [Listener(CallFinished)]])
@pytest.mark.parametrize("way", range(len(WAYS)))
def test_recorder_gets_the_duration_of_each_call_that_goes_well(way: int, others: list[Listener], world: World) -> None:
    """And an event of each that does not, once, whoever else listens, and whatever is around the call."""
    for other in others:
        other.events.clear()
    counter = Counter(*OF_CALLS[1:2])
    loopback = world.loopback(
        echoes(), observers=[counter, *others], **{"config": ClientConfig(patience=0), **WAYS[way]}
    )
    with loopback as stub:
        for _ in range(3):
            assert stub.echo("x") == "x"
        stub.note("x")
        for how in ("declared", "undeclared"):
            with pytest.raises((idl.Oops, zkrpc.RemoteError)):
                stub.fail(how)
        loopback.kill(0)
        loopback.unlist(0)
        with pytest.raises(zkrpc.Unavailable):
            zkrpc.options(stub, timeout=30.0).echo("x")
        settle()
        assert len(counter.durations) == 4 and all(0 < seconds < 60 for seconds in counter.durations)
    assert counter.names_of[:2] == ("echoes", "Echo") and counter.names_of[2] in ("echo", "note")
    assert [event.error for event in counter.of(CallFinished)] == ["Oops", "RemoteError", "Unavailable"]
    for other in others:
        errors = ["", "", "", "", "Oops", "RemoteError", "Unavailable"]
        assert [event.error for event in other.of(CallFinished)] == errors


def test_recorder_gets_one_duration_of_a_call_that_is_sent_again(world: World) -> None:
    """With both attempts in it; the first one is no failure of the call."""
    counter = Counter(CallFinished)
    slow_then_refusing = [0.05]

    def refuse(call: ServerCall, proceed: Any) -> Any:
        if slow_then_refusing:
            gevent.sleep(slow_then_refusing.pop())
            raise Draining("soon")
        return proceed(call)

    with world.loopback(echoes(refuse), replicas=2, observers=[counter]) as stub:
        assert stub.echo("x") == "x"
        settle()
    assert len(counter.durations) == 1 and counter.durations[0] >= 0.05 and not counter.events


def test_recorder_that_fails_costs_no_call(caplog: pytest.LogCaptureFixture, world: World) -> None:
    """It is logged once."""

    class Broken(Counter):
        urgent = 0.0

        def recorder(self, kind: Any, *names: str) -> Any:
            return lambda seconds: 1 / 0

    with world.loopback(echoes(), observers=[Broken(CallFinished)]) as stub:
        assert [stub.echo("x"), stub.echo("y")] == ["x", "y"]
    assert len([one for one in caplog.records if "CallFinished" in one.getMessage()]) == 1
