"""An instance that is not ready, on a real ZooKeeper: who is called, who leads, and what a probe is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import zkrpc
from tests.support.echo import EchoHandler, idl
from tests.support.waiting import eventually
from tests.support.worlds import World
from zkrpc.registry.schema import Paths

pytestmark = pytest.mark.zookeeper

BOARD = zkrpc.load("tests/live/board.thrift")
QUICK = zkrpc.ServerConfig(linger=0.0, drain_timeout=2.0, health_interval=0.05)


class Named(EchoHandler):
    """Says who it is, and is as well as it is told."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.well = True

    def echo(self, text: str) -> str:
        return self.name

    def is_healthy(self) -> bool:
        return self.well


class Scene:
    """Instances of the echo service, and a client of them."""

    def __init__(self, hosts: str, world: World) -> None:
        self.hosts = hosts
        self.handlers: list[Named] = []
        self.apps: list[zkrpc.App] = []
        self.registry = zkrpc.Registry(hosts)
        assert self.registry.session.wait_connected(60)
        self.stub = world.connect(
            idl.Echo, "echo", zookeeper=self.registry, config=zkrpc.ClientConfig(balancing="round_robin", warm_up=0)
        )

    def serve(self, name: str) -> None:
        handler = Named(name)
        service = zkrpc.Service(idl.Echo, handler, config=QUICK, is_healthy=handler.is_healthy)
        self.apps.append(zkrpc.serve(service, zookeeper=self.registry, worker_id=name))
        self.handlers.append(handler)
        eventually(lambda: len(self.members()) == len(self.apps))

    def members(self) -> dict[str, str]:
        """Each member that the client knows, with what it says against itself."""
        return {one.instance: one.unready for one in zkrpc.status(self.stub).members}

    def called(self) -> set[str]:
        """Who answers."""
        return {self.stub.echo("x") for _ in range(60)}

    def close(self) -> None:
        self.stub.close()
        for app in self.apps:
            app.kill()
        self.registry.close()


@pytest.fixture
def scene(zookeeper: str, world: World) -> Iterator[Scene]:
    """Without instances so far."""
    made = Scene(zookeeper, world)
    yield made
    made.close()


def test_instance_that_is_not_ready_is_called_last(scene: Scene) -> None:
    """It stays registered, says why, and keeps its connections; it is called again once it is well. Where none is
    ready all are called."""
    for name in ("a", "b", "c"):
        scene.serve(name)
    eventually(lambda: scene.called() == {"a", "b", "c"})
    scene.handlers[0].well = False
    eventually(lambda: scene.members() == {"a": "is_healthy returned False", "b": "", "c": ""})
    assert scene.called() == {"b", "c"}
    status = scene.apps[0].status().health
    assert (status.ready, status.live, status.reasons) == (False, True, ("is_healthy returned False",))
    assert [one for one in zkrpc.explain(scene.stub).instances if one.obstacles][0].obstacles == (
        "it says that it is not ready: is_healthy returned False",
    )
    for handler in scene.handlers:
        handler.well = False
    eventually(lambda: all(scene.members().values()))
    eventually(lambda: scene.called() == {"a", "b", "c"})
    for handler in scene.handlers:
        handler.well = True
    eventually(lambda: not any(scene.members().values()))
    assert scene.apps[0].status().health.ready


def test_no_call_fails_while_instances_turn_bad_and_well(scene: Scene) -> None:
    """Calls that are not idempotent, all the time, over several turns of two of three instances."""
    for name in ("a", "b", "c"):
        scene.serve(name)
    for turn in range(3):
        one = scene.handlers[turn % 2]
        for well in (False, True):
            one.well = well
            while bool(scene.members()[one.name]) is well:
                assert scene.stub.echo("x")


def test_instance_is_not_ready_before_it_is_registered(zookeeper: str, world: World) -> None:
    """And ready when callers can find it."""
    registry = zkrpc.Registry(zookeeper)
    try:
        assert registry.session.wait_connected(60)
        path = Paths("echo").member("w1")
        registry.session.znodes.ensure_path(Paths("echo").members)
        registry.session.znodes.create(path, b"somebody else's", ephemeral=False)
        with zkrpc.serve(zkrpc.Service(idl.Echo, EchoHandler, config=QUICK), zookeeper=registry, worker_id="w1") as app:
            eventually(lambda: "another process's" in "".join(app.status().health.reasons))
            with world.connect(zkrpc.built_in("Health"), [app.endpoint]).options(timeout=20) as health:
                assert not health.check().ready and health.check().live
                registry.session.znodes.delete(path)
                eventually(lambda: health.check("echo").ready)
    finally:
        registry.close()


def test_service_that_is_not_healthy_is_not_begun(zookeeper: str) -> None:
    """As one that is not ready: nobody would be told of it."""
    service = zkrpc.Service(idl.Echo, EchoHandler, config=QUICK, is_healthy=lambda: False, ready_timeout=0.3)
    with pytest.raises(zkrpc.ConfigError, match=r"not ready within 0\.3 s: is_healthy returned False"):
        zkrpc.serve(service, zookeeper=zookeeper)


class Board:
    """Elects a primary, and is as well as it is told."""

    def __init__(self) -> None:
        self.well = True

    @zkrpc.primary_only
    def write(self, text: str) -> str:
        return text

    def _other(self, *arguments: Any) -> str:
        return ""

    marked = shard = read = wait = note = _other


def leader_of(apps: list[zkrpc.App]) -> zkrpc.App | None:
    """The one that leads."""
    return next((app for app in apps if app.elections.campaigns["main"].leadership is not None), None)


def test_primary_that_is_not_ready_hands_over(zookeeper: str, world: World) -> None:
    """To the next one, once, and stays a candidate; where all turn bad somebody leads still."""
    boards, apps, registries = [Board(), Board()], [], []
    try:
        for board in boards:
            registries.append(zkrpc.Registry(zookeeper))
            service = zkrpc.Service(
                BOARD.Board, board, name="board", config=QUICK, is_healthy=lambda board=board: board.well
            )
            apps.append(zkrpc.serve(service, zookeeper=registries[-1]))
            eventually(lambda: leader_of(apps) is not None)
        first = leader_of(apps)
        assert first is apps[0]
        stub = world.connect(zkrpc.built_in("Health"), [apps[0].endpoint]).options(timeout=20)
        assert stub.check("board/main").ready
        with world.connect(zkrpc.built_in("Health"), [apps[1].endpoint]).options(timeout=20) as other:
            eventually(lambda: not other.check("/main").ready and " does" in other.check("/main").reasons[0])
            assert other.check("board").ready
        boards[0].well = False
        eventually(lambda: leader_of(apps) is apps[1])
        assert not first.status().health.ready and apps[1].status().health.ready
        told = stub.check("board/main")
        assert not told.ready and told.reasons[0] == "is_healthy returned False" and len(told.reasons) == 2
        stub.close()
        boards[1].well = False
        eventually(lambda: not apps[1].status().health.ready)
        eventually(lambda: leader_of(apps) is not None)
    finally:
        for app in apps:
            app.kill()
        for registry in registries:
            registry.close()
