"""The nodes of a list as they were read."""

from __future__ import annotations

from zkrpc.endpoint import Endpoint, Instance
from zkrpc.registry.foreign import Tree
from zkrpc.registry.formats import dump_plain_curator, dump_serverset
from zkrpc.registry.roster import Record, Roster

ADMIN = Endpoint("10.0.0.1", 9000)


def record(port: int, zxid: int = 1, admin: Endpoint | None = None) -> Record:
    """A ServerSet's member."""
    instance = Instance(id="x", endpoint=Endpoint("10.0.0.1", port), admin=admin)
    return Record(payload=dump_serverset(instance), created_zxid=zxid)


def held(roster: Roster) -> list[str]:
    """Who is in service, with weights."""
    return [f"{one.id} {one.endpoint} {one.weight:g}" for one in roster.instances()]


def test_roster_keeps_what_was_read_last_and_forgets_what_is_gone() -> None:
    """By name, in the order in which they were read."""
    roster = Roster(None, 1000)
    for name, port in (("member_a", 1), ("member_b", 2), ("member_c", 3), ("member_a", 4)):
        roster.receive(name, record(port))
    assert list(roster) == ["member_b", "member_c", "member_a"] and len(roster) == 3 and "member_b" in roster
    roster.receive("member_b", None)
    roster.receive("member_z", None)
    roster.keep({"member_a", "member_y"})
    assert roster.entries["member_a"].created_zxid == 1
    assert held(roster) == ["a 10.0.0.1:4 1"] and "1 nodes" in repr(roster)


def test_roster_gives_an_endpoint_to_its_newest_owner() -> None:
    """Ports are reused, and the ghost of a dead process may stay for a session timeout."""
    roster = Roster(None, 1000)
    for name, zxid in (("member_a", 5), ("member_b", 9), ("member_c", 7)):
        roster.receive(name, record(1, zxid))
    assert held(roster) == ["b 10.0.0.1:1 1"]


def test_roster_weighs_members_by_vectors() -> None:
    """Whichever is read first; one that cannot be read is told of, and is no member that is left out."""
    roster = Roster(None, 1000)
    roster.receive("vector_1", Record(payload=b'{"vector":[{"select":"member=member_a","weight":2}]}', created_zxid=1))
    roster.receive("member_a", record(1))
    roster.receive("vector_2", Record(payload=b"?", created_zxid=1))
    assert held(roster) == ["a 10.0.0.1:1 2"]
    assert [name for name, _ in roster.complaints(0.0)] == ["vector_2"]
    assert (roster.bad, roster.skipped) == (1, 0)


def test_roster_tells_of_a_bad_node_once_in_a_while() -> None:
    """At once, and again when it has changed and a minute has passed, or when it was good in between."""
    roster = Roster(None, 1000)
    roster.receive("member_a", Record(payload=b"?", created_zxid=1))
    roster.receive("member_b", Record(payload=b" " * 1001, created_zxid=1))
    assert [reason for _, reason in roster.complaints(0.0)] == [
        "a record that is not JSON: Expecting value: line 1 column 1 (char 0)",
        "a record of 1001 bytes is over 1000",
    ]
    assert roster.complaints(100.0) == [] and roster.skipped == 2
    roster.receive("member_a", Record(payload=b"!", created_zxid=1))
    assert roster.complaints(30.0) == []
    roster.receive("member_a", Record(payload=b"!!", created_zxid=1))
    assert [name for name, _ in roster.complaints(61.0)] == ["member_a"]
    roster.receive("member_a", record(1))
    assert roster.complaints(62.0) == []
    roster.receive("member_a", Record(payload=b"!!", created_zxid=1))
    assert [name for name, _ in roster.complaints(63.0)] == ["member_a"]


def test_roster_of_a_foreign_tree_reads_as_the_tree_says() -> None:
    """Which children are members, what their ids are, and which of their endpoints counts."""
    roster = Roster(Tree(path="/job", format="serverset", prefix="instance-", endpoint="admin"), 1000)
    assert [name for name in ("instance-1", "member_2", "vector_3") if roster.concerns(name)] == [
        "instance-1",
        "vector_3",
    ]
    roster.receive("instance-1", record(1, admin=ADMIN))
    roster.receive("instance-2", record(2))
    assert held(roster) == ["1 10.0.0.1:9000 1"]
    assert roster.complaints(0.0) == [("instance-2", "no additional endpoint 'admin'")]
    curator = Roster(Tree(path="/discovery/users", format="curator"), 1000)
    spoken = dump_plain_curator(Instance(id="member_1", endpoint=ADMIN), "users")
    curator.receive("member_1", Record(payload=spoken, created_zxid=1))
    assert held(curator) == ["member_1 10.0.0.1:9000 1"] and curator.concerns("anything")
