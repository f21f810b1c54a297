"""The lazy door in zkrpc/__init__ keeps what it promises."""

from __future__ import annotations

import sys

import pytest

import zkrpc


@pytest.mark.parametrize("name", zkrpc.__all__)
def test_export_resolves(name: str) -> None:
    """Every public name is there, documented, and found a second time without an import."""
    value = getattr(zkrpc, name)
    assert value.__doc__
    assert vars(zkrpc)[name] is value


@pytest.mark.parametrize("name", ["aio", "threads"])
def test_module_resolves_unasked(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to import those that are used by their own names."""
    monkeypatch.delattr(zkrpc, name, raising=False)
    assert getattr(zkrpc, name) is sys.modules[f"zkrpc.{name}"]


def test_exports_are_listed() -> None:
    """dir() shows the public names, for people at a prompt and for editors."""
    assert set(zkrpc.__all__) <= set(dir(zkrpc))


def test_exports_have_no_twins() -> None:
    """No name is exported twice."""
    assert len(set(zkrpc.__all__)) == len(zkrpc.__all__)


def test_unknown_name_is_an_attribute_error() -> None:
    """The door says which module lacks which name, as Python itself would."""
    with pytest.raises(AttributeError, match="module 'zkrpc' has no attribute 'Sevrer'"):
        getattr(zkrpc, "Sevrer")
