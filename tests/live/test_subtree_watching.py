"""Watches that stay, on a real server, and servers that do not know them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from gevent.event import Event

from tests.live.conftest import SessionOpener
from tests.support.older_zookeeper import OlderServer
from tests.support.waiting import eventually
from zkrpc.dev.zookeeper import DevZooKeeper
from zkrpc.errors import OutcomeUnknown
from zkrpc.testing.proxy import Proxy, ProxyMode
from zkrpc.zookeeper.closing import close_session
from zkrpc.zookeeper.operations import Create, Delete, SessionState
from zkrpc.zookeeper.session import Session
from zkrpc.zookeeper.subtrees import Change, ChangeKind, Subtree

pytestmark = pytest.mark.zookeeper


class Follower:
    """Collects what a subtree is told."""

    def __init__(self, session: Session, path: str = "/m") -> None:
        self.session = session
        self.woken = Event()
        self.told: list[Change | None] = []
        self.subtree: Subtree = session.subtrees.subtree(path, self.woken.set)

    def hears(self, *told: Change | None) -> None:
        """Exactly this, and in this order, since the last time."""

        def heard() -> bool:
            changes = self.subtree.take()
            self.told += [None] if changes is None else changes
            return len(self.told) >= len(told)

        eventually(heard)
        assert self.told == list(told)
        self.told = []


def created(name: str) -> Change:
    """A node came."""
    return Change(ChangeKind.CREATED, name)


def deleted(name: str) -> Change:
    """A node went."""
    return Change(ChangeKind.DELETED, name)


@pytest.fixture
def older(zookeeper_server: DevZooKeeper) -> Iterator[OlderServer]:
    """A server that does not know AddWatch."""
    with OlderServer(("127.0.0.1", zookeeper_server.ports[0])) as server:
        yield server


def behind(server: Proxy, zookeeper: str) -> str:
    """The connect string that goes through that server."""
    return f"{server.hosts}/{zookeeper.partition('/')[2]}"


def test_watch_tells_what_happens_to_each_child(session_opener: SessionOpener) -> None:
    """Below the chroot, from before there is a node, through its deletion and creation, until it is ended."""
    operator, follower = session_opener(), Follower(session_opener())
    operator.znodes.ensure_path("/")
    assert follower.session.subtrees.watch(follower.subtree)
    assert follower.session.subtrees.listing(follower.subtree) is None
    for _ in range(2):
        operator.znodes.ensure_path("/m")
        operator.znodes.create("/m/a")
        operator.znodes.set("/m/a", b"1")
        operator.znodes.set("/m", b"1")
        operator.znodes.create("/m/a/deeper")
        operator.znodes.delete("/m/a/deeper")
        operator.znodes.multi([Delete(path="/m/a"), Create(path="/m/a")])
        operator.znodes.delete("/m/a")
        operator.znodes.delete("/m")
        come = [created(""), created("a"), Change(ChangeKind.CHANGED, "a")]
        follower.hears(*come, deleted("a"), created("a"), deleted("a"), deleted(""))
    follower.session.subtrees.unwatch(follower.subtree)
    operator.znodes.ensure_path("/m")
    # The answer comes after the event that there is no more.
    assert follower.session.znodes.exists("/m") is not None
    assert follower.subtree.take() == [] and "OPEN" not in repr(follower.session.subtrees)


def test_listing_contains_what_was_told_before_it(session_opener: SessionOpener) -> None:
    """The line between told and contained is drawn when the answer is read, so that each change counts once."""
    operator, follower = session_opener(), Follower(session_opener())
    operator.znodes.ensure_path("/m")
    assert follower.session.subtrees.watch(follower.subtree)
    expected: set[str] = set()
    for number in range(20):
        operator.znodes.create(f"/m/n{number}")
        found = follower.session.subtrees.listing(follower.subtree)
        assert found is not None
        names, stat = found
        changes = follower.subtree.take()
        assert changes is not None and len(names) + len(changes) == number + 1 and stat.changes == len(names)
        expected.update(names)
    assert len(expected) >= 19


def test_one_shot_watches_work_beside_a_watch_that_stays(session_opener: SessionOpener) -> None:
    """On a child, as a registrar has one, in the same session."""
    operator, follower = session_opener(), Follower(session_opener())
    operator.znodes.ensure_path("/m/a")
    assert follower.session.subtrees.watch(follower.subtree)
    for value in (b"1", b"2"):
        fired = Event()
        assert follower.session.znodes.get("/m/a", watch=fired) is not None
        operator.znodes.set("/m/a", value)
        assert fired.wait(60)
        follower.hears(Change(ChangeKind.CHANGED, "a"))


def test_two_followers_share_a_watch(session_opener: SessionOpener) -> None:
    """It ends with the second."""
    operator, session = session_opener(), session_opener()
    operator.znodes.ensure_path("/m")
    first, second = Follower(session), Follower(session)
    assert session.subtrees.watch(first.subtree) and session.subtrees.watch(second.subtree)
    operator.znodes.create("/m/a")
    first.hears(created("a"))
    second.hears(created("a"))
    session.subtrees.unwatch(first.subtree)
    operator.znodes.create("/m/b")
    second.hears(created("b"))
    assert first.subtree.take() == []


def test_watch_is_lost_with_the_connection_and_with_the_session(
    session_opener: SessionOpener, network: Proxy, behind_network: str
) -> None:
    """The follower is told once, and hears nothing until it asks again."""
    operator, follower = session_opener(), Follower(session_opener(behind_network))
    session = follower.session
    operator.znodes.ensure_path("/m")
    assert session.subtrees.watch(follower.subtree)
    network.cut()
    follower.hears(None)
    eventually(lambda: session.state is SessionState.CONNECTED)
    operator.znodes.create("/m/a")
    assert session.znodes.exists("/m/a") is not None and follower.subtree.take() == []
    assert session.subtrees.watch(follower.subtree)
    assert session.session_id is not None and session.password is not None
    before = session.session_id
    assert close_session(behind_network, before, session.password, 5)
    follower.hears(None)
    eventually(lambda: session.state is SessionState.CONNECTED and session.session_id != before)
    assert session.subtrees.watch(follower.subtree)
    operator.znodes.create("/m/b")
    follower.hears(created("b"))


def test_older_server_is_asked_once(
    session_opener: SessionOpener, older: OlderServer, zookeeper: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It hangs up; the session goes on, and the next connection to it is left alone."""
    session_opener().znodes.ensure_path("/m")
    follower = Follower(session_opener(behind(older, zookeeper)))
    session, before = follower.session, follower.session.session_id
    assert not session.subtrees.watch(follower.subtree)
    assert "sets no persistent watches (it is older than 3.6, and hangs up on who asks it)" in caplog.text
    connected_at = session.connected_at
    eventually(lambda: session.connected_at != connected_at and session.state is SessionState.CONNECTED)
    assert session.session_id == before and older.asked == 1
    assert not session.subtrees.watch(follower.subtree) and older.asked == 1
    session.subtrees.unwatch(follower.subtree)


def test_server_that_refuses_for_another_reason_keeps_the_connection(
    session_opener: SessionOpener, older: OlderServer, zookeeper: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is asked no more on it; a watch that it has set earlier is of no use."""
    older.hangs_up = False
    follower = Follower(session_opener(behind(older, zookeeper)))
    session, connected_at = follower.session, follower.session.connected_at
    for _ in range(2):
        assert not session.subtrees.watch(follower.subtree) and older.asked == 1
    assert "sets no persistent watches (ZooKeeper watch /m: Marshalling" in caplog.text
    session.znodes.ensure_path("/m/a")
    assert follower.subtree.take() == [] and session.connected_at == connected_at


def test_server_that_gives_no_answer_is_not_asked_a_third_time(
    session_opener: SessionOpener, older: OlderServer, zookeeper: str
) -> None:
    """It may be what hangs up."""
    older.older = False
    follower = Follower(session_opener(behind(older, zookeeper)))
    session = follower.session
    for _ in range(2):
        connected_at = session.connected_at
        older.mode = ProxyMode.DROP_REPLIES
        with pytest.raises(OutcomeUnknown):
            session.subtrees.watch(follower.subtree)
        older.mode = ProxyMode.FORWARD
        eventually(lambda: session.connected_at != connected_at and session.state is SessionState.CONNECTED)
    assert not session.subtrees.watch(follower.subtree)


def test_nobody_is_asked_if_that_is_not_wanted(
    session_opener: SessionOpener, older: OlderServer, zookeeper: str
) -> None:
    """By a setting."""
    follower = Follower(session_opener(behind(older, zookeeper), persistent_watches=False))
    assert not follower.session.subtrees.watch(follower.subtree) and older.asked == 0
