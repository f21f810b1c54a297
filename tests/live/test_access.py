"""Nodes that belong to whoever made them: services of two users beside each other, and strangers who may only look."""

from __future__ import annotations

from pathlib import Path

import pytest

import zkrpc
from tests.live.test_primary import QUICK, SWIFT, Board
from tests.live.test_primary import idl as board
from tests.support.waiting import eventually
from zkrpc.config import RegistryConfig
from zkrpc.credentials import ZooKeeperSecurity
from zkrpc.errors import AccessDenied, CoordinationError
from zkrpc.registry.offline import OfflineOrder
from zkrpc.registry.orders import give_order, withdraw_order
from zkrpc.registry.publisher import collect
from zkrpc.registry.registrar import Registrar
from zkrpc.registry.schema import IDL, SERVICES, Paths
from zkrpc.zookeeper.access import ANYONE, Grant, Right
from zkrpc.zookeeper.operations import Check, Create, SetData
from zkrpc.zookeeper.ownership import EVERYTHING
from zkrpc.zookeeper.session import Session

pytestmark = pytest.mark.zookeeper

ALICE = ZooKeeperSecurity(username="alice", password="a-secret")
BOB = ZooKeeperSecurity(username="bob", password="b-secret")
NOBODY = ZooKeeperSecurity()
PATIENCE = zkrpc.ClientConfig(timeout=60.0, patience=60.0)


@pytest.fixture
def hosts(zookeeper: str) -> str:
    """A connect string whose chroot nobody has made."""
    return f"{zookeeper}/secured"


def registry(hosts: str, security: ZooKeeperSecurity) -> zkrpc.Registry:
    """A registry as somebody."""
    return zkrpc.Registry(hosts, config=RegistryConfig(session_timeout=5.0, security=security))


def serve(registry: zkrpc.Registry, name: str, worker: str) -> zkrpc.App:
    """A service with an election, of which there may be several of the same IDL."""
    service = zkrpc.Service(board.Board, Board, name=name, groups=["main"], config=QUICK, election=SWIFT)
    return zkrpc.serve(service, zookeeper=registry, worker_id=worker)


def test_two_users_share_what_is_above_their_services(hosts: str, tmp_path: Path) -> None:
    """Each registers, elects, publishes, is configured and taken out of service in what the other has made first;
    callers need no credentials, and find everybody by their snapshots too."""
    with registry(hosts, ALICE) as alice, registry(hosts, BOB) as bob, registry(hosts, NOBODY) as nobody:
        assert alice.session.wait_connected(60)
        with serve(alice, "hers", "h") as hers:
            assert hers.registrar is not None and hers.publisher is not None
            hers.registrar.wait_registered(60)
            eventually(lambda: hers.publisher.status().published)
            with serve(bob, "his", "b") as his:
                assert his.publisher is not None
                for name in ("hers", "his"):
                    with zkrpc.connect(
                        board.Board, name, zookeeper=hosts, config=PATIENCE, snapshot_dir=tmp_path
                    ) as stub:
                        assert "written" in stub.write("written")
                    assert (tmp_path / f"{name}.json").exists()
                eventually(lambda: his.publisher.status().published)
                check_operations(bob, nobody, his)
                # The text is hers, so that he can neither renew nor collect it, and leaves both to her.
                assert collect(bob.session, wall_clock=lambda: 1e12, dice=None) == []  # type: ignore[arg-type]
        znodes = alice.session.znodes
        for path in ("/", SERVICES, IDL, "/heartbeats"):
            assert dict((one.to, one.rights) for one in znodes.access(path) or ())[ANYONE] == Right.READ | Right.CREATE


def check_operations(owner: zkrpc.Registry, nobody: zkrpc.Registry, app: zkrpc.App) -> None:
    """What operators do: with the owner's credentials they may, without they may not."""
    paths, order = Paths("his"), OfflineOrder(reason="disk", by="me")
    assert nobody.session.wait_connected(60)
    with pytest.raises(AccessDenied):
        give_order(nobody.session, paths, "b", order)
    assert give_order(owner.session, paths, "b", order)
    eventually(lambda: owner.session.znodes.exists(paths.member("b")) is None)
    withdraw_order(owner.session, paths, "b")
    eventually(lambda: owner.session.znodes.exists(paths.member("b")) is not None)


def test_a_stranger_may_look_and_nothing_else(hosts: str) -> None:
    """It reads the members; it cannot register, delete, or become primary, and is told which node keeps it from that,
    as whom it came, and what to do. Nor can somebody else, or who has another password."""
    wrong = ZooKeeperSecurity(username="alice", password="another")
    with registry(hosts, ALICE) as alice, serve(alice, "hers", "h") as hers:
        assert hers.registrar is not None
        hers.registrar.wait_registered(60)
        paths = Paths("hers")
        primary = paths.primary("main")
        eventually(lambda: alice.session.znodes.exists(primary) is not None)
        for stranger, who in ((NOBODY, "nobody: there are no"), (BOB, "digest bob"), (wrong, "digest alice")):
            with registry(hosts, stranger) as other:
                session = other.session
                assert session.wait_connected(60)
                assert session.znodes.children(paths.members) == ["member_h"]
                assert session.znodes.get(paths.member("h")) is not None
                check_denied(session, paths, primary, who)
                with serve(other, "hers", "x") as theirs:
                    assert theirs.registrar is not None
                    eventually(lambda theirs=theirs: "NoAuth" in (theirs.registrar.status().failure or ""))
                    assert "does not let us create, who come as" in (theirs.registrar.status().failure or "")
                    with pytest.raises(CoordinationError):
                        theirs.registrar.wait_registered(0.1)
                    assert all(one.state != "primary" for one in theirs.elections.status())
                assert alice.session.znodes.children(paths.members) == ["member_h"]


def check_denied(session: Session, paths: Paths, primary: str, who: str) -> None:
    """Each change is refused in words."""
    znodes = session.znodes
    for path, right, change in (
        (paths.members, "create", lambda: znodes.create(paths.member("x"), ephemeral=True)),
        (paths.members, "create", lambda: znodes.multi([Create(path=paths.member("x"), ephemeral=True)])),
        (paths.members, "delete", lambda: znodes.delete(paths.member("h"))),
        (paths.election("main"), "delete", lambda: znodes.delete(primary)),
        (
            f"{primary.rpartition('/')[0]}/epoch",
            "write",
            lambda: znodes.set(f"{primary.rpartition('/')[0]}/epoch", b""),
        ),
        (primary, "write", lambda: znodes.multi([Check(path=primary), SetData(path=primary, value=b"")])),
        (paths.root, "admin", lambda: znodes.set_access(paths.root, [Grant(ANYONE, EVERYTHING)])),
    ):
        with pytest.raises(AccessDenied) as refused:
            change()
        assert refused.value.path == path
        assert f"NoAuth: the access list of {path} does not let us {right}, who come as {who}" in str(refused.value)
        assert "have that one run zkrpc acl fix" in str(refused.value)


def test_two_users_join_one_tree_of_another_library(hosts: str) -> None:
    """What is above their services' own nodes is for both, however deep it is; each node is its maker's alone."""
    with registry(hosts, ALICE) as alice, registry(hosts, BOB) as bob:
        for one, name in ((alice, "hers"), (bob, "his")):
            assert one.session.wait_connected(60)
            path = f"/aurora/role/prod/{name}/member_x"
            registrar = Registrar(one.session, path, b"{}", "", marked=False)
            registrar.register()
            registrar.wait_registered(60)
            registrar.close()
        for path, who, rights in (
            ("/aurora/role/prod", ANYONE, Right.READ | Right.CREATE),
            ("/aurora/role/prod/hers", ANYONE, Right.READ),
        ):
            assert dict((one.to, one.rights) for one in alice.session.znodes.access(path) or ())[who] == rights
        with pytest.raises(AccessDenied):
            bob.session.znodes.create("/aurora/role/prod/hers/member_y")


def test_owners_and_users_of_the_settings_are_heeded(hosts: str) -> None:
    """An owner may do with our nodes what we may; where users are named, nobody else may make nodes beside ours. An
    identity that ZooKeeper does not know is refused in words."""
    named = ZooKeeperSecurity(
        username="alice",
        password="a-secret",
        owners=("ip:127.0.0.1",),
        users=("digest:bob:notthathash=",),
    )
    with registry(hosts, named) as alice, registry(hosts, BOB) as bob:
        assert alice.session.wait_connected(60) and bob.session.wait_connected(60)
        alice.session.znodes.ensure_path("/services/hers/members")
        bob.session.znodes.create("/services/hers/members/member_b")  # from this address, which is an owner
        grants = dict((one.to.scheme, one.rights) for one in alice.session.znodes.access("/services") or ())
        assert grants == {"digest": Right.READ | Right.CREATE, "ip": EVERYTHING, "world": Right.READ}
    odd = ZooKeeperSecurity(username="alice", password="a-secret", owners=("martian:bob",))
    with registry(hosts, odd) as alice:
        assert alice.session.wait_connected(60)
        with pytest.raises(CoordinationError, match="InvalidACL: our nodes are to be ours, and ZooKeeper"):
            alice.session.znodes.ensure_path("/services/odd")
