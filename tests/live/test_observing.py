"""One observer hears the whole story of a service on a real ZooKeeper, and every part says how it stands."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pytest

import zkrpc
from tests.support.listening import Listener, refusing_once, told_in_order
from tests.support.waiting import eventually
from tests.support.worlds import World
from tests.telemetry.test_story import IDL, Handler
from zkrpc.registry.schema import Paths

pytestmark = pytest.mark.zookeeper


class Scene:
    """Instances of a service, a client, and who listens to all of them."""

    def __init__(self, zookeeper: str) -> None:
        self.zookeeper = zookeeper
        self.listener = Listener()
        self.config = zkrpc.ServerConfig(linger=0, drain_timeout=2)
        self.apps: list[zkrpc.App] = []
        self.interceptors = [refusing_once()]

    def serve(self, worker_id: str) -> zkrpc.App:
        """One more instance, with a session of its own; returns when it is registered."""
        service = zkrpc.Service(
            IDL.Ledger, Handler, config=self.config, interceptors=self.interceptors, observers=[self.listener]
        )
        self.apps.append(zkrpc.serve(service, zookeeper=self.zookeeper, worker_id=worker_id))
        registrar = self.apps[-1].registrar
        assert registrar is not None
        registrar.wait_registered(60)
        return self.apps[-1]

    def close(self) -> None:
        """Ends what has not ended."""
        for app in self.apps:
            app.kill()


@pytest.fixture
def scene(zookeeper: str) -> Iterator[Scene]:
    """It ends with the test."""
    made = Scene(zookeeper)
    yield made
    made.close()


def leads(app: zkrpc.App) -> bool:
    """Whether it serves as the primary."""
    return [one.state for one in app.status().elections] == ["primary"]


def test_observer_hears_the_whole_story(scene: Scene, world: World) -> None:
    """Session, registration, election, calls, a call that is sent again, a hand-over, a drain, in one order."""
    first = scene.serve("w1")
    eventually(lambda: leads(first))
    second = scene.serve("w2")
    with world.connect(IDL.Ledger, "ledger", zookeeper=scene.zookeeper, observers=[scene.listener]) as stub:
        assert stub.add(1) == 1
        first.stop()
        assert stub.add(2) == 2
    second.stop()
    path = Paths("ledger").member("w1")
    story: list[tuple[type[Any], dict[str, Any]]] = [
        (zkrpc.SessionChanged, {"before": "connecting", "after": "connected"}),
        (zkrpc.RequestAnswered, {"operation": "transaction", "error": ""}),
        (zkrpc.Registered, {"path": path}),
        (zkrpc.Elected, {"service": "ledger", "group": "main", "instance": "w1"}),
        (zkrpc.Synchronised, {"instance": "w1"}),
        (zkrpc.MemberJoined, {"service": "ledger"}),
        (zkrpc.CallRetried, {"service": "ledger", "method": "add", "attempt": 1}),
        (zkrpc.CallFinished, {"error": "", "endpoint": str(first.endpoint)}),
        (zkrpc.DrainStarted, {"service": "ledger"}),
        (zkrpc.Deposed, {"instance": "w1", "voluntary": True}),
        (zkrpc.DrainStepTaken, {"step": "hand_over", "error": ""}),
        (zkrpc.RegistrationWithdrawn, {"path": path}),
        (zkrpc.DrainStepTaken, {"step": "withdraw"}),
        (zkrpc.SessionChanged, {"after": "closed"}),
        (zkrpc.ServerStopped, {"calls": 0}),
        (zkrpc.CallFinished, {"error": "", "endpoint": str(second.endpoint)}),
        (zkrpc.ServerStopped, {"calls": 0}),
    ]
    assert told_in_order(scene.listener.events, story) == []
    won = [(event.instance, event.epoch) for event in scene.listener.of(zkrpc.Elected)]
    assert [instance for instance, _ in won] == ["w1", "w2"] and won[0][1] < won[1][1]
    registered, _ = scene.listener.of(zkrpc.Registered)
    assert registered.session in {event.session for event in scene.listener.of(zkrpc.SessionChanged)}


def test_status_of_an_app_says_how_every_part_stands(scene: Scene) -> None:
    """Server, session, registration and election, as plain values, while it serves and when it has stopped."""
    app = scene.serve("w1")
    eventually(lambda: leads(app))
    status = app.status()
    assert (status.service, status.server.state, status.server.endpoint) == ("ledger", "serving", str(app.endpoint))
    session, registration, election = status.session, status.registration, status.elections[0]
    assert session is not None and registration is not None
    assert (session.state, session.hosts, session.histories) == ("connected", scene.zookeeper, 0)
    assert session.timeout is not None and 0 < session.timeout <= session.timeout_asked
    assert session.heard is not None and 0 <= session.heard < 60 and "connected" in session.explanation
    assert (registration.registered, registration.session) == (True, session.session)
    assert (registration.conflict, registration.failure) == (None, None)
    assert registration.path == Paths("ledger").member("w1")
    assert (election.service, election.group, election.state) == ("ledger", "main", "primary")
    assert election.epoch == election.primary_epoch is not None and election.primary == "w1"
    assert election.primary_endpoint == str(app.endpoint) and election.running == 0
    assert election.lease_left is not None and 0 < election.lease_left < session.timeout
    assert json.loads(json.dumps(dataclasses.asdict(status), allow_nan=False))["service"] == "ledger"
    app.stop()
    stopped = app.status()
    assert stopped.server.state == "stopped" and stopped.session is not None and stopped.session.state == "closed"
    assert stopped.elections[0].epoch is None


def test_observers_of_a_registry_hear_of_its_session(zookeeper: str) -> None:
    """Its states and its requests, also those that failed; and its status names the session."""
    listener = Listener(zkrpc.SessionEvent)
    with zkrpc.Registry(zookeeper, observers=[listener]) as registry:
        assert registry.session.wait_connected(60)
        assert registry.session.znodes.get("/nowhere") is None
        with pytest.raises(zkrpc.NodeMissing):
            registry.session.znodes.delete("/nowhere")
        status = registry.status()
    changes = [(event.before, event.after) for event in listener.of(zkrpc.SessionChanged)]
    assert changes == [("connecting", "connected"), ("connected", "closed")]
    answers = [(event.operation, event.error) for event in listener.of(zkrpc.RequestAnswered)]
    # The registry itself reads ZooKeeper's configuration, which is there, as soon as it is connected.
    assert [one for one in answers if one[1] == "NodeMissing"] == [("get", "NodeMissing"), ("delete", "NodeMissing")]
    assert {one for one in answers if one[1] != "NodeMissing"} <= {("get", ""), ("get", "SessionSuspended")}
    assert status.session == listener.of(zkrpc.SessionChanged)[0].session
