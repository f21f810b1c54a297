"""What a service has left is read as a whole, judged, and deleted as a whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kazoo.security import make_acl

from zkrpc.errors import CoordinationError, VersionConflict
from zkrpc.registry import removal
from zkrpc.registry.removal import Remains, Vacancy, note_vacancy, remove, survey
from zkrpc.registry.schema import Paths
from zkrpc.zookeeper.operations import Stat
from zkrpc.zookeeper.session import Session

PATHS = Paths("users")
ELECTION = PATHS.election("g")
NOTED = Vacancy(children_zxid=5, noted_at=1000.0)


def stat(owner: int = 0, children_zxid: int = 0) -> Stat:
    """What ZooKeeper keeps beside a node."""
    return Stat(version=0, owner=owner, created_zxid=1, modified_zxid=1, size=0, children_zxid=children_zxid)


def remains(*persistent: str, ephemeral: tuple[str, ...] = (), vacancy: Vacancy | None = None) -> Remains:
    """These nodes, below which nobody came or went after transaction 5."""
    nodes = {path: stat(children_zxid=5) for path in persistent} | {path: stat(owner=7) for path in ephemeral}
    return Remains(paths=PATHS, nodes=nodes, epochs={}, vacancy=vacancy)


def test_living_are_the_instances_by_their_ids() -> None:
    """Sorted; their marks and candidates, which go with them, are not listed beside them."""
    found = remains(
        PATHS.members,
        ephemeral=(PATHS.member("b"), PATHS.member("a"), f"{PATHS.incarnations}/x", f"{ELECTION}/primary"),
    )
    assert found.living == ["a", "b"]


def test_living_is_whatever_has_a_session_if_no_instance_is_registered() -> None:
    """A primary that is not registered lives too."""
    assert remains(PATHS.root, ephemeral=(f"{ELECTION}/primary",)).living == [f"{ELECTION}/primary"]
    assert remains(PATHS.root, PATHS.members).living == []


def test_strange_is_what_zkrpc_does_not_lay_out() -> None:
    """Persistent nodes at places that are not its own, names that only begin like its own among them."""
    ours = (PATHS.root, PATHS.members, PATHS.incarnations, PATHS.config, PATHS.elections, PATHS.vacancy, ELECTION)
    below = (f"{ELECTION}/epoch", f"{ELECTION}/candidates", f"{ELECTION}/history")
    strange = [
        PATHS.member("squatter"),
        f"{PATHS.incarnations}/x",
        f"{PATHS.root}/notes",
        f"{PATHS.elections}-notes",
        f"{ELECTION}/candidates/x",
    ]
    assert remains(*ours, *below, *strange, ephemeral=(PATHS.member("w"),)).strange == strange


def test_vacancy_is_believed_as_long_as_nobody_came_or_went() -> None:
    """The number of the last coming or going says so; without the members' node it is 0."""
    assert remains(PATHS.members, vacancy=NOTED).is_vacant_since == 1000.0
    assert remains(PATHS.members, vacancy=Vacancy(children_zxid=4, noted_at=1000.0)).is_vacant_since is None
    assert remains(PATHS.members).is_vacant_since is None
    assert remains(PATHS.root, vacancy=Vacancy(children_zxid=0, noted_at=1.0)).is_vacant_since == 1.0
    assert remains(PATHS.root, vacancy=NOTED).is_vacant_since is None


@pytest.fixture
def session(zookeeper: str) -> Iterator[Session]:
    """A session below whose chroot a service has been: a list of members, and an election with an epoch."""
    session = Session(zookeeper)
    session.start()
    try:
        assert session.wait_connected(60)
        for path in (PATHS.members, f"{ELECTION}/candidates"):
            session.znodes.ensure_path(path)
        session.znodes.create(f"{ELECTION}/epoch", b"seven")
        yield session
    finally:
        session.close()


def set_rights(session: Session, path: str, *, everything: bool) -> None:
    """Everybody may do everything below ``path``, or only read."""
    rights: dict[str, Any] = {"all": True} if everything else {"read": True, "admin": True}
    session._send("set rights", lambda kazoo: kazoo.set_acls_async(path, [make_acl("world", "anyone", **rights)]), None)


@pytest.mark.zookeeper
def test_survey_finds_all_that_is_there(session: Session) -> None:
    """Parents before children, what the epochs' nodes hold, and nothing of other services."""
    session.znodes.ensure_path(Paths("users2").members)
    found = survey(session, PATHS)
    candidates, epoch = f"{ELECTION}/candidates", f"{ELECTION}/epoch"
    assert set(found.nodes) == {PATHS.root, PATHS.members, PATHS.elections, ELECTION, candidates, epoch}
    order = list(found.nodes)
    assert all(order.index(path.rpartition("/")[0]) < order.index(path) for path in order if path != PATHS.root)
    assert found.epochs == {"g": b"seven"} and found.vacancy is None and found.strange == found.living == []


@pytest.mark.zookeeper
def test_survey_of_a_service_that_never_was_finds_nothing(session: Session) -> None:
    """It is no error, and there is nothing to remove."""
    found = survey(session, Paths("nobody"))
    assert (found.nodes, found.epochs, found.vacancy, found.is_vacant_since) == ({}, {}, None, None)


@pytest.mark.zookeeper
def test_survey_has_a_bound(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is more than any service has is not deleted unseen; the bound itself is still allowed."""
    monkeypatch.setattr(removal, "_MOST_NODES", 6)
    assert len(survey(session, PATHS).nodes) == 6
    session.znodes.create(PATHS.config)
    with pytest.raises(CoordinationError, match="more than 6 nodes below /services/users; look at them first"):
        survey(session, PATHS)


@pytest.mark.zookeeper
def test_noted_vacancy_is_read_back_until_somebody_came(session: Session) -> None:
    """By ZooKeeper's clock; a new note takes the place of an old one."""
    note_vacancy(session, survey(session, PATHS))
    noted = session.znodes.exists(PATHS.vacancy)
    assert noted is not None and survey(session, PATHS).is_vacant_since == noted.modified_at > 0
    session.znodes.create(PATHS.member("w"), ephemeral=True)
    session.znodes.delete(PATHS.member("w"))
    found = survey(session, PATHS)
    assert found.vacancy is not None and found.is_vacant_since is None
    note_vacancy(session, found)
    assert survey(session, PATHS).is_vacant_since is not None


@pytest.mark.zookeeper
@pytest.mark.parametrize("value", [b"", b"\xff", b"[" * 100_000, b"[]", b"{}", b'{"children_zxid": "5"}'])
def test_note_that_cannot_be_read_is_none(session: Session, value: bytes) -> None:
    """Since when nobody is there is then not known, and nothing is removed on account of it."""
    session.znodes.create(PATHS.vacancy, value)
    assert survey(session, PATHS).vacancy is None


@pytest.mark.zookeeper
def test_remove_deletes_what_was_seen_and_tells_it(session: Session) -> None:
    """All of it, parents first in what is returned; a neighbour stays."""
    session.znodes.ensure_path(Paths("users2").members)
    found = survey(session, PATHS)
    assert remove(session, found) == list(found.nodes)
    assert session.znodes.exists(PATHS.root) is None and session.znodes.exists(Paths("users2").members) is not None


@pytest.mark.zookeeper
@pytest.mark.parametrize(
    "meanwhile",
    [
        lambda session: session.znodes.set(f"{ELECTION}/epoch", b"eight"),
        lambda session: session.znodes.create(PATHS.member("w"), ephemeral=True),
        lambda session: session.znodes.delete(f"{ELECTION}/epoch"),
    ],
    ids=["changed", "came", "went"],
)
def test_remove_does_nothing_if_something_is_otherwise_than_seen(session: Session, meanwhile: Any) -> None:
    """Changed, new or gone: it is one and the same error, and all that is there stays."""
    found = survey(session, PATHS)
    meanwhile(session)
    before = survey(session, PATHS)
    with pytest.raises(VersionConflict, match="somebody came or changed something at /services/users meanwhile"):
        remove(session, found)
    assert survey(session, PATHS) == before


@pytest.mark.zookeeper
def test_remove_does_not_blame_others_for_what_zookeeper_refuses(session: Session) -> None:
    """Where nothing has changed and it may not be deleted, the refusal itself is raised, and nothing is gone."""
    set_rights(session, ELECTION, everything=False)
    try:
        found = survey(session, PATHS)
        with pytest.raises(CoordinationError) as caught:
            remove(session, found)
        assert not isinstance(caught.value, VersionConflict) and "nothing was removed, look" not in str(caught.value)
        assert survey(session, PATHS) == found
    finally:
        set_rights(session, ELECTION, everything=True)
