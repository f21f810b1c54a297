"""Faults in calls, at both ends of a loopback."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

import zkrpc
from tests.support.echo import EchoHandler, idl
from tests.support.waiting import least_seconds
from zkrpc.testing.faults import FAULT_HEADER, FaultRule, Faults
from zkrpc.testing.loopback import Loopback

CONFIG = zkrpc.ServerConfig(linger=0.05, drain_timeout=2)


class Stage:
    """A loopback with faults at both ends."""

    def __init__(self, replicas: int = 1, *, headers: bool = False) -> None:
        self.server = Faults.from_headers() if headers else Faults()
        self.client = Faults()
        service = zkrpc.Service(idl.Echo, EchoHandler, name="echo", config=CONFIG, interceptors=[self.server])
        self.loopback = Loopback(service, replicas=replicas, interceptors=[self.client])
        self.echo = self.loopback.stub

    def seen(self) -> int:
        """How many calls of ``echo`` the handlers ran."""
        return sum(len(handler.seen) for handler in self.loopback.handlers.values())


@pytest.fixture
def stage() -> Iterator[Any]:
    """Makes stages that end with the test."""
    made: list[Stage] = []

    def make(*args: Any, **options: Any) -> Stage:
        made.append(Stage(*args, **options))
        return made[-1]

    yield make
    for one in made:
        one.loopback.close()


def elapsed(call: Any) -> float:
    """Seconds that a call took."""
    began = time.monotonic()
    call()
    return time.monotonic() - began


# -- at the server


def test_server_fault_delays_the_methods_it_names(stage: Any) -> None:
    """The handler runs after the delay; other methods, and calls after the block, are as fast as ever."""
    it = stage()
    with it.server.rule(method="echo", delay=0.1) as armed:
        assert elapsed(lambda: it.echo.echo("late")) >= 0.1
        assert least_seconds(lambda: it.echo.slow("in time", 0)) < 0.1
        assert armed.struck == 1
    assert least_seconds(lambda: it.echo.echo("in time")) < 0.1
    assert it.seen() == 6


@pytest.mark.parametrize(
    "abort, kind, executed",
    [
        ("Overloaded", zkrpc.Overloaded, zkrpc.Executed.NO),
        ("Unavailable", zkrpc.Rejected, zkrpc.Executed.NO),
        ("RemoteError", zkrpc.RemoteError, zkrpc.Executed.YES),
        ("DeadlineExceeded", zkrpc.DeadlineExceeded, zkrpc.Executed.MAYBE),
        ("ConnectionLost", zkrpc.RemoteError, zkrpc.Executed.MAYBE),
        (ValueError("undeclared"), zkrpc.RemoteError, zkrpc.Executed.YES),
    ],
)
def test_server_fault_aborts_as_the_error_says(stage: Any, abort: Any, kind: Any, executed: Any) -> None:
    """The caller is told what the error says of ``executed``, though the handler never runs."""
    it = stage()
    it.server.set([FaultRule(abort=abort)])
    with pytest.raises(kind) as caught:
        zkrpc.options(it.echo, timeout=60, idempotent=False).echo("x")
    assert type(caught.value) is kind and caught.value.executed is executed
    it.server.clear()
    assert it.echo.echo("well again") == "well again" and it.seen() == 1


def test_server_fault_answers_with_a_declared_exception(stage: Any) -> None:
    """It is an answer like the handler's own."""
    it = stage()
    with it.server.rule(FaultRule(abort=idl.Oops(why="injected"))), pytest.raises(idl.Oops) as caught:
        it.echo.fail("not at all")
    assert caught.value.why == "injected"


def test_server_fault_says_when_to_come_back(stage: Any) -> None:
    """What an error carries travels with it."""
    it = stage()
    it.server.set([FaultRule(abort=zkrpc.Overloaded("full", retry_after=7.0))])
    with pytest.raises(zkrpc.Overloaded) as caught:
        zkrpc.options(it.echo, timeout=0.5).echo("x")
    assert caught.value.retry_after == 7.0


def test_server_fault_at_one_instance_is_retried_elsewhere(stage: Any) -> None:
    """A rule for one replica strikes there alone, and a refused call goes to another one."""
    it = stage(replicas=2)
    with it.server.rule(instance="replica-1", abort="Overloaded") as armed:
        assert [it.echo.echo(str(number)) for number in range(20)] == [str(number) for number in range(20)]
        assert armed.struck and len(it.loopback.handlers[0].seen) == 20
    assert repr(it.server) == "<Faults <FaultPlan rules=0 struck=0>>"


def test_server_fault_drops_a_call_until_its_time_is_up(stage: Any) -> None:
    """The caller waits in vain and is told MAYBE; the handler never ran, and the server goes on."""
    it = stage()
    it.server.set([FaultRule(method="slow", drop=True)])
    with pytest.raises(zkrpc.DeadlineExceeded) as caught:
        zkrpc.options(it.echo, timeout=0.5).slow("x", 0)
    assert caught.value.executed is zkrpc.Executed.MAYBE
    assert it.echo.echo("still here") == "still here"


def test_server_fault_drops_a_call_without_a_deadline_for_good() -> None:
    """The greenlet looks busy until somebody kills it."""
    faults = Faults([FaultRule(drop=True)])
    call = zkrpc.call.ServerCall("echo", EchoHandler().echo, ("x",), {}, "plain:1", time.monotonic())
    busy = gevent.spawn(faults, call, zkrpc.call.run_handler)
    busy.join(0.05)
    assert not busy.dead
    busy.kill()
    assert not call.entered


def test_server_fault_is_asked_for_by_a_header_if_the_service_allows_it(stage: Any) -> None:
    """With ``from_headers`` a call chooses its own fault; without, the header means nothing."""
    it = stage(headers=True)
    marked = zkrpc.options(it.echo, headers={FAULT_HEADER: "delay=0.1; abort=RemoteError"})
    with pytest.raises(zkrpc.RemoteError):
        assert elapsed(lambda: marked.echo("x")) >= 0.1
    assert it.echo.echo("unmarked") == "unmarked"
    assert "headers" in repr(it.server)
    plain = stage()
    assert zkrpc.options(plain.echo, headers={FAULT_HEADER: "drop"}).echo("x") == "x"


def test_server_fault_header_that_cannot_be_read_is_rejected(stage: Any) -> None:
    """Better no answer than one that proves nothing."""
    it = stage(headers=True)
    with pytest.raises(zkrpc.Rejected, match="x-zkrpc-fault.*expected delay=SECONDS"):
        zkrpc.options(it.echo, timeout=60, headers={FAULT_HEADER: "dorp"}).echo("x")
    assert it.seen() == 0


def test_server_fault_header_that_spares_a_call_leaves_it_to_the_rules(stage: Any) -> None:
    """A header's share is thrown for; who wins the throw is served as usual."""
    faults = Faults([FaultRule(method="slow", abort="RemoteError")], rng=lambda: 0.9, obey_headers=True)
    service = zkrpc.Service(idl.Echo, EchoHandler, name="echo", config=CONFIG, interceptors=[faults])
    with Loopback(service) as echo:
        marked = zkrpc.options(echo, headers={FAULT_HEADER: "drop; p=0.5"})
        assert marked.echo("x") == "x"
        with pytest.raises(zkrpc.RemoteError):
            marked.slow("x", 0)


# -- at the client


def test_client_fault_aborts_before_anything_is_sent(stage: Any) -> None:
    """The error is the caller's, at once."""
    it = stage()
    it.client.set([FaultRule(method="echo", abort="Unavailable", count=1)])
    with pytest.raises(zkrpc.Unavailable) as caught:
        it.echo.echo("x")
    assert caught.value.executed is zkrpc.Executed.NO and it.seen() == 0
    assert it.client.rules and it.echo.echo("y") == "y"


def test_client_fault_delays_within_the_deadline(stage: Any) -> None:
    """A short one makes the call late; one that is too long ends with the call's time, and nothing was sent."""
    it = stage()
    with it.client.rule(delay=1.0):
        assert elapsed(lambda: it.echo.echo("late")) >= 1.0
        with pytest.raises(zkrpc.DeadlineExceeded) as caught:
            zkrpc.options(it.echo, timeout=0.05).echo("too late")
    assert caught.value.executed is zkrpc.Executed.NO and it.seen() == 1


def test_client_fault_drops_as_a_lost_answer_would(stage: Any) -> None:
    """The caller waits for all of its time and knows nothing; a oneway call is just gone."""
    it = stage()
    with it.client.rule(drop=True):
        with pytest.raises(zkrpc.DeadlineExceeded) as caught:
            zkrpc.options(it.echo, timeout=0.05).echo("x")
        it.echo.note("lost")
    assert caught.value.executed is zkrpc.Executed.MAYBE
    it.echo.echo("after")
    assert it.loopback.handlers[0].notes == []


def test_client_fault_at_one_instance_strikes_its_answers(stage: Any) -> None:
    """Only an answer tells who gave it: it is lost, and the call has been executed."""
    it = stage(replicas=2)
    hurried = zkrpc.options(it.echo, timeout=0.5)
    lost = 0
    with it.client.rule(instance="memory:1", drop=True) as armed:
        for _ in range(6):
            try:
                hurried.echo("x")
            except zkrpc.DeadlineExceeded as error:
                lost += 1
                assert error.executed is zkrpc.Executed.MAYBE and str(error.endpoint) == "memory:1"
    assert lost == armed.struck > 0 and it.seen() == 6


@pytest.mark.parametrize(
    "abort, executed", [("Unavailable", "MAYBE"), ("ConnectionLost", "MAYBE"), ("RemoteError", "YES")]
)
def test_client_fault_in_place_of_an_answer_does_not_claim_that_nothing_ran(
    stage: Any, abort: str, executed: str
) -> None:
    """The handler did run, so NO would be a lie that makes a caller repeat it."""
    it = stage()
    with it.client.rule(instance="memory:*", abort=abort), pytest.raises(zkrpc.CallError) as caught:
        it.echo.echo("x")
    assert caught.value.executed.name == executed and it.seen() == 1


def test_client_fault_in_place_of_an_answer_may_be_declared(stage: Any) -> None:
    """Any exception will do, at either end."""
    it = stage()
    with it.client.rule(instance="memory:0", abort=idl.Oops), pytest.raises(idl.Oops):
        it.echo.echo("x")


def test_client_fault_leaves_an_error_as_it_is(stage: Any) -> None:
    """A call that failed by itself needs no fault."""
    it = stage()
    with it.client.rule(instance="memory:0", delay=5.0) as armed, pytest.raises(zkrpc.RemoteError):
        it.echo.fail("undeclared")
    assert armed.struck == 0
