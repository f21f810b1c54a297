"""What can be asked of ZooKeeper, asked of a real one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import gevent
import pytest
from gevent.event import Event

from zkrpc.config import RegistryConfig
from zkrpc.errors import ConfigError, CoordinationError, NodeExists, NodeMissing, VersionConflict
from zkrpc.zookeeper.operations import Check, Create, Delete, SessionState, SetData, Stat
from zkrpc.zookeeper.session import Session

pytestmark = pytest.mark.zookeeper

Opener = Callable[..., Session]


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
    assert session.exists("/a") is None and session.get("/a") is None and session.children("/a") is None
    assert session.create("/a", b"one") == "/a"
    value, stat = session.get("/a") or (b"", None)
    assert value == b"one" and isinstance(stat, Stat)
    assert (stat.version, stat.owner, stat.size) == (0, 0, 3)
    changed = session.set("/a", b"three", 0)
    assert changed.version == 1 and changed.modified_zxid > changed.created_zxid == stat.created_zxid
    assert session.create("/a/b", ephemeral=True) == "/a/b"
    mine = session.exists("/a/b")
    assert mine is not None and mine.owner == session.session_id
    assert session.children("/a") == ["b"] and session.children("/a/b") == []
    assert session.create("/a/s-", sequence=True) == "/a/s-0000000001"
    for refused, request in (
        (NodeExists, lambda: session.create("/a")),
        (NodeMissing, lambda: session.create("/x/y")),
        (NodeMissing, lambda: session.set("/x", b"")),
        (NodeMissing, lambda: session.delete("/x")),
        (VersionConflict, lambda: session.set("/a", b"", 7)),
        (VersionConflict, lambda: session.delete("/a/b", 7)),
    ):
        with pytest.raises(refused):
            request()
    with pytest.raises(CoordinationError, match="delete /a: NotEmpty"):
        session.delete("/a")
    session.delete("/a/b", 0)
    assert session.exists("/a/b") is None


@pytest.mark.parametrize("chroot", ["/one", "/prod/zkrpc", "/a/b/c/d"])
def test_every_level_of_a_chroot_is_made_with_the_parents(opened: Opener, zookeeper: str, chroot: str) -> None:
    """ensure_path makes what is missing, down from the root; is content if somebody else does; twice is once."""
    session, other = opened(zookeeper + chroot), opened(zookeeper + chroot)
    makers = [gevent.spawn(one.ensure_path, "/deep/er") for one in (session, other, session)]
    gevent.joinall(makers, raise_error=True)
    assert session.exists("/deep/er") is not None
    assert opened().exists(f"{chroot}/deep/er") is not None
    session.ensure_path("/")
    opened().ensure_path("/")


def test_reading_makes_no_chroot(opened: Opener, zookeeper: str) -> None:
    """Who looks below a chroot that is not there is told so, and leaves nothing behind."""
    reader = opened(f"{zookeeper}/prod/zkrp")
    appeared = Event()
    assert reader.children("/services") is None and reader.get("/a") is None and reader.exists("/a") is None
    with pytest.raises(NodeMissing):
        reader.create("/a")
    assert f"there is no {reader._target.chroot} in the ZooKeeper at" in reader.explain_missing_chroot(appeared)
    assert opened().children("/") == []
    opened(f"{zookeeper}/prod/zkrp").ensure_path("/")
    assert appeared.wait(60) and reader.explain_missing_chroot() == ""


def test_a_chroot_that_was_deleted_is_made_again(opened: Opener, zookeeper: str) -> None:
    """In the same session: it is no privilege of new ones."""
    session, operator = opened(f"{zookeeper}/app/x"), opened()
    session.ensure_path("/a")
    for path in ("/app/x/a", "/app/x", "/app"):
        operator.delete(path)
    session.ensure_path("/a/b")
    assert session.create("/a/b/c") == "/a/b/c" and session.explain_missing_chroot() == ""


def test_a_chroot_that_may_not_be_made_is_refused_in_words(opened: Opener, zookeeper: str) -> None:
    """Below a node that belongs to somebody else; what that somebody has made may be used."""
    owner = opened(f"{zookeeper}/theirs", RegistryConfig(username="svc", password="secret"))
    owner.ensure_path("/")
    with pytest.raises(CoordinationError, match="create .*/theirs/sub: NoAuth"):
        opened(f"{zookeeper}/theirs/sub").ensure_path("/a")
    opened(f"{zookeeper}/theirs").ensure_path("/")


def test_transaction_does_all_or_nothing(opened: Opener) -> None:
    """Results come one per step; the step that failed by itself is the one that is raised."""
    session = opened()
    made = session.multi([Create(path="/a", value=b"1"), Create(path="/a/e", ephemeral=True), Check(path="/a")])
    assert made == ["/a", "/a/e", None]
    changed, deleted = session.multi([SetData(path="/a", value=b"22", version=0), Delete(path="/a/e", version=0)])
    assert isinstance(changed, Stat) and changed.version == 1 and changed.size == 2 and deleted is None
    with pytest.raises(NodeExists, match="transaction, at Create /a: NodeExists"):
        session.multi([Create(path="/b"), Create(path="/a"), Delete(path="/gone")])
    with pytest.raises(VersionConflict, match="at SetData /a"):
        session.multi([Create(path="/b"), SetData(path="/a", value=b"", version=0)])
    with pytest.raises(NodeMissing, match="at Check /gone"):
        session.multi([Check(path="/gone"), SetData(path="/a", value=b"")])
    assert session.exists("/b") is None
    assert session.multi([]) == []


def test_too_large_a_value_is_refused_before_it_is_sent(opened: Opener) -> None:
    """ZooKeeper would cut the connection at 1 MiB, and a retry would cut it again."""
    session = opened(config=RegistryConfig(max_payload=10))
    session.create("/a", b"x" * 10)
    for request in (
        lambda: session.create("/b", b"x" * 11),
        lambda: session.set("/a", b"x" * 11),
        lambda: session.multi([SetData(path="/a", value=b"x" * 6), Create(path="/b", value=b"x" * 6)]),
    ):
        with pytest.raises(ConfigError, match="max_payload"):
            request()
    assert session.state is SessionState.CONNECTED


def test_credentials_keep_others_from_changing_nodes(opened: Opener) -> None:
    """With a user name, nodes belong to their creator; everybody may read."""
    owner = opened(config=RegistryConfig(username="svc", password="secret"))
    owner.create("/mine", b"v")
    owner.multi([Create(path="/mine/too")])
    stranger, same = opened(), opened(config=RegistryConfig(username="svc", password="secret"))
    assert (stranger.get("/mine") or (b"",))[0] == b"v"
    for request in (lambda: stranger.set("/mine", b""), lambda: stranger.delete("/mine/too")):
        with pytest.raises(CoordinationError, match="NoAuth: the node is others'; look at RegistryConfig.username"):
            request()
    same.delete("/mine/too")


def test_watch_fires_once_per_change(opened: Opener) -> None:
    """Data, children, deletion, and a node that is not there yet; watching again adds nothing to kazoo."""
    session, other = opened(), opened()
    waits = {name: Event() for name in ("missing", "value", "list", "gone")}
    assert session.exists("/m", waits["missing"]) is None
    other.create("/m")
    assert waits["missing"].wait(2)
    for _ in range(3):
        session.get("/m", waits["value"])
        session.children("/m", waits["list"])
    assert session._link is not None
    kazoo = session._link._client
    assert all(len(watchers) == 1 for watchers in (*kazoo._data_watchers.values(), *kazoo._child_watchers.values()))
    other.set("/m", b"x")
    assert waits["value"].wait(2) and not waits["list"].is_set()
    other.create("/m/c")
    assert waits["list"].wait(2)
    session.exists("/m/c", waits["gone"])
    other.delete("/m/c")
    assert waits["gone"].wait(2)
