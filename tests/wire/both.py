"""The machines in both ways, in C and in pure Python, beside each other in one process."""

from __future__ import annotations

import functools
import importlib
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import zkrpc.wire
from zkrpc import compiled

PART = "zkrpc.wire._compiled"
_DEPENDENT = ("taking", "fast_path", "inflow", "cores", "client", "server")
"""The modules that differ, in the order in which they import each other."""


@functools.cache
def machines(pure: bool) -> Any:
    """The modules that differ, by name, as they are in pure Python or with what is compiled; values of all others are
    the same. Skips the test where nothing was compiled."""
    return SimpleNamespace(**_load(None if pure else _part()))


def _part() -> ModuleType:
    try:
        return importlib.import_module(PART)
    except ModuleNotFoundError:
        pytest.skip("nothing is compiled here")


def _load(part: ModuleType | None) -> dict[str, ModuleType]:
    """Imports the modules again, and puts those that were there back afterwards."""
    names = [f"zkrpc.wire.{name}" for name in _DEPENDENT]
    before = {name: importlib.import_module(name) for name in names}
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(compiled, "_decided", {PART: part})
        for name in names:
            monkeypatch.delitem(sys.modules, name)
        found = {name.rpartition(".")[2]: importlib.import_module(name) for name in names}
    for name, module in before.items():
        setattr(zkrpc.wire, name.rpartition(".")[2], module)
        sys.modules[name] = module
    return found
