"""One table says what each name of a call stands for, however many interfaces a port has."""

from __future__ import annotations

import pytest

from zkrpc.idl import Interface, built_in, load_text
from zkrpc.idl.served import ServedInterface, parts_of, services_of, wire_names

TEXT = """
service Root { void ping() }
service Base extends Root { string get(1: i64 id) }
service Users extends Base { void put(1: i64 id) }
service Audit extends Base { void log(1: string text) }
service Plain { void put() }
"""
idl = load_text(TEXT, name="port.thrift")
other = load_text("service Base { void late() }", name="other.thrift")


def labels(*parts: Interface, alias: str = "") -> dict[str, str]:
    """The table, as text."""
    return {name.decode(): label for name, label in wire_names(ServedInterface(parts, alias)).items()}


def test_interface_knows_what_it_extends() -> None:
    """The nearest first, each with all the methods that it has."""
    assert {name: tuple(names) for name, names in idl.Users.parents.items()} == {
        "Base": ("ping", "get"),
        "Root": ("ping",),
    }
    assert not idl.Root.parents


def test_one_interface_goes_by_its_own_its_parents_and_the_registrys_name() -> None:
    """A parent's name stands for the parent's methods alone, as its clients know no others."""
    assert labels(idl.Users, alias="users") == {
        **{name: name for name in ("ping", "get", "put")},
        **{f"{scope}:{name}": name for scope in ("Users", "users") for name in ("ping", "get", "put")},
        **{"Base:ping": "ping", "Base:get": "get", "Root:ping": "ping"},
    }
    assert wire_names(idl.Plain) == {b"put": "put", b"Plain:put": "put"} and parts_of(idl.Plain) == (idl.Plain,)


def test_plain_names_are_those_of_the_first_interface() -> None:
    """The others' methods have labels with the name of their interface, so that nothing has two meanings."""
    found = labels(idl.Users, idl.Plain, alias="users")
    assert (found["put"], found["users:put"], found["Plain:put"]) == ("put", "put", "Plain:put")
    served = ServedInterface([idl.Users, idl.Plain])
    assert served.methods["put"] is idl.Users.methods["put"]
    assert served.methods["Plain:put"] is idl.Plain.methods["put"]
    assert (served.name, served.text, served.parts) == ("Users", idl.Users.text, (idl.Users, idl.Plain))
    assert {method.name for label, method in served.methods.items() if label in found.values()} == {
        *("ping", "get", "put")
    }


def test_a_name_that_two_have_is_that_of_whoever_has_the_better_right() -> None:
    """An interface before a parent or the registry's name; the first of two that extend the same one."""
    found = labels(idl.Users, idl.Audit, other.Base, alias="Audit")
    assert (found["Audit:log"], found["Audit:get"], found["Base:late"]) == ("Audit:log", "Audit:get", "Base:late")
    assert found["Root:ping"] == "ping"
    assert not {"Audit:put", "Base:get", "log", "late"} & set(found)


def test_services_are_named_with_what_they_extend_behind_them() -> None:
    """Each once."""
    assert services_of(ServedInterface([idl.Users, idl.Audit])) == ("Users", "Audit", "Base", "Root")
    assert services_of(idl.Plain) == ("Plain",)


def test_digest_tells_all_texts() -> None:
    """That of the only text, if all are of one file."""
    assert ServedInterface([idl.Users, idl.Audit]).digest == idl.Users.digest
    assert len(ServedInterface([idl.Users, other.Base]).digest) == 64
    assert ServedInterface([idl.Users, other.Base]).digest not in (idl.Users.digest, other.Base.digest)


@pytest.mark.parametrize("name", ["Health", "Introspection"])
def test_methods_of_built_in_services_keep_their_names(name: str) -> None:
    """With which they are called, and by no plain ones."""
    found = wire_names(built_in(name))
    assert all(b":" in one for one in found) and f"zkrpc.{name}:{[*built_in(name).methods][0]}".encode() in found
