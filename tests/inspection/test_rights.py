"""What is found to be wrong with access lists, from facts alone."""

from __future__ import annotations

import pytest

from zkrpc.inspection.rights import AccessFacts, NodeAccess, find_lacking, find_open, find_owners
from zkrpc.inspection.servers import NotKnown
from zkrpc.zookeeper.access import ANYONE, CHANGING, Grant, Identity, Right, user

ALL = CHANGING | Right.READ
US, SVC = user("ops", "secret"), user("svc", "secret")
FAMILY = Right.READ | Right.CREATE | Right.DELETE
OPEN = NodeAccess(path="/open", needed=FAMILY, grants=(Grant(ANYONE, ALL),))


def node(owner: Identity, path: str = "/n", *, others: Right = Right.READ) -> NodeAccess:
    """A node with one owner, and what anyone may do with it."""
    return NodeAccess(path=path, needed=FAMILY, grants=(Grant(owner, ALL), Grant(ANYONE, others)))


def ours(*nodes: NodeAccess) -> AccessFacts:
    """What is known with our credentials."""
    return AccessFacts(identities=(US, Identity("ip", "10.0.0.1")), has_credentials=True, nodes=nodes)


def test_nothing_is_wrong_with_nodes_of_ours_or_with_open_ones_among_themselves() -> None:
    """Either everybody has credentials, or nobody."""
    for facts in (ours(node(US)), AccessFacts(nodes=(OPEN,)), AccessFacts()):
        assert [*find_lacking(facts), *find_open(facts), *find_owners(facts)] == []


def test_node_of_others_keeps_us_from_registering() -> None:
    """It is named, with what we may not do, and with who may."""
    assert list(find_lacking(ours(node(US), node(SVC, "/m")))) == [
        "/m: as digest ops, ip 10.0.0.1 we may not create, delete; digest svc may"
    ]
    hidden = node(Identity("digest", "ops:x"))
    assert list(find_lacking(ours(hidden))) == [
        "/n: as digest ops, ip 10.0.0.1 we may not create, delete; digest ops with another password may"
    ]


def test_without_credentials_only_what_cannot_be_read_is_wrong() -> None:
    """Whether those who register have the credentials is not known to us."""
    with pytest.raises(NotKnown, match="for digest svc to change, and we have no credentials"):
        list(find_lacking(AccessFacts(nodes=(node(SVC), OPEN))))
    facts = AccessFacts(nodes=(node(SVC), NodeAccess(path="/dark", needed=FAMILY)))
    assert list(find_lacking(facts)) == ["/dark: as anyone we may not read, create, delete"]


def test_open_node_is_wrong_where_somebody_has_credentials() -> None:
    """We, or the owners of other nodes."""
    assert list(find_open(ours(OPEN))) == ["anyone may change /open, though we have credentials"]
    facts = AccessFacts(nodes=(OPEN, node(SVC)))
    assert list(find_open(facts)) == ["anyone may change /open, though others need credentials"]


def test_nodes_of_different_owners_are_wrong() -> None:
    """Each owner is named with nodes, of which there may be many."""
    many = [node(SVC, f"/{number}") for number in range(7)]
    assert list(find_owners(ours(node(US), *many, OPEN))) == [
        "nodes are for different identities to change: digest ops: /n; digest svc: /0, /1, /2, /3, /4 and 2 more"
    ]
