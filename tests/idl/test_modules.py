"""Modules of IDL files: what they are called and what they hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import zkrpc
from tests.idl.test_source import write
from tests.support.programs import ROOT
from zkrpc.errors import IdlError
from zkrpc.idl.modules import is_speakable, module_stem, protocol_names


def filled(path: Path) -> dict[str, Any]:
    """The namespace of a module beside the file."""
    namespace: dict[str, Any] = {"__file__": str(path.with_suffix(".py")), "__name__": "it"}
    zkrpc.load_into(namespace, path.name)
    return namespace


def test_module_holds_the_very_classes_of_load() -> None:
    """An exception that one part of a program raises is caught by another, however each came to it."""
    path = ROOT / "idl" / "users.thrift"
    namespace, idl = filled(path), zkrpc.load(path)
    assert namespace["User"] is idl.User and namespace["Users"] is idl.Users
    assert namespace["UsersHandler"] is filled(path)["UsersHandler"]


def test_protocol_can_be_a_base_class_and_promises_nothing() -> None:
    """What is missing in a handler is missed when the service starts, whatever it derives from."""
    namespace = filled(ROOT / "idl" / "users.thrift")

    class Handler(namespace["UsersHandler"]):  # type: ignore[misc]  # the module has no stub here
        def get(self, id: int) -> None: ...

    with pytest.raises(TypeError, match="protocols"):
        isinstance(Handler(), namespace["UsersHandler"])
    with pytest.raises(zkrpc.ConfigError, match="Handler.find is missing"):
        zkrpc.serve(zkrpc.Service(namespace["Users"], Handler()))


def test_what_python_cannot_hold_is_refused_where_it_is_used(tmp_path: Path) -> None:
    """As zkrpc.load does it; other names are attribute errors."""
    text = "const map<map<i32, i32>, i32> BAD = {}\nconst i32 __name__ = 3\nconst i32 class = 4"
    namespace = filled(write(tmp_path, {"a.thrift": text}))
    with pytest.raises(IdlError, match="constant BAD cannot be held"):
        namespace["__getattr__"]("BAD")
    with pytest.raises(AttributeError, match="module 'it' has no attribute 'GOOD'"):
        namespace["__getattr__"]("GOOD")
    assert namespace["__name__"] == "it" and namespace["class"] == 4 and namespace["__all__"] == []


def test_included_file_is_a_module_with_protocols_of_its_own(tmp_path: Path) -> None:
    """The same ones as when it is loaded by itself."""
    files = {"a.thrift": "include 'b.thrift'\nservice A extends b.B {}", "b.thrift": "service B {}"}
    path = write(tmp_path, files)
    assert filled(path)["b"].BHandler is filled(path.with_name("b.thrift"))["BHandler"]


@pytest.mark.parametrize(
    ("stem", "module"),
    [("users", "users_thrift"), ("acme.base", "acme_base_thrift"), ("my-idl", "my_idl_thrift"), ("3d", "_3d_thrift")],
)
def test_module_is_called_after_its_file(stem: str, module: str) -> None:
    """What Python has no letter for is an underscore."""
    assert module_stem(stem) == module


def test_protocols_give_way_to_names_of_the_file() -> None:
    """And to each other; those of clients in threads and of awaited ones to all of the others."""
    assert protocol_names(["A", "AClient", "AThreads"], ["A", "AClient", "AHandler", "AAioClient"]) == {
        "A": ("AClient_", "AHandler_", "AThreadsClient_", "AFutures", "AAioClient_"),
        "AClient": ("AClientClient", "AClientHandler", "AClientThreadsClient", "AClientFutures", "AClientAioClient"),
        "AThreads": (
            "AThreadsClient",
            "AThreadsHandler",
            "AThreadsThreadsClient",
            "AThreadsFutures",
            "AThreadsAioClient",
        ),
    }


def test_names_that_grammar_has_room_for() -> None:
    """Words that are keywords in some places only have."""
    assert all(map(is_speakable, ("match", "type", "_", "User")))
    assert not any(map(is_speakable, ("class", "None", "__x", "acme.base")))
