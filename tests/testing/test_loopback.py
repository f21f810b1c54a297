"""The whole of both stacks without sockets."""

from __future__ import annotations

from typing import Any

import gevent
import pytest

import zkrpc
from tests.support.echo import EchoHandler, idl
from tests.support.listening import Listener
from tests.support.waiting import eventually
from zkrpc.idl import load_text
from zkrpc.telemetry.events import RequestFinished
from zkrpc.testing.loopback import Loopback

SERVICE = zkrpc.Service(idl.Echo, EchoHandler, name="echo", config=zkrpc.ServerConfig(linger=0.05, drain_timeout=2))


def test_loopback_runs_a_call_through_both_stacks() -> None:
    """Values, declared exceptions, failures and oneway calls come out as they would over a network."""
    loopback = Loopback(SERVICE)
    with loopback as echo:
        assert echo.echo("grüße") == "grüße"
        assert echo.pair(idl.Pair(left="a", right=1)) == idl.Pair(left="a", right=1)
        with pytest.raises(idl.Oops):
            echo.fail("declared")
        with pytest.raises(zkrpc.RemoteError) as caught:
            echo.fail("undeclared")
        assert caught.value.executed is zkrpc.Executed.YES
        echo.note("heard")
        echo.echo("and answered")
        assert loopback.handlers[0].notes == ["heard"]


def test_loopback_lets_slow_calls_overtake_each_other() -> None:
    """Many calls are in flight on the one connection, as they would be."""
    with Loopback(SERVICE) as echo:
        slow = gevent.spawn(echo.slow, "slow", 1000)
        gevent.sleep(0)
        assert echo.echo("fast") == "fast" and not slow.ready()
        assert slow.get(timeout=60) == "slow"


def test_loopback_calls_move_away_from_a_killed_replica() -> None:
    """With one of two replicas dead but still listed, every call succeeds; with none left it says why."""
    loopback = Loopback(SERVICE, replicas=2, config=zkrpc.ClientConfig(timeout=60))
    with loopback as echo:
        assert [echo.echo(str(number)) for number in range(20)] == [str(number) for number in range(20)]
        loopback.kill(0)
        assert [echo.echo(str(number)) for number in range(20)] == [str(number) for number in range(20)]
        loopback.kill(1)
        with pytest.raises(zkrpc.CallError) as caught:
            echo.options(timeout=0.5).echo("nobody")
        assert caught.value.executed is zkrpc.Executed.NO
        loopback.unlist(0)
        loopback.add()
        assert echo.echo("somebody") == "somebody"
    assert repr(loopback) == "<Loopback 'echo' replicas=[]>"


def test_loopback_drain_costs_no_call() -> None:
    """Callers that never pause see nothing of a replica that stops in order, and its calls are finished."""
    loopback = Loopback(SERVICE, replicas=2)
    with loopback as echo:
        running, answers = True, []

        def caller() -> None:
            while running:
                answers.append(echo.slow("x", 1))

        callers = [gevent.spawn(caller) for _ in range(8)]
        eventually(lambda: len(answers) > 25)
        loopback.drain(0)
        before = len(answers)
        eventually(lambda: len(answers) > before + 25)
        running = False
        gevent.joinall(callers, timeout=60, raise_error=True)
        assert set(answers) == {"x"}


def test_loopback_says_when_a_call_may_have_run() -> None:
    """A replica that dies with a call in flight leaves executed=MAYBE, and the call is not sent again."""
    begun = gevent.event.Event()

    class Handler(EchoHandler):
        def slow(self, text: str, milliseconds: int) -> str:
            begun.set()
            return super().slow(text, milliseconds)

    loopback = Loopback(zkrpc.Service(idl.Echo, Handler), replicas=2)
    with loopback as echo:
        call = gevent.spawn(echo.slow, "x", 30_000)
        assert begun.wait(60)
        loopback.kill(0)
        loopback.kill(1)
        with pytest.raises(zkrpc.ConnectionLost) as caught:
            call.get(timeout=60)
        assert caught.value.executed is zkrpc.Executed.MAYBE and caught.value.attempts == 1


class Patient(EchoHandler):
    """Counts what it answers, and is as well as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.well = True
        self.answered = 0

    def echo(self, text: str) -> str:
        self.answered += 1
        return text

    def is_healthy(self) -> bool:
        return self.well


def patient(**options: Any) -> zkrpc.Service:
    """A service that says whether it is healthy, and is asked often."""
    config = zkrpc.ServerConfig(linger=0, drain_timeout=2, health_interval=0.02)
    return zkrpc.Service(idl.Echo, Patient, config=config, is_healthy=Patient.is_healthy, **options)


def test_loopback_calls_a_replica_that_is_not_healthy_last() -> None:
    """It stays listed and says why; calls go elsewhere until it is well again, and to all where none is well."""
    loopback = Loopback(patient(), replicas=3, config=zkrpc.ClientConfig(balancing="round_robin", warm_up=0))

    def unready() -> list[str]:
        return [one.unready for one in zkrpc.status(echo).members]

    def called() -> set[int]:
        before = {number: handler.answered for number, handler in loopback.handlers.items()}
        for _ in range(30):
            echo.echo("x")
        return {number for number, handler in loopback.handlers.items() if handler.answered > before[number]}

    with loopback as echo:
        assert called() == {0, 1, 2}
        loopback.handlers[1].well = False
        eventually(lambda: unready() == ["", "is_healthy returned False", ""])
        assert called() == {0, 2}
        loopback.handlers[1].well = True
        eventually(lambda: not any(unready()))
        eventually(lambda: called() == {0, 1, 2})
        for handler in loopback.handlers.values():
            handler.well = False
        eventually(lambda: all(unready()))
        eventually(lambda: called() == {0, 1, 2})


def test_loopback_does_not_list_again_what_left_the_list() -> None:
    """A replica that a test has unlisted, or drained, is not brought back by what it says of its health."""
    loopback = Loopback(patient(), replicas=2)
    with loopback as echo:
        loopback.unlist(0)
        loopback.handlers[0].well = False
        eventually(lambda: not loopback._servers[0].health.status().ready)
        assert [one.instance for one in zkrpc.status(echo).members] == ["replica-1"]
        loopback.drain(0)
        assert [one.instance for one in zkrpc.status(echo).members] == ["replica-1"]


def test_loopback_begins_replicas_that_are_ready_and_healthy_only() -> None:
    """What is not so in time is refused with the reason, and nothing of the Loopback stays."""
    waits = iter([False, True, True])
    with Loopback(patient(is_ready=lambda: next(waits)), replicas=2) as echo:
        assert echo.echo("x") == "x" and next(waits, None) is None
    well = iter([True, False, False, False, False, False])
    service = zkrpc.Service(idl.Echo, Patient, is_healthy=lambda: next(well, False), ready_timeout=0.05)
    with pytest.raises(zkrpc.ConfigError, match=r"^echo was not ready within 0\.05 s: is_healthy returned False$"):
        Loopback(service, replicas=2)


TWO = load_text("""
    service Base { string ping() }
    service Users extends Base { string get(1: i64 id) }
    service Audit extends Base { string get(1: i64 id), string add(1: i64 id) (zkrpc.primary = "true") }
    service Other { string get(1: i64 id) }
    """)


class Users:
    """Serves the one."""

    def ping(self) -> str:
        return "users"

    def get(self, id: int) -> str:
        return f"user {id}"


class Audit:
    """Serves the other; only the primary adds."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def ping(self) -> str:
        return "audit"

    def get(self, id: int) -> str:
        return f"record {id}"

    def add(self, id: int) -> str:
        call = zkrpc.current_call()
        assert call is not None and call.epoch is not None
        return f"{call.method} {id}"

    def on_elected(self, leadership: zkrpc.Leadership) -> None:
        self.told.append("elected")


def test_loopback_serves_several_interfaces() -> None:
    """Each is called by its own stub, a parent by either; the primary of the second one serves its methods, and who
    asks for what nobody serves is told so before anything is sent."""
    service = zkrpc.Service([TWO.Users, TWO.Audit], [Users, Audit], "users", config=SERVICE.config)
    requests = Listener(RequestFinished)
    loopback = Loopback(service, replicas=2, config=zkrpc.ClientConfig(timeout=60, patience=0), observers=[requests])
    with loopback as users:
        audit, base = loopback.connect(TWO.Audit), loopback.connect(TWO.Base)
        assert (users.get(7), audit.get(7), users.ping(), audit.ping(), base.ping()) == (
            *("user 7", "record 7", "users", "audit", "users"),
        )
        assert audit.add(7) == "Audit:add 7"
        assert [one.given[1].told for one in loopback.handlers.values()].count(["elected"]) == 1
        assert (requests.events[-1].interface, requests.events[-1].method) == ("Audit", "add")
        other = loopback.connect(TWO.Other)
        before = len(requests.events)
        with pytest.raises(
            zkrpc.Unavailable, match="2 instances of 'users' serves Other: they serve Users, Audit, Base"
        ):
            other.get(7)
        assert len(requests.events) == before
        assert loopback.connect(TWO.Other, multiplexed=False).get(7) == "user 7"
        assert loopback.connect(TWO.Users, multiplexed="users").get(8) == "user 8"
    with pytest.raises(zkrpc.Unavailable, match="closed"):
        audit.get(7)


def test_loopback_does_without_the_certificates_that_a_service_has() -> None:
    """They are not where tests run, and nobody is in between."""
    config = zkrpc.ServerConfig(tls=zkrpc.ServerTls(certificate="/etc/tls/server.pem"), linger=0)
    with Loopback(zkrpc.Service(idl.Echo, EchoHandler, name="echo", config=config)) as echo:
        assert echo.echo("x") == "x"
