"""What a client's observers are told of members and connections, and what its status says of them, all in memory."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import gevent
import pytest

import zkrpc
from tests.client.test_observing import echoes
from tests.support.listening import Listener
from tests.support.worlds import World
from zkrpc.call import ServerCall
from zkrpc.client.member_observing import member_observer_of
from zkrpc.config import BreakerConfig, ClientConfig
from zkrpc.endpoint import Endpoint
from zkrpc.telemetry.events import (
    BreakerClosed,
    BreakerOpened,
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
)
from zkrpc.telemetry.observer import Observers


def test_observer_hears_of_members_and_connections(world: World) -> None:
    """Who joins, how the way to it is, when connections open and end and why, who leaves."""
    listener = Listener(MemberEvent, ConnectionEvent)
    loopback = world.loopback(echoes(), replicas=2, observers=[listener])
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
            stub.options(timeout=1.0).echo("x")
        assert [(one.endpoint, one.reason) for one in listener.of(ConnectionClosed)][1:] == [("memory:1", "closed")]
        failed = listener.of(ConnectionFailed)
        assert failed and {(one.endpoint, one.reason) for one in failed} == {("memory:1", "Connection refused")}
        last = listener.of(ConnectivityChanged)[-1]
        assert (last.state, last.standing, last.reason) == ("transient_failure", "down", "Connection refused")
    assert all(0 <= one.seconds < 60 for one in listener.of(ConnectionOpened) + failed)
    assert {one.service for one in listener.of(ClientEvent)} == {"echoes"}


def test_observer_hears_of_breakers_and_of_members_to_be_spared(world: World) -> None:
    """When and for how long others are preferred, and when that is over."""
    listener = Listener(BreakerOpened, BreakerClosed, MemberSpared)
    left = [5]

    def failing(call: ServerCall, proceed: Any) -> Any:
        left[0] -= 1
        if left[0] == -2:
            raise zkrpc.Overloaded("full", retry_after=0.25)
        return proceed(call) if left[0] < 0 else object()

    config = ClientConfig(breaker=BreakerConfig(open_first=0.05))
    with world.loopback(echoes(failing), observers=[listener], config=config) as stub:
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


def test_status_says_what_a_client_knows(world: World) -> None:
    """Of each instance: how the way to it is, what it costs, and what speaks against it; and of its own means."""
    loopback = world.loopback(echoes(), replicas=2)
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
            stub.options(timeout=1.0).echo("x")
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
