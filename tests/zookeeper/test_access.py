"""Identities and access lists, and the request that kazoo does not have."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import pytest

from zkrpc.zookeeper.access import ANYONE, CHANGING, Grant, Identity, Right, WhoAmI, grants_of, rights_of, spelled, user

ALL = CHANGING | Right.READ
US = user("ops", "secret")


def whoami(*texts: str) -> bytes:
    """An answer as ZooKeeper 3.8 gives it."""
    packed = b"".join(struct.pack(">i", len(text.encode())) + text.encode() for text in texts)
    return struct.pack(">i", len(texts) // 2) + packed


def test_user_has_the_hash_that_zookeeper_makes() -> None:
    """As seen in a real access list."""
    assert US == Identity("digest", "ops:w4PIv8/Wzcq4qj4/MfEQ8pvUSS4=")
    assert (str(US), str(ANYONE), str(Identity("ip", "10.0.0.1"))) == ("digest ops", "anyone", "ip 10.0.0.1")


@pytest.mark.parametrize(
    ("granted", "rights", "ours"),
    [
        (ANYONE, Right.READ, True),
        (US, ALL, True),
        (user("ops", "else"), ALL, False),
        (user("svc", "secret"), ALL, False),
        (Identity("digest", "ops:x"), Right.READ | Right.WRITE, True),
        (Identity("digest", "ops:x"), ALL, False),
        (Identity("digest", "svc:x"), Right.WRITE, False),
        (Identity("ip", "10.0.0.1"), Right.WRITE, True),
        (Identity("ip", "10.0.0.0/24"), Right.WRITE, True),
        (Identity("ip", "10.0.1.0/24"), Right.WRITE, False),
        (Identity("ip", "nonsense"), Right.WRITE, False),
        (Identity("sasl", "ops"), Right.WRITE, False),
    ],
)
def test_rights_are_those_of_all_our_identities(granted: Identity, rights: Right, ours: bool) -> None:
    """A hidden hash is shown to those who have the ADMIN right by it: hidden from us, it is of another password."""
    assert rights_of([US, Identity("ip", "10.0.0.1")], [Grant(granted, rights)]) == (rights if ours else Right(0))


def test_rights_add_up_and_the_superuser_has_all() -> None:
    """And who has shown nothing is anyone."""
    grants = [Grant(ANYONE, Right.READ), Grant(US, Right.CREATE)]
    assert rights_of([US], grants) == Right.READ | Right.CREATE and rights_of([], grants) == Right.READ
    assert rights_of([Identity("super", "")], grants) == Right.READ | Right.CREATE
    assert spelled(Right.READ | Right.DELETE) == "read, delete" and spelled(Right(0)) == ""
    assert rights_of([Identity("digest", "ops")], [Grant(US, ALL)]) == ALL  # as told by whoami, without a hash


def test_access_list_of_kazoo_is_read() -> None:
    """Bits that we do not know are left out."""
    theirs = SimpleNamespace(perms=0x41, id=SimpleNamespace(scheme="world", id="anyone"))
    assert grants_of([theirs]) == (Grant(ANYONE, Right.READ),)


def test_request_for_identities_is_empty_and_its_answer_a_list() -> None:
    """An answer may begin anywhere in what was received."""
    assert (WhoAmI.type, WhoAmI().serialize()) == (107, b"")
    answer = b"....." + whoami("ip", "127.0.0.1", "digest", "ops")
    assert WhoAmI.deserialize(answer, 5) == [Identity("ip", "127.0.0.1"), Identity("digest", "ops")]
    assert WhoAmI.deserialize(whoami(), 0) == []


@pytest.mark.parametrize("answer", [b"", struct.pack(">i", -1), struct.pack(">i", 65), whoami("ip", "a")[:-3][:10]])
def test_answer_that_is_none_is_refused(answer: bytes) -> None:
    """Whatever it claims to hold."""
    with pytest.raises((ValueError, struct.error)):
        WhoAmI.deserialize(answer, 0)
