"""What a program goes by, and what may be taken for a name."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator

import pytest

from zkrpc import caller
from zkrpc.caller import Caller, go_by, is_name, is_version, name_from, this_program, version_from


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """What is found out about the program once is not kept for the next test."""
    before = list(caller._own)
    caller._own.clear()
    caller._program.cache_clear()
    yield
    caller._own[:] = before
    caller._program.cache_clear()


def started_as(monkeypatch: pytest.MonkeyPatch, *argv: str, module: str = "", version: object = None) -> Caller:
    """What a program goes by that was started like this."""
    main = types.ModuleType("__main__")
    main.__spec__ = types.SimpleNamespace(name=module) if module else None  # type: ignore[assignment]
    if version is not None:
        main.__version__ = version  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.setattr(sys, "argv", list(argv))
    caller._program.cache_clear()
    return this_program()


def test_program_goes_by_its_module_or_its_script(monkeypatch: pytest.MonkeyPatch) -> None:
    """``python -m`` tells the module; otherwise the script's name without its folder and ``.py``; code without a file
    is Python's."""
    assert started_as(monkeypatch, "/x/jobs.py", module="billing.jobs") == Caller("billing.jobs")
    assert started_as(monkeypatch, "/x/__main__.py", module="billing.__main__") == Caller("billing")
    assert started_as(monkeypatch, "/srv/app/nightly report.py") == Caller("nightly-report")
    for argv in (["-c"], [""], [], ["__main__.py"], ["\u202e"]):
        assert started_as(monkeypatch, *argv) == Caller("python")
    assert started_as(monkeypatch, "x" * 300).name == "x" * 64


def test_program_has_the_version_that_it_says_or_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """``__version__`` of the main module, or the distribution of this name; what is no text counts for nothing."""
    assert started_as(monkeypatch, "billing.py", version="1.2\n3") == Caller("billing", "1.2-3")
    assert started_as(monkeypatch, "billing.py", version=(1, 2)) == Caller("billing")
    from importlib import metadata

    assert started_as(monkeypatch, "/usr/bin/kazoo").version == metadata.version("kazoo")
    assert started_as(monkeypatch, "main.py", module="kazoo.testing").version == metadata.version("kazoo")


def test_process_that_serves_goes_by_its_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a service behind another one sees who that is, and not the launcher."""
    go_by("users", "2.0")
    assert started_as(monkeypatch, "/usr/bin/zkrpc") == Caller("users", "2.0")


@pytest.mark.parametrize(
    "text",
    ["", " ", "-x", ".x", "_OTHER", "unnamed:public", "a b", "a\n", "a\x1b[2J", "ü", "\u202e", "x" * 65, None, 7, b"x"],
)
def test_text_that_is_no_name(text: object) -> None:
    """It could not be shown as it is, or would pass for one of ours."""
    assert not is_name(text)


def test_whatever_a_program_is_called_becomes_a_good_name() -> None:
    """Or nothing, if nothing of it can be used."""
    for text in ("billing", "app.jobs", "a b", "-x", "_OTHER", "größe", "x" * 1000, "@scope/pkg", "unnamed:public"):
        assert is_name(name_from(text)), text
    assert name_from("\u202e\n") == name_from("") == ""
    assert is_version(version_from("1.0 (\x1b[2J)" * 9)) and is_version("") and not is_version("1 0")
