"""Whose the nodes are that we make, and what is wrong with an access list."""

from __future__ import annotations

import pytest

from zkrpc.credentials import NO_SECURITY, ZooKeeperSecurity
from zkrpc.zookeeper.access import ANYONE, Grant, Identity, Right, user
from zkrpc.zookeeper.ownership import (
    CREATOR,
    EVERYTHING,
    find_differences,
    grants_for,
    is_shared,
    our_identities,
    read_identity,
)

SVC = ZooKeeperSecurity(username="svc", password="secret")
US, BOB, OPS = user("svc", "secret"), user("bob", "secret"), Identity("x509", "CN=ops,O=Example")
READ, ENTER = Right.READ, Right.READ | Right.CREATE
CLOSED = ZooKeeperSecurity(
    username="svc", password="secret", owners=("x509:CN=ops,O=Example",), users=(f"digest:{BOB.name}",)
)


def test_nodes_are_for_their_creator_to_change_and_for_all_to_read() -> None:
    """Without credentials everything is everybody's; parents that are shared let others in."""
    assert grants_for(NO_SECURITY, shared=False) == grants_for(NO_SECURITY, shared=True) == (Grant(ANYONE, EVERYTHING),)
    assert grants_for(SVC, shared=False) == (Grant(CREATOR, EVERYTHING), Grant(ANYONE, READ))
    assert grants_for(SVC, shared=True) == (Grant(CREATOR, EVERYTHING), Grant(ANYONE, ENTER))
    ours = (Grant(US, EVERYTHING), Grant(OPS, EVERYTHING))
    assert grants_for(CLOSED, shared=False, us=[US]) == (*ours, Grant(ANYONE, READ))
    assert grants_for(CLOSED, shared=True, us=[US]) == (*ours, Grant(BOB, ENTER), Grant(ANYONE, READ))


def test_what_is_directly_below_the_chroot_is_shared() -> None:
    """And the chroot itself, with the levels above it."""
    assert all(map(is_shared, ("", "/", "/services", "/idl", "/heartbeats")))
    assert not any(map(is_shared, ("/services/users", "/idl/0a", "/services/users/members")))


def test_identities_are_those_of_the_settings_and_those_that_zookeeper_tells() -> None:
    """Of a password's user it tells the name only, and a certificate's subject is known from it alone."""
    ip, certificate = Identity("ip", "10.0.0.1"), Identity("x509", "CN=svc")
    told = (ip, Identity("digest", "svc"), certificate)
    assert our_identities(SVC, told) == (US, ip, certificate)
    sasl = ZooKeeperSecurity(username="svc", password="secret", mechanism="sasl")
    assert our_identities(sasl, ()) == (Identity("sasl", "svc"),)
    assert our_identities(NO_SECURITY, told) == told
    assert read_identity("x509:CN=a:b") == Identity("x509", "CN=a:b")


@pytest.mark.parametrize(
    ("grants", "shared", "differences"),
    [
        (grants_for(SVC, shared=False, us=[US]), False, []),
        (grants_for(SVC, shared=True, us=[US]), True, []),
        ((), False, ["we may not even read its access list"]),
        ([Grant(ANYONE, EVERYTHING)], False, ["anyone may write, create, delete, admin"]),
        ([Grant(ANYONE, EVERYTHING)], True, ["anyone may write, delete, admin"]),
        (grants_for(SVC, shared=True, us=[US]), False, ["anyone may create"]),
        (grants_for(SVC, shared=False, us=[US]), True, ["anyone may not create"]),
        ([Grant(US, READ | Right.ADMIN), Grant(ANYONE, READ)], False, ["digest svc may not write, create, delete"]),
        ([Grant(US, EVERYTHING)], False, ["anyone may not read"]),
        ([Grant(US, EVERYTHING), Grant(BOB, READ | Right.WRITE), Grant(ANYONE, READ)], False, ["digest bob may write"]),
        (
            [Grant(BOB, EVERYTHING), Grant(ANYONE, READ)],
            False,
            ["digest svc may not write, create, delete, admin", "digest bob may write, create, delete, admin"],
        ),
        ([Grant(BOB, EVERYTHING), Grant(ANYONE, ENTER)], True, []),
        ([Grant(BOB, EVERYTHING), Grant(ANYONE, READ)], True, ["digest svc may not create", "anyone may not create"]),
    ],
)
def test_differences_are_said_in_words(grants: list[Grant], shared: bool, differences: list[str]) -> None:
    """What those who should may not do, and what others may; a shared parent may be another user's."""
    assert find_differences(SVC, [US], grants, shared=shared) == differences


def test_owners_and_users_of_the_settings_belong_there() -> None:
    """And are missed where they are not."""
    assert find_differences(CLOSED, [US], grants_for(CLOSED, shared=True, us=[US]), shared=True) == []
    assert find_differences(CLOSED, [US], grants_for(SVC, shared=True, us=[US]), shared=True) == [
        "x509 CN=ops,O=Example may not write, delete, admin",
        "anyone may create",
    ]
