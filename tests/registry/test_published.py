"""What a service's records and its note tell of its IDL, and the interface in a published text."""

from __future__ import annotations

import pytest

from zkrpc.endpoint import Endpoint, Instance
from zkrpc.errors import IdlError
from zkrpc.registry.formats import dump_curator, dump_serverset
from zkrpc.registry.publication import Publication
from zkrpc.registry.published import interface_in, read_publications

OLD, NEW = (Publication(interface="Users", digest=digit * 64) for digit in "ab")


def instance(name: str, said: Publication | None, started_at: float = 0.0) -> Instance:
    """A registered instance that says this."""
    facts = {} if said is None else {"interface": said.interface, "idl_digest": said.digest}
    return Instance(id=name, endpoint=Endpoint("10.0.0.1", 9090), started_at=started_at, **facts)


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
