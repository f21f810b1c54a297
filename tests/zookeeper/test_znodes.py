"""What can be asked of ZooKeeper, asked of a real one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import gevent
import pytest
from gevent.event import Event

from zkrpc.config import RegistryConfig
from zkrpc.credentials import ZooKeeperSecurity
from zkrpc.errors import AccessDenied, ConfigError, CoordinationError, NodeExists, NodeMissing, VersionConflict
from zkrpc.zookeeper.operations import Check, Create, Delete, SessionState, SetData, Stat
from zkrpc.zookeeper.session import Session

pytestmark = pytest.mark.zookeeper

Opener = Callable[..., Session]
SVC = RegistryConfig(security=ZooKeeperSecurity(username="svc", password="secret"))


@pytest.fixture
def opened(zookeeper: str) -> Iterator[Opener]:
    """Opens connected sessions and closes them at the end."""
    sessions = []

    def open_session(hosts: str = zookeeper, config: RegistryConfig = RegistryConfig()) -> Session:
        session = Session(hosts, config)
        sessions.append(session)
        session.start()
        assert session.wait_connected(60)
        return session

    yield open_session
    for session in sessions:
        session.close()


def test_session_reads_and_writes_nodes(opened: Opener) -> None:
    """Every request, and what each refusal is called."""
    session = opened()
    assert (
        session.znodes.exists("/a") is None
        and session.znodes.get("/a") is None
        and session.znodes.children("/a") is None
    )
    assert session.znodes.create("/a", b"one") == "/a"
    value, stat = session.znodes.get("/a") or (b"", None)
    assert value == b"one" and isinstance(stat, Stat)
    assert (stat.version, stat.owner, stat.size) == (0, 0, 3)
    changed = session.znodes.set("/a", b"three", 0)
    assert changed.version == 1 and changed.modified_zxid > changed.created_zxid == stat.created_zxid
    assert session.znodes.create("/a/b", ephemeral=True) == "/a/b"
    mine = session.znodes.exists("/a/b")
    assert mine is not None and mine.owner == session.session_id
    assert session.znodes.children("/a") == ["b"] and session.znodes.children("/a/b") == []
    assert session.znodes.create("/a/s-", sequence=True) == "/a/s-0000000001"
    for refused, request in (
        (NodeExists, lambda: session.znodes.create("/a")),
        (NodeMissing, lambda: session.znodes.create("/x/y")),
        (NodeMissing, lambda: session.znodes.set("/x", b"")),
        (NodeMissing, lambda: session.znodes.delete("/x")),
        (VersionConflict, lambda: session.znodes.set("/a", b"", 7)),
        (VersionConflict, lambda: session.znodes.delete("/a/b", 7)),
    ):
        with pytest.raises(refused):
            request()
    with pytest.raises(CoordinationError, match="delete /a: NotEmpty"):
        session.znodes.delete("/a")
    session.znodes.delete("/a/b", 0)
    assert session.znodes.exists("/a/b") is None


@pytest.mark.parametrize("chroot", ["/one", "/prod/zkrpc", "/a/b/c/d"])
def test_every_level_of_a_chroot_is_made_with_the_parents(opened: Opener, zookeeper: str, chroot: str) -> None:
    """ensure_path makes what is missing, down from the root; is content if somebody else does; twice is once."""
    session, other = opened(zookeeper + chroot), opened(zookeeper + chroot)
    makers = [gevent.spawn(one.znodes.ensure_path, "/deep/er") for one in (session, other, session)]
    gevent.joinall(makers, raise_error=True)
    assert session.znodes.exists("/deep/er") is not None
    assert opened().znodes.exists(f"{chroot}/deep/er") is not None
    session.znodes.ensure_path("/")
    opened().znodes.ensure_path("/")


def test_reading_makes_no_chroot(opened: Opener, zookeeper: str) -> None:
    """Who looks below a chroot that is not there is told so, and leaves nothing behind."""
    reader = opened(f"{zookeeper}/prod/zkrp")
    appeared = Event()
    assert (
        reader.znodes.children("/services") is None
        and reader.znodes.get("/a") is None
        and reader.znodes.exists("/a") is None
    )
    with pytest.raises(NodeMissing):
        reader.znodes.create("/a")
    assert f"there is no {reader._target.chroot} in the ZooKeeper at" in reader.znodes.explain_missing_chroot(appeared)
    assert opened().znodes.children("/") == []
    opened(f"{zookeeper}/prod/zkrp").znodes.ensure_path("/")
    assert appeared.wait(60) and reader.znodes.explain_missing_chroot() == ""


def test_a_chroot_that_was_deleted_is_made_again(opened: Opener, zookeeper: str) -> None:
    """In the same session: it is no privilege of new ones."""
    session, operator = opened(f"{zookeeper}/app/x"), opened()
    session.znodes.ensure_path("/a")
    for path in ("/app/x/a", "/app/x", "/app"):
        operator.znodes.delete(path)
    session.znodes.ensure_path("/a/b")
    assert session.znodes.create("/a/b/c") == "/a/b/c" and session.znodes.explain_missing_chroot() == ""


def test_a_chroot_that_may_not_be_made_is_refused_in_words(opened: Opener, zookeeper: str) -> None:
    """Below a node that belongs to somebody else, who names the users of shared parents; what that somebody has made
    may be used."""
    named = ZooKeeperSecurity(username="svc", password="secret", users=("digest:other:hash=",))
    owner = opened(f"{zookeeper}/theirs", RegistryConfig(security=named))
    owner.znodes.ensure_path("/")
    with pytest.raises(
        AccessDenied, match="create .*/theirs/sub: NoAuth: the access list of .*/theirs does not let us"
    ):
        opened(f"{zookeeper}/theirs/sub").znodes.ensure_path("/a")
    opened(f"{zookeeper}/theirs").znodes.ensure_path("/")


def test_transaction_does_all_or_nothing(opened: Opener) -> None:
    """Results come one per step; the step that failed by itself is the one that is raised."""
    session = opened()
    made = session.znodes.multi([Create(path="/a", value=b"1"), Create(path="/a/e", ephemeral=True), Check(path="/a")])
    assert made == ["/a", "/a/e", None]
    changed, deleted = session.znodes.multi(
        [SetData(path="/a", value=b"22", version=0), Delete(path="/a/e", version=0)]
    )
    assert isinstance(changed, Stat) and changed.version == 1 and changed.size == 2 and deleted is None
    with pytest.raises(NodeExists, match="transaction, at Create /a: NodeExists"):
        session.znodes.multi([Create(path="/b"), Create(path="/a"), Delete(path="/gone")])
    with pytest.raises(VersionConflict, match="at SetData /a"):
        session.znodes.multi([Create(path="/b"), SetData(path="/a", value=b"", version=0)])
    with pytest.raises(NodeMissing, match="at Check /gone"):
        session.znodes.multi([Check(path="/gone"), SetData(path="/a", value=b"")])
    assert session.znodes.exists("/b") is None
    assert session.znodes.multi([]) == []


def test_too_large_a_value_is_refused_before_it_is_sent(opened: Opener) -> None:
    """ZooKeeper would cut the connection at 1 MiB, and a retry would cut it again."""
    session = opened(config=RegistryConfig(max_payload=10))
    session.znodes.create("/a", b"x" * 10)
    for request in (
        lambda: session.znodes.create("/b", b"x" * 11),
        lambda: session.znodes.set("/a", b"x" * 11),
        lambda: session.znodes.multi([SetData(path="/a", value=b"x" * 6), Create(path="/b", value=b"x" * 6)]),
    ):
        with pytest.raises(ConfigError, match="max_payload"):
            request()
    assert session.state is SessionState.CONNECTED


def test_credentials_keep_others_from_changing_nodes(opened: Opener) -> None:
    """With a user name, nodes belong to their creator; everybody may read."""
    owner = opened(config=SVC)
    owner.znodes.create("/mine", b"v")
    owner.znodes.multi([Create(path="/mine/too")])
    stranger, same = opened(), opened(config=SVC)
    assert (stranger.znodes.get("/mine") or (b"",))[0] == b"v"
    for request in (lambda: stranger.znodes.set("/mine", b""), lambda: stranger.znodes.delete("/mine/too")):
        with pytest.raises(AccessDenied, match="NoAuth: the access list of /mine does not let us"):
            request()
    same.znodes.delete("/mine/too")


def test_watch_fires_once_per_change(opened: Opener) -> None:
    """Data, children, deletion, and a node that is not there yet; watching again adds nothing to kazoo."""
    session, other = opened(), opened()
    waits = {name: Event() for name in ("missing", "value", "list", "gone")}
    assert session.znodes.exists("/m", waits["missing"]) is None
    other.znodes.create("/m")
    assert waits["missing"].wait(60)
    for _ in range(3):
        session.znodes.get("/m", waits["value"])
        session.znodes.children("/m", waits["list"])
    assert session._link is not None
    kazoo = session._link._client
    assert all(len(watchers) == 1 for watchers in (*kazoo._data_watchers.values(), *kazoo._child_watchers.values()))
    other.znodes.set("/m", b"x")
    assert waits["value"].wait(60) and not waits["list"].is_set()
    other.znodes.create("/m/c")
    assert waits["list"].wait(60)
    session.znodes.exists("/m/c", waits["gone"])
    other.znodes.delete("/m/c")
    assert waits["gone"].wait(60)
