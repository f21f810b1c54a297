"""Who calls a service, and how much it may: named clients, real connections, quotas in a real ZooKeeper."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import zkrpc
from tests.support.echo import EchoHandler, idl
from tests.support.waiting import eventually
from tests.support.worlds import World
from zkrpc.registry.schema import Paths
from zkrpc.registry.service_config import dump_service_config
from zkrpc.telemetry.status import CallerStatus

pytestmark = pytest.mark.zookeeper


class Scene:
    """Instances of a service, and its config."""

    def __init__(self, zookeeper: str) -> None:
        self.zookeeper = zookeeper
        self.apps: list[zkrpc.App] = []
        self.registry = zkrpc.Registry(zookeeper)

    def serve(self, worker_id: str) -> zkrpc.App:
        """One more instance, registered."""
        service = zkrpc.Service(idl.Echo, EchoHandler, config=zkrpc.ServerConfig(linger=0))
        app = zkrpc.serve(service, zookeeper=self.zookeeper, worker_id=worker_id)
        self.apps.append(app)
        assert app.registrar is not None
        app.registrar.wait_registered(60)
        return app

    def configure(self, **rates: float) -> None:
        """What callers may do from now on."""
        self.write(
            zkrpc.ServiceConfig(callers={name: zkrpc.CallerConfig(max_rate=rate) for name, rate in rates.items()})
        )

    def write(self, config: zkrpc.ServiceConfig) -> None:
        """What operators say from now on."""
        znodes, path = self.registry.session.znodes, Paths("echo").config
        assert self.registry.session.wait_connected(60)
        znodes.ensure_path(Paths("echo").root)
        if znodes.exists(path) is None:
            znodes.create(path, dump_service_config(config))
        else:
            znodes.set(path, dump_service_config(config), -1)

    def caller(self, app: zkrpc.App, name: str) -> CallerStatus | None:
        """What an instance has counted for a name."""
        return next((one for one in app.status().server.callers if one.name == name), None)

    def rate(self, app: zkrpc.App, name: str) -> float | None:
        """What an instance allows a caller that it knows."""
        found = self.caller(app, name)
        return None if found is None else found.max_rate

    def close(self) -> None:
        """Ends everything."""
        for app in self.apps:
            app.kill()
        self.registry.close()


@pytest.fixture
def scene(zookeeper: str) -> Iterator[Scene]:
    """It ends with the test."""
    made = Scene(zookeeper)
    yield made
    made.close()


def test_each_instance_knows_who_called_it(scene: Scene, world: World) -> None:
    """By name and version, whatever the client's dialect; plain Thrift clients by their kind of address."""
    first, second = scene.serve("w1"), scene.serve("w2")
    billing = zkrpc.ClientConfig(name="billing", version="4.2", balancing="round_robin")
    with world.connect(idl.Echo, "echo", zookeeper=scene.zookeeper, config=billing) as stub:
        for _ in range(20):
            stub.echo("x")
    for dialect in ("theader", "framed"):
        with world.connect(idl.Echo, [str(first.endpoint)], dialect=dialect, config=billing) as stub:
            stub.echo("x")
            with pytest.raises(idl.Oops):
                stub.fail("declared")
    found = [scene.caller(app, "billing") for app in (first, second)]
    assert [(one.version, one.calls, one.errors) for one in found if one] == [("4.2", 12, 0), ("4.2", 10, 0)]
    unnamed = scene.caller(first, "unnamed:loopback")
    assert unnamed is not None and [one.method for one in unnamed.methods] == ["echo", "fail"]


def test_quota_holds_as_it_is_now_for_as_many_as_there_are(scene: Scene, world: World) -> None:
    """It is shared out when an instance comes, raised, and lifted, while the service runs; beyond it a caller is told
    that nothing was executed, and when to come back, and other callers are served."""
    first = scene.serve("w1")
    config = zkrpc.ClientConfig(name="billing", max_attempts=1)
    with (
        world.connect(idl.Echo, [str(first.endpoint)], dialect="zkrpc", config=config) as stub,
        world.connect(idl.Echo, [str(first.endpoint)], config=zkrpc.ClientConfig(name="other")) as other,
    ):
        stub.echo("x")
        scene.configure(billing=0.01)
        eventually(lambda: scene.rate(first, "billing") == 0.01)
        stub.echo("the one that may be saved up")
        with pytest.raises(zkrpc.Overloaded, match="the quota of billing is used up") as caught:
            stub.echo("x")
        assert caught.value.executed is zkrpc.Executed.NO and caught.value.retry_after == 1.0
        other.echo("x")
        billing = scene.caller(first, "billing")
        assert billing is not None and (billing.calls, billing.errors, billing.refused) == (3, 1, 1)
        scene.configure(billing=1000.0)
        eventually(lambda: scene.rate(first, "billing") == 1000.0)
        scene.serve("w2")
        eventually(lambda: scene.rate(first, "billing") == 500.0)
        scene.configure()
        eventually(lambda: scene.rate(first, "billing") is None)
        assert scene.rate(first, "other") is None


def test_lists_of_the_config_hold_from_the_start_and_are_changed_live(scene: Scene, world: World) -> None:
    """The first call is refused already; a list that goes opens what it closed, and one for everything leaves only the
    health to be asked for."""
    scene.write(zkrpc.ServiceConfig(allow={"echo": ("cn:admin",)}))
    place = [str(scene.serve("a").endpoint)]
    with world.connect(idl.Echo, place) as stub, world.connect(zkrpc.built_in("Introspection"), place) as asking:

        def denied() -> bool:
            try:
                return stub.echo("a") != "a"
            except zkrpc.PermissionDenied as error:
                return error.executed is zkrpc.Executed.NO

        assert denied() and stub.slow("a", 0) == "a" and asking.callers().service == "echo"
        scene.write(zkrpc.ServiceConfig())
        eventually(lambda: not denied())
        scene.write(zkrpc.ServiceConfig(allow={"*": ()}))
        eventually(denied)
        with pytest.raises(zkrpc.PermissionDenied, match="zkrpc.Introspection is for callers on the list of the serv"):
            asking.callers()
        with world.connect(zkrpc.built_in("Health"), place) as health:
            assert health.check("echo").ready
