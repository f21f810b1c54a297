"""What a service's records and its note tell of its IDL, and the interface in a published text."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator

import pytest

from zkrpc.endpoint import Endpoint, Instance
from zkrpc.errors import CoordinationError, IdlError, NodeMissing, RemoteProtocolError
from zkrpc.registry import published
from zkrpc.registry.formats import dump_curator, dump_serverset
from zkrpc.registry.publication import Publication, pack
from zkrpc.registry.published import (
    interface_in,
    last_publication,
    load_published,
    newest_publication,
    publications_of,
    published_interface,
    read_publications,
    served_interfaces,
    text_of_publication,
)
from zkrpc.registry.schema import Paths, idl_path
from zkrpc.zookeeper.session import Session

OLD, NEW = (Publication(interface="Users", digest=digit * 64) for digit in "ab")


def instance(name: str, said: Publication | None, started_at: float = 0.0) -> Instance:
    """A registered instance that says this."""
    facts = {} if said is None else {"interface": said.interface, "idl_digest": said.digest}
    return Instance(id=name, endpoint=Endpoint("10.0.0.1", 9090), started_at=started_at, **facts)


def test_a_process_loads_so_many_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that it has loaded it reads on, and what cannot be loaded does not count."""
    monkeypatch.setattr(published, "_loaded", set())
    monkeypatch.setattr(published, "MOST_LOADED", 1)
    text = "service Users { void f() }"
    with pytest.raises(IdlError):
        interface_in("service {", OLD)
    for _ in range(2):
        assert list(interface_in(text, OLD).methods) == ["f"]
    with pytest.raises(IdlError, match="1 published texts were loaded, and this process keeps them: restart it"):
        interface_in(text, NEW)


def test_instances_are_told_apart_by_what_they_serve() -> None:
    """In either format of records; the newest of each first, and theirs is the newest publication."""
    one, two, three = instance("w1", OLD, 1.0), instance("w2", OLD, 2.0), instance("w3", NEW, 3.0)
    records = {"member_w1": dump_serverset(one), "member_w2": dump_serverset(two), "w3": dump_curator(three, "users")}
    found = read_publications("users", records, OLD.dump())
    assert {some: [one.id for one in ones] for some, ones in found.living.items()} == {OLD: ["w2", "w1"], NEW: ["w3"]}
    assert found.newest == NEW and found.last == OLD and found.silent == ()


def test_last_publication_counts_while_there_is_no_instance() -> None:
    """A service that is down has an interface all the same."""
    found = read_publications("users", {}, OLD.dump())
    assert found.newest == found.last == OLD
    assert read_publications("users", {}, None).newest is None


def test_records_and_notes_that_say_nothing_are_left_out() -> None:
    """Instances of other programs are named; what cannot be read is no instance, what is no digest no publication."""
    silent = dump_serverset(instance("old", None))
    odd = dump_serverset(
        Instance(id="odd", endpoint=Endpoint("10.0.0.1", 9090), interface="Users", idl_digest="../../x")
    )
    found = read_publications("users", {"member_old": silent, "member_odd": odd, "member_bad": b"{"}, b"graffiti")
    assert found.silent == ("old",) and not found.living and found.newest is None


def test_interface_is_found_by_its_name_in_the_text() -> None:
    """A text may hold several."""
    text = "service Other { void g() }\nservice Users { void f() }\n"
    assert list(interface_in(text, OLD).methods) == ["f"]
    with pytest.raises(IdlError, match="users.thrift: no service Users; there are none"):
        interface_in("struct S {}\n", OLD)


@pytest.mark.parametrize("path", ["/etc/hostname", "../../../etc/passwd", "shared.thrift"])
def test_include_of_a_published_text_does_not_reach_the_disk(path: str) -> None:
    """Whatever it names."""
    with pytest.raises(IdlError, match="among those of this text"):
        interface_in(f'include "{path}"\nservice Users {{}}\n', OLD)


PATHS = Paths("users")
TEXT = "service Users { void f() }\n"
SAID = Publication(interface="Users", digest=hashlib.sha256(TEXT.encode()).hexdigest())


@pytest.fixture
def session(zookeeper: str) -> Iterator[Session]:
    """A session in whose chroot a text is published, for whichever service."""
    session = Session(zookeeper)
    session.start()
    try:
        assert session.wait_connected(60)
        session.znodes.ensure_path(PATHS.members)
        session.znodes.ensure_path("/idl")
        session.znodes.create(idl_path(SAID.digest), pack(TEXT))
        yield session
    finally:
        session.close()


def register(session: Session, one: Instance) -> None:
    """Makes an instance a member."""
    session.znodes.create(PATHS.member(one.id), dump_serverset(one), ephemeral=True)


@pytest.mark.zookeeper
def test_members_and_the_note_are_read_together(session: Session) -> None:
    """Of this service alone."""
    register(session, instance("w1", SAID))
    session.znodes.create(PATHS.publication, OLD.dump())
    found = publications_of(session, "users")
    assert [(some, [one.id for one in ones]) for some, ones in found.living.items()] == [(SAID, ["w1"])]
    assert found.last == last_publication(session, "users") == OLD and found.newest == SAID
    nobody = publications_of(session, "nobody")
    assert not nobody.living and nobody.last is None and last_publication(session, "nobody") is None


@pytest.mark.zookeeper
def test_members_are_read_up_to_a_bound(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than any service has cost no more time."""
    monkeypatch.setattr(published, "_MOST_READ", 2)
    for name in ("w3", "w1", "w2"):
        register(session, instance(name, SAID))
    assert {one.id for one in publications_of(session, "users").living[SAID]} == {"w1", "w2"}


@pytest.mark.zookeeper
def test_note_that_is_scribble_says_nothing(session: Session) -> None:
    """It keeps nobody from asking the members."""
    session.znodes.create(PATHS.publication, b"graffiti")
    assert last_publication(session, "users") is None


@pytest.mark.zookeeper
def test_text_is_the_one_of_its_digest_or_an_error(session: Session) -> None:
    """One that is gone is told apart from one that somebody has exchanged, as only the first may come back."""
    assert text_of_publication(session, SAID) == TEXT
    with pytest.raises(NodeMissing, match=f"{OLD.digest} does not exist: the IDL of Users aaaaaaaaaaaa is not publish"):
        text_of_publication(session, OLD)
    session.znodes.create(idl_path(OLD.digest), pack(TEXT))
    with pytest.raises(RemoteProtocolError, match=f"{OLD.digest} holds no IDL: other contents than its name says"):
        text_of_publication(session, OLD)


@pytest.mark.zookeeper
def test_interface_is_that_of_the_instance_that_was_started_last(session: Session) -> None:
    """Without instances it is the one that was published last."""
    session.znodes.create(PATHS.publication, SAID.dump())
    assert list(published_interface(session, "users").methods) == ["f"]
    register(session, instance("w1", SAID, 2.0))
    register(session, instance("w2", OLD, 1.0))
    assert newest_publication(session, "users") == SAID
    assert published_interface(session, "users").digest == load_published(session, SAID).digest == SAID.digest
    register(session, instance("w3", OLD, 3.0))
    assert newest_publication(session, "users") == OLD
    with pytest.raises(NodeMissing, match="is not published"):
        published_interface(session, "users")


@pytest.mark.zookeeper
def test_every_version_that_is_registered_is_served(session: Session) -> None:
    """Without instances the last one is; what cannot be read, or was not said, is told in words."""
    nothing = served_interfaces(session, "users")
    assert nothing.interfaces == () and nothing.unknown == ("it has no instances, and had none that published it",)
    session.znodes.create(PATHS.publication, SAID.dump())
    found = served_interfaces(session, "users")
    assert [one.digest for one in found.interfaces] == [SAID.digest] and found.unknown == ()
    register(session, instance("w1", SAID))
    register(session, instance("w2", OLD))
    register(session, instance("w3", None))
    found = served_interfaces(session, "users")
    assert [one.digest for one in found.interfaces] == [SAID.digest]
    gone, silent = found.unknown
    assert gone.startswith("the published IDL of Users aaaaaaaaaaaa cannot be read: /idl/") and "w3 regist" in silent


@pytest.mark.zookeeper
def test_service_without_a_publication_says_why_and_what_to_do(session: Session) -> None:
    """Whether there is nobody, or there are programs that do not name their IDL."""
    with pytest.raises(CoordinationError, match="users has no published IDL: it has no instances, and .*; give the fi"):
        newest_publication(session, "users")
    for name in ("w1", "w2", "w3", "w4"):
        register(session, instance(name, None))
    with pytest.raises(CoordinationError, match=": w1, w2, w3 registered without naming one; give the file instead"):
        published_interface(session, "users")


def test_interfaces_beside_the_default_one_are_told_apart() -> None:
    """They make nobody's default the newest; what is no digest is no publication."""
    beside = Publication(interface="Audit", digest="c" * 64)
    one = dataclasses.replace(instance("w1", OLD, 1.0), also={"Audit": "c" * 64})
    odd = dataclasses.replace(instance("w2", OLD, 2.0), also={"Audit": "../.."})
    found = read_publications("users", {some.id: dump_serverset(some) for some in (one, odd)}, None)
    assert {some: [one.id for one in ones] for some, ones in found.also.items()} == {beside: ["w1"]}
    assert [one.id for one in found.living[OLD]] == ["w2", "w1"] and found.newest == OLD


@pytest.mark.zookeeper
def test_all_interfaces_of_a_service_are_found(session: Session) -> None:
    """As one, with those that can be read; the config of the service may speak of the methods of all."""
    text = "service Audit { void log() }\n"
    digest = hashlib.sha256(text.encode()).hexdigest()
    member = dataclasses.replace(instance("w1", SAID), also={"Audit": digest, "Lost": "d" * 64})
    register(session, member)
    assert list(published_interface(session, "users").methods) == ["f"]
    session.znodes.create(idl_path(digest), pack(text))
    found = published_interface(session, "users")
    assert [one.name for one in found.parts] == ["Users", "Audit"] and list(found.methods) == ["f", "Audit:log"]
    assert found.alias == "users" and found.parts[0].digest == SAID.digest
    served = served_interfaces(session, "users")
    assert [one.name for one in served.interfaces] == ["Users", "Audit"]
    assert newest_publication(session, "users", "Audit") == Publication(interface="Audit", digest=digest)
    with pytest.raises(CoordinationError, match="no instance of users says that it serves Nothing; they serve .*Users"):
        newest_publication(session, "users", "Nothing")
    assert len(served.unknown) == 1 and "the published IDL of Lost dddddddddddd cannot be read" in served.unknown[0]
