"""The registrar on a real server: everything that may happen to a node, and to the session that owns it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event

from tests.live.conftest import SessionOpener
from tests.support.waiting import eventually
from zkrpc.endpoint import Endpoint, Instance
from zkrpc.errors import CoordinationError, IdentityConflict, NodeMissing
from zkrpc.registry.formats import LAUNCH, PID, dump_serverset
from zkrpc.registry.registrar import Registrar
from zkrpc.registry.schema import Paths
from zkrpc.testing.proxy import Proxy, ProxyMode
from zkrpc.zookeeper.closing import close_session
from zkrpc.zookeeper.session import Session

pytestmark = pytest.mark.zookeeper

PATH = Paths("users").member("w1")
Maker = Callable[..., Registrar]


def record(port: int = 9090, launch: str = "L1") -> bytes:
    """A record as a worker of that launch writes it."""
    return dump_serverset(Instance(id="w1", endpoint=Endpoint("10.0.0.3", port), metadata={LAUNCH: launch, PID: "17"}))


@pytest.fixture
def registrar_maker() -> Iterator[Maker]:
    """Makes registrars and closes them before their sessions."""
    made: list[Registrar] = []

    def make(session: Session, port: int = 9090, launch: str = "L1", *, audit_interval: float = 30.0) -> Registrar:
        registrar = Registrar(session, PATH, record(port, launch), launch, audit_interval=audit_interval)
        made.append(registrar)
        return registrar

    yield make
    for registrar in made:
        registrar.close()


@pytest.fixture
def observer(session_opener: SessionOpener) -> Session:
    """A session of somebody else's, to look and to meddle with."""
    return session_opener()


def holder(observer: Session) -> int | None:
    """The session that owns the node; None if there is no node."""
    stat = observer.znodes.exists(PATH)
    return None if stat is None else stat.owner


def test_registrar_makes_the_node_and_its_parents(
    session_opener: SessionOpener, registrar_maker: Maker, observer: Session
) -> None:
    """Parents persistent, the node ephemeral and ours, its bytes the record; twice is once."""
    session = session_opener()
    registrar = registrar_maker(session)
    registrar.register()
    registrar.wait_registered(60)
    registrar.register()
    found = observer.znodes.get(PATH)
    assert found is not None and found[0] == record() and found[1].owner == session.session_id
    parent = observer.znodes.exists(Paths("users").members)
    assert parent is not None and parent.owner == 0
    assert registrar.registered and registrar.conflict is None and "registered=True" in repr(registrar)


def test_registrar_waits_for_a_session_that_is_still_connecting(
    session_opener: SessionOpener, registrar_maker: Maker, observer: Session
) -> None:
    """register() needs no connection; the node comes with it."""
    session = session_opener(connected=False)
    registrar = registrar_maker(session)
    registrar.register()
    registrar.wait_registered(60)
    assert holder(observer) == session.session_id


def test_registrar_says_why_it_is_not_registered(registrar_maker: Maker) -> None:
    """A wait that fails names the path and the state of the session, and does not take longer than it was given."""
    session = Session("127.0.0.1:1")
    session.start()
    registrar = registrar_maker(session)
    registrar.register()
    started_at = time.monotonic()
    with pytest.raises(
        CoordinationError, match="member_w1 is not registered after 0.2 s: the session has been connecting"
    ):
        registrar.wait_registered(0.2)
    assert not registrar.withdraw(0.2)
    registrar.close()
    session.close()
    assert time.monotonic() - started_at < 4


@pytest.mark.parametrize("what", ["node", "node and parents"])
def test_registrar_brings_back_what_somebody_deleted(
    what: str, session_opener: SessionOpener, registrar_maker: Maker, observer: Session
) -> None:
    """At once, by the watch, and again when it happens again."""
    session = session_opener()
    registrar = registrar_maker(session)
    registrar.register()
    registrar.wait_registered(60)
    for _ in range(3):
        before = observer.znodes.exists(PATH)
        observer.znodes.delete(PATH)
        if what != "node":
            try:
                observer.znodes.delete(Paths("users").members)
            except CoordinationError:
                pass  # The node was back before.

        def is_back() -> bool:
            after = observer.znodes.exists(PATH)
            return after is not None and before is not None and after.created_zxid > before.created_zxid

        assert eventually(is_back) < 24.0
    registrar.wait_registered(60)


def test_registrar_replaces_what_somebody_overwrote(
    session_opener: SessionOpener, registrar_maker: Maker, observer: Session
) -> None:
    """The record is part of what was wished for."""
    registrar = registrar_maker(session_opener())
    registrar.register()
    registrar.wait_registered(60)
    observer.znodes.set(PATH, b"graffiti")
    eventually(lambda: (observer.znodes.get(PATH) or (b"", None))[0] == record(), 2)


def test_registrar_registers_again_in_a_new_session(
    session_opener: SessionOpener, registrar_maker: Maker, observer: Session, zookeeper: str
) -> None:
    """The server ended the session; the next one gets the node as soon as it is there."""
    session = session_opener()
    registrar = registrar_maker(session)
    registrar.register()
    registrar.wait_registered(60)
    first, password = session.session_id, session.password
    assert first is not None and password is not None
    assert close_session(zookeeper, first, password, 60)
    eventually(lambda: holder(observer) not in (None, first))
    assert holder(observer) == session.session_id != first
    registrar.wait_registered(60)


def test_registrar_replaces_the_ghost_of_its_own_launch(
    session_opener: SessionOpener, registrar_maker: Maker, observer: Session
) -> None:
    """A worker that was restarted does not wait for its predecessor's session to expire."""
    ghost = session_opener()
    ghost.znodes.ensure_path(Paths("users").members)
    ghost.znodes.create(PATH, record(8080), ephemeral=True)
    session = session_opener()
    registrar = registrar_maker(session)
    registrar.register()
    registrar.wait_registered(60)
    found = observer.znodes.get(PATH)
    assert found is not None and found[0] == record() and found[1].owner == session.session_id
    assert ghost.session_id is not None


def test_registrar_leaves_a_strangers_node_and_takes_over_when_it_goes(
    session_opener: SessionOpener,
    registrar_maker: Maker,
    observer: Session,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Both sides are named once, nobody's node is deleted, and the wait ends with the stranger's."""
    stranger = registrar_maker(session_opener(), 7070, "L2")
    stranger.register()
    stranger.wait_registered(60)
    owner = holder(observer)
    registrar = registrar_maker(session_opener(), audit_interval=0.05)
    registrar.register()
    with caplog.at_level(logging.ERROR), pytest.raises(IdentityConflict, match="7070.*L2.*9090.*L1"):
        registrar.wait_registered(0.6)
    assert len([entry for entry in caplog.records if "is held by" in entry.message]) == 1
    assert registrar.conflict is not None and holder(observer) == owner and stranger.registered
    assert stranger.withdraw(60)
    registrar.wait_registered(60)
    assert registrar.conflict is None and stranger.conflict is None and not stranger.registered


def test_registrar_tells_whoever_watches_that_something_has_changed(
    session_opener: SessionOpener, registrar_maker: Maker
) -> None:
    """That the node came, in which session, and that somebody else has it; not any more once nobody watches."""
    session, stranger = session_opener(), registrar_maker(session_opener(), 7070, "L2")
    registrar, told = registrar_maker(session), Event()
    registrar.watch(told)
    registrar.register()
    assert told.wait(60)
    eventually(lambda: registrar.registered_in)
    assert registrar.registered_in == session.session_id
    assert registrar.withdraw(5)
    stranger.register()
    stranger.wait_registered(60)
    told.clear()
    registrar.register()
    eventually(lambda: registrar.conflict)
    assert told.wait(60) and registrar.registered_in is None
    registrar.unwatch(told)
    told.clear()
    assert stranger.withdraw(5)
    registrar.wait_registered(10)
    assert not told.is_set()


def test_registrar_yields_to_a_live_twin(
    session_opener: SessionOpener, registrar_maker: Maker, observer: Session
) -> None:
    """Two processes that believe to be the same do not fight for ever: the later one has the node."""
    first, second = registrar_maker(session_opener()), registrar_maker(session_opener(), 9191)
    first.register()
    first.wait_registered(60)
    second.register()
    second.wait_registered(60)
    eventually(lambda: first.conflict)
    stat = observer.znodes.exists(PATH)
    gevent.sleep(0.3)
    assert observer.znodes.exists(PATH) == stat and second.registered and not first.registered
    assert second.withdraw(60)
    first.wait_registered(60)


def test_withdrawal_removes_the_node_for_good(
    session_opener: SessionOpener, registrar_maker: Maker, observer: Session, zookeeper: str
) -> None:
    """Neither a deletion by others nor a new session brings it back; a later register() does."""
    session = session_opener()
    registrar = registrar_maker(session, audit_interval=0.05)
    assert registrar.withdraw(0), "nothing was ever there"
    registrar.register()
    registrar.wait_registered(60)
    assert registrar.withdraw(60) and holder(observer) is None and not registrar.registered
    first, password = session.session_id, session.password
    assert first is not None and password is not None and close_session(zookeeper, first, password, 60)
    eventually(lambda: session.session_id not in (None, first))
    gevent.sleep(0.2)
    assert holder(observer) is None
    registrar.register()
    registrar.wait_registered(60)


def test_withdrawal_does_not_wait_for_a_session_that_was_closed(
    session_opener: SessionOpener, registrar_maker: Maker, observer: Session
) -> None:
    """The session's end has removed the node, and nothing more can come of it."""
    session = session_opener()
    registrar = registrar_maker(session)
    registrar.register()
    registrar.wait_registered(60)
    session.close()
    began = time.monotonic()
    assert not registrar.withdraw(60) and time.monotonic() - began < 30
    eventually(lambda: holder(observer) is None)


@pytest.fixture
def losing_session(network: Proxy) -> type[Session]:
    """A session through which our node is made once without the reply ever coming back."""

    class LosingSession(Session):
        """Loses one reply."""

        lost = 0

        def _send(self, action: str, *rest: Any) -> Any:
            """Loses the reply of the first transaction that makes our node."""
            if action.startswith("transaction") and PATH in action and not self.lost:
                self.lost = 1
                network.mode = ProxyMode.DROP_REPLIES
            try:
                return super()._send(action, *rest)
            finally:
                network.mode = ProxyMode.FORWARD

    return LosingSession


def test_withdrawal_after_a_lost_create_reply_leaves_nothing(
    session_opener: SessionOpener,
    registrar_maker: Maker,
    observer: Session,
    behind_network: str,
    losing_session: type[Session],
) -> None:
    """The create arrived, its reply did not; after the withdrawal the node is gone and stays away."""
    for parent in (Paths("users").members, Paths("users").incarnations):
        observer.znodes.ensure_path(parent)
    session: Any = session_opener(behind_network, kind=losing_session)
    registrar = registrar_maker(session)
    registrar.register()
    eventually(lambda: holder(observer) is not None)
    assert session.lost and registrar.withdraw(60)
    assert holder(observer) is None
    gevent.sleep(0.3)
    assert holder(observer) is None


def test_registration_after_a_lost_create_reply_finds_its_node(
    session_opener: SessionOpener,
    registrar_maker: Maker,
    observer: Session,
    behind_network: str,
    losing_session: type[Session],
) -> None:
    """Not knowing leads to looking: in the end there is one node, and the registrar knows that it is its own."""
    for parent in (Paths("users").members, Paths("users").incarnations):
        observer.znodes.ensure_path(parent)
    session: Any = session_opener(behind_network, kind=losing_session)
    registrar = registrar_maker(session)
    registrar.register()
    registrar.wait_registered(60)
    assert session.lost and holder(observer) == session.session_id and registrar.conflict is None
    assert observer.znodes.children(Paths("users").members) == ["member_w1"]


def test_registration_survives_a_cut_with_the_node_deleted_meanwhile(
    session_opener: SessionOpener,
    registrar_maker: Maker,
    observer: Session,
    network: Proxy,
    behind_network: str,
) -> None:
    """Watches die with the connection, so every reconnect looks."""
    registrar = registrar_maker(session_opener(behind_network))
    registrar.register()
    registrar.wait_registered(60)
    network.mode = ProxyMode.REFUSE
    observer.znodes.delete(PATH)
    network.mode = ProxyMode.FORWARD
    eventually(lambda: holder(observer) is not None)


def test_closing_ends_the_greenlet_and_leaves_the_node(
    session_opener: SessionOpener, registrar_maker: Maker, observer: Session, network: Proxy, behind_network: str
) -> None:
    """Within about a second, even in the middle of a request that nobody answers; the session decides over the node."""
    session = session_opener(behind_network)
    registrar = registrar_maker(session)
    registrar.register()
    registrar.wait_registered(60)
    network.mode = ProxyMode.HOLE
    registrar.withdraw(0.05)
    started_at = time.monotonic()
    registrar.close()
    registrar.close()
    assert time.monotonic() - started_at < 4 and holder(observer) is not None
    assert registrar._driver._greenlet is not None and registrar._driver._greenlet.dead
    registrar.register()
    with pytest.raises(CoordinationError):
        registrar.wait_registered(0.1)


def marks(observer: Session) -> list[str]:
    """The incarnations that can be told by the tree."""
    return observer.znodes.children(Paths("users").incarnations) or []


def test_registrar_marks_each_node_that_it_makes(
    session_opener: SessionOpener, registrar_maker: Maker, observer: Session
) -> None:
    """Another mark whenever it is another node, none beside it, and none once it is withdrawn."""
    registrar = registrar_maker(session_opener())
    registrar.register()
    registrar.wait_registered(60)
    (first,) = marks(observer)
    assert first.startswith("member_w1~")
    observer.znodes.delete(PATH)
    eventually(lambda: holder(observer) is not None and len(marks(observer)) == 1 and marks(observer) != [first])
    assert registrar.withdraw(5)
    assert marks(observer) == []


def test_registrar_replaces_and_marks_what_an_earlier_version_left(
    session_opener: SessionOpener, registrar_maker: Maker, observer: Session
) -> None:
    """The node of our earlier launch is there, and no place for marks."""
    before = session_opener()
    before.znodes.ensure_path(Paths("users").members)
    before.znodes.create(PATH, record(), ephemeral=True)
    session = session_opener()
    registrar = registrar_maker(session, 9091)
    registrar.register()
    registrar.wait_registered(60)
    assert holder(observer) == session.session_id and len(marks(observer)) == 1


def test_registrar_comes_back_with_a_chroot_that_was_deleted(
    session_opener: SessionOpener, registrar_maker: Maker, zookeeper: str, observer: Session
) -> None:
    """An operator's slip under a living session: the whole tree is made again by who serves."""
    session = session_opener(f"{zookeeper}/prod/zkrpc")
    registrar = registrar_maker(session)
    registrar.register()
    registrar.wait_registered(60)
    before = session.session_id
    delete_tree(observer, "/prod")
    eventually(lambda: session.znodes.exists(PATH) is not None and registrar.registered)
    assert session.session_id == before


def delete_tree(session: Session, path: str) -> None:
    """Deletes a node with everything below it, while others may be making it again."""
    for _ in range(100):
        for name in session.znodes.children(path) or ():
            delete_tree(session, f"{path}/{name}")
        try:
            session.znodes.delete(path)
        except NodeMissing:
            return
        except CoordinationError as error:
            assert "NotEmpty" in str(error)
        else:
            return
    raise AssertionError(f"{path} cannot be deleted")
