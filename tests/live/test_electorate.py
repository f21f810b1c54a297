"""A Loopback's elections beside a real ZooKeeper's: the same code is told the same."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import zkrpc
from tests.support.waiting import eventually
from tests.support.worlds import World
from tests.testing.test_electorate import FAST, Counter, idl
from zkrpc.election.inspection import ask_to_step_down
from zkrpc.election.tree import ElectionPaths

pytestmark = pytest.mark.zookeeper
SERVICE = zkrpc.Service(idl.Counting, Counter, name="counting", config=FAST)


class InMemory:
    """Three replicas of a Loopback."""

    def __init__(self, loopback: Any) -> None:
        self.loopback = loopback
        self.stub = loopback.stub

    def step_down(self) -> None:
        """As an operator."""
        self.loopback.step_down()

    def drain(self) -> None:
        """The primary."""
        self.loopback.drain(self.loopback.primary())


class InZooKeeper:
    """Three replicas with a session each, and one for everybody who looks."""

    def __init__(self, world: World, zookeeper: str, stack: contextlib.ExitStack) -> None:
        self.registry = stack.enter_context(zkrpc.Registry(zookeeper))
        assert self.registry.session.wait_connected(60)
        self.stub = stack.enter_context(world.connect(idl.Counting, "counting", zookeeper=self.registry))
        self._apps = {}
        for number in range(3):
            app = zkrpc.serve(SERVICE, zookeeper=zookeeper, worker_id=f"w{number}")
            stack.callback(app.kill)
            self._apps[str(app.endpoint)] = app
            standing = number + 1
            eventually(
                lambda: len(self.registry.session.znodes.children(ElectionPaths("counting").candidates) or ())
                == standing
            )

    def step_down(self) -> None:
        """As an operator."""
        ask_to_step_down(self.registry.session, ElectionPaths("counting"), heir="", timeout=30)

    def _leader(self) -> zkrpc.app.App:
        def leading() -> list[zkrpc.app.App]:
            return [app for app in self._apps.values() if app.elections.campaigns["main"].leadership is not None]

        eventually(leading, 60)
        return leading()[0]

    def drain(self) -> None:
        """The primary."""
        self._leader().stop()


@pytest.fixture(params=["memory", "zookeeper"])
def cluster(request: pytest.FixtureRequest, world: World) -> Iterator[Any]:
    """The same service, once in each."""
    Counter.story = []
    with contextlib.ExitStack() as stack:
        if request.param == "memory":
            loopback = world.loopback(SERVICE, replicas=3)
            stack.callback(loopback.close)
            yield InMemory(loopback)
        else:
            yield InZooKeeper(world, request.getfixturevalue("zookeeper"), stack)


def test_handler_is_told_the_same_in_memory_and_by_zookeeper(cluster: Any) -> None:
    """Elected, stepped down, drained, stepped down again: the same calls in the same order. Epochs grow in both."""
    acts: list[Callable[[], None]] = [cluster.step_down, cluster.drain, cluster.step_down]
    epochs = [cluster.stub.add(1)]
    for act in acts:
        act()
        epochs.append(cluster.stub.options(timeout=60.0).add(1))
    assert epochs == sorted(set(epochs)) and len(epochs) == 4
    assert Counter.story == [f"{what} {epoch}" for epoch in epochs for what in ("elected", "deposed")][:-1]
