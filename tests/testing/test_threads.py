"""A whole service in zkrpc's own thread, called from this one and from others, which have no hub."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Iterator

import gevent
import pytest

import zkrpc
from tests.support.echo import EchoHandler, idl
from tests.support.waiting import eventually
from tests.testing.services import COUNTERS, FAST, SERVICE, Counter
from zkrpc.testing.loopback import Loopback as LoopbackHere
from zkrpc.testing.threads import Loopback
from zkrpc.worlds import hub_thread

COUNTER = zkrpc.Service(COUNTERS.Counter, Counter, name="counter", config=FAST)


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    """With the last Loopback the thread has ended."""
    yield
    eventually(lambda: not hub_thread.has_hub_thread())


def test_threads_call_a_service_in_memory() -> None:
    """Any number of them, by stubs and by futures; errors are raised where the call is."""
    loopback = Loopback(SERVICE, replicas=2)
    with loopback as stub:
        found = gevent.get_hub().threadpool.map(lambda number: stub.echo(str(number)), range(20))
        assert list(found) == [str(number) for number in range(20)]
        futures = [stub.submit.slow(str(number), 1) for number in range(20)]
        assert [one.result(60) for one in futures] == [str(number) for number in range(20)]
        with pytest.raises(idl.Oops):
            stub.fail("declared")
        assert loopback.handlers.keys() == {0, 1} and repr(loopback) == "<Loopback 'echo' replicas=[0, 1]>"
    with pytest.raises(zkrpc.Unavailable, match="the client is closed"):
        stub.echo("late")
    loopback.close()


def test_replicas_come_and_go() -> None:
    """As in a Loopback on this thread's own hub."""
    loopback = Loopback(SERVICE)
    with loopback as stub:
        assert loopback.add() == 1
        loopback.kill(0)
        assert [stub.echo(str(number)) for number in range(20)] == [str(number) for number in range(20)]
        loopback.unlist(0)
        assert [one.instance for one in zkrpc.status(stub).members] == ["replica-1"]
        loopback.add()
        loopback.drain(1)
        assert stub.echo("x") == "x" and loopback.handlers.keys() == {2}


def test_replicas_elect_a_primary() -> None:
    """And calls follow it, whichever way it goes."""
    loopback = Loopback(COUNTER, replicas=3)
    with loopback as stub:
        assert stub.add(1) == 1 and loopback.handlers[loopback.primary()].count == 1
        loopback.step_down(to=2)
        assert loopback.primary() == 2 and stub.add(2) == 2
        loopback.expire(2)
        assert stub.add(3) in (3, 4, 5)
        assert stub.where() != threading.current_thread().name


def test_service_of_two_interfaces_has_two_stubs() -> None:
    """Both end with the Loopback."""
    service = zkrpc.Service([COUNTERS.Counter, COUNTERS.Other], [Counter, Counter], "both", config=FAST)
    loopback = Loopback(service)
    with loopback as stub:
        other = loopback.connect(COUNTERS.Other)
        assert other.where() == stub.where() and stub.add(4) == 4
    with pytest.raises(zkrpc.Unavailable, match="the client is closed"):
        other.where()


def test_replica_that_is_not_ready_leaves_nothing() -> None:
    """The error is the Loopback's own."""
    service = zkrpc.Service(idl.Echo, EchoHandler, is_ready=lambda: False, ready_timeout=0.05)
    with pytest.raises(zkrpc.ConfigError, match=r"was not ready within 0\.05 s"):
        Loopback(service)


def test_two_worlds_in_one_process() -> None:
    """A Loopback of this thread's hub goes on beside one of zkrpc's thread, called by futures."""
    with LoopbackHere(SERVICE) as here, Loopback(SERVICE) as there:
        futures = [there.submit.slow("there", 20) for _ in range(5)]
        assert here.echo("here") == "here"
        assert len(concurrent.futures.wait(futures, 60).done) == 5
