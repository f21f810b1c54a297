"""Publishing IDLs on a real server: written once, back when it is deleted, collected when nobody uses it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import zkrpc
from tests.live.conftest import SessionOpener
from tests.support.echo import EchoHandler, idl
from tests.support.waiting import eventually
from zkrpc.errors import CoordinationError, NodeMissing, RemoteProtocolError
from zkrpc.idl import Interface, interfaces_of, load
from zkrpc.registry import published, publisher
from zkrpc.registry.publication import COLLECT_EVERY, KEEP_FOR, Publication, pack
from zkrpc.registry.publisher import Publisher, collect
from zkrpc.registry.removal import survey
from zkrpc.registry.schema import IDL, Paths, idl_path
from zkrpc.telemetry.events import Event, IdlEvent, IdlPublished, IdlRefused
from zkrpc.zookeeper.session import Session

pytestmark = pytest.mark.zookeeper

Maker = Callable[..., Publisher]


class Told(zkrpc.Observer):
    """Keeps what is told of IDLs."""

    kinds = (IdlEvent,)

    def __init__(self) -> None:
        self.events: list[Event] = []

    def receive(self, event: Event) -> None:
        """One more."""
        self.events.append(event)


@pytest.fixture
def session(session_opener: SessionOpener) -> Session:
    """A session to look with."""
    return session_opener()


@pytest.fixture
def interface(tmp_path: Path) -> Interface:
    """An interface that extends one of an included file."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "base.thrift").write_text(
        "struct Cat { 1: string name }\nservice Base { Cat get(1: i64 id) }\n"
    )
    main = tmp_path / "users.thrift"
    main.write_text('include "parts/base.thrift"\nservice Users extends base.Base { void add(1: base.Cat cat) }\n')
    return interfaces_of(load(main))["Users"]


@pytest.fixture
def make(session_opener: SessionOpener) -> Iterator[Maker]:
    """Makes publishers with sessions of their own, starts them, and closes them at the end."""
    started: list[Publisher] = []

    def start(interface: Interface, service: str = "users", text: str | None = None, **given: Any) -> Publisher:
        said = Publication(interface=interface.name, digest=interface.digest)
        one = Publisher(session_opener(), service, said, interface.text if text is None else text, **given)
        started.append(one)
        one.start()
        return one

    yield start
    for one in started:
        one.close()


def is_settled(session: Session, one: Publisher) -> bool:
    """Whether the text is there, and announced."""
    return one.status().published and session.znodes.exists(Paths("users").publication) is not None


def test_served_instance_publishes_its_idl_which_can_be_loaded_from_there(session: Session, zookeeper: str) -> None:
    """The record names it; the interface is the same as the one that is served, and an observer is told."""
    told = Told()
    service = zkrpc.Service(idl.Echo, EchoHandler, config=zkrpc.ServerConfig(linger=0), observers=[told])
    with zkrpc.serve(service, zookeeper=zookeeper) as app:
        assert app.registrar is not None and app.publisher is not None
        app.registrar.wait_registered(60)
        eventually(lambda: app.publisher.status().published)
        loaded = published.published_interface(session, "echo")
        eventually(lambda: session.znodes.exists(Paths("echo").publication) is not None)
        assert app.status().publication == app.publisher.status()
        found = published.publications_of(session, "echo")
    assert loaded.digest == idl.Echo.digest and list(loaded.methods) == list(idl.Echo.methods)
    assert [[one.interface for one in ones] for ones in found.living.values()] == [["Echo"]] and not found.silent
    assert [type(event) for event in told.events] == [IdlPublished]
    assert published.published_interface(session, "echo").digest == idl.Echo.digest, "without an instance"


def test_text_has_its_includes(session: Session, make: Maker, interface: Interface) -> None:
    """Whoever loads it needs nothing of the disk of the one who served it."""
    one = make(interface)
    eventually(lambda: is_settled(session, one))
    for path in (interface.file, str(Path(interface.file).parent / "parts" / "base.thrift")):
        Path(path).unlink()
    loaded = published.load_published(session, one.publication)
    assert list(loaded.methods) == ["get", "add"] and loaded.digest == interface.digest
    assert "Users" in repr(one)


def test_text_is_published_once_by_many(session: Session, make: Maker, interface: Interface) -> None:
    """Content names the node, so that all write the same, and one is enough."""
    many = [make(interface) for _ in range(4)]
    eventually(lambda: all(is_settled(session, one) for one in many))
    stat = session.znodes.exists(idl_path(interface.digest))
    assert session.znodes.children(IDL) == [interface.digest] and stat is not None and stat.owner == 0
    assert stat.version == 0


def test_text_that_is_deleted_is_back(session: Session, make: Maker, interface: Interface) -> None:
    """By the watch of whoever uses it, and with it the parent."""
    one = make(interface)
    eventually(lambda: is_settled(session, one))
    session.znodes.delete(idl_path(interface.digest))
    eventually(lambda: session.znodes.exists(idl_path(interface.digest)) is not None)


def test_old_text_is_renewed_by_one_of_its_users(session: Session, make: Maker, interface: Interface) -> None:
    """A clock that is two days ahead makes it old."""
    many = [make(interface, wall_clock=lambda: time.time() + 2 * 86_400) for _ in range(3)]
    eventually(lambda: _version(session, interface.digest) > 0)
    eventually(lambda: all(is_settled(session, one) for one in many))
    stat = session.znodes.exists(idl_path(interface.digest))
    assert stat is not None and 1 <= stat.version <= len(many)


def _version(session: Session, digest: str) -> int:
    stat = session.znodes.exists(idl_path(digest))
    return -1 if stat is None else stat.version


def test_text_that_is_too_large_is_served_unpublished(
    session: Session, make: Maker, interface: Interface, caplog: pytest.LogCaptureFixture
) -> None:
    """One line in the log and an event say so, with the sizes."""
    told = Told()
    one = make(interface, text="/" * 2_000_000, observers=[told])
    assert "the IDL of users is not published: the IDL has 2000000 bytes" in caplog.text
    assert [type(event) for event in told.events] == [IdlRefused] and "2000000" in (one.status().failure or "")
    assert session.znodes.exists(idl_path(interface.digest)) is None


def test_what_nobody_has_used_for_thirty_days_is_collected(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """The age is counted by ZooKeeper's clock alone; what is younger stays."""
    session.znodes.ensure_path(IDL)
    old, new = "a" * 64, "b" * 64
    session.znodes.create(idl_path(old), pack("old"))
    monkeypatch.setattr(publisher, "KEEP_FOR", 2.5)
    eventually(lambda: _age(session, old) > 2.6)
    session.znodes.create(idl_path(new), pack("new"))
    tomorrow = time.time() + COLLECT_EVERY + 60
    assert collect(session, wall_clock=lambda: tomorrow, dice=random.Random(1)) == [old]
    assert session.znodes.children(IDL) == [new]


def _age(session: Session, digest: str) -> float:
    """By ZooKeeper's own clock."""
    stat = session.znodes.exists(idl_path(digest))
    assert stat is not None
    return session.znodes.set("/", b"").modified_at - stat.modified_at


def test_collection_is_made_once_a_day_and_never_of_what_is_in_use(session: Session) -> None:
    """A clock that is years ahead collects, and finds nothing that is old; the second one finds that it was done."""
    assert collect(session, wall_clock=time.time, dice=random.Random(1)) == [], "there is nothing yet"
    session.znodes.ensure_path(IDL)
    session.znodes.create(idl_path("a" * 64), pack("a"))
    wrong = time.time() + 10 * KEEP_FOR
    assert collect(session, wall_clock=lambda: wrong, dice=random.Random(1)) == []
    assert collect(session, wall_clock=time.time, dice=random.Random(1)) == []
    stat = session.znodes.exists(IDL)
    assert session.znodes.children(IDL) == ["a" * 64] and stat is not None and stat.version == 1


def test_text_renewed_during_a_collection_stays(
    session: Session, session_opener: SessionOpener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The collector names the version that it judged."""
    digest, rival = "a" * 64, session_opener()
    session.znodes.ensure_path(IDL)
    session.znodes.create(idl_path(digest), pack("a"))
    monkeypatch.setattr(publisher, "KEEP_FOR", -1.0)
    look = session.znodes.exists

    def look_and_lose(path: str) -> Any:
        found = look(path)
        rival.znodes.set(path, pack("a"))
        return found

    monkeypatch.setattr(session.znodes, "exists", look_and_lose)
    tomorrow = time.time() + COLLECT_EVERY + 60
    assert collect(session, wall_clock=lambda: tomorrow, dice=random.Random(1)) == []
    assert session.znodes.children(IDL) == [digest]


def test_what_is_there_under_a_digest_is_checked_before_it_is_read(session: Session, interface: Interface) -> None:
    """Somebody who may write cannot have a tool believe another IDL."""
    said = Publication(interface="Users", digest=interface.digest)
    with pytest.raises(NodeMissing, match="is not published"):
        published.load_published(session, said)
    session.znodes.ensure_path(IDL)
    session.znodes.create(idl_path(interface.digest), pack("service Users { void mine() }"))
    with pytest.raises(RemoteProtocolError, match=f"{interface.digest} holds no IDL: other contents"):
        published.load_published(session, said)


def test_service_without_a_published_idl_is_told_so(session: Session) -> None:
    """With what to do."""
    with pytest.raises(CoordinationError, match="users has no published IDL: it has no instances.*give the file"):
        published.published_interface(session, "users")


def test_note_is_one_of_the_nodes_that_a_service_may_have(session: Session, make: Maker, interface: Interface) -> None:
    """So that zkrpc rm removes it with the rest."""
    one = make(interface)
    eventually(lambda: is_settled(session, one))
    assert survey(session, Paths("users")).strange == []
