"""Several handlers are one object: methods by labels, and hooks that are run for all."""

from __future__ import annotations

from typing import Any

import pytest

from zkrpc.errors import ConfigError
from zkrpc.idl import load_text
from zkrpc.idl.served import ServedInterface
from zkrpc.server.handlers import Handlers, pairs_of

idl = load_text("service Users { string get(1: i64 id) } service Audit { string get(1: i64 id), void log() }")
BOTH = ServedInterface([idl.Users, idl.Audit])


class Users:
    """Serves the one, and notes what its hooks are told."""

    def __init__(self, told: list[str], name: str = "users") -> None:
        self.told, self.name = told, name

    def get(self, id: int) -> str:
        return f"{self.name} {id}"

    def on_elected(self, leadership: Any) -> None:
        self.told.append(f"{self.name} elected {leadership}")

    def on_deposed(self) -> None:
        self.told.append(f"{self.name} deposed")
        if self.name == "audit":
            raise OSError("its disk is full")


class Audit(Users):
    """Serves the other."""

    def log(self) -> None:
        pass


def test_methods_have_their_labels() -> None:
    """Two of one name are two; what a handler lacks is lacking."""
    told: list[str] = []
    handlers: Any = Handlers(BOTH, [Users(told), Audit(told, "audit")])
    assert (handlers.get(1), getattr(handlers, "Audit:get")(2)) == ("users 1", "audit 2")
    assert repr(handlers) == "<Handlers Users, Audit>"
    half = Handlers(BOTH, [Users(told), Users(told)])
    assert not hasattr(half, "Audit:log") and hasattr(half, "Audit:get")


def test_hooks_are_those_of_all() -> None:
    """Elected in order, deposed the other way round, also if one of them fails; an object that is there twice is told
    once, and one without hooks never."""
    told: list[str] = []
    handlers = Handlers(BOTH, [Users(told), Audit(told, "audit")])
    handlers.on_elected("epoch 1")
    with pytest.raises(OSError, match="disk"):
        handlers.on_deposed(None)
    assert told == ["users elected epoch 1", "audit elected epoch 1", "audit deposed", "users deposed"]
    told.clear()
    one = Audit(told)
    Handlers(BOTH, [one, one]).on_elected(2)
    Handlers(BOTH, [object(), object()]).on_deposed(2)
    assert told == ["users elected 2"]


def test_hooks_that_cannot_be_called_are_refused() -> None:
    """With the class that has them."""

    class Greedy:
        def on_elected(self, leadership: Any, more: Any) -> None:
            raise AssertionError("never called")

    with pytest.raises(ConfigError, match="Greedy.on_elected must take the leadership, or nothing"):
        Handlers(BOTH, [object(), Greedy()])


def test_there_is_one_handler_for_each_interface() -> None:
    """Whichever way they come."""
    one, other = object(), object()
    assert pairs_of(BOTH, Handlers(BOTH, [one, other])) == ((idl.Users, one), (idl.Audit, other))
    assert pairs_of(idl.Users, one) == [(idl.Users, one)]
    with pytest.raises(ConfigError, match=r"2 interfaces \(Users, Audit\) want as many handlers, .*; got 3"):
        Handlers(BOTH, [one, other, one])
