"""The interfaces of built-in services: package data, read once."""

from __future__ import annotations

from pathlib import Path

import pytest

from zkrpc.errors import IdlError
from zkrpc.idl import BUILT_INS, SCOPE, built_in, built_in_idl, file_of, load_text
from zkrpc.wire.message import BUILT_IN_PREFIX


def test_built_in_service_is_loaded_once() -> None:
    """So that every server and every client of a process has the same classes."""
    assert built_in("Health") is built_in("Health")
    assert built_in_idl("Health") is built_in_idl("Health")


def test_every_file_of_ours_is_a_built_in_service() -> None:
    """Commands offer them by this list."""
    files = {path.stem for path in Path(file_of(built_in_idl("Health"))).parent.glob("*.thrift")}
    assert files == {name.lower() for name in BUILT_INS} and list(BUILT_INS) == sorted(BUILT_INS)


@pytest.mark.parametrize("name", BUILT_INS)
def test_methods_of_a_built_in_service_are_known_by_their_names_on_the_wire(name: str) -> None:
    """The wire machine and the files agree; the stub has the bare names."""
    methods = built_in(name).methods
    assert methods
    for bare, method in methods.items():
        assert method.name == bare and method.wire_name == f"zkrpc.{name}:{bare}".encode()
    assert SCOPE.encode() == BUILT_IN_PREFIX


@pytest.mark.parametrize("text", ["service zkrpc.Health { void check() }", "service Mine { void zkrpc.check() }"])
def test_no_name_of_an_idl_is_like_one_of_ours(text: str) -> None:
    """So that no service that is served can be meant by it."""
    with pytest.raises(IdlError, match="expected one without dots"):
        load_text(text, name="mine.thrift")


def test_renaming_leaves_the_method_of_the_file_as_it_was() -> None:
    """The file could be served by itself."""
    method = built_in_idl("Health").Health.methods["check"]
    assert method.wire_name == b"check"
    assert method.renamed("zkrpc.Health:check").wire_name == b"zkrpc.Health:check"
    assert method.wire_name == b"check"
