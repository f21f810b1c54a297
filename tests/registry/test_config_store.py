"""A config and its versions, read and written on a real ZooKeeper."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import zkrpc
from zkrpc.errors import CoordinationError, VersionConflict
from zkrpc.registry.config_store import look_at_config, read_versions, text_of_version, write_config
from zkrpc.registry.schema import Paths
from zkrpc.zookeeper.session import Session

pytestmark = pytest.mark.zookeeper
PATHS = Paths("users")
OLD, NEW = b'{"timeout_ms":1000}', b'{"timeout_ms":2000}'


@pytest.fixture
def session(zookeeper: str) -> Iterator[Session]:
    """A connected session at a root of this test's own."""
    with zkrpc.Registry(zookeeper) as registry:
        assert registry.session.wait_connected(60)
        registry.session.ensure_path(PATHS.root)
        yield registry.session


def put(session: Session, payload: bytes | None, reason: str = "") -> None:
    """Writes a config over what there is."""
    write_config(session, PATHS, look_at_config(session, PATHS), payload, by="ann@desk", reason=reason)


def test_every_write_is_a_version_with_its_author_and_reason(session: Session) -> None:
    """Also the removal; the newest comes first, and as many as are asked for."""
    assert look_at_config(session, PATHS).number == 0
    put(session, OLD, "slower disks")
    put(session, NEW)
    put(session, None, "no longer")
    present = look_at_config(session, PATHS)
    assert (present.value, present.version, present.numbers) == (None, -1, (1, 2, 3))
    told = [(one.number, one.text, one.by, one.reason) for one in read_versions(session, PATHS, present)]
    assert told == [
        (3, None, "ann@desk", "no longer"),
        (2, NEW.decode(), "ann@desk", ""),
        (1, OLD.decode(), "ann@desk", "slower disks"),
    ]
    assert [one.number for one in read_versions(session, PATHS, present, 2)] == [3, 2]


def test_text_of_any_version_can_be_had(session: Session) -> None:
    """The present one, an old one, and none at all; one that is not there is refused with those that are."""
    with pytest.raises(CoordinationError, match="has no version 7; there are none"):
        text_of_version(session, PATHS, look_at_config(session, PATHS), 7)
    put(session, OLD)
    put(session, NEW)
    present = look_at_config(session, PATHS)
    texts = [text_of_version(session, PATHS, present, number) for number in (0, 1, 2)]
    assert texts == [None, OLD.decode(), NEW.decode()]
    with pytest.raises(CoordinationError, match="has no version 7; there are 1 to 2"):
        text_of_version(session, PATHS, present, 7)


def test_config_that_somebody_wrote_by_hand_stands_before_the_versions(session: Session) -> None:
    """It becomes one when it is next replaced."""
    session.create(PATHS.config, OLD)
    present = look_at_config(session, PATHS)
    assert [(one.number, one.text) for one in read_versions(session, PATHS, present)] == [(1, OLD.decode())]
    put(session, NEW)
    assert look_at_config(session, PATHS).numbers == (1, 2)


def test_change_that_somebody_else_was_faster_with_is_refused(session: Session) -> None:
    """Nothing is written then, and the error says where to look."""
    put(session, OLD)
    seen = look_at_config(session, PATHS)
    put(session, NEW)
    with pytest.raises(VersionConflict, match="look at it and try again: zkrpc config show users"):
        write_config(session, PATHS, seen, b"{}", by="bob@desk", reason="")
    assert look_at_config(session, PATHS).text == NEW.decode()
