"""Trees of other libraries: clients find what is there, and servers are there for others to find."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import zkrpc
from tests.support.echo import EchoHandler, idl
from tests.support.waiting import eventually
from tests.support.worlds import World
from zkrpc.registry.offline import OfflineOrder
from zkrpc.registry.orders import give_order, withdraw_order
from zkrpc.registry.schema import Paths
from zkrpc.zookeeper.closing import close_session

pytestmark = pytest.mark.zookeeper

QUICK = zkrpc.ServerConfig(linger=0.0, drain_timeout=2.0)
JOB = "/aurora/role/prod/job"
Serve = Callable[..., zkrpc.App]
Connect = Callable[..., Any]


@pytest.fixture
def registry(zookeeper: str) -> Iterator[zkrpc.Registry]:
    """A Registry for services and clients to share, and for whoever plays another library."""
    with zkrpc.Registry(zookeeper) as shared:
        assert shared.session.wait_connected(60)
        yield shared


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves the echo service until the end of the test."""
    apps: list[zkrpc.App] = []

    def start(**options: Any) -> zkrpc.App:
        apps.append(zkrpc.serve(zkrpc.Service(idl.Echo, EchoHandler, config=QUICK), **options))
        return apps[-1]

    yield start
    for app in apps:
        app.kill()


@pytest.fixture
def connect(world: World) -> Iterator[Connect]:
    """Makes stubs of the echo service and closes them."""
    stubs: list[Any] = []

    def start(target: str, **options: Any) -> Any:
        stubs.append(world.connect(idl.Echo, target, **options))
        return stubs[-1]

    yield start
    for stub in stubs:
        stub.close()


def put(registry: zkrpc.Registry, path: str, document: dict[str, Any]) -> None:
    """Another library writes a node."""
    registry.session.znodes.ensure_path(path.rpartition("/")[0])
    registry.session.znodes.create(path, json.dumps(document).encode(), ephemeral=True)


def test_client_calls_members_of_a_tree_by_the_endpoint_it_names(
    serve: Serve, connect: Connect, registry: zkrpc.Registry, zookeeper: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Aurora's jobs announce Thrift beside HTTP. Odd fields drop nobody; a member without an address is told once."""
    app = serve()
    place = {"host": app.endpoint.host, "port": app.endpoint.port}
    elsewhere = {"host": app.endpoint.host, "port": 1}
    put(registry, f"{JOB}/member_0000000001", {"serviceEndpoint": elsewhere, "additionalEndpoints": {"thrift": place}})
    put(registry, f"{JOB}/member_0000000002", {"serviceEndpoint": place, "additionalEndpoints": {}, "status": "ALIVE"})
    put(registry, f"{JOB}/lock-0000000003", {})
    stub = connect(f"serverset:{JOB}?endpoint=thrift", zookeeper=registry)
    assert stub.echo("by a name") == "by a name"
    assert [one.instance for one in zkrpc.status(stub).members] == ["0000000001"]
    (told,) = [record.getMessage() for record in caplog.records if "bad records" in record.getMessage()]
    assert told == f"1 bad records below {JOB} are left out; member_0000000002: no additional endpoint 'thrift'"
    put(registry, f"{JOB}/member_0000000004", {"serviceEndpoint": place, "shard": -1, "metadata": 7, "status": None})
    plain = connect(f"serverset:{JOB}", zookeeper=zookeeper, dialect="zkrpc")
    assert plain.echo("by itself") == "by itself"


def test_client_of_a_tree_starts_from_its_file(
    serve: Serve, connect: Connect, registry: zkrpc.Registry, zookeeper: str, tmp_path: Path
) -> None:
    """Named after the tree."""
    app = serve()
    put(registry, "/discovery/echo/i-1", {"address": app.endpoint.host, "port": app.endpoint.port, "id": "i-1"})
    stub = connect("curator:/discovery/echo", zookeeper=zookeeper, snapshot_dir=tmp_path)
    assert stub.echo("learn") == "learn"
    eventually((tmp_path / "curator%3A%2Fdiscovery%2Fecho.json").exists)
    stub = connect("curator:/discovery/echo", zookeeper="127.0.0.1:1", snapshot_dir=tmp_path)
    assert stub.echo("from the file") == "from the file"


def test_target_that_is_no_tree_is_refused(connect: Connect, registry: zkrpc.Registry) -> None:
    """At once, with what was expected; a tree that is not there is waited for, as a service is."""
    with pytest.raises(zkrpc.ConfigError, match="begins with a path, or with serverset: or curator:"):
        connect("etcd:/job", zookeeper=registry)
    with pytest.raises(zkrpc.ConfigError, match="which needs zookeeper="):
        connect(JOB)
    stub = connect(JOB, zookeeper=registry, config=zkrpc.ClientConfig(patience=0.1))
    with pytest.raises(zkrpc.Unavailable, match=JOB):
        stub.echo("x")


# -- to be found


def children(registry: zkrpc.Registry, path: str) -> list[str]:
    """The names below a node, asked of ZooKeeper itself."""
    return sorted(registry.session.znodes.children(path) or ())


def test_server_is_found_wherever_it_joins(serve: Serve, connect: Connect, registry: zkrpc.Registry) -> None:
    """By its name, as Finagle would look for it and as Curator would; out of service it is nowhere, and a stop removes
    it from everywhere. Its own nodes stay where they are."""
    trees = [f"serverset:{JOB}?endpoint=thrift", "curator:/discovery/echo", "curator:/spring/echo?payload=spring"]
    app = serve(zookeeper=registry, worker_id="w", join=trees)
    for target in ("echo", *trees):
        assert connect(target, zookeeper=registry).echo(target) == target
    eventually(lambda: [one.registered for one in app.status().joined] == [True] * 3)
    (curator,) = children(registry, "/discovery/echo")
    assert children(registry, JOB) == ["member_w"] and curator.startswith("w-")
    record = json.loads((registry.session.znodes.get(f"/discovery/echo/{curator}") or (b"",))[0])
    assert (record["id"], record["name"], record["payload"]) == (curator, "echo", None)
    assert children(registry, "/discovery") == ["echo"]
    (snapshot,) = registry.resolver(trees[2]).wait_ready(60).instances
    assert snapshot.protocols[0] == "zkrpc" and snapshot.metadata["launch"]

    give_order(registry.session, Paths("echo"), "w", OfflineOrder(reason="a look"))
    eventually(lambda: not any(children(registry, path) for path in (JOB, "/discovery/echo", "/spring/echo")))
    withdraw_order(registry.session, Paths("echo"), "w")
    eventually(lambda: all(children(registry, path) for path in (JOB, "/discovery/echo", "/spring/echo")))
    app.stop()
    assert not any(children(registry, path) for path in (JOB, "/discovery/echo", "/spring/echo"))


def test_server_is_in_its_trees_again_after_its_session_was_lost(serve: Serve, zookeeper: str) -> None:
    """Also where a record does not say whose it is."""
    with zkrpc.Registry(zookeeper, config=zkrpc.RegistryConfig(session_timeout=10.0)) as own:
        app = serve(zookeeper=own, join=[f"serverset:{JOB}", "curator:/discovery/echo"])
        eventually(lambda: all(one.registered for one in app.status().joined))
        before, password = own.session.session_id, own.session.password
        assert before is not None and password is not None
        assert close_session(zookeeper, before, password, 10)
        eventually(lambda: own.session.session_id not in (None, before))
        eventually(lambda: all(one.registered for one in app.status().joined))


def test_server_that_cannot_join_says_so(serve: Serve) -> None:
    """Before it serves."""
    with pytest.raises(zkrpc.ConfigError, match="needs zookeeper="):
        serve(join=[f"serverset:{JOB}"])
    with pytest.raises(zkrpc.ConfigError, match="zkrpc's own nodes"):
        serve(zookeeper="127.0.0.1:1", join=["curator:/services/echo"])
