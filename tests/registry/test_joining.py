"""Entries in trees of other libraries, on a real ZooKeeper."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator

import pytest

from tests.support.waiting import eventually
from zkrpc.config import RegistryConfig
from zkrpc.endpoint import Endpoint, Instance
from zkrpc.registry.foreign import Tree
from zkrpc.registry.formats import LAUNCH
from zkrpc.registry.joining import Joining
from zkrpc.telemetry.events import Event, Registered
from zkrpc.telemetry.observer import Observer
from zkrpc.zookeeper.session import Session

pytestmark = pytest.mark.zookeeper

ONE = Instance(id="w1", endpoint=Endpoint("10.0.0.3", 9090), started_at=1.0, metadata={LAUNCH: "L1"})
TREES = ("serverset:/aurora/role/prod/job", "curator:/discovery/users")
JOB, CURATOR = "/aurora/role/prod/job/member_w1", "/discovery/users/w1-t"


@pytest.fixture
def session(zookeeper: str) -> Iterator[Session]:
    """A session that is connected."""
    opened = Session(zookeeper, RegistryConfig())
    opened.start()
    assert opened.wait_connected(60)
    yield opened
    opened.close()


class Noted(Observer):
    """Notes what was registered."""

    kinds = (Registered,)

    def __init__(self) -> None:
        self.paths: set[str] = set()

    def receive(self, event: Event) -> None:
        assert isinstance(event, Registered)
        self.paths.add(event.path)


def test_instance_joins_each_tree_and_leaves_nothing_but_the_trees(session: Session) -> None:
    """A tree that cannot be written holds up nobody; what is said changes everywhere, in each tree's way; and no node
    stands beside the members, which others would take for one."""
    znodes, noted = session.znodes, Noted()
    znodes.ensure_path("/discovery/other")
    znodes.create("/discovery/other/w1-t", b"somebody else's")
    places = [Tree.parse(text).member("w1", "t") for text in (*TREES, "curator:/discovery/other")]
    joining = Joining(session, places, ONE, "L1", config=RegistryConfig(), observers=[noted])
    joining.register()
    eventually(lambda: noted.paths == {JOB, CURATOR})
    other = joining.registrars[2]
    eventually(lambda: other.conflict is not None and not other.registered)
    assert f"{JOB} True" in repr(joining) and "other/w1-t False" in repr(joining)
    for path, place in zip((JOB, CURATOR), places):
        node = znodes.get(path)
        assert node is not None and node[0] == place.dump(ONE) and node[1].owner == session.session_id
    joining.revise(dataclasses.replace(ONE, unready="busy"))

    def said(path: str) -> dict[str, object]:
        node = znodes.get(path)
        return {} if node is None else dict(json.loads(node[0]))

    eventually(lambda: said(JOB).get("status") == "WARNING" and said(CURATOR).get("enabled") is False)
    joining.withdraw(60.0)
    assert [znodes.children(path) for path in ("/aurora/role/prod/job", "/discovery/users")] == [[], []]
    assert sorted(znodes.children("/discovery") or ()) == ["other", "users"]
    assert [znodes.children(path) for path in ("/aurora", "/aurora/role/prod")] == [["role"], ["job"]]
    node = znodes.get("/discovery/other/w1-t")
    assert node is not None and node[0] == b"somebody else's"
    for registrar in joining.registrars:
        registrar.close()
