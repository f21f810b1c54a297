"""Sessions follow a real ensemble whose servers are replaced."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kazoo.client import KazooClient
from kazoo.security import make_digest_acl

import zkrpc
from faults.moving import MovingEnsemble
from tests.live.conftest import SessionOpener
from tests.support.command import Command, registered
from tests.support.programs import Programs
from tests.support.waiting import eventually
from zkrpc.inspection.checks import judge
from zkrpc.inspection.gathering import gather
from zkrpc.telemetry.events import EnsembleChanged, Event

pytestmark = pytest.mark.zookeeper

Operate = Callable[..., object]


class Changes(zkrpc.Observer):
    """Keeps what it is told of the ensemble."""

    kinds = (EnsembleChanged,)

    def __init__(self) -> None:
        self.servers: list[str] = []

    def receive(self, event: Event) -> None:
        assert isinstance(event, EnsembleChanged)
        self.servers.append(event.servers)


@pytest.fixture(scope="module")
def ensemble() -> Iterator[MovingEnsemble]:
    """One for all tests, as starting it takes seconds; it is never the same afterwards."""
    with MovingEnsemble() as moving:
        yield moving


@pytest.fixture(scope="module")
def operate(ensemble: MovingEnsemble) -> Iterator[Operate]:
    """Runs what waits without the hub, which sessions need, in one thread that lives until the end: a server dies with
    the thread that started it, and those of ``zkrpc.offload`` end when there is nothing to do for a while."""
    with ThreadPoolExecutor(1) as operator:

        def run(function: Callable[..., object], *arguments: object) -> object:
            doing = operator.submit(function, *arguments)
            eventually(doing.done, 200)
            return doing.result()

        yield run


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    """Starts commands, and ends them."""
    programs = Programs(tmp_path)
    yield Command(programs, tmp_path)
    programs.close()


def test_session_outlives_every_server_that_it_began_with(ensemble: MovingEnsemble, operate: Operate) -> None:
    """Three servers give way to three others; the session and its node stay, though its connect string names a chroot
    of servers that are all gone."""
    before, changes = ensemble.hosts.split(","), Changes()
    config = zkrpc.RegistryConfig(session_timeout=20.0)
    with zkrpc.Registry(f"{ensemble.hosts}/deep/root", config=config, observers=[changes]) as registry:
        assert registry.session.wait_connected(60)
        registry.session.ensure_path("/")
        registry.session.create("/kept", ephemeral=True)
        session_id = registry.session.session_id
        for number in (1, 2, 3):
            operate(ensemble.add)
            operate(ensemble.remove, number)
        after = ensemble.hosts.split(",")
        assert not set(after) & set(before)
        eventually(lambda: registry.status().server in after)
        eventually(lambda: registry.session.wait_connected(1) and registry.session.exists("/kept"))
        eventually(lambda: set(registry.status().servers[:3]) == set(after))
        assert set(registry.status().servers[3:]) == set(before)
        assert registry.session.session_id == session_id
        assert changes.servers[-1] == ",".join(registry.status().servers)


def test_doctor_looks_at_the_members_beside_the_connect_string(ensemble: MovingEnsemble) -> None:
    """An observer does not vote, and is no good as the only server that is named."""
    voters = set(ensemble.hosts.split(","))
    number = ensemble.add(votes=False)
    try:
        (observer,) = set(ensemble.hosts.split(",")) - voters
        with zkrpc.Registry(observer) as registry:
            assert registry.session.wait_connected(60)
            facts = gather(registry, [], 60)
    finally:
        ensemble.remove(number)
    assert (
        {str(one.endpoint) for one in facts.others}
        == {str(one.endpoint) for one in facts.members if one.votes}
        == voters
    )
    found = {verdict.check.name: verdict.findings for verdict in judge(facts)}
    assert found["zookeeper-observers"] == (f"the connect string names observers only: {observer}",)
    assert not any(found[f"zookeeper-{name}"] for name in ("size", "leader", "reachable", "versions-mixed"))


def test_server_that_is_no_member_any_more_is_left(ensemble: MovingEnsemble, operate: Operate) -> None:
    """Its process goes on and would serve its clients, ever further behind; they leave within a session timeout."""
    config = zkrpc.RegistryConfig(session_timeout=6.0)
    with zkrpc.Registry(ensemble.hosts, config=config) as registry:
        assert registry.session.wait_connected(60)
        server, session_id = registry.status().server, registry.session.session_id
        operate(ensemble.add)
        eventually(lambda: len(registry.status().servers) == 4)
        operate(ensemble.take_out, ensemble.number_of(str(server)))
        eventually(lambda: registry.status().server not in (server, None))
        assert registry.session.wait_connected(60)
        assert registry.session.session_id == session_id


def test_dead_workers_session_ends_at_the_ensemble_of_now(
    ensemble: MovingEnsemble, operate: Operate, command: Command
) -> None:
    """The servers that the supervisor was given are all gone when a worker is killed: its entry vanishes long before
    the session timeout of a minute, and a successor registers with the servers of now."""
    command.serve(f"{ensemble.hosts}/moved", "--id=m", "--session-timeout=60")
    with zkrpc.Registry(f"{ensemble.hosts}/moved") as registry:
        assert registry.session.wait_connected(60)
        eventually(lambda: processes(registry))
        (before,) = processes(registry) or ()
        for number in ensemble.numbers:
            operate(ensemble.add)
            operate(ensemble.remove, number)
        eventually(lambda: registry.status().server in ensemble.hosts.split(","))
        eventually(lambda: processes(registry) == {before})
        os.kill(int(before), signal.SIGKILL)
        assert eventually(lambda: processes(registry) not in (None, {before})) < 30
        eventually(lambda: processes(registry))


def processes(registry: zkrpc.Registry) -> set[str] | None:
    """Those that are registered; None if ZooKeeper does not answer now, as when a server is left."""
    try:
        return {one.metadata["pid"] for one in registered(registry).values()}
    except zkrpc.CoordinationError:
        return None


def test_configuration_that_may_not_be_read_is_no_failure(zookeeper: str, session_opener: SessionOpener) -> None:
    """An operator may keep it from clients. So may he any node: this one stands for it."""
    owner = KazooClient(zookeeper, auth_data=[("digest", "owner:secret")])
    owner.start()
    try:
        owner.create("/kept", b"from others", acl=[make_digest_acl("owner", "secret", all=True)])
        path = f"/{zookeeper.partition('/')[2]}/kept"
        nodes = session_opener().znodes.system
        found = nodes.get(path)
        assert found is not None and found[0] == b""
        assert nodes.exists(path) is not None
        assert nodes.get("/zookeeper/nothing") is None
    finally:
        owner.stop()
        owner.close()
