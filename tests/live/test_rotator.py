"""An instance that is taken out of service while it runs, on a real ZooKeeper."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import zkrpc
from tests.support.echo import EchoHandler, idl
from tests.support.waiting import eventually
from zkrpc.registry.offline import OfflineOrder
from zkrpc.registry.schema import Paths

pytestmark = pytest.mark.zookeeper
PATHS = Paths("echo")
ORDER = PATHS.offline_order("w")
SERVICE = zkrpc.Service(idl.Echo, EchoHandler, config=zkrpc.ServerConfig(linger=0, drain_timeout=2))


class Noted(zkrpc.Observer):
    """Keeps what happens to registrations."""

    kinds = (zkrpc.RegistrationEvent,)

    def __init__(self) -> None:
        self.told: list[zkrpc.Event] = []

    def receive(self, event: zkrpc.Event) -> None:
        """Keeps it."""
        self.told.append(event)

    @property
    def names(self) -> list[str]:
        """The kinds of what was told."""
        return [type(event).__name__ for event in self.told]


@pytest.fixture
def registry(zookeeper: str) -> Iterator[zkrpc.Registry]:
    """An operator's connection."""
    with zkrpc.Registry(zookeeper) as made:
        assert made.session.wait_connected(60)
        made.session.znodes.ensure_path(PATHS.offline)
        yield made


def exists(registry: zkrpc.Registry, path: str) -> bool:
    """Whether there is such a node."""
    return registry.session.znodes.exists(path) is not None


def test_order_is_obeyed_told_and_taken_back(registry: zkrpc.Registry, zookeeper: str) -> None:
    """The instance moves from the members to those that rest and back, says so, and answers all the while."""
    noted = Noted()
    with zkrpc.serve(SERVICE, zookeeper=zookeeper, worker_id="w", observers=[noted]) as app:
        assert app.registrar is not None
        app.registrar.wait_registered(60)
        with zkrpc.connect(idl.Echo, [app.endpoint]) as stub:
            assert stub.echo("before") == "before"
            registry.session.znodes.create(ORDER, OfflineOrder(reason="leaks", by="ada").dump())
            eventually(lambda: exists(registry, PATHS.rester("w")) and not exists(registry, PATHS.member("w")))
            eventually(lambda: app.server.is_draining)
            assert stub.echo("meanwhile") == "meanwhile"
            status = app.status().registration
            assert status is not None and status.offline == "leaks (by ada)" and not status.registered
            with pytest.raises(zkrpc.CoordinationError, match="by an operator's order: leaks"):
                app.registrar.wait_registered(60)
            registry.session.znodes.delete(ORDER)
            eventually(lambda: exists(registry, PATHS.member("w")) and not exists(registry, PATHS.rester("w")))
            app.registrar.wait_registered(60)
            assert stub.echo("after") == "after"
        eventually(lambda: "CameOnline" in noted.names)
        assert not app.server.is_draining and app.registrar.status().offline is None
        went = next(event for event in noted.told if isinstance(event, zkrpc.WentOffline))
        assert (went.path, went.reason, went.by) == (PATHS.member("w"), "leaks", "ada")
        assert noted.names.index("WentOffline") < noted.names.index("CameOnline")


def test_instance_that_starts_under_an_order_is_never_listed(registry: zkrpc.Registry, zookeeper: str) -> None:
    """The parent's own counter shows that nobody came and went."""
    registry.session.znodes.ensure_path(PATHS.members)
    registry.session.znodes.create(ORDER, b"made by hand")
    with zkrpc.serve(SERVICE, zookeeper=zookeeper, worker_id="w") as app:
        eventually(lambda: exists(registry, PATHS.rester("w")))
        members = registry.session.znodes.exists(PATHS.members)
        assert members is not None and members.changes == 0
        assert app.registrar is not None and app.registrar.held == "no reason given (by somebody)"
    assert not exists(registry, PATHS.rester("w")) and exists(registry, ORDER)


def test_instance_that_stops_while_it_rests_leaves_nothing_but_the_order(
    registry: zkrpc.Registry, zookeeper: str
) -> None:
    """Also with a session that goes on, as others of its process use it."""
    registry.session.znodes.create(ORDER, OfflineOrder().dump())
    with zkrpc.Registry(zookeeper) as shared:
        app = zkrpc.serve(SERVICE, zookeeper=shared, worker_id="w")
        eventually(lambda: exists(registry, PATHS.rester("w")))
        app.stop()
        eventually(lambda: not exists(registry, PATHS.rester("w")))
        registry.session.znodes.delete(ORDER)
        assert not exists(registry, PATHS.member("w"))
