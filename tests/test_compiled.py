"""Compiled parts are used where they were built, left alone where the environment says so, and never stale."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

import zkrpc
from zkrpc import compiled
from zkrpc.errors import ConfigError

SOURCE = b"/* C */\n"
RIGHT = f"{zkrpc.__version__} {zlib.crc32(SOURCE):08x}"
NAME = "parcel._compiled"


@pytest.fixture
def parcel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a package ``parcel``, whose compiled part would be ``_compiled`` in it."""
    folder = tmp_path / "parcel"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(compiled, "_decided", {})
    for name in ("parcel", NAME):
        monkeypatch.setitem(sys.modules, name, None)  # so that what the test imports is forgotten after it
        monkeypatch.delitem(sys.modules, name)
    importlib.invalidate_caches()
    return folder


def build(folder: Path, built_from: str) -> None:
    """What an import of the compiled part finds; Python's own kind of module does as well as one of C."""
    (folder / "_compiled.py").write_text(f"BUILT_FROM = {built_from!r}\n")
    importlib.invalidate_caches()


def test_compiled_part_is_used_where_it_was_built(parcel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a wheel, which does not carry the source; and it is known then that it is in use."""
    build(parcel, RIGHT)
    module = compiled.load(NAME, {})
    monkeypatch.setattr(compiled, "PARTS", (NAME,))
    assert module is not None and compiled.in_use() and compiled.in_words() == "compiled"
    assert compiled.load(NAME, {"ZKRPC_PURE": "1"}) is module, "decided anew"


@pytest.mark.parametrize("word", ["", "0"])
def test_compiled_part_is_used_beside_the_source_that_it_was_built_from(word: str, parcel: Path) -> None:
    """As in a working copy, and where the environment insists."""
    build(parcel, RIGHT)
    (parcel / "_compiled.c").write_bytes(SOURCE)
    module = compiled.load(NAME, {"ZKRPC_PURE": word})
    assert module is not None and module.BUILT_FROM == RIGHT


def test_pure_python_is_used_without_a_word_where_nothing_was_built(
    parcel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it is known then that nothing compiled is in use, and why."""
    monkeypatch.setattr(compiled, "PARTS", (NAME,))
    monkeypatch.delenv("ZKRPC_PURE", raising=False)
    assert compiled.load(NAME) is None and not compiled.in_use()
    assert compiled.in_words() == "pure Python, as nothing compiled was installed"
    monkeypatch.setenv("ZKRPC_PURE", "1")
    assert compiled.in_words() == "pure Python, as ZKRPC_PURE=1 wants it"


def test_environment_can_insist_on_the_compiled_parts(parcel: Path) -> None:
    """Where there are none, that is an error which says what to do."""
    with pytest.raises(ConfigError, match=r"ZKRPC_PURE=0, but parcel\._compiled was not compiled here; build it again"):
        compiled.load(NAME, {"ZKRPC_PURE": "0"})


def test_environment_leaves_the_compiled_parts_alone(parcel: Path) -> None:
    """Whatever they are: they are not even imported."""
    build(parcel, "0.0.0 stale")
    assert compiled.load(NAME, {"ZKRPC_PURE": "1"}) is None
    assert NAME not in sys.modules


@pytest.mark.parametrize("word", ["yes", "2", " 1"])
def test_environment_that_says_what_means_nothing_is_refused(word: str, parcel: Path) -> None:
    """Rather than taken for yes or for no."""
    with pytest.raises(ConfigError, match=f"ZKRPC_PURE is '{word}': 1 means pure Python"):
        compiled.load(NAME, {"ZKRPC_PURE": word})


@pytest.mark.parametrize("built_from", [f"0.0.0 {RIGHT.split()[1]}", f"{zkrpc.__version__} 00000000", "", "one two 3"])
def test_stale_build_is_an_error(built_from: str, parcel: Path) -> None:
    """One of another version of zkrpc, or of another source than the one beside it, says how to get a new one."""
    (parcel / "_compiled.c").write_bytes(SOURCE)
    build(parcel, built_from)
    with pytest.raises(
        ConfigError, match=r"_compiled\.py was built from another version .*scripts/setup.*ZKRPC_PURE=1"
    ):
        compiled.load(NAME, {})


def test_build_that_cannot_be_loaded_is_an_error(parcel: Path) -> None:
    """As is one for another C library; what it lacks is said."""
    (parcel / "_compiled.py").write_text("from os import nothing_of_that_name\n")
    importlib.invalidate_caches()
    with pytest.raises(
        ConfigError, match=r"parcel\._compiled cannot be loaded \(.*nothing_of_that_name.*build it again"
    ):
        compiled.load(NAME, {})


def test_error_of_what_a_part_needs_is_not_taken_for_its_absence(parcel: Path) -> None:
    """A module that is missing inside of it is shown as such."""
    (parcel / "_compiled.py").write_text("import no_such_module_anywhere\n")
    importlib.invalidate_caches()
    with pytest.raises(ModuleNotFoundError, match="no_such_module_anywhere"):
        compiled.load(NAME, {})


def test_part_is_told_classes_by_their_names(parcel: Path) -> None:
    """Where there is one; pure Python knows them without being told."""
    build(parcel, RIGHT)
    with (parcel / "_compiled.py").open("a") as file:
        file.write("known = []\ndef know(*named): known.append(named)\n")
    part = compiled.load(NAME, {})
    assert part is not None
    compiled.acquaint(part, Path, ConfigError)
    assert part.known == [("Path", Path), ("ConfigError", ConfigError)]
    compiled.acquaint(None, Path)


def test_every_source_is_known() -> None:
    """What setup.py compiles is what is asked for."""
    root = Path(zkrpc.__file__).parent.parent
    sources = (root / "zkrpc").glob("**/*.c")
    assert {".".join(path.relative_to(root).with_suffix("").parts) for path in sources} == set(compiled.PARTS)


def test_working_copy_runs_pure_python_if_asked_to() -> None:
    """In a fresh process, from the environment, whatever is compiled here."""
    program = "from zkrpc import compiled; print(compiled.in_use())"
    environment = {**os.environ, "ZKRPC_PURE": "1"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "False\n", "")
